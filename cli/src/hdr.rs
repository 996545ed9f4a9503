//! HDR metadata: what is kept and what is lost.

use ffi::AVFrameSideDataType as Kind;

use crate::av::{self, Dictionary, Frame, Rational, Stream};
use crate::codecs::Codec;
use crate::stream_actions::Note;

/// FFmpeg's `AVMasteringDisplayMetadata`, which the bindings lack.
#[repr(C)]
#[derive(Clone, Copy)]
struct MasteringDisplay {
    display_primaries: [[Rational; 2]; 3],
    white_point: [Rational; 2],
    min_luminance: Rational,
    max_luminance: Rational,
    has_primaries: i32,
    has_luminance: i32,
}

/// FFmpeg's `AVContentLightMetadata`: the brightest pixel, and the brightest frame on average, in cd/m².
#[repr(C)]
#[derive(Clone, Copy)]
struct ContentLight {
    max: u32,
    average: u32,
}

/// HDR10's static metadata in FFmpeg's representation.
#[derive(Clone, Default)]
pub struct Hdr {
    display: Option<Vec<u8>>,
    light: Option<Vec<u8>>,
}

impl Hdr {
    /// From the first frame, or else from the container.
    pub fn of(frame: &Frame, stream: Option<Stream>) -> Self {
        use ffi::AVPacketSideDataType::{AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_MASTERING_DISPLAY_METADATA};
        let find = |of_frame, of_stream| {
            let stored = || stream.and_then(|stream| stream.side_data(of_stream));
            frame.side_data(of_frame).or_else(stored).map(<[u8]>::to_vec)
        };
        Hdr {
            display: find(Kind::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
            light: find(Kind::AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
        }
    }

    /// The side data for the container.
    pub fn side_data(&self) -> impl Iterator<Item = (ffi::AVPacketSideDataType, &[u8])> {
        use ffi::AVPacketSideDataType::{AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_MASTERING_DISPLAY_METADATA};
        let display = self.display.as_deref().map(|data| (AV_PKT_DATA_MASTERING_DISPLAY_METADATA, data));
        let light = self.light.as_deref().map(|data| (AV_PKT_DATA_CONTENT_LIGHT_LEVEL, data));
        display.into_iter().chain(light)
    }

    /// Adds it to the options of encoders that write it into the stream.
    pub fn set_options(&self, codec: Codec, options: &mut Dictionary) {
        let (list, display, light) = match codec.name {
            "libx264" => ("x264-params", "mastering-display", "cll"),
            "libx265" => ("x265-params", "master-display", "max-cll"),
            _ => return,
        };
        let mut parts = Vec::new();
        if codec.name == "libx265" {
            // libx265 logs to standard error itself.
            parts.push("log-level=none".to_owned());
        }
        parts.extend(self.display_text().map(|text| format!("{display}={text}")));
        parts.extend(self.light_levels().map(|(max, average)| format!("{light}={max},{average}")));
        if !parts.is_empty() {
            options.set(list, &parts.join(":"));
        }
    }

    /// As in "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)", in units of 1/50000 and 1/10000 cd/m².
    fn display_text(&self) -> Option<String> {
        let data = self.display.as_ref().filter(|data| data.len() >= size_of::<MasteringDisplay>())?;
        // SAFETY: FFmpeg keeps such a struct in this kind of data, of which there is enough; alignment is not asked for.
        let display = unsafe { data.as_ptr().cast::<MasteringDisplay>().read_unaligned() };
        if display.has_primaries == 0 || display.has_luminance == 0 {
            return None;
        }
        let scaled = |value: Rational, scale: f64| (av::value(value) * scale).round() as i64;
        let point = |place: [Rational; 2]| format!("({},{})", scaled(place[0], 50000.0), scaled(place[1], 50000.0));
        let [red, green, blue] = display.display_primaries;
        Some(format!(
            "G{}B{}R{}WP{}L({},{})",
            point(green),
            point(blue),
            point(red),
            point(display.white_point),
            scaled(display.max_luminance, 10000.0),
            scaled(display.min_luminance, 10000.0)
        ))
    }

    fn light_levels(&self) -> Option<(u32, u32)> {
        let data = self.light.as_ref().filter(|data| data.len() >= size_of::<ContentLight>())?;
        // SAFETY: as above.
        let light = unsafe { data.as_ptr().cast::<ContentLight>().read_unaligned() };
        Some((light.max, light.average))
    }
}

/// The metadata that will be lost because no encoder here can write it.
pub fn losses(frame: &Frame, stream: Option<Stream>, codec: Codec) -> Vec<Note> {
    let mut notes = Vec::new();
    let dolby = stream.and_then(|stream| stream.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF));
    // dv_profile follows two version numbers. Profile 5's base layer is not a normal picture.
    if let Some(record) = dolby {
        let what = match record.get(2) {
            Some(5) => "Dolby Vision (profile 5) is lost, and its colours are wrong without it",
            _ => "Dolby Vision is lost: the HDR or SDR picture under it is kept",
        };
        notes.push(Note::loss(what));
    }
    if frame.side_data(Kind::AV_FRAME_DATA_DYNAMIC_HDR_PLUS).is_some() {
        notes.push(Note::loss("HDR10+ is lost: HDR10, on which it builds, is kept"));
    }
    let keeps_captions = matches!(codec.name, "libx264" | "h264_nvenc" | "hevc_nvenc");
    if frame.side_data(Kind::AV_FRAME_DATA_A53_CC).is_some() && !keeps_captions {
        notes.push(Note::loss("the closed captions in the video are lost: --encoder h264 keeps them"));
    }
    if matches!(codec.name, "gif" | "libwebp_anim" | "mjpeg" | "libwebp")
        && (frame.side_data(Kind::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA).is_some()
            || frame.color_trc == ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084)
    {
        notes.push(Note::loss("this picture format cannot signal HDR: colours will look dull"));
    }
    notes
}

//! HDR metadata: what is kept and what is lost.

use ffi::AVFrameSideDataType as Kind;
use ffi::AVPacketSideDataType::{AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_MASTERING_DISPLAY_METADATA};

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

/// A stream's side data.
pub type SideData = Vec<(ffi::AVPacketSideDataType, Vec<u8>)>;

/// HDR10's static metadata, from the first frame or else from the container.
pub fn static_metadata(frame: &Frame, stream: Option<Stream>) -> SideData {
    let kinds = [
        (Kind::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
        (Kind::AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
    ];
    let find = |(of_frame, of_stream)| {
        let stored = || stream.and_then(|stream| stream.side_data(of_stream));
        Some((of_stream, frame.side_data(of_frame).or_else(stored)?.to_vec()))
    };
    kinds.into_iter().filter_map(find).collect()
}

/// Adds the metadata to the options of encoders that write it into the stream.
pub fn set_options(metadata: &SideData, codec: Codec, options: &mut Dictionary) {
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
    // SAFETY: FFmpeg keeps such structs in these kinds of data.
    let (mastering, levels) = unsafe {
        (
            read::<MasteringDisplay>(metadata, AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
            read::<ContentLight>(metadata, AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
        )
    };
    let mastering = mastering.filter(|display| display.has_primaries != 0 && display.has_luminance != 0);
    parts.extend(mastering.map(|mastering| format!("{display}={}", mastering.text())));
    parts.extend(levels.map(|levels| format!("{light}={},{}", levels.max, levels.average)));
    if !parts.is_empty() {
        options.set(list, &parts.join(":"));
    }
}

/// # Safety
/// Data of this kind holds a `T`.
unsafe fn read<T: Copy>(metadata: &SideData, kind: ffi::AVPacketSideDataType) -> Option<T> {
    let (_, data) = metadata.iter().find(|(of, data)| *of == kind && data.len() >= size_of::<T>())?;
    // SAFETY: the caller's promise; the data is long enough, and alignment does not matter.
    Some(unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

impl MasteringDisplay {
    /// As in "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)", in units of 1/50000 and 1/10000 cd/m².
    fn text(&self) -> String {
        let scaled = |value: Rational, scale: f64| (av::value(value) * scale).round() as i64;
        let point = |place: [Rational; 2]| format!("({},{})", scaled(place[0], 50000.0), scaled(place[1], 50000.0));
        let [red, green, blue] = self.display_primaries.map(point);
        let (white, luminance) = (point(self.white_point), [self.max_luminance, self.min_luminance]);
        let [max, min] = luminance.map(|value| scaled(value, 10000.0));
        format!("G{green}B{blue}R{red}WP{white}L({max},{min})")
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

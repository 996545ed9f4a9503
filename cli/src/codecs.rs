//! Choosing the encoder, and translating quality and speed into its options.

use crate::args::Encoding;
use crate::av::{Dictionary, Encoder, PixelFormat};
use crate::container::Container;
use crate::failure::{Result, usage};

/// Common names, and FFmpeg's encoders for each, best first.
const NAMES: [(&[&str], &[&str]); 6] = [
    (&["h264", "x264", "avc"], &["libx264", "libopenh264"]),
    (&["h265", "x265", "hevc"], &["libx265"]),
    (&["av1"], &["libsvtav1", "libaom-av1", "librav1e"]),
    (&["vp9"], &["libvpx-vp9"]),
    (&["vp8"], &["libvpx"]),
    (&["ffv1"], &["ffv1"]),
];

const PRESETS: [&str; 9] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];
/// `medium` saves 19 % of the bytes at the same SSIM compared with `veryfast` (docs/measurements.md).
const DEFAULT_PRESET: usize = 5;
const DEFAULT_QUALITY: u8 = 65;

/// How the user's quality of 0 to 100 maps to an encoder option.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// `option = best - quality * step`.
    Falling {
        option: &'static str,
        best: f32,
        step: f32,
    },
    Lossless,
    Unknown,
}

#[derive(Clone, Copy)]
pub struct Codec {
    pub av: &'static ffi::AVCodec,
    pub name: &'static str,
}

// SAFETY: FFmpeg's codecs are static and never change.
unsafe impl Send for Codec {}
// SAFETY: as above.
unsafe impl Sync for Codec {}

impl Codec {
    /// The requested encoder, or the container's default. Checks the encoding options.
    pub fn choose(encoding: &Encoding, container: Container) -> Result<Self> {
        let asked = encoding.encoder.as_deref().filter(|_| container != Container::Gif);
        let codec = Codec::find(asked.unwrap_or(container.encoder()))?;
        // SAFETY: formats are static.
        let holds = unsafe {
            let format = ffi::av_guess_format(container.muxer().as_ptr(), std::ptr::null(), std::ptr::null());
            !format.is_null() && ffi::avformat_query_codec(format, codec.av.id, ffi::FF_COMPLIANCE_NORMAL) == 1
        };
        if !holds {
            let name = asked.unwrap_or(codec.name);
            return usage(format!("{} cannot hold what {name} makes; .mkv holds most", container.extension()));
        }
        codec.check(encoding)?;
        Ok(codec)
    }

    pub fn find(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        let usual = NAMES.iter().find(|(names, _)| names.contains(&lower.as_str())).map(|(_, encoders)| *encoders);
        // Hardware encoders have FFmpeg's names, which say "hevc".
        let own = lower.replace("h265_", "hevc_");
        let names = usual.unwrap_or(std::slice::from_ref(&own.as_str())).to_vec();
        let found = names.iter().find_map(|name| Encoder::find(name));
        match found.filter(|codec| codec.type_ == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO) {
            // SAFETY: names of codecs are static texts.
            Some(av) => Ok(Codec { av, name: unsafe { std::ffi::CStr::from_ptr(av.name) }.to_str().unwrap_or("?") }),
            None if usual.is_some() => usage(format!("this FFmpeg has no encoder for {name} ({})", names.join(", "))),
            None => usage(format!(
                "this FFmpeg has no encoder {name}: choose one of h264, h265, av1, vp9, vp8, ffv1, or of `ffmpeg -encoders`"
            )),
        }
    }

    fn scale(self) -> Scale {
        let falling = |option, best, step| Scale::Falling { option, best, step };
        match self.name {
            "libx264" | "libx264rgb" => falling("crf", 51.0, 0.5),
            "libx265" => falling("crf", 53.0, 0.5),
            "libvpx-vp9" | "libvpx" | "libaom-av1" | "libsvtav1" => falling("crf", 63.0, 2.0 / 3.0),
            "librav1e" => falling("qp", 255.0, 2.4),
            name if name.ends_with("_nvenc") => falling("cq", 51.0, 0.5),
            name if name.ends_with("_vaapi") => falling("qp", 51.0, 0.5),
            name if name.ends_with("_qsv") => falling("global_quality", 51.0, 0.5),
            "ffv1" | "huffyuv" | "ffvhuff" | "utvideo" | "png" | "apng" | "gif" => Scale::Lossless,
            "libwebp" | "libwebp_anim" => falling("quality", 0.0, -1.0),
            _ if Encoder::knows(self.av, c"crf") => falling("crf", 51.0, 0.5),
            _ => Scale::Unknown,
        }
    }

    fn check(self, encoding: &Encoding) -> Result<()> {
        let quality = encoding.crf.is_some() || encoding.quality.is_some();
        match self.scale() {
            Scale::Lossless if quality => {
                return usage(format!("{} is lossless: it has no quality to choose", self.name));
            }
            Scale::Unknown if quality => {
                return usage(format!(
                    "{} has no quality scale: set its own options with --encoder-options, for example b=8M",
                    self.name
                ));
            }
            _ => {}
        }
        if let Some(preset) = &encoding.preset
            && !PRESETS.contains(&preset.as_str())
        {
            return usage(format!("there is no preset {preset}: choose one of {}", PRESETS.join(", ")));
        }
        parse_options(encoding).map(drop)
    }

    /// The encoder's options for quality and speed, followed by the user's own.
    pub fn options(self, encoding: &Encoding) -> Result<Dictionary> {
        let mut options = Dictionary::new();
        if let Scale::Falling { option, best, step } = self.scale() {
            let quality = f32::from(encoding.quality.unwrap_or(DEFAULT_QUALITY));
            let value = encoding.crf.unwrap_or((best - quality * step).round());
            options.set(option, &value.to_string());
        }
        let preset = encoding.preset.as_deref().and_then(|name| PRESETS.iter().position(|preset| *preset == name));
        self.speed(preset.unwrap_or(DEFAULT_PRESET), &mut options);
        for (name, value) in parse_options(encoding)? {
            options.set(&name, &value);
        }
        Ok(options)
    }

    /// Sets the speed: 0 is the fastest, 8 the slowest.
    fn speed(self, preset: usize, options: &mut Dictionary) {
        let slowness = preset as i32;
        match self.name {
            "libx264" | "libx264rgb" | "libx265" => options.set("preset", PRESETS[preset]),
            "libvpx-vp9" | "libvpx" => {
                options.set("deadline", if slowness == 0 { "realtime" } else { "good" });
                options.set("cpu-used", &(8 - slowness).clamp(0, if slowness == 0 { 8 } else { 5 }).to_string());
                if self.name == "libvpx-vp9" {
                    options.set("row-mt", "1");
                }
                options.set("b", "0");
                if self.name == "libvpx" {
                    // For VP8, 0 means its default rate; below this limit, the quality decides.
                    options.set("b", "100M");
                }
            }
            "libaom-av1" => {
                options.set("cpu-used", &(8 - slowness * 7 / 8).to_string());
                options.set("row-mt", "1");
                options.set("b", "0");
            }
            "libsvtav1" => options.set("preset", &(12 - slowness * 9 / 8).to_string()),
            "librav1e" => options.set("speed", &(10 - slowness).to_string()),
            "ffv1" => {
                options.set("level", "3");
                options.set("slicecrc", "1");
            }
            name if name.ends_with("_nvenc") => options.set("preset", &format!("p{}", 1 + slowness * 6 / 8)),
            name if name.ends_with("_qsv") => options.set("preset", PRESETS[preset.max(2)]),
            _ => {}
        }
    }

    /// Whether it keeps each pixel with these options.
    pub fn is_lossless(self, encoding: &Encoding) -> bool {
        match self.scale() {
            Scale::Lossless => true,
            Scale::Falling { .. } => encoding.crf == Some(0.0),
            Scale::Unknown => false,
        }
    }

    /// Whether it requires even sizes if chroma is subsampled.
    pub fn needs_even_size(self) -> bool {
        !matches!(self.name, "libvpx-vp9" | "libvpx" | "libaom-av1" | "ffv1" | "png" | "mjpeg" | "gif")
    }

    /// The supported pixel format closest to `from`, and whether it loses anything. RGB becomes 4:2:0, which all players support,
    /// unless the encoder is lossless.
    pub fn pixel_format(self, from: PixelFormat, is_opaque: bool) -> (PixelFormat, bool) {
        let formats: Vec<PixelFormat> =
            Encoder::pixel_formats(self.av).into_iter().filter(|format| !format.is_hardware()).collect();
        let is_lossless = self.scale() == Scale::Lossless;
        let wanted = if !is_lossless && (from.is_rgb() || from.is_grey()) && !self.name.starts_with("libwebp") {
            let name = if from.depth() > 8 { "yuv420p10le" } else { "yuv420p" };
            PixelFormat::known(name)
        } else if is_opaque && from.has_alpha() {
            // The element's only 16-bit RGB format has alpha.
            PixelFormat::known(if from.depth() > 8 { "rgb48le" } else { "rgb24" })
        } else {
            from
        };
        let best = wanted.nearest(&formats);
        (best, is_worse(wanted, best))
    }
}

/// Whether bits, chroma or alpha are lost.
fn is_worse(from: PixelFormat, to: PixelFormat) -> bool {
    let (from_chroma, to_chroma) = (from.is_subsampled(), to.is_subsampled());
    to.depth() < from.depth()
        || (to_chroma.0 && !from_chroma.0 || to_chroma.1 && !from_chroma.1) && !from.is_grey()
        || from.has_alpha() && !to.has_alpha()
        || to.is_grey() && !from.is_grey()
}

/// Splits `name=value` pairs separated by spaces.
fn parse_options(encoding: &Encoding) -> Result<Vec<(String, String)>> {
    let Some(text) = &encoding.encoder_options else { return Ok(Vec::new()) };
    text.split_whitespace()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => usage(format!("--encoder-options: expected name=value, not {pair}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_known_and_others_refused() {
        for name in ["h264", "H265", "vp9", "ffv1"] {
            assert!(Codec::find(name).is_ok(), "{name}");
        }
        assert!(Codec::find("h266").err().unwrap().to_string().contains("choose one of h264"));
        assert!(Codec::find("aac").is_err());
    }

    #[test]
    fn encoders_get_pixels_that_they_take() {
        let format = |name| PixelFormat::from_name(name).unwrap();
        let chosen = |encoder, from| {
            let (format, loss) = Codec::find(encoder).unwrap().pixel_format(format(from), false);
            (format.name(), loss)
        };
        assert_eq!(chosen("h264", "yuv420p"), ("yuv420p".into(), false));
        assert_eq!(chosen("h264", "rgb24"), ("yuv420p".into(), false));
        assert_eq!(chosen("h265", "yuv420p10le"), ("yuv420p10le".into(), false));
        assert_eq!(chosen("vp8", "yuv422p10le"), ("yuv420p".into(), true));
        let png = Codec::find("png").unwrap();
        assert_eq!(png.pixel_format(format("rgba64le"), true).0.name(), "rgb48be");
        assert_eq!(chosen("ffv1", "gray16le"), ("gray16le".into(), false));
    }

    #[test]
    fn quality_and_speed_are_the_encoders_own() {
        let options = |encoder: &str, encoding: &Encoding| {
            let mut options = Codec::find(encoder).unwrap().options(encoding).unwrap();
            // SAFETY: it is ours.
            let mut entries = unsafe { crate::av::entries(*options.as_mut_ptr()) };
            entries.sort();
            entries.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(options("h264", &Encoding::default()), "crf=19 preset=medium");
        let encoding = Encoding { crf: Some(30.0), preset: Some("slow".into()), ..Encoding::default() };
        assert_eq!(options("h265", &encoding), "crf=30 preset=slow");
        let encoding = Encoding { encoder_options: Some("g=50 crf=1".into()), ..Encoding::default() };
        assert_eq!(options("h264", &encoding), "crf=1 g=50 preset=medium");
    }
}

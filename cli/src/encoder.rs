//! The video encoders: which one, how good, how fast.

use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::args::Encoding;
use crate::container::Container;
use crate::elements;
use crate::failure::{Result, failed, usage};
use crate::probes::on_caps;

/// Quality when nothing is said: visually close to the source with every encoder.
const DEFAULT_QUALITY: u8 = 65;
/// Speed preset when nothing is said: at the same quality the slower ones make hardly smaller files of upscaled pictures, and
/// take the processor from the upscaler.
const DEFAULT_PRESET: &str = "veryfast";
/// The presets of x264, from fast to small; the other encoders' steps are named after them.
const PRESETS: [&str; 9] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];
/// Bits per second that libvpx never needs, so that the quantizer's lower bound alone decides.
const UNBOUNDED_BITRATE: i32 = 400_000_000;

/// Short names of encoders, and the elements behind them, best first.
const NAMES: [(&str, &[&str]); 6] = [
    ("x264", &["x264enc"]),
    ("x265", &["x265enc"]),
    ("vp8", &["vp8enc"]),
    ("vp9", &["vp9enc"]),
    ("av1", &["svtav1enc", "av1enc"]),
    ("ffv1", &["avenc_ffv1"]),
];

/// A configured encoder.
#[derive(Debug)]
pub struct Encoder {
    pub element: gst::Element,
    /// Puts the encoder's stream into the form the muxer asks for.
    pub parser: Option<gst::Element>,
    /// Whether the decoded picture comes out unchanged.
    pub lossless: bool,
}

impl Encoder {
    /// Chooses, makes and configures the encoder for a muxer's video.
    pub fn new(encoding: &Encoding, container: Container, muxer: &gst::Element) -> Result<Self> {
        let default = if container == Container::Webm { "vp9" } else { "x264" };
        let name = encoding.encoder.as_deref().unwrap_or(default);
        let element = make(name)?;
        let factory = factory_name(&element);
        let parser = link_form(&element, muxer, name, container)?;
        if let Some(pad) = parser.as_ref().unwrap_or(&element).static_pad("src") {
            complete_vp9_caps(&pad);
        }
        let lossless = configure(&element, &factory, encoding)?;
        if let Some(options) = &encoding.encoder_options {
            set_options(&element, options)?;
        }
        Ok(Encoder { element, parser, lossless })
    }
}

/// Makes the encoder by its short name or its element's name.
fn make(name: &str) -> Result<gst::Element> {
    if let Some((_, factories)) = NAMES.iter().find(|(short, _)| *short == name) {
        let found = factories.iter().find_map(|factory| gst::ElementFactory::make(factory).build().ok());
        return found.ok_or_else(|| elements::missing(factories[factories.len() - 1]));
    }
    let Some(factory) = gst::ElementFactory::find(name) else {
        return usage(format!("no encoder is named {name}: choose one of {}", known_names()));
    };
    if !factory.has_type(gst::ElementFactoryType::VIDEO_ENCODER) {
        return usage(format!("{name} is no video encoder: choose one of {}", known_names()));
    }
    factory.create().build().or_else(|_| failed(format!("{name} cannot be used on this machine (no such device?)")))
}

/// The short names, then the other encoder elements that are installed.
fn known_names() -> String {
    let installed = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::VIDEO_ENCODER, gst::Rank::NONE);
    let is_short = |name: &str| NAMES.iter().any(|(_, factories)| factories.contains(&name));
    let mut names: Vec<String> = installed
        .into_iter()
        .map(|factory| factory.name().to_string())
        .filter(|name| !is_short(name) && !name.starts_with("avenc_"))
        .collect();
    names.sort();
    NAMES.iter().map(|(short, _)| (*short).to_owned()).chain(names).collect::<Vec<_>>().join(", ")
}

fn factory_name(element: &gst::Element) -> String {
    element.factory().map(|factory| factory.name().to_string()).unwrap_or_default()
}

/// Finds out whether the muxer takes what the encoder makes, as it is or through a parser.
fn link_form(
    encoder: &gst::Element,
    muxer: &gst::Element,
    name: &str,
    container: Container,
) -> Result<Option<gst::Element>> {
    let Some(made) = encoder.static_pad("src").map(|pad| pad.pad_template_caps()) else {
        return usage(format!("{name} has no output that could be put into {}", container.extension()));
    };
    let parser = parser_for(&made);
    if Container::template_for(muxer, &made).is_some() {
        // x264enc gives the muxer's form itself; the others may only say later that they do not.
        let direct = matches!(name, "x264" | "x264enc") || parser == Some("vp9parse") && !container.has_edit_lists();
        return match parser {
            Some(parser) if !direct => elements::make(parser).map(Some),
            _ => Ok(None),
        };
    }
    if let Some(parser) = parser {
        let parser = elements::make(parser)?;
        let parsed = parser.static_pad("src").map(|pad| pad.pad_template_caps());
        if parsed.is_some_and(|caps| Container::template_for(muxer, &caps).is_some()) {
            return Ok(Some(parser));
        }
    }
    let takes = |muxer: &gst::Element| Container::template_for(muxer, &made).is_some();
    let others = Container::that_take(takes);
    let advice = match others.is_empty() {
        true => "choose another encoder".to_owned(),
        false => format!("choose another encoder, or write to {}", others.join(" or ")),
    };
    usage(format!("{} cannot hold what {name} makes: {advice}", container.extension()))
}

/// GStreamer's MP4 muxer (1.22.0) crashes on VP9 whose chroma siting is not said. This one is VP9's default.
fn complete_vp9_caps(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let missing =
            |structure: &gst::StructureRef| structure.name() == "video/x-vp9" && !structure.has_field("chroma-site");
        if caps.structure(0).is_some_and(missing) {
            caps.make_mut().set("chroma-site", "v-cosited");
        }
    });
}

/// The parser that converts between the stream forms of a codec.
fn parser_for(caps: &gst::Caps) -> Option<&'static str> {
    match caps.structure(0)?.name().as_str() {
        "video/x-h264" => Some("h264parse"),
        "video/x-h265" => Some("h265parse"),
        "video/x-av1" => Some("av1parse"),
        // Only the parser knows the profile, which MP4 asks for.
        "video/x-vp9" => Some("vp9parse"),
        _ => None,
    }
}

/// Sets quality, preset and threads. Returns whether the encoder is lossless.
fn configure(element: &gst::Element, factory: &str, encoding: &Encoding) -> Result<bool> {
    let quality = encoding.quality.unwrap_or(DEFAULT_QUALITY);
    let threads = threads();
    match factory {
        "x264enc" => {
            let preset = preset(encoding)?;
            element.set_property_from_str("speed-preset", PRESETS[preset]);
            element.set_property_from_str("pass", "qual");
            element.set_property("quantizer", crf(quality, 51).min(50));
            // In this mode `bitrate` is a ceiling, of 2 Mbit/s unless the buffer it refers to has no size.
            element.set_property("vbv-buf-capacity", 0u32);
            element.set_property("threads", threads);
        }
        "x265enc" => {
            let preset = preset(encoding)?;
            element.set_property_from_str("speed-preset", PRESETS[preset]);
            // The element tunes for SSIM by default, which x265 itself advises against for viewing.
            element.set_property_from_str("tune", "0");
            element.set_property("option-string", format!("crf={}:pools={threads}", crf(quality, 53)));
            // x265 does not start without a frame rate. Which one matters little to constant quality.
            tell_rate(element, |rate| rate.filter(|rate| rate.numer() > 0).unwrap_or(gst::Fraction::new(25, 1)));
        }
        "vp8enc" | "vp9enc" => configure_vpx(element, factory == "vp9enc", quality, preset(encoding)?, threads),
        "av1enc" => {
            // The level of this mode cannot be set, and its default is lower than any quantizer allowed here: the lowest
            // of these is the one used.
            element.set_property_from_str("end-usage", "q");
            element.set_property("min-quantizer", quantizer(quality) as u32);
            element.set_property("max-quantizer", 63u32);
            element.set_property("cpu-used", [10i32, 9, 8, 7, 6, 5, 4, 3, 2][preset(encoding)?]);
            element.set_property("threads", threads);
            element.set_property("keyframe-max-dist", 250i32);
            element.set_property("lag-in-frames", 25u32);
            // libaom's element counts time in frames of the stated rate: two frames closer than that would have the same
            // time, which is an error, and a rate that is not known divides by zero.
            tell_rate(element, |_| gst::Fraction::new(90_000, 1));
        }
        "svtav1enc" => {
            set_if_known(element, "crf", &quantizer(quality).to_string());
            set_if_known(element, "preset", &[12, 11, 10, 9, 8, 7, 5, 4, 2][preset(encoding)?].to_string());
        }
        "avenc_ffv1" => {
            if encoding.quality.is_some() {
                return usage("ffv1 is lossless: it takes no --quality");
            }
            return Ok(true);
        }
        _ => configure_other(element, factory, encoding, quality)?,
    }
    Ok(false)
}

fn configure_vpx(element: &gst::Element, vp9: bool, quality: u8, preset: usize, threads: u32) {
    // The element does not offer libvpx's constant quality: with no lack of bits the lowest quantizer allowed is used.
    element.set_property("target-bitrate", UNBOUNDED_BITRATE);
    element.set_property("min-quantizer", quantizer(quality));
    element.set_property("max-quantizer", 63i32);
    // With the frame rate as the time base two frames closer than usual would get the same time, which is an error.
    element.set_property("timebase", gst::Fraction::new(1, 90_000));
    element.set_property("keyframe-max-dist", 250i32);
    element.set_property("lag-in-frames", 25i32);
    element.set_property("auto-alt-ref", true);
    element.set_property("threads", threads as i32);
    let realtime = preset < 2;
    element.set_property("deadline", if realtime { 1i64 } else { 1_000_000 });
    element.set_property("cpu-used", [8i32, 7, 5, 5, 4, 3, 2, 1, 0][preset]);
    if vp9 {
        element.set_property("row-mt", true);
        element.set_property("frame-parallel-decoding", false);
        element.set_property("tile-columns", 2i32);
    }
}

/// Tells the encoder another frame rate than the one that is stated; what comes out again has the right one.
fn tell_rate(element: &gst::Element, told: impl Fn(Option<gst::Fraction>) -> gst::Fraction + Send + Sync + 'static) {
    let (Some(sink), Some(source)) = (element.static_pad("sink"), element.static_pad("src")) else { return };
    let stated = Arc::new(Mutex::new(None::<gst::Fraction>));
    let noted = stated.clone();
    on_caps(&sink, move |caps| {
        let rate = caps.structure(0).and_then(|structure| structure.get("framerate").ok());
        *noted.lock() = rate;
        caps.make_mut().set("framerate", told(rate));
    });
    on_caps(&source, move |caps| {
        if let Some(rate) = *stated.lock() {
            caps.make_mut().set("framerate", rate);
        }
    });
}

/// Hardware and other encoders: the properties that mean constant quality in the families GStreamer has.
fn configure_other(element: &gst::Element, factory: &str, encoding: &Encoding, quality: u8) -> Result<()> {
    let qp = crf(quality, 51).to_string();
    let sets: [&[(&str, &str)]; 5] = [
        // NVENC
        &[("rc-mode", "constqp"), ("qp-const", &qp)],
        &[("rate-control", "cqp"), ("qp-i", &qp), ("qp-p", &qp), ("qp-b", &qp)],
        // VA
        &[("rate-control", "cqp"), ("qpi", &qp), ("qpp", &qp), ("qpb", &qp)],
        &[("rate-control", "cqp"), ("init-qp", &qp)],
        // Quick Sync
        &[("rate-control", "cqp"), ("qp-i", &qp)],
    ];
    let known = sets.iter().find(|set| set.iter().all(|(name, _)| element.has_property(name)));
    match known {
        Some(set) => set.iter().for_each(|(name, value)| {
            set_if_known(element, name, value);
        }),
        None if encoding.quality.is_some() => {
            return usage(format!("{factory} has no quality that --quality could set: use --encoder-options"));
        }
        None => {}
    }
    match &encoding.preset {
        Some(preset) if !set_if_known(element, "preset", preset) && !set_if_known(element, "speed-preset", preset) => {
            usage(format!("{factory} has no preset {preset}: see gst-inspect-1.0 {factory}"))
        }
        _ => Ok(()),
    }
}

/// The place of the preset in [`PRESETS`].
fn preset(encoding: &Encoding) -> Result<usize> {
    let name = encoding.preset.as_deref().unwrap_or(DEFAULT_PRESET);
    match PRESETS.iter().position(|preset| *preset == name) {
        Some(preset) => Ok(preset),
        None => usage(format!("no preset is named {name}: choose one of {}", PRESETS.join(", "))),
    }
}

/// The constant rate factor (0 best, 51 worst) of a quality; `worst` is where quality 0 would lie.
fn crf(quality: u8, worst: u32) -> u32 {
    (worst - u32::from(quality) / 2).clamp(1, 51)
}

/// The quantizer (0 best, 63 worst) of VP8, VP9 and AV1 for a quality.
fn quantizer(quality: u8) -> i32 {
    (63 - i32::from(quality) * 2 / 3).max(0)
}

/// Threads of the encoder: one for each core. More would only hold more frames in memory.
fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(16) as u32)
}

/// Sets a property if the element has it and takes the value.
fn set_if_known(element: &gst::Element, name: &str, value: &str) -> bool {
    let Some(spec) = element.find_property(name) else { return false };
    match glib::Value::deserialize_with_pspec(value, &spec) {
        Ok(value) => {
            element.set_property_from_value(name, &value);
            true
        }
        Err(_) => false,
    }
}

/// Sets the properties the user asked for: `name=value` separated by blanks.
fn set_options(element: &gst::Element, options: &str) -> Result<()> {
    let factory = factory_name(element);
    for option in options.split_whitespace() {
        let Some((name, value)) = option.split_once('=') else {
            return usage(format!("encoder option {option} is not of the form name=value"));
        };
        if !set_if_known(element, name, value) {
            return usage(format!("{factory} takes no {name}={value}: see gst-inspect-1.0 {factory}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_spans_the_encoders_ranges() {
        assert_eq!((crf(0, 51), crf(65, 51), crf(100, 51)), (51, 19, 1));
        assert_eq!((crf(0, 53), crf(65, 53), crf(100, 53)), (51, 21, 3));
        assert_eq!((quantizer(0), quantizer(65), quantizer(100)), (63, 20, 0));
    }

    #[test]
    fn unknown_encoders_presets_and_options_are_usage_errors() {
        gst::init().unwrap();
        let muxer = Container::Mp4.muxer().unwrap();
        let new = |encoding: Encoding| Encoder::new(&encoding, Container::Mp4, &muxer).unwrap_err();
        let name = |name: &str| Encoding { encoder: Some(name.into()), ..Default::default() };
        for (encoding, expected) in [
            (name("h266"), "choose one of x264, x265"),
            (name("identity"), "is no video encoder"),
            (name("vp8"), "cannot hold what vp8 makes: choose another encoder, or write to .mkv or .webm"),
            (Encoding { preset: Some("warp".into()), ..Default::default() }, "no preset is named warp"),
            (Encoding { encoder_options: Some("x".into()), ..Default::default() }, "name=value"),
            (Encoding { encoder_options: Some("key-int-max=no".into()), ..Default::default() }, "takes no"),
        ] {
            let failure = new(encoding);
            assert_eq!(failure.exit_code(), std::process::ExitCode::from(2));
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }

    #[test]
    fn each_container_has_encoders_that_fit() {
        gst::init().unwrap();
        for (container, names) in [
            (Container::Mp4, &["x264", "x265", "vp9", "av1"][..]),
            (Container::Mkv, &["x264", "x265", "vp8", "vp9", "av1", "ffv1"]),
            (Container::Webm, &["vp8", "vp9", "av1"]),
            (Container::Mov, &["x264", "x265"]),
        ] {
            let muxer = container.muxer().unwrap();
            for name in names {
                let encoding = Encoding { encoder: Some((*name).into()), ..Default::default() };
                if let Err(failure) = Encoder::new(&encoding, container, &muxer) {
                    // An encoder that is not installed is no fault of ours.
                    assert!(failure.to_string().contains("is missing"), "{name}: {failure}");
                }
            }
        }
    }
}

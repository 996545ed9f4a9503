//! Caps arithmetic: only width and height change, by the model's scale.

use std::sync::LazyLock;

use gst::prelude::*;

use crate::picture::format::PixelFormat;

/// Template of both pads: the supported formats in system memory, with any size and framerate, but not interlaced. In
/// mixed video each frame is flagged.
pub(in crate::upscalefilter) static TEMPLATE: LazyLock<gst::Caps> =
    LazyLock::new(|| {
        gst_video::VideoCapsBuilder::new()
            .format_list(PixelFormat::ALL.iter().map(|format| {
                format.name().parse::<gst_video::VideoFormat>().unwrap_or(gst_video::VideoFormat::Unknown)
            }))
            .field("interlace-mode", gst::List::new(PROGRESSIVE))
            .build()
    });

/// Accepted interlace modes.
const PROGRESSIVE: [&str; 2] = ["progressive", "mixed"];

/// Whether these caps describe interlaced video (not mixed).
pub(in crate::upscalefilter) fn is_interlaced(caps: &gst::CapsRef) -> bool {
    caps.iter_with_features().any(|(structure, features)| {
        let mode = structure.get::<&str>("interlace-mode").ok();
        mode.is_some_and(|mode| !PROGRESSIVE.contains(&mode))
            || features.contains(gst_video::CAPS_FEATURE_FORMAT_INTERLACED)
    })
}

/// Adds `interlace-mode=progressive` where the mode is missing, which means the same.
pub(in crate::upscalefilter) fn with_interlace_mode(caps: &gst::CapsRef) -> gst::Caps {
    let mut caps = caps.to_owned();
    for structure in caps.make_mut().iter_mut() {
        if structure.name() == "video/x-raw" && !structure.has_field("interlace-mode") {
            structure.set("interlace-mode", PROGRESSIVE[0]);
        }
    }
    caps
}

/// The direction in which caps are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upscalefilter) enum Direction {
    /// From input to output caps.
    Enlarge,
    /// From output to input caps.
    Reduce,
}

/// Transforms caps of one side to the other. While the scale is unknown (no model loaded), any size matches any other.
pub(in crate::upscalefilter) fn transform(caps: &gst::CapsRef, scale: Option<u32>, direction: Direction) -> gst::Caps {
    let mut result = gst::Caps::new_empty();
    let out = result.make_mut();
    for (structure, features) in caps.iter_with_features() {
        let mut structure = structure.to_owned();
        let possible = ["width", "height"].into_iter().all(|field| match (structure.value(field), scale) {
            (Err(_), _) => true,
            (Ok(_), None) => {
                structure.set(field, gst::IntRange::new(1, i32::MAX));
                true
            }
            (Ok(value), Some(scale)) => match dimension(value, scale, direction) {
                Some(value) => {
                    structure.set_value(field, value);
                    true
                }
                None => false,
            },
        });
        if possible {
            out.append_structure_full(structure, Some(features.to_owned()));
        }
    }
    result
}

/// Like [`transform`], for a stream that may be resized: the network's own size first, then any size. The pixel aspect
/// ratio is left open, so that the picture's shape can be kept.
pub(in crate::upscalefilter) fn transform_to_fit(
    caps: &gst::CapsRef,
    scale: Option<u32>,
    direction: Direction,
) -> gst::Caps {
    let mut result = transform(caps, scale, direction);
    result.make_mut().append(resizable(caps));
    result
}

/// Caps that differ only in size and pixel aspect ratio.
fn resizable(caps: &gst::CapsRef) -> gst::Caps {
    let mut result = caps.to_owned();
    for structure in result.make_mut().iter_mut() {
        structure.set("width", gst::IntRange::new(1, i32::MAX));
        structure.set("height", gst::IntRange::new(1, i32::MAX));
        // Removed, not set to a range: caps without this field would not match the range.
        structure.remove_field("pixel-aspect-ratio");
    }
    result
}

fn any_shape() -> gst::FractionRange {
    gst::FractionRange::new(gst::Fraction::new(1, i32::MAX), gst::Fraction::new(i32::MAX, 1))
}

/// The output caps, given those of the network (`network`: fixed, same picture as `info` except for the size) and those
/// that downstream accepts (`peer`): the network's, or the nearest that downstream accepts with the same aspect ratio.
pub(in crate::upscalefilter) fn fit(
    network: &gst::Caps,
    info: &gst_video::VideoInfo,
    peer: &gst::CapsRef,
) -> gst::Caps {
    if network.is_subset(peer) {
        return network.clone();
    }
    let mut same = peer.intersect_with_mode(network, gst::CapsIntersectMode::First);
    if !same.is_empty() {
        // Downstream wants more fields, such as square pixels.
        same.fixate();
        return same;
    }
    let mut open = resizable(network);
    for structure in open.make_mut().iter_mut() {
        structure.set("pixel-aspect-ratio", any_shape());
    }
    let mut common = peer.intersect_with_mode(&open, gst::CapsIntersectMode::First);
    if common.is_empty() {
        // Downstream will refuse the caps.
        return network.clone();
    }
    common.truncate();
    let common = common.make_mut();
    if let Some(structure) = common.structure_mut(0) {
        fixate_size(structure, network, info);
    }
    let mut fixed = common.to_owned();
    fixed.fixate();
    fixed
}

/// Fixates width, height and pixel aspect ratio such that the picture keeps the shape of `info`, if possible, and is as
/// close to the network's size as possible.
fn fixate_size(structure: &mut gst::StructureRef, network: &gst::CapsRef, info: &gst_video::VideoInfo) {
    let par = info.par();
    let shape = Ratio::new(info.width(), info.height())
        .times(Ratio::new(par.numer().unsigned_abs(), par.denom().unsigned_abs()));
    let wanted = |field| network.structure(0).and_then(|network| network.get::<i32>(field).ok()).unwrap_or(1);
    let fixed = |structure: &gst::StructureRef, field| structure.get::<i32>(field).ok();
    let (width, height) = (fixed(structure, "width"), fixed(structure, "height"));
    if width.is_none() || height.is_none() {
        structure.fixate_field_nearest_fraction("pixel-aspect-ratio", par);
    }
    // Aspect ratio of the picture, in pixels.
    let pixels = structure.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    let in_pixels = pixels.map_or(shape, |par| shape.over(Ratio::of(par)));
    let nearest = |structure: &mut gst::StructureRef, field: &str, target: u64| {
        structure.fixate_field_nearest_int(field, i32::try_from(target).unwrap_or(i32::MAX).max(1));
        structure.get::<i32>(field).map_or(1, i32::unsigned_abs)
    };
    let (width, height) = match (width, height) {
        (Some(width), Some(height)) => (width.unsigned_abs(), height.unsigned_abs()),
        (None, Some(height)) => {
            let height = height.unsigned_abs();
            (nearest(structure, "width", in_pixels.of_length(height)), height)
        }
        (Some(width), None) => {
            let width = width.unsigned_abs();
            (width, nearest(structure, "height", in_pixels.inverse().of_length(width)))
        }
        (None, None) => {
            let before = structure.to_owned();
            let width = nearest(structure, "width", wanted("width") as u64);
            let due = in_pixels.inverse().of_length(width);
            let height = nearest(structure, "height", due);
            if u64::from(height) == due {
                (width, height)
            } else {
                // The height is limited, so the width follows it.
                for field in ["width", "height"] {
                    if let Ok(value) = before.value(field) {
                        structure.set_value(field, value.clone());
                    }
                }
                let height = nearest(structure, "height", wanted("height") as u64);
                (nearest(structure, "width", in_pixels.of_length(height)), height)
            }
        }
    };
    if pixels.is_none() {
        let due = shape.over(Ratio::new(width, height));
        structure.fixate_field_nearest_fraction("pixel-aspect-ratio", due.fraction());
    }
}

/// A positive ratio in lowest terms.
#[derive(Clone, Copy, Debug)]
struct Ratio(u64, u64);

impl Ratio {
    fn new(numer: u32, denom: u32) -> Self {
        Self::reduced(u64::from(numer.max(1)), u64::from(denom.max(1)))
    }

    fn of(fraction: gst::Fraction) -> Self {
        Self::new(fraction.numer().unsigned_abs(), fraction.denom().unsigned_abs())
    }

    fn reduced(mut numer: u64, mut denom: u64) -> Self {
        let (mut a, mut b) = (numer, denom);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (numer, denom) = (numer / a.max(1), denom / a.max(1));
        // Caps hold 31-bit integers; beyond that, precision does not matter.
        while numer.max(denom) > i32::MAX as u64 {
            (numer, denom) = ((numer / 2).max(1), (denom / 2).max(1));
        }
        Ratio(numer, denom)
    }

    fn times(self, other: Self) -> Self {
        Self::reduced(self.0 * other.0, self.1 * other.1)
    }

    fn inverse(self) -> Self {
        Ratio(self.1, self.0)
    }

    fn over(self, other: Self) -> Self {
        self.times(other.inverse())
    }

    /// This fraction of a length, rounded.
    fn of_length(self, length: u32) -> u64 {
        ((2 * u64::from(length) * self.0 + self.1) / (2 * self.1)).max(1)
    }

    fn fraction(self) -> gst::Fraction {
        gst::Fraction::new(self.0 as i32, self.1 as i32)
    }
}

/// Scales a width or height, a range or a list of them; `None` if nothing is left.
fn dimension(value: &glib::Value, scale: u32, direction: Direction) -> Option<glib::SendValue> {
    if let Ok(pixels) = value.get::<i32>() {
        return one(pixels, scale, direction).map(|pixels| pixels.to_send_value());
    }
    if let Some((min, max)) = int_range(value) {
        let (min, max) = bounds(min, max, scale, direction)?;
        return Some(if min == max { min.to_send_value() } else { gst::IntRange::new(min, max).to_send_value() });
    }
    if let Ok(list) = value.get::<gst::List>() {
        let kept: Vec<_> = list.iter().filter_map(|value| dimension(value, scale, direction)).collect();
        return (!kept.is_empty()).then(|| gst::List::new(kept).to_send_value());
    }
    None
}

/// Minimum and maximum, if it is a range. `gst::IntRange` panics on a range of a single number, which caps from other
/// elements may contain.
fn int_range(value: &glib::Value) -> Option<(i32, i32)> {
    if !value.is::<gst::IntRange<i32>>() {
        return None;
    }
    let value = value.as_ptr();
    // SAFETY: the value is valid while it is borrowed, and it is an int range.
    unsafe { Some((gst::ffi::gst_value_get_int_range_min(value), gst::ffi::gst_value_get_int_range_max(value))) }
}

fn one(pixels: i32, scale: u32, direction: Direction) -> Option<i32> {
    let (pixels, scale) = (i64::from(pixels), i64::from(scale));
    match direction {
        Direction::Enlarge => i32::try_from(pixels * scale).ok(),
        Direction::Reduce => (pixels >= scale && pixels % scale == 0).then(|| (pixels / scale) as i32),
    }
}

/// Scales the bounds of a range. An enlarged range also contains sizes between the multiples, which no input produces;
/// such a size is refused when the caps are fixed.
fn bounds(min: i32, max: i32, scale: u32, direction: Direction) -> Option<(i32, i32)> {
    let (low, high, scale) = (i64::from(min), i64::from(max), i64::from(scale));
    let most = i64::from(i32::MAX);
    let (low, high) = match direction {
        Direction::Enlarge => (low.saturating_mul(scale), high.saturating_mul(scale).min(most)),
        // A maximum of i32::MAX means "any".
        Direction::Reduce if high == most => ((low + scale - 1) / scale, most),
        Direction::Reduce => ((low + scale - 1) / scale, high / scale),
    };
    let low = low.max(1);
    (low <= high).then_some((low as i32, high as i32))
}

/// The output caps for fixed input caps; `None` if the size overflows.
///
/// Makes colorimetry and chroma siting explicit if they are missing: their defaults depend on the height (BT.601 below
/// 577 lines, BT.709 above), so without them the same colours would be interpreted differently at the larger size.
pub(in crate::upscalefilter) fn output(
    caps: &gst::CapsRef,
    info: &gst_video::VideoInfo,
    scale: u32,
) -> Option<gst::Caps> {
    let mut result = transform(caps, Some(scale), Direction::Enlarge);
    let structure = result.get_mut().expect("nobody else has it yet").structure_mut(0)?;
    if !structure.has_field("colorimetry") {
        structure.set("colorimetry", info.colorimetry().to_string());
    }
    // Siting is meaningless without chroma subsampling.
    let subsampled = (0..info.n_components()).any(|c| info.format_info().w_sub()[c as usize] > 0);
    if subsampled && !structure.has_field("chroma-site") && !info.chroma_site().is_empty() {
        structure.set("chroma-site", info.chroma_site().to_string());
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(from: &str, scale: u32, direction: Direction, to: &str) {
        let (from, to) = (caps(from), if to == "EMPTY" { caps("EMPTY") } else { caps(to) });
        let result = transform(&from, Some(scale), direction);
        assert!(result.is_strictly_equal(&to), "{result} is not {to}");
    }

    #[test]
    fn only_the_size_changes() {
        check(
            "video/x-raw,format=I420,width=320,height=241,pixel-aspect-ratio=4/3,framerate=25/1,colorimetry=bt601,foo=(string)x",
            3,
            Direction::Enlarge,
            "video/x-raw,format=I420,width=960,height=723,pixel-aspect-ratio=4/3,framerate=25/1,colorimetry=bt601,foo=(string)x",
        );
    }

    #[test]
    fn sizes_go_back_only_where_they_divide() {
        check("video/x-raw,width=640,height=482", 2, Direction::Reduce, "video/x-raw,width=320,height=241");
        check("video/x-raw,width=641,height=482", 2, Direction::Reduce, "EMPTY");
        check("video/x-raw,width=1,height=1", 2, Direction::Reduce, "EMPTY");
    }

    #[test]
    fn ranges_and_lists() {
        check("video/x-raw,width=[1,2147483647]", 2, Direction::Enlarge, "video/x-raw,width=[2,2147483647]");
        check("video/x-raw,width=[1,2147483647]", 2, Direction::Reduce, "video/x-raw,width=[1,2147483647]");
        check("video/x-raw,width=[3,9]", 2, Direction::Reduce, "video/x-raw,width=[2,4]");
        check("video/x-raw,width=[6,7]", 2, Direction::Reduce, "video/x-raw,width=3");
        check("video/x-raw,width={2,3,4}", 2, Direction::Reduce, "video/x-raw,width={1,2}");
        check("video/x-raw,height={3,5}", 2, Direction::Reduce, "EMPTY");
    }

    #[test]
    fn sizes_that_overflow_are_not_offered() {
        check("video/x-raw,width=2147483647,height=1", 2, Direction::Enlarge, "EMPTY");
    }

    #[test]
    fn any_and_empty_and_unknown_scale() {
        check("EMPTY", 2, Direction::Enlarge, "EMPTY");
        let unknown = transform(&caps("video/x-raw,width=3,height=[1,5],format=RGB"), None, Direction::Reduce);
        assert!(unknown.is_strictly_equal(&caps("video/x-raw,width=[1,2147483647],height=[1,2147483647],format=RGB")));
    }

    #[test]
    fn colours_do_not_change_with_the_size() {
        for (from, colorimetry) in [
            ("video/x-raw,format=I420,width=320,height=400,framerate=0/1", "bt601"),
            ("video/x-raw,format=I420,width=320,height=600,framerate=0/1", "bt709"),
            ("video/x-raw,format=I420,width=320,height=400,framerate=0/1,colorimetry=bt2020", "bt2020"),
        ] {
            let caps = caps(from);
            let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
            let output = output(&caps, &info, 2).unwrap();
            assert_eq!(output.structure(0).unwrap().get::<&str>("colorimetry"), Ok(colorimetry), "{from}");
            let scaled = gst_video::VideoInfo::from_caps(&output).unwrap();
            assert_eq!(scaled.colorimetry(), info.colorimetry(), "{from}");
            assert_eq!(scaled.chroma_site(), info.chroma_site(), "{from}");
        }
    }

    /// Checks the output caps of a network with scale 2 for input `from`, where downstream accepts `peer`.
    #[track_caller]
    fn check_fit(from: &str, peer: &str, to: &str) {
        let from = caps(&format!("video/x-raw,format=I420,framerate=25/1,{from}"));
        let info = gst_video::VideoInfo::from_caps(&from).unwrap();
        let network = transform(&from, Some(2), Direction::Enlarge);
        let result = fit(&network, &info, &caps(peer));
        assert!(result.is_fixed(), "{result}");
        let expected = caps(&format!("video/x-raw,format=I420,framerate=25/1,{to}"));
        assert!(result.is_strictly_equal(&expected), "{result} is not {expected}");
    }

    #[test]
    fn the_networks_size_is_used_where_possible() {
        for peer in ["ANY", "video/x-raw", "video/x-raw,width=[1,4000]", "video/x-raw,width=1280,height=720"] {
            check_fit("width=640,height=360", peer, "width=1280,height=720");
        }
        check_fit("width=640,height=360,pixel-aspect-ratio=4/3", "ANY", "width=1280,height=720,pixel-aspect-ratio=4/3");
    }

    #[test]
    fn sizes_that_downstream_fixes_keep_the_pictures_shape() {
        check_fit(
            "width=640,height=360",
            "video/x-raw,width=1920,height=1080",
            "width=1920,height=1080,pixel-aspect-ratio=1/1",
        );
        check_fit("width=640,height=360", "video/x-raw,width=1920", "width=1920,height=1080,pixel-aspect-ratio=1/1");
        check_fit("width=640,height=360", "video/x-raw,height=1080", "width=1920,height=1080,pixel-aspect-ratio=1/1");
        check_fit(
            "width=640,height=360",
            "video/x-raw,width=[1,1000],height=[1,1000]",
            "width=1000,height=563,pixel-aspect-ratio=1/1",
        );
        check_fit(
            "width=360,height=640",
            "video/x-raw,width=[1,1000],height=[1,1000]",
            "width=563,height=1000,pixel-aspect-ratio=1/1",
        );
        check_fit(
            "width=64,height=36",
            "video/x-raw,width=[640,1920],height=[360,1080]",
            "width=640,height=360,pixel-aspect-ratio=1/1",
        );
        // Another shape in pixels: the pixel aspect ratio compensates.
        check_fit(
            "width=640,height=480",
            "video/x-raw,width=1920,height=1080",
            "width=1920,height=1080,pixel-aspect-ratio=3/4",
        );
        check_fit(
            "width=720,height=576,pixel-aspect-ratio=16/15",
            "video/x-raw,width=1920,height=1080",
            "width=1920,height=1080,pixel-aspect-ratio=3/4",
        );
        // If that is fixed too, bars are added.
        check_fit(
            "width=640,height=480",
            "video/x-raw,width=1920,height=1080,pixel-aspect-ratio=1/1",
            "width=1920,height=1080,pixel-aspect-ratio=1/1",
        );
        check_fit(
            "width=720,height=576,pixel-aspect-ratio=16/15",
            "video/x-raw,height=1080,pixel-aspect-ratio=1/1",
            "width=1440,height=1080,pixel-aspect-ratio=1/1",
        );
    }

    #[test]
    fn caps_that_downstream_cannot_accept_are_left_for_it_to_refuse() {
        check_fit("width=640,height=360", "video/x-raw,format=RGB", "width=1280,height=720");
        check_fit("width=640,height=360", "EMPTY", "width=1280,height=720");
    }

    #[test]
    fn any_size_is_offered_after_the_networks_size() {
        let offered = transform_to_fit(&caps("video/x-raw,width=640,height=360"), Some(2), Direction::Enlarge);
        let expected = "video/x-raw,width=1280,height=720;video/x-raw,width=[1,2147483647],height=[1,2147483647]";
        assert!(offered.is_strictly_equal(&caps(expected)), "{offered}");
    }

    #[test]
    fn the_template_has_every_format() {
        gst::init().unwrap();
        let formats = TEMPLATE.structure(0).unwrap().get::<gst::List>("format").unwrap();
        assert_eq!(formats.len(), PixelFormat::ALL.len());
        assert!(
            formats.iter().all(|format| format.get::<&str>().is_ok_and(|name| PixelFormat::from_name(name).is_some()))
        );
    }
}

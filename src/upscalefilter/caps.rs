//! Caps arithmetic: only width and height change, by the model's scale.

use std::sync::LazyLock;

use gst::prelude::*;

use crate::picture::format::PixelFormat;

/// What both pads take: the formats in system memory, any size and rate.
pub(super) static TEMPLATE: LazyLock<gst::Caps> =
    LazyLock::new(|| {
        gst_video::VideoCapsBuilder::new()
            .format_list(PixelFormat::ALL.iter().map(|format| {
                format.name().parse::<gst_video::VideoFormat>().unwrap_or(gst_video::VideoFormat::Unknown)
            }))
            .build()
    });

/// Which way caps go through the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// What comes out for what goes in.
    Enlarge,
    /// What must go in for this to come out.
    Reduce,
}

/// The caps on the other side for `caps` on this side. With the scale not known yet (no model loaded), any size may stand for any.
pub(super) fn transform(caps: &gst::CapsRef, scale: Option<u32>, direction: Direction) -> gst::Caps {
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

/// One width or height, a range or a list of them; `None` if nothing is left.
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

/// Minimum and maximum, if it is a range. `gst::IntRange` panics on one of a single number, which caps from outside may hold.
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

/// A range's bounds. Enlarged, it also holds the sizes between the multiples, which no input gives; such a one is refused when caps
/// are fixed.
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

/// The output caps for fixed input caps: `None` if the size overflows.
///
/// Colorimetry and chroma siting are written down where they are not: their defaults depend on the height (below 577 lines
/// BT.601, above BT.709), so that the same caps would mean other colours at the larger size.
pub(super) fn output(caps: &gst::CapsRef, info: &gst_video::VideoInfo, scale: u32) -> Option<gst::Caps> {
    let mut result = transform(caps, Some(scale), Direction::Enlarge);
    let structure = result.get_mut().expect("nobody else has it yet").structure_mut(0)?;
    if !structure.has_field("colorimetry") {
        structure.set("colorimetry", info.colorimetry().to_string());
    }
    // Siting means nothing where chroma is not subsampled.
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
    fn what_overflows_is_not_offered() {
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

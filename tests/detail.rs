//! `detail-tolerance`: smooth blocks are resized, and only the others go through the network.

mod common;

use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::picture::format::PixelFormat;
use gstupscale::types::{Channels, Size};

use common::clip::{Clip, visible};
use common::*;

/// A slope on which a textured square moves; the samples of all components follow luma.
fn clip(format: &str, frames: u32) -> Clip {
    let mut clip = Clip::new(format, (160, 96), &[]);
    clip.frames = (0..frames).map(|n| drawn(&clip, n)).collect();
    clip
}

fn drawn(clip: &Clip, n: u32) -> Vec<u8> {
    let mut frame = vec![0; clip.info.size()];
    let deep = clip.info.comp_depth(0) > 8;
    let shift = clip.info.comp_depth(0) - 8 + clip.info.format_info().shift()[0];
    for component in 0..clip.info.n_components() as u8 {
        let offset = clip.info.comp_offset(component);
        let (stride, step) = (clip.info.comp_stride(component) as usize, clip.info.comp_pstride(component) as usize);
        let (columns, rows) = (clip.info.comp_width(component), clip.info.comp_height(component));
        for (x, y) in (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))) {
            let (px, py) = (x * clip.info.width() / columns, y * clip.info.height() / rows);
            let left = 20 + 4 * n;
            let textured = (left..left + 40).contains(&px) && (30..60).contains(&py);
            let value = 60 + px / 4 + py / 8 + if textured && (x + y / 2) % 2 == 0 { 70 } else { 0 };
            let at = offset + y as usize * stride + x as usize * step;
            if deep {
                frame[at..at + 2].copy_from_slice(&((value << shift) as u16).to_le_bytes());
            } else {
                frame[at] = value as u8;
            }
        }
    }
    frame
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("workers", "2"), ("max-in-flight", "64")], more].concat()
}

fn figure(stats: &gst::Structure, name: &str) -> f64 {
    stats.get(name).unwrap()
}

/// The largest difference between samples, in code values of 8 bits.
fn worst(one: &[Vec<u8>], other: &[Vec<u8>], format: PixelFormat) -> f64 {
    let layout = format.layout();
    let code = f64::from(1u32 << (layout.depth - 8 + layout.shift));
    let value = |sample: &[u8]| sample.iter().rev().fold(0, |value, byte| value << 8 | i32::from(*byte));
    let mut worst = 0f64;
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one.len(), other.len());
        let samples = one.chunks_exact(layout.bytes).zip(other.chunks_exact(layout.bytes));
        worst = samples.map(|(a, b)| f64::from((value(a) - value(b)).abs()) / code).fold(worst, f64::max);
    }
    worst
}

#[test]
fn smooth_areas_of_every_format_are_resized_and_stay_within_twice_the_tolerance() {
    if !have_runtime() {
        return;
    }
    for (index, format) in PixelFormat::ALL.iter().enumerate() {
        let model = ["fast2x", "quality3x-compressed"][index % 2];
        let clip = clip(format.name(), 3);
        for duplicates in ["off", "exact"] {
            let common = [("model", model), ("duplicates", duplicates)];
            let (whole, _) = clip.upscaled(&element(&with(&common)));
            let (parts, stats) = clip.upscaled(&element(&with(&[&common[..], &[("detail-tolerance", "2")]].concat())));
            let (off, resized) = (worst(&parts, &whole, *format), figure(&stats, "resized-percentage"));
            // Half a code more where samples are finer than 8 bits.
            assert!(off <= 4.5, "{} {model} {duplicates}: {off} codes off", format.name());
            let least = if duplicates == "off" { 50.0 } else { 10.0 };
            assert!(resized > least, "{} {model} {duplicates}: {resized} % was resized", format.name());
            assert!(figure(&stats, "audit-largest") <= 4.5 && stats.get::<u32>("detail-threshold").unwrap() > 0);
        }
    }
}

#[test]
fn the_output_does_not_depend_on_the_number_of_workers() {
    if !have_runtime() {
        return;
    }
    let clip = clip("I420", 12);
    for duplicates in ["off", "exact", "similar"] {
        let run = |workers| {
            let properties =
                [("workers", workers), ("max-in-flight", "64"), ("duplicates", duplicates), ("detail-tolerance", "2")];
            clip.upscaled(&element(&properties)).0
        };
        let one = run("1");
        assert!(one == run("2") && one == run("4"), "{duplicates}");
    }
}

#[test]
fn with_a_tolerance_of_zero_nothing_is_resized() {
    if !have_runtime() {
        return;
    }
    let clip = clip("NV12", 3);
    let (default, _) = clip.upscaled(&element(&with(&[])));
    let (zero, stats) = clip.upscaled(&element(&with(&[("detail-tolerance", "0")])));
    assert!(default == zero);
    assert_eq!(figure(&stats, "resized-percentage"), 0.0);
}

#[test]
fn what_is_unchanged_is_still_reused_and_colour_networks_resize_all_components() {
    for format in ["I420", "RGBA", "P010_10LE", "GBR"] {
        let model = Arc::new(DummyModel::new(Channels::Rgb, 2));
        let mut clip = clip(format, 3);
        clip.frames.push(clip.frames[2].clone());
        let run = |tolerance| {
            clip.upscaled(&dummy_element(&model, &with(&[("detail-tolerance", tolerance), ("duplicates", "exact")])))
        };
        let ((whole, _), (parts, stats)) = (run("0"), run("16"));
        assert!(figure(&stats, "reused-percentage") > 40.0 && figure(&stats, "resized-percentage") > 20.0, "{stats}");
        // Repeating pixels and interpolating them differ on a slope by a step of it.
        let format = PixelFormat::from_name(format).unwrap();
        assert!(worst(&parts, &whole, format) <= 16.0, "{}", format.name());
        assert!(parts[2] == parts[3]);
    }
}

#[test]
fn networks_without_parts_run_everywhere() {
    let fixed =
        DummyModel::new(Channels::Luma, 2).with_info(|info| info.fixed_size = Some(Size { width: 32, height: 32 }));
    let model = Arc::new(fixed);
    let clip = clip("GRAY8", 3);
    let (whole, _) = clip.upscaled(&dummy_element(&model, &with(&[])));
    let (same, stats) = clip.upscaled(&dummy_element(&model, &with(&[("detail-tolerance", "4")])));
    assert!(whole == same);
    assert_eq!((figure(&stats, "resized-percentage"), stats.get::<u32>("detail-threshold").unwrap()), (0.0, 0));
}

#[test]
fn after_a_flush_and_a_change_of_the_tolerance_frames_are_made_anew() {
    if !have_runtime() {
        return;
    }
    let clip = clip("I420", 2);
    let (whole, _) = clip.upscaled(&element(&with(&[])));
    let (parts, _) = clip.upscaled(&element(&with(&[("detail-tolerance", "2")])));
    let element = element(&with(&[("detail-tolerance", "2")]));
    let mut harness = harness(&element);
    harness.set_src_caps(clip.info.to_caps().unwrap());
    let mut info = None;
    let mut through = |harness: &mut gst_check::Harness, n: usize| {
        harness.push(gst::Buffer::from_slice(clip.frames[n].clone())).unwrap();
        let buffer = harness.pull().unwrap();
        let caps = || harness.sinkpad().unwrap().current_caps().unwrap();
        visible(&buffer, info.get_or_insert_with(|| gst_video::VideoInfo::from_caps(&caps()).unwrap()))
    };
    assert!(through(&mut harness, 0) == parts[0]);
    assert!(harness.push_event(gst::event::FlushStart::new()) && harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    assert!(through(&mut harness, 1) == clip_alone(&clip, 1), "nothing is left of the frame before");
    element.set_property("detail-tolerance", 0u32);
    assert!(through(&mut harness, 1) == whole[1], "nor of the tolerance, in the cache or elsewhere");
    element.set_property("detail-tolerance", 2u32);
    assert!(through(&mut harness, 0) == parts[0]);
}

/// A frame as the first of a stream.
fn clip_alone(clip: &Clip, n: usize) -> Vec<u8> {
    let alone = Clip { info: clip.info.clone(), frames: vec![clip.frames[n].clone()] };
    alone.upscaled(&element(&with(&[("detail-tolerance", "2")]))).0.remove(0)
}

#[test]
fn a_network_that_changes_flat_areas_is_not_replaced() {
    let (true, Some(models)) = (have_runtime(), shared_data("models")) else { return };
    let model = models.join("nn-upscaler/2xNomosUni_span_multijpg_ldl.onnx");
    let clip = clip("RGB", 1);
    let model = [("model", model.to_str().unwrap())];
    let (whole, _) = clip.upscaled(&element(&with(&model)));
    let (same, stats) = clip.upscaled(&element(&with(&[&model[..], &[("detail-tolerance", "2")]].concat())));
    assert!(whole == same);
    assert_eq!(stats.get::<u32>("detail-threshold").unwrap(), 0);
}

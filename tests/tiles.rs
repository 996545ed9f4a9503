//! Tiles through the whole element: the output is the same as without them.
//!
//! Needs ONNX Runtime (`./script/env cargo test` finds it), and one test the third-party networks of the shared test data.

mod common;

use gst::prelude::*;
use gstupscale::picture::format::PixelFormat;

use common::clip::visible;
use common::{LOCAL_MODELS, element, harness, have_runtime, shared_data};

/// The output of an element for one frame of pseudo-random bytes.
fn upscaled(format: &str, (width, height): (u32, u32), properties: &[(&str, &str)]) -> Vec<u8> {
    let element = element(properties);
    let mut harness = harness(&element);
    let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=25/1");
    let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
    harness.set_src_caps_str(&caps);
    // Knuth's MMIX generator.
    let mut state = 12_345u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(info.size())
    .collect();
    harness.push(gst::Buffer::from_mut_slice(bytes)).unwrap();
    let out = harness.pull().unwrap();
    let out_caps = harness.sinkpad().unwrap().current_caps().unwrap();
    let out_info = gst_video::VideoInfo::from_caps(&out_caps).unwrap();
    visible(&out, &out_info)
}

#[test]
fn tiles_of_built_in_models_give_the_same_bytes_for_every_format_and_number_of_workers() {
    if !have_runtime() {
        return;
    }
    for (index, format) in PixelFormat::ALL.iter().enumerate() {
        let model = ["fast2x", "lanczos2x", "quality3x"][index % 3];
        let size = [(101, 67), (64, 90), (131, 35)][index % 3];
        let whole = upscaled(format.name(), size, &[("model", model), ("workers", "1")]);
        for (tile, workers) in [("32", "1"), ("45", "2"), ("64", "4")] {
            let tiled = upscaled(format.name(), size, &[("model", model), ("workers", workers), ("tile-size", tile)]);
            assert!(tiled == whole, "{model}, {}, tiles of {tile}", format.name());
        }
    }
}

#[test]
fn tiles_of_third_party_models_give_the_same_bytes() {
    let (true, Some(models)) = (have_runtime(), shared_data("models")) else { return };
    let more = ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp16", "I420");
    for (model, format) in LOCAL_MODELS.into_iter().chain([more]) {
        let path = models.join(format!("{model}.onnx"));
        let model = path.to_str().unwrap();
        // Large enough for one border between tiles in each direction, for every receptive field.
        let size = (109, 83);
        let whole = upscaled(format, size, &[("model", model), ("workers", "1")]);
        let tiled = upscaled(format, size, &[("model", model), ("workers", "1"), ("tile-size", "80")]);
        assert!(tiled == whole, "{model}");
    }
}

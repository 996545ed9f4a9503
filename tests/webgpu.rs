//! The path of a GPU on a machine without one: the WebGPU provider on SwiftShader, a Vulkan driver in software. It takes about a
//! second for each frame, so frames are small.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::{self, LoadOptions, Model, ModelError, Source};
use gstupscale::types::Provider;
use gstupscale::upscalefilter::UpscaleFilter;

use common::clip::{Clip, Edit, visible, worst};
use common::{assert_fields, assert_stats, element, harness, webgpu_folder};

const SIZE: (u32, u32) = (48, 32);
/// Lets the provider use an adapter that is not a GPU.
const ALLOW_SOFTWARE: &str = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER";

/// Whether this is the process to test in. If not, runs `test` in a process with WebGPU's ONNX Runtime and the driver: both are
/// chosen by the environment when they are loaded.
#[track_caller]
fn has_webgpu(test: &str) -> bool {
    if std::env::var_os(ALLOW_SOFTWARE).is_some() {
        return true;
    }
    let Some(folder) = webgpu_folder() else { return false };
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALLOW_SOFTWARE, "1")
        .env("VK_DRIVER_FILES", folder.join("swiftshader.json"))
        .env("ORT_DYLIB_PATH", folder.join("libonnxruntime.so.1"))
        .status();
    assert!(status.unwrap().success());
    false
}

/// An RGB network in `tests/data`.
fn rgb() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/free_channels.onnx").display().to_string()
}

fn load(model: &str, device_id: u32) -> Result<Arc<dyn Model>, ModelError> {
    let options = LoadOptions { provider: Provider::WebGpu, device_id, intra_threads: 1, ..LoadOptions::default() };
    model::load(&Source::parse(model), options)
}

fn on(provider: &str, properties: &[(&str, &str)]) -> gst::Element {
    element(&[&[("execution-provider", provider)], properties].concat())
}

/// Fails if WebGPU's output differs from the CPU's by more than one, with `properties` for both.
#[track_caller]
fn check(clip: &Clip, properties: &[(&str, &str)], of_webgpu: &[(&str, &str)]) -> gst::Structure {
    let (expected, _) = clip.upscaled(&on("cpu", properties));
    let (frames, stats) = clip.upscaled(&on("webgpu", &[properties, of_webgpu].concat()));
    let format = clip.info.format().to_str();
    for (n, (frame, expected)) in frames.iter().zip(&expected).enumerate() {
        let worst = worst(frame, expected, format);
        assert!(worst <= 1, "frame {n} of {format} with {properties:?}, {of_webgpu:?}: differs by {worst}");
    }
    stats
}

#[test]
fn luma_networks_match_the_cpu() {
    if has_webgpu("luma_networks_match_the_cpu") {
        for (format, conversion) in [
            ("I420", "processor"),
            ("I420", "device"),
            ("P010_10LE", "processor"),
            ("NV12", "device"),
            ("RGBA", "device"),
        ] {
            check(&Clip::new(format, SIZE, &[]), &[("model", "lanczos2x")], &[("conversion", conversion)]);
        }
    }
}

#[test]
fn rgb_networks_match_the_cpu() {
    if has_webgpu("rgb_networks_match_the_cpu") {
        for (format, conversion) in [
            ("RGB", "processor"),
            ("BGRA", "device"),
            ("NV12", "processor"),
            ("I420", "device"),
            ("I422_10LE", "device"),
            ("GRAY8", "device"),
        ] {
            let clip = Clip::new(format, SIZE, &[]).with_valid_samples();
            check(&clip, &[("model", &rgb())], &[("conversion", conversion)]);
        }
    }
}

#[test]
fn regions_and_tiles_match_the_cpu() {
    if !has_webgpu("regions_and_tiles_match_the_cpu") {
        return;
    }
    let edits = [
        Edit::Box { plane: 0, at: (10, 20), size: (3, 3), by: 100 },
        Edit::Hold,
        Edit::Corner { right: true, bottom: true, by: 120 },
    ];
    let clip = Clip::new("I420", SIZE, &edits);
    for conversion in ["processor", "device"] {
        let more = [("conversion", conversion), ("workers", "2")];
        let stats = check(&clip, &[("model", &rgb()), ("duplicates", "exact"), ("max-in-flight", "16")], &more);
        assert!(stats.get::<f64>("reused-percentage").unwrap() > 30.0, "{stats}");
        check(&clip, &[("model", &rgb()), ("duplicates", "similar"), ("max-in-flight", "16")], &more);
    }
    let tiles = [("tile-size", "32"), ("workers", "2"), ("conversion", "device")];
    check(&Clip::new("NV12", SIZE, &[Edit::Cut]), &[("model", &rgb()), ("max-in-flight", "16")], &tiles);
}

/// The same adapter twice; `device-id` would refuse that.
#[test]
fn two_devices_share_the_frames() {
    if !has_webgpu("two_devices_share_the_frames") {
        return;
    }
    let clip = Clip::new("I420", SIZE, &[Edit::Cut, Edit::Cut, Edit::Cut]);
    let properties = [("model", &*rgb()), ("workers", "1"), ("max-in-flight", "16")];
    let device = on("webgpu", &properties);
    let models = [load(&rgb(), 0).unwrap(), load(&rgb(), 0).unwrap()];
    device.downcast_ref::<UpscaleFilter>().unwrap().set_test_models(models.into());
    let (frames, stats) = clip.upscaled(&device);
    assert_fields(&stats, &[("workers", 2), ("steps-down", 0)]);
    for (frame, expected) in frames.iter().zip(clip.upscaled(&on("cpu", &properties)).0) {
        assert!(worst(frame, &expected, "I420") <= 1);
    }
}

#[test]
fn new_caps_and_a_flush_keep_the_sessions() {
    if !has_webgpu("new_caps_and_a_flush_keep_the_sessions") {
        return;
    }
    let model = rgb();
    let make = |provider| on(provider, &[("model", &model), ("workers", "1")]);
    let run = |element: gst::Element| {
        let mut harness = harness(&element);
        let mut outputs = Vec::new();
        for (format, size) in [("I420", SIZE), ("NV12", (32, 24)), ("I420", SIZE)] {
            let clip = Clip::new(format, size, &[]);
            harness.set_src_caps(clip.info.to_caps().unwrap());
            let output = harness.push_and_pull(gst::Buffer::from_slice(clip.frames[0].clone())).unwrap();
            let caps = harness.sinkpad().unwrap().current_caps().unwrap();
            outputs.push(visible(&output, &gst_video::VideoInfo::from_caps(&caps).unwrap()));
            common::flush(&mut harness);
            common::send_segment(&mut harness);
        }
        assert_stats(&element, &[("steps-down", 0), ("workers", 1)]);
        outputs
    };
    for (frame, expected) in run(make("webgpu")).iter().zip(run(make("cpu"))) {
        assert!(worst(frame, &expected, "I420") <= 1);
    }
}

#[test]
fn the_device_is_known() {
    if has_webgpu("the_device_is_known") {
        assert_eq!(load("lanczos2x", 0).unwrap().info().provider, Provider::WebGpu);
        let Err(error) = load("lanczos2x", 7) else { panic!("there is one device") };
        assert!(error.to_string().contains("there is no device 7"), "{error}");
    }
}

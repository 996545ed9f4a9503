//! Faults outside the element do limited harm: NaN from the network, deleted model files, other libraries in the process.

mod common;

use std::process::Command;

use common::process::{program, run};
use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::Channels;

/// The output frame if the network returns `value` everywhere.
fn frame_of(value: f32, channels: Channels, format: &str) -> (Vec<u8>, gst_video::VideoInfo) {
    let model = std::sync::Arc::new(DummyModel::new(channels, 2));
    model.fail_run(0, Failure::Output(value));
    let element = dummy_element(&model, &[("workers", "1")]);
    let mut harness = harness(&element);
    let caps: gst::Caps = format!("video/x-raw,format={format},width=4,height=4,framerate=25/1").parse().unwrap();
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    harness.set_src_caps(caps);
    let out = harness.push_and_pull(gst::Buffer::from_mut_slice(vec![0; info.size()])).unwrap();
    let info = gst_video::VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap()).unwrap();
    assert_eq!(model.runs(), 1);
    (out.map_readable().unwrap().to_vec(), info)
}

/// The samples of the first plane: luma, or red, green and blue.
fn samples(bytes: &[u8], info: &gst_video::VideoInfo) -> Vec<u32> {
    let pixels = info.width() as usize * info.height() as usize * info.comp_pstride(0) as usize;
    if info.comp_depth(0) == 8 {
        bytes[..pixels].iter().map(|byte| u32::from(*byte)).collect()
    } else {
        let pairs = bytes[..pixels].chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])));
        let shift = if info.format() == gst_video::VideoFormat::P01010le { 6 } else { 0 };
        pairs.map(|sample| sample >> shift).collect()
    }
}

#[test]
fn nan_and_infinity_become_valid_samples() {
    for (channels, format) in [
        (Channels::Luma, "GRAY8"),
        (Channels::Luma, "I420"),
        (Channels::Luma, "I420_10LE"),
        (Channels::Luma, "P010_10LE"),
        (Channels::Luma, "GRAY16_LE"),
        (Channels::Luma, "RGB"),
        (Channels::Rgb, "RGB"),
        (Channels::Rgb, "NV12"),
        (Channels::Rgb, "GBR_10LE"),
    ] {
        let of = |value| {
            let (bytes, info) = frame_of(value, channels, format);
            let samples = samples(&bytes, &info);
            let max = (1u32 << info.comp_depth(0)) - 1;
            assert!(samples.iter().all(|sample| *sample <= max), "{format}");
            samples
        };
        let (darkest, brightest) = (of(-1e30), of(1e30));
        assert_eq!(of(f32::NEG_INFINITY), darkest, "{format}: -inf becomes the minimum");
        assert_eq!(of(f32::INFINITY), brightest, "{format}: inf becomes the maximum");
        assert_eq!(of(f32::NAN), darkest, "{format}: NaN becomes the minimum");
    }
}

#[test]
fn nan_and_infinity_are_counted() {
    for (value, expected) in [(f32::NAN, 64), (f32::INFINITY, 64), (1e30, 0)] {
        let model = std::sync::Arc::new(DummyModel::new(Channels::Luma, 2));
        model.fail_run(1, Failure::Output(value));
        let element = dummy_element(&model, &[("workers", "1"), ("duplicates", "off")]);
        let mut harness = harness(&element);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=4,height=4,framerate=25/1");
        for _ in 0..3 {
            harness.push_and_pull(gst::Buffer::from_mut_slice(vec![9; 16])).unwrap();
        }
        assert_eq!(stat(&element, "non-finite"), expected, "{value}");
    }
}

#[test]
fn a_tensor_that_exceeds_memory_is_an_error_and_does_not_abort_the_process() {
    for side in [1_000_000, 2_000_000_000] {
        let huge = gstupscale::types::Size { width: side, height: side };
        let model = DummyModel::new(Channels::Luma, 2).with_info(|info| info.fixed_size = Some(huge));
        let element = dummy_element(&std::sync::Arc::new(model), &[("workers", "1")]);
        let bus = with_bus(&element);
        let mut harness = harness(&element);
        harness.set_src_caps_str(GRAY);
        harness.push(gray_frame(0, 7)).unwrap();
        let message = wait_message(&bus, &[gst::MessageType::Error]);
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().to_string().contains("no room for a tensor"), "{}", error.error());
    }
}

#[test]
fn a_model_file_may_be_deleted_while_it_plays() {
    if !have_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/models/lanczos2x.onnx");
    std::fs::copy(network, &file).unwrap();
    // Sessions open when there is work for them: most of these after the file has been overwritten.
    let element = element(&[("model", file.to_str().unwrap()), ("workers", "3"), ("duplicates", "off")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let first = harness.push_and_pull(gray_frame(0, 7)).unwrap();
    let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
    std::fs::write(&file, "no network").unwrap();
    (1..6).for_each(|n| assert!(harness.push(gray_frame(n, 7)).is_ok()));
    (1..6).for_each(|_| assert_eq!(bytes(&harness.pull().unwrap()), bytes(&first)));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bytes(&harness.push_and_pull(gray_frame(6, 7)).unwrap()), bytes(&first));
}

/// Set in the process that loads two runtimes.
const CHILD: &str = "UPSCALE_TEST_TWO_RUNTIMES_CHILD";
/// The other one's file, for that process.
const OTHER: &str = "UPSCALE_TEST_OTHER_RUNTIME";
const OVER: &str = "both are loaded, and ours works";

#[test]
fn another_onnx_runtime_in_the_process_does_no_harm() {
    if let Ok(order) = std::env::var(CHILD) {
        return load_both(&order);
    }
    if !have_runtime() {
        return;
    }
    // A file of its own, so that the loader takes it for another library.
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("libonnxruntime.so");
    std::fs::copy(std::env::var_os("ORT_DYLIB_PATH").unwrap(), &other).unwrap();
    for order in ["before", "after"] {
        let mut command = program(std::env::current_exe().unwrap());
        command.args(["--exact", "another_onnx_runtime_in_the_process_does_no_harm", "--nocapture"]);
        let ended = run(command.env(CHILD, order).env(OTHER, &other));
        assert!(ended.code == Some(0) && ended.stdout.contains(OVER), "{order}: {ended:?}");
    }
}

fn load_both(order: &str) {
    let pass = || {
        let element = element(&[("model", "lanczos2x"), ("workers", "2")]);
        let mut harness = harness(&element);
        harness.set_src_caps_str(GRAY);
        assert_eq!(harness.push_and_pull(gray_frame(0, 7)).unwrap().size(), 32);
    };
    if order == "after" {
        pass();
    }
    let path = std::env::var_os(OTHER).unwrap();
    let flags = libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL;
    // SAFETY: other tests load this library as well, so its initializers are known to work.
    let other = unsafe { libloading::os::unix::Library::open(Some(&path), flags) }.unwrap();
    // SAFETY: the function is not called.
    let entry = unsafe { other.get::<*const ()>(b"OrtGetApiBase") };
    assert!(entry.is_ok(), "it is an ONNX Runtime");
    pass();
    pass();
    println!("{OVER}");
}

#[test]
fn the_runtime_sends_no_telemetry_and_leaves_nothing_in_the_home_folder() {
    if !have_runtime() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = program("gst-launch-1.0");
    command.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").env_remove("XDG_DATA_HOME");
    // Each of these would turn telemetry off.
    for variable in ["ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "TF_BUILD"] {
        command.env_remove(variable);
    }
    let pipeline =
        "-q videotestsrc num-buffers=3 ! video/x-raw,width=32,height=16 ! upscalefilter model=lanczos2x ! fakesink";
    run(command.args(pipeline.split(' '))).expect_clean();
    let left = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    // ONNX Runtime would keep its device identifier and its event queue in .cache/Microsoft.
    assert!(!home.path().join(".cache/Microsoft").exists(), "{left:?}");
}

#[test]
fn a_process_that_uses_the_element_may_fork() {
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let output = Command::new(python).args(["-c", "import gi"]).output();
        output.is_ok_and(|output| output.status.success())
    });
    if !have("PyGObject", python.is_some()) || !have_runtime() {
        return;
    }
    let python = python.expect("PyGObject was found");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/fork.py");
    let ended = run(program(python).args(["-B", script])).expect_clean();
    print!("{}", ended.stdout);
    assert!(ended.stdout.contains("children=3"), "{}", ended.stdout);
}

//! What the tests of the plugin and of the command share: test data, the runtime, messages of a bus.

use std::path::{Path, PathBuf};

/// A limit for every wait; nothing takes that long.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Waits for a message of one of these types. Any other error fails the test.
pub fn wait_message(bus: &gst::Bus, types: &[gst::MessageType]) -> gst::Message {
    let mut wanted = types.to_vec();
    wanted.push(gst::MessageType::Error);
    let message = bus.timed_pop_filtered(PATIENCE, &wanted).expect("a message comes in time");
    if message.type_() == gst::MessageType::Error && !types.contains(&gst::MessageType::Error) {
        panic!("{message:?}");
    }
    message
}

/// Test data from beside the checkout; prints what is skipped if it is missing.
pub fn shared_data(what: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("Cargo.lock").exists());
    let path = root.expect("the workspace has a lock file").join("../shared/data").join(what);
    if !path.exists() {
        eprintln!("*** SKIPPED: {} does not exist ***", path.display());
        return None;
    }
    Some(path)
}

/// Whether `is_here`, which a test needs, is true. If not, prints that the test is skipped; where `UPSCALE_TEST_ALL` says that
/// everything has been installed, fails the test instead.
#[track_caller]
pub fn have(what: &str, is_here: bool) -> bool {
    if !is_here {
        assert!(std::env::var_os("UPSCALE_TEST_ALL").is_none(), "UPSCALE_TEST_ALL is set, but {what} is missing");
        eprintln!("*** SKIPPED: {what} is missing ***");
    }
    is_here
}

/// Whether `ORT_DYLIB_PATH` names an ONNX Runtime to test with; see [`have`].
#[track_caller]
pub fn have_runtime() -> bool {
    have("ONNX Runtime (ORT_DYLIB_PATH, which script/test sets)", std::env::var_os("ORT_DYLIB_PATH").is_some())
}

/// A folder with ONNX Runtime, its WebGPU plugin and a software Vulkan driver, which `script/setup --test` makes on x86_64, where
/// this is as [`have`].
#[track_caller]
pub fn webgpu_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("UPSCALE_TEST_WEBGPU").map(PathBuf::from);
    if cfg!(target_arch = "x86_64") {
        have("WebGPU with a software driver (UPSCALE_TEST_WEBGPU, which script/test sets)", folder.is_some());
    }
    folder
}

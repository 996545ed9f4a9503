//! What the tests need beside the command.

use std::path::PathBuf;
use std::sync::Once;

/// Longer than anything may take.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Starts GStreamer, with which some clips are made.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| gst::init().expect("GStreamer starts"));
}

/// Waits for a message of one of these types; an error that is not among them fails the test.
pub fn wait_message(bus: &gst::Bus, types: &[gst::MessageType]) -> gst::Message {
    let mut wanted = types.to_vec();
    wanted.push(gst::MessageType::Error);
    let message = bus.timed_pop_filtered(PATIENCE, &wanted).expect("a message comes in time");
    if message.type_() == gst::MessageType::Error && !types.contains(&gst::MessageType::Error) {
        panic!("{message:?}");
    }
    message
}

/// The shared test data, if it is here; says loudly what is left out if not.
pub fn shared_data(what: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(what);
    if !path.exists() {
        eprintln!("*** SKIPPED: {} is not here ***", path.display());
        return None;
    }
    Some(path)
}

/// Whether ONNX Runtime is available; says loudly what is left out if not.
pub fn have_runtime() -> bool {
    let have = std::env::var_os("ORT_DYLIB_PATH").is_some();
    if !have {
        eprintln!("*** SKIPPED: ORT_DYLIB_PATH is not set; script/test sets it ***");
    }
    have
}

//! What the tests need beside the command.

#[path = "../../../tests/common/environment.rs"]
#[allow(dead_code, reason = "the plugin's tests use the rest")]
mod environment;

use std::sync::Once;

pub use environment::*;

/// Starts GStreamer, with which some clips are made.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| gst::init().expect("GStreamer starts"));
}

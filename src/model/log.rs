//! Where the messages of the inference library go.
//!
//! The library logs from whatever thread it happens to be in. This module knows no GStreamer; the element puts a hook in that
//! writes into its debug category. Without one, warnings and worse go to standard error.

use std::sync::OnceLock;

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Verbose,
    Info,
    Warning,
    Error,
    Fatal,
}

/// Takes one message. Called from any thread, also from several at once; it must not panic.
pub type Hook = fn(level: Level, message: &str);

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Sends all later messages to `hook`. The first hook stays: a later call changes nothing and returns false.
pub fn set_hook(hook: Hook) -> bool {
    HOOK.set(hook).is_ok()
}

pub(super) fn emit(level: Level, message: &str) {
    match HOOK.get() {
        Some(hook) => hook(level, message),
        None if level >= Level::Warning => eprintln!("ONNX Runtime: {message}"),
        None => {}
    }
}

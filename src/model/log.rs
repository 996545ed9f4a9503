//! Forwards log messages of the inference library.
//!
//! The library logs from any thread. This module does not depend on GStreamer: the element installs a hook that writes
//! to its debug category. Without a hook, warnings and errors go to standard error.

use std::sync::OnceLock;

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Verbose,
    Info,
    Warning,
    Error,
    Fatal,
}

/// Receives one message. Called from any thread, possibly from several at once; must not panic.
pub type Hook = fn(level: Level, message: &str);

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Sends all later messages to `hook`. Only the first call has an effect; later calls return false.
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

//! Signals that end a run: the first asks for a clean end, the second ends the process at once.
//!
//! One that the process was started to ignore stays ignored, as `nohup` and a shell's background jobs want it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Failure, Result};

/// The first signal that came, or 0.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// Files and folders without a final name yet: removed before a second signal ends the process.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// What is set when a signal comes.
static STOPS: Mutex<Vec<Weak<AtomicBool>>> = Mutex::new(Vec::new());

/// Watches for signals. Once per process.
pub fn install() -> Result<()> {
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals =
        Signals::new(wanted).map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if RECEIVED.swap(signal, Ordering::SeqCst) != 0 {
                    for path in UNFINISHED.lock().drain(..) {
                        remove(&path);
                    }
                    // Without exit handlers: those of a GPU runtime may wait for the very work that hangs.
                    signal_hook::low_level::exit(128 + signal);
                }
                for stop in STOPS.lock().iter().filter_map(Weak::upgrade) {
                    stop.store(true, Ordering::SeqCst);
                }
            }
        })
        .map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))?;
    Ok(())
}

/// Sets `stop` when a signal comes, or has come.
pub fn on_signal(stop: &Arc<AtomicBool>) {
    let mut stops = STOPS.lock();
    stops.retain(|stop| stop.strong_count() > 0);
    stops.push(Arc::downgrade(stop));
    stop.store(RECEIVED.load(Ordering::SeqCst) != 0, Ordering::SeqCst);
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: a struct of zeros is a valid one, and is filled by the call, which changes nothing else.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// [`Failure::Interrupted`] if a signal came: for the places between two long steps.
pub fn check() -> Result<()> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Failure::Interrupted(signal)),
    }
}

/// A file or a folder that has no final name yet. While this lives, a second signal removes it.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    pub fn new(path: &Path) -> Self {
        UNFINISHED.lock().push(path.to_owned());
        Unfinished(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        UNFINISHED.lock().retain(|path| *path != self.0);
    }
}

/// Removes a file or a folder of ours, if that is possible.
fn remove(path: &Path) {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.ok();
}

//! Signals: the first ends the run cleanly, the second ends the process at once.
//!
//! A signal that the process was started to ignore stays ignored, as with `nohup` and a shell's background jobs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Context, Failure, Result};

/// The signal that came, or 0.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Watches for signals. Once per process.
pub fn install() -> Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
        // The order matters. Exit handlers do not run, because a GPU runtime's may wait for the work that hangs.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize))
            .and_then(|_| flag::register(signal, Arc::clone(&is_second)))
            .context("cannot watch for signals")?;
    }
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: a struct of zeros is a valid one, and is filled by the call, which changes nothing else.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// [`Failure::Interrupted`] if a signal came. Call it between long steps.
pub fn check() -> Result<()> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Failure::Interrupted(signal)),
    }
}

/// Whether a run must end: because another thread failed, or because of a signal.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst) || check().is_err()
    }
}

//! Ctrl-C and the termination signals: the first one asks for a clean end, the second one ends the process at once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::failure::{Failure, Result, failed};

/// 128 + SIGINT, what shells report for a command ended by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Files and folders without a final name yet: removed before a second signal ends the process.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Installs the handler. Once per process.
pub fn install() -> Result<()> {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            for path in UNFINISHED.lock().drain(..) {
                remove(&path);
            }
            exit_at_once();
        }
    };
    ctrlc::set_handler(handler).or_else(|error| failed(format!("cannot watch for Ctrl-C: {error}")))
}

/// Whether a signal came.
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// [`Failure::Interrupted`] if a signal came: for the places between two long steps.
pub fn check() -> Result<()> {
    if requested() { Err(Failure::Interrupted) } else { Ok(()) }
}

/// A file or a folder that has no final name yet. Removed when dropped, unless [`Unfinished::keep`] was called.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Takes charge of `path`.
    pub fn new(path: PathBuf) -> Self {
        UNFINISHED.lock().push(path.clone());
        Unfinished { path }
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// It has its final name now: there is nothing to remove any more.
    pub fn keep(self) {
        self.forget();
        std::mem::forget(self);
    }

    fn forget(&self) {
        UNFINISHED.lock().retain(|path| *path != self.path);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        remove(&self.path);
        self.forget();
    }
}

/// Removes a file or a folder of ours; that it is gone already is no error.
fn remove(path: &std::path::Path) {
    let result = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("gst-upscale: cannot remove {}: {error}", path.display());
    }
}

/// Ends the process without running exit handlers: those of a GPU runtime may wait for the very work that hangs.
fn exit_at_once() -> ! {
    #[cfg(unix)]
    // SAFETY: _exit takes any status and touches no memory of ours.
    unsafe {
        nix::libc::_exit(i32::from(EXIT_CODE))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(EXIT_CODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_is_removed_and_a_kept_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        for keep in [false, true] {
            let path = folder.path().join("part");
            std::fs::write(&path, b"x").unwrap();
            let part = Unfinished::new(path.clone());
            if keep {
                part.keep();
            } else {
                drop(part);
            }
            assert_eq!(path.exists(), keep);
            assert!(!UNFINISHED.lock().contains(&path));
        }
    }

    #[test]
    fn an_unfinished_folder_is_removed_with_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parts");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("00001.png"), b"x").unwrap();
        drop(Unfinished::new(path.clone()));
        assert!(!path.exists());
    }
}

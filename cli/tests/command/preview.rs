//! The window that shows source and result.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::have;
use crate::common::have_runtime;
use crate::probe::have_programs;
use crate::read;
use crate::robust::clip;
use crate::run::{command, names};

/// An X server without a screen; ended when dropped.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    fn open() -> Option<Self> {
        // It writes its number as soon as it takes connections.
        let arguments = ["-displayfd", "1", "-screen", "0", "1280x720x24", "-noreset", "-nolisten", "tcp"];
        let server = Command::new("Xvfb").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        have("Xvfb", server.is_ok());
        let mut server = server.ok()?;
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Display { server, name: format!(":{}", number.trim()) })
    }

    /// Whether anything brighter than black is on the screen.
    fn shows_something(&self) -> bool {
        let input = ["-v", "error", "-f", "x11grab", "-video_size", "1280x720", "-i", &self.name];
        let output = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"];
        let grabbed = Command::new("ffmpeg").args(input).args(output).output().expect("ffmpeg is there");
        assert!(grabbed.status.success(), "{}", String::from_utf8_lossy(&grabbed.stderr));
        grabbed.stdout.iter().filter(|luma| **luma > 64).count() > 1000
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn preview(folder: &Path, display: &str) -> Command {
    let mut command = command();
    command.current_dir(folder).env("DISPLAY", display).env_remove("WAYLAND_DISPLAY");
    command.args(["--preview", "--model", "lanczos2x", "in.mkv", "out.mkv"]);
    command
}

#[test]
fn the_preview_shows_frames_and_the_result_is_complete() {
    if !have_runtime() || !have_programs(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let Some(display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "60", "in.mkv");
    let mut child = preview(folder.path(), &display.name).stderr(Stdio::piped()).spawn().unwrap();
    let mut was_seen = false;
    while !was_seen && child.try_wait().unwrap().is_none() {
        was_seen = display.shows_something();
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && was_seen, "{said}");
    assert!(!said.contains("preview was closed"), "{said}");
    assert_eq!(read::times(&folder.path().join("out.mkv")).len(), 1500);
}

#[test]
fn without_a_display_the_preview_is_refused() {
    if !have_runtime() || !have_programs(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "1", "in.mkv");
    let output = preview(folder.path(), "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--preview: no window can be opened: there is no display"), "{said}");
    assert_eq!(names(folder.path()), ["in.mkv"]);
}

//! Interruptions.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::have_runtime;
use crate::make::{self, have};
use crate::run::{command, names};

/// A clip that takes long enough for a signal to come in time.
fn long_clip(folder: &Path) {
    make::render(
        &folder.join("in.mkv"),
        "videotestsrc num-buffers=3000 pattern=snow ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! \
         x264enc speed-preset=ultrafast tune=zerolatency ! matroskamux ! filesink name=out",
    );
}

/// Starts a run, sends it `signal` when it has shown its first progress, and returns its exit code and its last line.
fn interrupted(folder: &Path, output: &str, signal: &str) -> (Option<i32>, String) {
    let mut child = command()
        .current_dir(folder)
        .args(["in.mkv", output, "--plan", "plan.json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map(|line| line.expect("text"));
    let progress = lines.find(|line| line.contains(" frames")).expect("progress is shown");
    assert!(progress.starts_with("gst-upscale: ") && progress.contains('%'), "{progress}");
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("kill is there").success());
    let last = lines.last().unwrap_or_default();
    (child.wait().expect("it ends").code(), last)
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    if !have_runtime() || !have(&["x264enc", "vp9enc", "mp4mux", "pngenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    long_clip(folder.path());
    for (output, signal, expected) in [
        ("out.mp4", "-INT", 130),
        ("out.mkv", "-TERM", 143),
        ("out.webm", "-HUP", 129),
        ("pictures/deep/%05d.png", "-INT", 130),
    ] {
        let (code, last) = interrupted(folder.path(), output, signal);
        assert_eq!(code, Some(expected), "{output}: {last}");
        assert_eq!(last, "gst-upscale: interrupted: nothing was written");
        assert_eq!(names(folder.path()), ["in.mkv"], "{output}");
    }
}

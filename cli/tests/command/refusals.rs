//! What the command refuses, what it says then, and that it leaves nothing behind.

use std::fs;

use crate::common::have_runtime;
use crate::make::{self, have};
use crate::run::{names, run_in, upscale};

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.mp4"), b"\0\0\0\x18ftypisom").unwrap();
    for (args, text) in [
        (&["in.mp4"][..], ""),
        (&["in.mp4", "out.avi"], "expected .mp4, .mkv, .webm or .mov"),
        (&["in.mp4", "out"], "no extension"),
        (&["in.mp4", "out.png"], "number them as in out-%05d.png"),
        (&["in.mp4", "./in.mp4", "-y"], "IN and OUT are the same"),
        (&["in.mp4", "out.mp4", "--encoder", "h266"], "choose one of h264, h265"),
        (&["in.mp4", "out.webm", "--encoder", "x264"], ".webm cannot hold what x264 makes"),
        (&["in.mp4", "out.mp4", "--preset", "warp"], "choose one of ultrafast"),
        (&["in.mp4", "out.mkv", "--encoder", "ffv1", "--quality", "50"], "lossless"),
        (&["in.mp4", "out.mp4", "--fps", "25"], "--fps is for pictures"),
        (&["in.mp4", "-", "--progress", "json"], "cannot both go to standard output"),
        (&["in.mp4", "-", "--format", "gif"], "standard output takes --format mkv"),
        (&["in.mp4", "out.mp4", "--plan", "in.mp4"], "the same file"),
        (&["in.mp4", "out.mp4", "--quality", "101"], ""),
        (&["in.mp4", "out.mp4", "--duplicates", "maybe"], ""),
        (&[".", "out.mp4"], "several files need a folder"),
    ] {
        let outcome = run_in(folder.path(), args);
        if text.is_empty() {
            assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        } else {
            outcome.expect_failure(2, text);
        }
        assert_eq!(names(folder.path()), ["in.mp4"], "{args:?}");
    }
}

#[test]
fn a_number_out_of_range_is_refused_with_the_range() {
    let folder = tempfile::tempdir().unwrap();
    for (option, value, range) in [
        ("--workers", "257", "0..=256"),
        ("--max-in-flight", "1025", "0..=1024"),
        ("--tile-size", "65536", "0..=65535"),
    ] {
        let outcome = run_in(folder.path(), ["in.mp4", "out.mp4", option, value]);
        assert_eq!(outcome.code, Some(2), "{option}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("{value} is not in {range}")), "{option}: {}", outcome.stderr);
    }
}

#[test]
fn what_cannot_be_read_or_written_is_exit_code_1() {
    if !have_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.mp4"), "just some words\n".repeat(100)).unwrap();
    fs::write(folder.path().join("noise.mp4"), (0u32..5000).map(|n| ((n * n) >> 3) as u8).collect::<Vec<_>>()).unwrap();
    fs::write(folder.path().join("empty.mp4"), b"").unwrap();
    let before = names(folder.path());
    for (args, text) in [
        (&["none.mp4", "out.mp4"][..], "none.mp4: no such file"),
        (&["text.mp4", "out.mp4"], "is no media file that FFmpeg knows"),
        (&["noise.mp4", "out.mp4"], "noise.mp4"),
        (&["empty.mp4", "out.mp4"], "empty.mp4 is empty"),
        (&["%05d.png", "out.mp4"], "no picture matches"),
        (&["text.mp4", "nowhere/out.mp4"], "folder nowhere does not exist"),
        (&["text.mp4", "/proc/out.mp4"], "cannot write to /proc"),
        (&["text.mp4", "out.mp4", "--plan", "nowhere/plan.json"], "the plan cannot be written"),
        (&["plan", "none.mp4"], "none.mp4: no such file"),
    ] {
        let outcome = run_in(folder.path(), args).expect_failure(1, text);
        assert_eq!(outcome.stderr.lines().count(), 1, "{args:?}: {}", outcome.stderr);
        assert_eq!(names(folder.path()), before, "{args:?}");
    }
}

#[test]
fn sound_alone_is_no_video() {
    if !have_runtime() || !have(&["opusenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("sound.mkv"),
        &format!("{} ! opusenc ! matroskamux ! filesink name=out", make::SOUND),
    );
    upscale(&input, &folder.path().join("out.mp4"), &[]).expect_failure(1, "has no video: only audio stream 1 (opus");
    assert_eq!(names(folder.path()), ["sound.mkv"]);
}

#[test]
fn what_exists_is_replaced_only_when_asked() {
    if !have_runtime() || !have(&["x264enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &[]);
    let output = folder.path().join("out.mp4");
    fs::write(&output, b"precious").unwrap();
    upscale(&input, &output, &[]).expect_failure(1, "exists: add -y to replace it");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    // A failure keeps what was there, too.
    upscale(&input, &output, &["-y", "--model", "none.onnx"]).expect_failure(1, "none.onnx");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    upscale(&input, &output, &["-y"]).expect_ok();
    assert!(fs::metadata(&output).unwrap().len() > 100);
    assert_eq!(names(folder.path()), ["in.mkv", "out.mp4"]);
}

#[test]
fn names_may_be_odd() {
    if !have_runtime() || !have(&["x264enc", "mp4mux", "pngenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("a folder, 100% ünïcode %d");
    fs::create_dir(&folder).unwrap();
    make::with_sound(&folder.join("-in %05d ß\n.mkv"), "matroskamux", &[]);
    let input = "-in %05d ß\n.mkv";
    for (output, expected) in [
        ("-out.mp4", "-out.mp4"),
        ("100%.mkv", "100%.mkv"),
        ("ünï %d.webm", "ünï %d.webm"),
        (" .mp4", " .mp4"),
        ("日本語 %%%02d.png", "日本語 %01.png"),
    ] {
        run_in(&folder, ["-q", "--", input, output]).expect_ok();
        assert!(names(&folder).contains(&expected.to_owned()), "{:?}", names(&folder));
    }
    assert!(names(&folder).iter().all(|name| !name.contains("part")), "{:?}", names(&folder));
}

#[test]
fn quiet_means_quiet() {
    if !have_runtime() || !have(&["x264enc", "opusenc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &["vorbisenc"]);
    let outcome = upscale(&input, &folder.path().join("out.mp4"), &["--quiet"]).expect_ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let outcome = upscale(&input, &folder.path().join("out2.mp4"), &[]).expect_ok();
    let summary = outcome.stderr.lines().last().unwrap();
    assert!(summary.contains("out2.mp4: 30 frames in ") && summary.contains("duplicates"), "{summary}");
}

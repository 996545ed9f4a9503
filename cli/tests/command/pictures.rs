//! Pictures to pictures, to videos, and back.

use crate::common::have_runtime;
use crate::make::{self, have};
use crate::read;
use crate::run::{names, run_in, upscale};

#[test]
fn a_video_becomes_a_picture_for_each_frame_and_back() {
    if !have_runtime() || !have(&["x264enc", "pngenc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &[]);
    upscale(&input, &folder.path().join("out/deep/f-%03d.png"), &[]).expect_ok();
    let pictures = names(&folder.path().join("out/deep"));
    assert_eq!(pictures.len(), 30);
    assert_eq!((pictures[0].as_str(), pictures[29].as_str()), ("f-001.png", "f-030.png"));

    let output = folder.path().join("back.mp4");
    upscale(&folder.path().join("out/deep/f-%03d.png"), &output, &["--fps", "29.97"]).expect_ok();
    let frames = read::frames(&output);
    assert_eq!(frames.hashes.len(), 30);
    if read::have_ffprobe() {
        assert_eq!(read::times(&output)[29].mseconds(), 29 * 1001 / 30);
    }
    assert_eq!(frames.field::<i32>("width"), Some(256));
    assert_eq!(frames.field::<String>("format").as_deref(), Some("I420"), "what every player shows");
}

#[test]
fn pictures_keep_their_numbers() {
    if !have_runtime() || !have(&["pngenc", "jpegenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::pictures(&folder.path().join("in"), 4, 17);
    std::fs::remove_file(folder.path().join("in/018.png")).unwrap();
    let outcome = run_in(folder.path(), ["in/%03d.png", "out/%04d.jpg"]).expect_ok();
    assert!(outcome.stderr.contains("no picture has number 18"), "{}", outcome.stderr);
    assert_eq!(names(&folder.path().join("out")), ["0017.jpg", "0019.jpg", "0020.jpg"]);
    assert_eq!(read::frames(&folder.path().join("out/0017.jpg")).field::<i32>("width"), Some(64));
}

#[test]
fn one_picture_becomes_one_picture() {
    if !have_runtime() || !have(&["pngenc", "jpegenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("photo.png"),
        "videotestsrc num-buffers=1 ! video/x-raw,format=RGBA,width=33,height=17 ! pngenc ! filesink name=out",
    );
    // GStreamer decodes every JPEG to I420.
    for (name, format) in [("photo-x2.png", "RGBA"), ("photo-x2.jpg", "I420")] {
        let output = folder.path().join(name);
        upscale(&input, &output, &[]).expect_ok();
        let frames = read::frames(&output);
        assert_eq!(frames.hashes.len(), 1);
        assert_eq!((frames.field::<i32>("width"), frames.field::<i32>("height")), (Some(66), Some(34)));
        assert_eq!(frames.field::<String>("format").as_deref(), Some(format));
    }
}

#[test]
fn grey_pictures_of_16_bits_stay_so() {
    if !have_runtime() || !have(&["pngenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("in.png"),
        "videotestsrc num-buffers=1 ! video/x-raw,format=GRAY16_BE,width=32,height=32 ! pngenc ! filesink name=out",
    );
    let output = folder.path().join("out.png");
    upscale(&input, &output, &[]).expect_ok();
    assert_eq!(read::frames(&output).field::<String>("format").as_deref(), Some("GRAY16_BE"));
}

#[test]
fn jpegs_have_the_colours_of_the_video() {
    if !have_runtime() || !have(&["jpegenc", "x264enc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Limited range BT.709: white is 235.
    let input = make::render(
        &folder.path().join("in.mkv"),
        "videotestsrc num-buffers=1 pattern=white ! video/x-raw,format=I420,width=64,height=64,framerate=25/1,\
         colorimetry=bt709 ! x264enc ! matroskamux ! filesink name=out",
    );
    for quality in ["95", "80"] {
        let output = folder.path().join(format!("%d-{quality}.jpg"));
        upscale(&input, &output, &["--quality", quality]).expect_ok();
        let picture = make::render(
            &folder.path().join("rgb"),
            &format!(
                "filesrc location={} ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8,colorimetry=1:1:0:0 ! \
                 filesink name=out",
                folder.path().join(format!("1-{quality}.jpg")).display()
            ),
        );
        let pixels = std::fs::read(picture).unwrap();
        assert!(pixels.iter().all(|value| *value >= 252), "white is {}", pixels[0]);
    }
}

#[test]
fn older_pictures_are_not_mixed_in_unasked() {
    if !have_runtime() || !have(&["pngenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::pictures(&folder.path().join("in"), 2, 1);
    make::pictures(&folder.path().join("out"), 1, 2);
    make::pictures(&folder.path().join("out"), 1, 9);
    let before = std::fs::read(folder.path().join("out/002.png")).unwrap();
    run_in(folder.path(), ["in/%03d.png", "out/%03d.png"]).expect_failure(1, "exists: add -y");
    assert_eq!(std::fs::read(folder.path().join("out/002.png")).unwrap(), before);
    let outcome = run_in(folder.path(), ["-y", "in/%03d.png", "out/%03d.png"]).expect_ok();
    assert!(outcome.stderr.contains("1 older pictures in out were left"), "{}", outcome.stderr);
    assert_eq!(names(&folder.path().join("out")), ["001.png", "002.png", "009.png"]);
    assert_ne!(std::fs::read(folder.path().join("out/002.png")).unwrap(), before);
}

#[test]
fn a_picture_that_cannot_be_read_is_named() {
    if !have_runtime() || !have(&["pngenc", "x264enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::pictures(&folder.path().join("in"), 5, 1);
    std::fs::write(folder.path().join("in/003.png"), b"<html></html>").unwrap();
    let outcome =
        run_in(folder.path(), ["-q", "in/%03d.png", "out.mp4"]).expect_failure(3, "1 picture could not be decoded");
    assert!(outcome.stderr.contains("003.png is no picture of a known kind"), "{}", outcome.stderr);
    assert_eq!(read::times(&folder.path().join("out.mp4")).len(), 4);
    assert_eq!(names(folder.path()), ["in", "out.mp4"]);
}

//! What people choose: sizes, parts, encoders, many files, other kinds of results.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::have_runtime;
use crate::probe::{ffmpeg, have_programs, probe, streams, tag};
use crate::read;
use crate::run::{command, names, run_in, upscale};

fn can_run() -> bool {
    have_runtime() && have_programs(&["ffmpeg", "ffprobe"])
}

/// Two seconds with two languages.
fn clip(folder: &std::path::Path) {
    let text = "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -f lavfi -i sine=440:d=2 -f lavfi -i sine=880:d=2 -map 0 -map 1 -map 2 -c:v libx264 \
        -g 10 -c:a aac -metadata:s:a:0 language=deu -metadata:s:a:1 language=eng in.mp4";
    ffmpeg(folder, &text.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_size_can_be_chosen() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    for (size, width, height, aspect) in
        [("100x60", 100, 60, "4:5"), ("96p", 128, 96, "1:1"), ("3x", 192, 144, "1:1"), ("0.5x", 32, 24, "1:1")]
    {
        run_in(folder.path(), ["-y", "-q", "--size", size, "in.mp4", "out.mp4"]).expect_ok();
        let probed = probe(&folder.path().join("out.mp4"));
        let video = streams(&probed, "video")[0];
        assert_eq!((video["width"].as_i64(), video["height"].as_i64()), (Some(width), Some(height)), "{size}");
        assert_eq!(video["sample_aspect_ratio"], aspect, "{size}");
    }
    run_in(folder.path(), ["--size", "big", "in.mp4", "out.mp4", "-y"]).expect_usage("expected a size");
}

#[test]
fn a_row_or_column_that_is_added_is_said() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    for (size, output, padded) in
        [("33x24", "out.mp4", Some(34)), ("33x24", "out.webm", None), ("32x24", "out.mkv", None)]
    {
        let outcome = run_in(folder.path(), ["-y", "--size", size, "in.mp4", output]).expect_ok();
        assert_eq!(outcome.stderr.contains("a row or column is added"), padded.is_some(), "{}", outcome.stderr);
        let probed = probe(&folder.path().join(output));
        let width = padded.unwrap_or(if size == "33x24" { 33 } else { 32 });
        assert_eq!(streams(&probed, "video")[0]["width"], width, "{output}");
    }
}

#[test]
fn a_part_can_be_chosen() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    for extension in ["mp4", "mkv"] {
        let name = format!("out.{extension}");
        run_in(folder.path(), ["-y", "-q", "--start", "0.52", "--duration", "0:01", "in.mp4", &name]).expect_ok();
        let output = folder.path().join(&name);
        let times = read::times(&output);
        assert_eq!((times.len(), times[0].mseconds(), times[24].mseconds()), (25, 0, 960), "{extension}");
        let sound = read::sound_duration(&output);
        assert!((0.95..=1.1).contains(&sound), "{sound} s of sound in .{extension}");
    }
}

#[test]
fn streams_can_be_chosen() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let languages = |args: &[&str]| -> Vec<String> {
        run_in(folder.path(), [&["-y", "-q", "in.mp4", "out.mkv"], args].concat()).expect_ok();
        let probed = probe(&folder.path().join("out.mkv"));
        streams(&probed, "audio").into_iter().filter_map(|stream| tag(stream, "language")).collect()
    };
    assert_eq!(languages(&[]), ["deu", "eng"]);
    assert_eq!(languages(&["--audio-streams", "de"]), ["deu"]);
    assert_eq!(languages(&["--audio-streams", "2"]), ["eng"]);
    assert_eq!(languages(&["--audio", "none"]), [""; 0]);
    run_in(folder.path(), ["--audio-streams", "3", "in.mp4", "x.mkv"]).expect_failure(2, "there is no stream 3");
    run_in(folder.path(), ["--video-stream", "2", "in.mp4", "x.mkv"]).expect_failure(2, "has 1 video streams");
    run_in(folder.path(), ["-y", "-q", "--audio", "opus", "in.mp4", "out.mkv"]).expect_ok();
    let probed = probe(&folder.path().join("out.mkv"));
    assert!(streams(&probed, "audio").iter().all(|stream| stream["codec_name"] == "opus"));
}

#[test]
fn encoders_go_by_their_usual_names() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    for (encoder, codec) in [
        ("h264", "h264"),
        ("h265", "hevc"),
        ("av1", "av1"),
        ("vp9", "vp9"),
        ("vp8", "vp8"),
        ("ffv1", "ffv1"),
        ("mpeg4", "mpeg4"),
    ] {
        run_in(folder.path(), ["-y", "-q", "--duration", "0.4", "--encoder", encoder, "in.mp4", "out.mkv"]).expect_ok();
        let output = folder.path().join("out.mkv");
        assert_eq!(streams(&probe(&output), "video")[0]["codec_name"], codec);
        assert_eq!(read::times(&output).len(), 10, "{encoder}");
    }
    let size = |crf: &str| {
        run_in(folder.path(), ["-y", "-q", "--audio", "none", "--crf", crf, "in.mp4", "out.mp4"]).expect_ok();
        std::fs::metadata(folder.path().join("out.mp4")).unwrap().len()
    };
    assert!(size("10") > 2 * size("40"));
    run_in(folder.path(), ["--encoder-options", "nonsense=1", "in.mp4", "x.mp4"])
        .expect_failure(2, "has no option nonsense");
    run_in(folder.path(), ["--encoder-options", "nonsense", "in.mp4", "x.mp4"])
        .expect_failure(2, "expected name=value");
}

#[test]
fn many_files_go_into_a_folder_and_a_bad_one_stops_none() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    clip(&folder.path().join("in"));
    std::fs::rename(folder.path().join("in/in.mp4"), folder.path().join("in/a.mp4")).unwrap();
    std::fs::copy(folder.path().join("in/a.mp4"), folder.path().join("in/c.mp4")).unwrap();
    std::fs::write(folder.path().join("in/b.mp4"), b"nothing of that kind").unwrap();
    std::fs::write(folder.path().join("in/notes.txt"), b"text").unwrap();
    ffmpeg(&folder.path().join("in"), &["-i", "a.mp4", "-c", "copy", "a.mkv"]);
    let args = ["--duration", "0.2", "--model", "lanczos2x", "in", "out"];
    let outcome = run_in(folder.path(), args).expect_failure(1, "3 of 4 files upscaled, 0 of them damaged, 1 failed");
    assert!(outcome.stderr.contains("in/b.mp4: "), "{}", outcome.stderr);
    assert_eq!(names(&folder.path().join("out")), ["a.mkv", "a.mp4", "c.mp4"]);
    let args = ["--duration", "0.2", "--format", "webm", "in/a.mp4", "in/a.mkv", "other/"];
    run_in(folder.path(), args).expect_ok();
    assert_eq!(names(&folder.path().join("other")), ["a.mkv.webm", "a.mp4.webm"]);
}

#[test]
fn pipes_and_fifos_are_read_and_written() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    ffmpeg(folder.path(), &["-i", "in.mp4", "-map", "0:v", "-c", "copy", "in.mkv"]);
    let bytes = std::fs::read(folder.path().join("in.mkv")).unwrap();
    for format in ["mkv", "webm", "mp4"] {
        let mut child = command()
            .args(["-q", "--model", "lanczos2x", "--preset", "ultrafast", "--format", format, "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{format}");
        let path = folder.path().join("piped");
        std::fs::write(&path, output.stdout).unwrap();
        assert_eq!(read::times(&path).len(), 50, "{format}");
    }
    let fifo = folder.path().join("fifo.mkv");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let into = fifo.clone();
    let bytes = std::fs::read(folder.path().join("in.mkv")).unwrap();
    let writer = std::thread::spawn(move || std::fs::write(into, bytes));
    upscale(&fifo, &folder.path().join("from-fifo.mp4"), &["--model", "lanczos2x"]).expect_ok();
    writer.join().unwrap().unwrap();
    assert_eq!(read::times(&folder.path().join("from-fifo.mp4")).len(), 50);
}

#[test]
fn animations_are_written_and_gifs_are_read_once() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    for name in ["out.gif", "out.avif"] {
        run_in(folder.path(), ["-q", "--duration", "0.4", "in.mp4", name]).expect_ok();
        // Later versions of FFmpeg read the first picture of AVIF alone.
        let frames = read::times(&folder.path().join(name)).len();
        assert!(frames == 10 || frames == 1 && name == "out.avif", "{frames} frames in {name}");
    }
    // FFmpeg cannot read animated WebP; its own header says that there is an animation.
    run_in(folder.path(), ["-q", "--duration", "0.4", "in.mp4", "out.webp"]).expect_ok();
    let webp = std::fs::read(folder.path().join("out.webp")).unwrap();
    assert_eq!((&webp[8..16], webp[20] & 2), (&b"WEBPVP8X"[..], 2));
    // Frames that are the same are one.
    assert!((5..=10).contains(&webp.windows(4).filter(|name| name == b"ANMF").count()));
    run_in(folder.path(), ["out.webp", "x.mp4"]).expect_failure(1, "animated WebP cannot be read");
    // This GIF says that it is to be shown for ever.
    run_in(folder.path(), ["-q", "out.gif", "again.mp4"]).expect_ok();
    assert_eq!(read::times(&folder.path().join("again.mp4")).len(), 10);
    ffmpeg(folder.path(), &["-i", "in.mp4", "-frames:v", "1", "photo.png"]);
    for name in ["photo-x2.webp", "photo-x2.avif", "photo-x2.jpg"] {
        run_in(folder.path(), ["-q", "photo.png", name]).expect_ok();
        let probed = probe(&folder.path().join(name));
        assert_eq!(streams(&probed, "video")[0]["width"], 128, "{name}");
    }
}

#[test]
fn progress_can_be_read_by_programs() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let outcome =
        run_in(folder.path(), ["--progress", "json", "--model", "lanczos2x", "in.mp4", "out.mp4"]).expect_ok();
    let lines: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["frames"], &last["total"], &last["done"]), (&50.into(), &50.into(), &true.into()));
    assert!(lines.iter().all(|line| line["frames"].as_u64() <= line["total"].as_u64()));
}

#[test]
fn comparing_makes_a_picture_and_a_page() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    run_in(folder.path(), ["-q", "in.mp4", "out.mkv"]).expect_ok();
    let outcome = run_in(folder.path(), ["compare", "in.mp4", "out.mkv"]).expect_ok();
    assert!(outcome.stderr.contains("4 frames: out-compare.png and out-compare.html"), "{}", outcome.stderr);
    let probed = probe(&folder.path().join("out-compare.png"));
    let sheet = streams(&probed, "video")[0];
    assert_eq!((sheet["width"].as_i64(), sheet["height"].as_i64()), (Some(2 * 128), Some(4 * 96)));
    let page = std::fs::read_to_string(folder.path().join("out-compare.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 8);
    assert!(!page.contains("http"), "the page needs nothing else");
    run_in(folder.path(), ["compare", "in.mp4", "out.mkv"]).expect_failure(1, "exists: add -y");
    run_in(folder.path(), ["compare", "-y", "--at", "0.5,1", "in.mp4", "out.mkv"]).expect_ok();
}

#[test]
fn on_a_terminal_there_is_one_bar_as_wide_as_the_terminal() {
    if !can_run() || Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let program = command().get_program().to_string_lossy().into_owned();
    let run = format!("stty rows 20 cols 50; exec '{program}' --model lanczos2x in.mp4 out.mp4");
    let output = Command::new("script").args(["-qec", &run, "/dev/null"]).current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace("\x1b[2K", "").replace("\x1b[1A", "");
    let bars: Vec<&str> =
        text.split(['\r', '\n']).filter(|line| line.contains('%') && !line.contains("gst-upscale: ")).collect();
    assert!(output.status.success() && !bars.is_empty(), "{text}");
    assert!(bars.iter().all(|bar| bar.contains(" of 50 frames") && bar.chars().count() <= 50), "{bars:?}");
    assert!(!text.contains("0/0"), "{text}");
    assert!(text.contains("out.mp4: 50 frames"), "{text}");
}

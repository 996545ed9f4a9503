//! Segments: planned, run and joined they give what an uninterrupted run gives; whatever is damaged or foreign is refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::have_runtime;
use crate::probe::{ffmpeg, have_programs, packets, probe, streams, tag};
use crate::read;
use crate::run::{Outcome, names, run_in};

pub fn can_run() -> bool {
    have_runtime() && have_programs(&["ffmpeg", "ffprobe"])
}

/// Six seconds with sound, subtitles, a chapter and a title, and a key frame each second.
pub fn film(folder: &Path, name: &str, x264: &str) {
    fs::write(
        folder.join("in.srt"),
        "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:04,000 --> 00:00:05,000\nBye\n",
    )
    .unwrap();
    fs::write(
        folder.join("in.txt"),
        ";FFMETADATA1\ntitle=Film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=3000\ntitle=One\n",
    )
    .unwrap();
    let text = if name.ends_with("mkv") { "subrip" } else { "mov_text" };
    let args = format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=6 -f lavfi -i sine=d=6 -i in.srt -f ffmetadata -i in.txt -map 0 -map 1 -map 2 \
         -map_metadata 3 -c:v libx264 -bf 3 -g 25 -x264-params {x264} -c:a aac -c:s {text} {name}"
    );
    ffmpeg(folder, &args.split_whitespace().collect::<Vec<_>>());
}

pub fn plan(folder: &Path, args: &str) -> Outcome {
    let args = format!("segments plan --model lanczos2x --length 1 {args}");
    run_in(folder, args.split_whitespace())
}

pub fn segments(folder: &Path, args: &str) -> Outcome {
    run_in(folder, format!("segments {args}").split_whitespace())
}

/// Upscales all segments, the last one first.
pub fn run_all(folder: &Path, count: usize) {
    for number in (0..count).rev() {
        segments(folder, &format!("run -q parts {number}")).expect_ok();
    }
}

/// A hash of each decoded frame, with its time.
pub fn frames(path: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path).args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    let output = command.args(["-f", "framemd5", "-"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails the test unless both files have the same streams, and the same packets in all of them but the video.
fn assert_same_rest(whole: &Path, joined: &Path) {
    let (whole, joined) = (probe(whole), probe(joined));
    let (from, to) = (whole["streams"].as_array().unwrap(), joined["streams"].as_array().unwrap());
    assert_eq!(from.len(), to.len());
    for (from, to) in from.iter().zip(to) {
        let fields = ["codec_name", "width", "height", "pix_fmt", "color_space", "color_range", "r_frame_rate"];
        for field in fields.into_iter().chain(["time_base", "avg_frame_rate", "sample_aspect_ratio", "disposition"]) {
            assert_eq!(from[field], to[field], "{field}");
        }
        if from["codec_type"] != "video" {
            assert_eq!(packets(&whole, from), packets(&joined, to));
        }
    }
    assert_eq!(whole["chapters"], joined["chapters"]);
    assert_eq!(tag(&whole["format"], "title"), tag(&joined["format"], "title"));
    assert_eq!(streams(&joined, "audio").len(), 1);
}

#[test]
fn joined_segments_are_what_an_uninterrupted_run_gives() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // With open groups of pictures, frames that are shown before a key frame come after it in the file.
    let open = ("in.mkv", "open-gop=1:b-pyramid=normal");
    let closed = ("in.mp4", "scenecut=0");
    for ((input, x264), output, encoder) in
        [(open, "out.mkv", "ffv1"), (open, "out.mp4", "h264"), (closed, "out.mkv", "h264"), (closed, "out.mov", "h264")]
    {
        film(folder.path(), input, x264);
        let format = output.rsplit('.').next().unwrap();
        let what = format!("{input} {output} {encoder}");
        let args = format!("--encoder {encoder} --model lanczos2x -y -q {input} {output}");
        run_in(folder.path(), args.split_whitespace()).expect_ok();
        plan(folder.path(), &format!("--encoder {encoder} --format {format} {input} parts")).expect_ok();
        run_all(folder.path(), 6);
        segments(folder.path(), &format!("join parts joined.{format} -y")).expect_ok();
        let (whole, joined) = (path(output), path(&format!("joined.{format}")));
        if encoder == "ffv1" {
            assert_eq!(frames(&whole), frames(&joined), "{what}");
        }
        assert_eq!(read::times(&whole), read::times(&joined), "{what}");
        assert_eq!(read::times(&joined).len(), 150, "{what}");
        assert_same_rest(&whole, &joined);
        fs::remove_dir_all(path("parts")).unwrap();
    }
}

#[test]
fn a_segment_is_run_once_and_status_tells() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    film(folder.path(), "in.mkv", "scenecut=0");
    plan(folder.path(), "in.mkv parts").expect_ok();
    let outcome = segments(folder.path(), "status parts");
    assert_eq!(outcome.code, Some(75));
    assert_eq!(outcome.stdout, "0 of 6 segments are done, 0 running\nnot done: 0-5\n");
    segments(folder.path(), "run parts 2").expect_ok();
    let written = fs::metadata(folder.path().join("parts/00002.mkv")).unwrap().modified().unwrap();
    let again = segments(folder.path(), "run parts 2").expect_ok();
    assert!(again.stderr.contains("segment 2 is done already"), "{}", again.stderr);
    assert_eq!(fs::metadata(folder.path().join("parts/00002.mkv")).unwrap().modified().unwrap(), written);
    assert_eq!(segments(folder.path(), "status parts --missing").stdout, "0-1,3-5\n");
    segments(folder.path(), "join parts out.mkv").expect_failure(75, "segment 0 is not done yet");
    segments(folder.path(), "run parts 6").expect_failure(2, "there is no 6");
    // The same plan again is no other; a different one is.
    plan(folder.path(), "in.mkv parts --workers 2").expect_ok();
    assert_eq!(segments(folder.path(), "status parts --missing").stdout, "0-1,3-5\n");
    plan(folder.path(), "in.mkv parts --crf 30").expect_failure(1, "the settings are others");
    assert!(!names(folder.path()).contains(&"out.mkv".to_owned()));
}

#[test]
fn two_processes_do_not_run_the_same_segment() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    film(folder.path(), "in.mkv", "scenecut=0");
    plan(folder.path(), "in.mkv parts").expect_ok();
    let lock = fs::File::create(folder.path().join("parts/00001.lock")).unwrap();
    lock.lock().unwrap();
    segments(folder.path(), "run parts 1").expect_failure(75, "another process works on segment 1");
    assert!(segments(folder.path(), "status parts").stdout.contains("1 running"));
    drop(lock);
    segments(folder.path(), "run parts 1").expect_ok();
}

#[test]
fn damaged_and_foreign_segments_are_refused_by_name() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("parts").join(name);
    film(folder.path(), "in.mkv", "scenecut=0");
    plan(folder.path(), "in.mkv parts --crf 30").expect_ok();
    run_all(folder.path(), 6);
    fs::rename(folder.path().join("parts"), folder.path().join("foreign")).unwrap();
    plan(folder.path(), "in.mkv parts").expect_ok();
    run_all(folder.path(), 6);
    let (video, record) = (fs::read(path("00003.mkv")).unwrap(), fs::read(path("00003.json")).unwrap());
    let refused = |text: &str| {
        segments(folder.path(), "join parts out.mkv").expect_failure(1, text);
        assert!(!names(folder.path()).contains(&"out.mkv".to_owned()), "{text}");
        // What was refused is made again.
        segments(folder.path(), "run parts 3").expect_ok();
        segments(folder.path(), "join parts out.mkv -y -q").expect_ok();
        fs::remove_file(folder.path().join("out.mkv")).unwrap();
    };
    fs::write(path("00003.mkv"), &video[..video.len() / 2]).unwrap();
    refused("segment 3 cannot be joined: parts/00003.mkv is truncated");
    let mut flipped = fs::read(path("00003.mkv")).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(path("00003.mkv"), flipped).unwrap();
    refused("parts/00003.mkv is damaged");
    fs::write(path("00003.json"), &record[..record.len() / 2]).unwrap();
    refused("parts/00003.json is damaged");
    for (from, to) in [("parts/00004", "parts/00003"), ("foreign/00003", "parts/00003")] {
        for extension in ["mkv", "json"] {
            let name = |stem: &str| folder.path().join(format!("{stem}.{extension}"));
            fs::copy(name(from), name(to)).unwrap();
        }
        refused("parts/00003.mkv belongs to another run or has another number");
    }
    fs::remove_file(path("00003.mkv")).unwrap();
    refused("parts/00003.mkv is missing");
}

#[test]
fn a_damaged_manifest_and_a_changed_input_are_refused() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    film(folder.path(), "in.mkv", "scenecut=0");
    plan(folder.path(), "in.mkv parts").expect_ok();
    run_all(folder.path(), 6);
    let manifest = folder.path().join("parts/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for (from, to, why) in [
        ("\"frames\": 25", "\"frames\": 24", "manifest.json is damaged"),
        ("\"version\": 1", "\"version\": 2", "manifest.json has version 2: this program reads 1"),
        ("{", "", "manifest.json is damaged"),
    ] {
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        segments(folder.path(), "run parts 0").expect_failure(1, why);
        segments(folder.path(), "join parts out.mkv").expect_failure(1, why);
    }
    fs::write(&manifest, &text).unwrap();
    let mut bytes = fs::read(folder.path().join("in.mkv")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("in.mkv"), &bytes).unwrap();
    segments(folder.path(), "join parts out.mkv").expect_failure(1, "in.mkv has changed");
    bytes.push(0);
    fs::write(folder.path().join("in.mkv"), &bytes).unwrap();
    segments(folder.path(), "run parts 0").expect_failure(1, "in.mkv has changed");
    segments(folder.path(), "run parts 0 --input nowhere.mkv").expect_failure(1, "cannot open nowhere.mkv");
}

#[test]
fn what_cannot_be_cut_is_refused() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    film(folder.path(), "in.mkv", "scenecut=0");
    plan(folder.path(), "--deinterlace in.mkv parts").expect_failure(2, "cannot be deinterlaced");
    plan(folder.path(), "--plan plan.json in.mkv parts").expect_failure(2, "not for segments");
    plan(folder.path(), "--format gif in.mkv parts").expect_failure(1, "cannot be joined");
    plan(folder.path(), "--format mp4 --strict --encoder ffv1 in.mkv parts").expect_failure(2, "cannot hold");
    assert!(!names(folder.path()).contains(&"parts".to_owned()));
}

#[test]
fn frames_that_need_more_than_the_key_frame_before_them_are_the_same() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = "-f lavfi -i testsrc2=s=64x48:r=25:d=4";
    for (name, encoder) in [
        ("refresh.mkv", "libx264 -bf 0 -x264-params intra-refresh=1:keyint=25"),
        ("open.ts", "libx264 -bf 3 -g 25 -x264-params open-gop=1"),
        ("hidden.webm", "libvpx -g 25 -auto-alt-ref 1 -lag-in-frames 16"),
    ] {
        ffmpeg(folder.path(), &format!("{source} -c:v {encoder} {name}").split_whitespace().collect::<Vec<_>>());
        let args = ["-q", "-y", "--model", "lanczos2x", "--encoder", "ffv1", name];
        run_in(folder.path(), args.into_iter().chain(["whole.mkv"])).expect_ok();
        run_in(folder.path(), args.into_iter().chain(["out.mkv", "--resume=1s"])).expect_ok();
        assert_eq!(frames(&folder.path().join("whole.mkv")), frames(&folder.path().join("out.mkv")), "{name}");
    }
}

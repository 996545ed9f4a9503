//! Real clips by other people, from the shared test data.

use std::path::Path;

use serde_json::Value;

use crate::common::{have_runtime, shared_data};
use crate::probe::{self, have_programs, mkvinfo, probe, ratio, streams};
use crate::read::{self, assert_same_times, tolerance};
use crate::run::upscale;

/// All clips, with the seconds that are taken: encoders take their time.
const CLIPS: &[(&str, &str)] = &[
    ("androidx/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4", "0.5"),
    ("androidx/bear-vp9-odd-dimensions.webm", "60"),
    ("androidx/roadtrip-vp92-10bit.webm", "60"),
    ("androidx/sample_with_increasing_timestamps_360p.mp4", "1"),
    ("androidx/silent-black-25s.mp4", "3"),
    ("derived/kodim05_slow_fade_lossless_vp9.webm", "1"),
    ("derived/kodim08_static_lossless_vp9.webm", "60"),
    ("derived/sintel240_on_twos_lossless_vp9.webm", "60"),
    ("derived/sintel360_on_twos_h264.mp4", "1"),
    ("fly-pie/video1.webm", "60"),
    ("intel/bottle-detection.mp4", "1"),
    ("interlace-patterns/bt601-525_480_interlaced_tff.mkv", "0.5"),
    ("test-videos-co-uk/Big_Buck_Bunny_1080_10s_1MB.mp4", "0.1"),
    ("test-videos-co-uk/Big_Buck_Bunny_360_10s_1MB.mp4", "1"),
    ("test-videos-co-uk/Sintel_360_10s_1MB.mp4", "1"),
    ("test-videos-co-uk/Sintel_720_10s_1MB.mp4", "0.2"),
    ("vhs/neofetch.mp4", "0.4"),
    ("vhs/neofetch.webm", "0.4"),
];

/// Whole clips, so that a last frame that is lost is seen.
const WHOLE: &str = "60";

#[test]
fn real_clips_are_kept_in_mp4() {
    check_clips("mp4");
}

#[test]
fn real_clips_are_kept_in_matroska() {
    check_clips("mkv");
}

#[test]
fn real_clips_are_kept_in_webm() {
    check_clips("webm");
}

fn check_clips(extension: &str) {
    if !have_runtime() || !have_programs(&["ffprobe", "mkvinfo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (clip, seconds) in CLIPS {
        let Some(input) = shared_data(&format!("clips/{clip}")) else { continue };
        let (source, times) = (probe(&input), read::times(&input));
        let limit: f64 = seconds.parse().expect("a number");
        let times: Vec<_> = times.into_iter().filter(|time| (time.nseconds() as f64) < limit * 1e9 - 1e3).collect();
        let what = format!("{clip} to .{extension}");
        let output = folder.path().join(format!("out.{extension}"));
        let mut args = vec!["-y", "-q", "--model", "lanczos2x", "--size", "0.5x"];
        if *seconds != WHOLE {
            args.extend(["--duration", seconds]);
        }
        if clip.contains("interlaced") {
            args.push("--deinterlace");
        }
        upscale(&input, &output, &args).expect_ok();
        let result = probe(&output);
        // Of VP9 frames that are hidden in others ffprobe gives times that differ by up to a millisecond.
        let tolerance = tolerance(&output).max(gst::ClockTime::from_useconds(1001));
        assert_same_times(&times, &read::times(&output), tolerance, &what);
        check_video(&source, &result, &what);
        check_sound(&source, &result, *seconds == WHOLE, &what);
        if extension != "mp4" {
            check_matroska(&output, &result);
        }
    }
}

/// Colour, pixel aspect, tags.
fn check_video(source: &Value, result: &Value, what: &str) {
    let (from, to) = (streams(source, "video")[0], streams(result, "video")[0]);
    for field in ["color_space", "color_transfer", "color_primaries"] {
        // What players guess by the size is said where the size changes the guess.
        let is_said = from[field].as_str().is_some_and(|value| value != "unknown");
        assert!(!is_said || from[field] == to[field], "{field} of {what}: {} became {}", from[field], to[field]);
    }
    let range = |stream: &Value| stream["color_range"].as_str() == Some("pc");
    assert_eq!(range(from), range(to), "range of {what}");
    let aspect = |stream: &Value| {
        let aspect = stream["sample_aspect_ratio"].as_str().unwrap_or("1:1").replace(':', "/");
        ratio(&Value::from(aspect))
    };
    assert!((aspect(from) / aspect(to) - 1.0).abs() < 0.01, "pixel aspect of {what}");
    // MP4 has a default of each kind in any case.
    assert!(from["disposition"]["default"] == 0 || to["disposition"]["default"] == 1, "{what}");
    let language = |stream| probe::tag(stream, "language").filter(|language| language != "und");
    assert_eq!(language(from), language(to), "{what}");
}

/// Copied sound is the same to the byte; sound that was re-encoded is still there.
fn check_sound(source: &Value, result: &Value, whole: bool, what: &str) {
    let (from, to) = (streams(source, "audio"), streams(result, "audio"));
    assert_eq!(from.len(), to.len(), "{what}");
    for (from, to) in from.iter().zip(to) {
        let (before, after) = (probe::packets(source, from), probe::packets(result, to));
        if from["codec_name"] == to["codec_name"] && whole {
            assert!(before == after, "packets of sound of {what}");
        } else if from["codec_name"] == to["codec_name"] {
            assert!(!after.is_empty() && before.windows(after.len()).any(|part| part == after), "{what}");
        } else {
            assert_eq!(to["codec_name"], "opus", "{what}");
        }
    }
}

/// mkvinfo sees the same tracks, and the duration of a frame where all take as long.
fn check_matroska(path: &Path, result: &Value) {
    let text = mkvinfo(path);
    let tracks = text.matches("| + Track\n").count();
    assert_eq!(tracks, result["streams"].as_array().unwrap().len(), "{text}");
    assert!(text.contains("Duration:"), "{text}");
}

#[test]
fn an_interlaced_clip_is_refused_or_made_progressive() {
    if !have_runtime() || !have_programs(&["ffprobe", "ffmpeg"]) {
        return;
    }
    let Some(input) = shared_data("clips/interlace-patterns/bt601-525_480_interlaced_tff.mkv") else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mkv");
    upscale(&input, &output, &[]).expect_failure(1, "interlaced: add --deinterlace");
    for (how, frames) in [("--deinterlace", 30), ("--deinterlace=double", 60)] {
        upscale(&input, &output, &["-y", "--duration", "1.001", "--model", "lanczos2x", how]).expect_ok();
        assert_eq!(read::times(&output).len(), frames, "{how}");
        let video = probe(&output);
        assert_eq!(streams(&video, "video")[0]["field_order"], "progressive");
        // Lines that belong to different moments differ from their neighbours as no picture does.
        let combed = read::combed_share(&output);
        assert!(combed < 0.02, "{how}: {combed} of the lines are combed");
        assert_eq!(streams(&video, "audio").len(), 1, "{how}");
    }
    upscale(&input, &output, &["-y", "--duration", "1.001", "--model", "lanczos2x", "--deinterlace=off"]).expect_ok();
    assert!(read::combed_share(&output) > 0.02, "the measure sees what is combed");
}

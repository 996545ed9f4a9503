//! Real clips by other people, from the shared test data.

use crate::common::{have_runtime, shared_data};
use crate::read::{self, assert_same_times, tolerance};
use crate::run::upscale;

/// Small ones, one of each kind: odd size, 10 bits, anamorphic, irregular times, with sound.
const CLIPS: &[&str] = &[
    "androidx/bear-vp9-odd-dimensions.webm",
    "androidx/roadtrip-vp92-10bit.webm",
    "androidx/silent-black-25s.mp4",
    "derived/kodim08_static_lossless_vp9.webm",
    "derived/sintel240_on_twos_lossless_vp9.webm",
];

#[test]
fn real_clips_keep_their_frames_and_sound() {
    if !have_runtime() || !read::have_ffprobe() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for clip in CLIPS {
        let Some(input) = shared_data(&format!("clips/{clip}")) else { continue };
        let (expected, sound) = (read::times(&input), read::sound(&input));
        for extension in ["mp4", "mkv", "webm"] {
            let what = format!("{clip} to .{extension}");
            let output = folder.path().join(format!("out.{extension}"));
            upscale(&input, &output, &["-y"]).expect_ok();
            // Of VP9 frames that are hidden in others ffprobe and GStreamer give times that differ by up to a millisecond.
            let tolerance = tolerance(&output).max(gst::ClockTime::from_useconds(1001));
            assert_same_times(&expected, &read::times(&output), tolerance, &what);
            if extension == "mp4" {
                assert_eq!(read::sound(&output), sound, "{what}");
            }
        }
    }
}

#[test]
fn an_interlaced_clip_is_refused() {
    if !have_runtime() {
        return;
    }
    let Some(input) = shared_data("clips/interlace-patterns/bt601-525_480_interlaced_tff.mkv") else { return };
    let folder = tempfile::tempdir().unwrap();
    upscale(&input, &folder.path().join("out.mp4"), &[]).expect_failure(1, "interlaced: add --deinterlace");
}

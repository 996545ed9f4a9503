//! The element in other programs: players, editors and servers, in C and in Python.
//!
//! Each program in `tests/hosts/` checks the number, size and order of its frames, and the bus. These tests check that it exits with 0 and
//! prints no warning. The programs need packages that `script/setup --test` installs.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::process::{Ended, program, run};
use common::{have, have_runtime};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts");
const PYGOBJECT: &str = "PyGObject (python3-gi, gir1.2-gstreamer-1.0)";

/// A Python that has PyGObject, which often only the system's Python has.
fn python() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    let has = |python: &&str| {
        let output = Command::new(python).args(["-c", "import gi; gi.require_version('Gst', '1.0')"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    *FOUND.get_or_init(|| ["python3", "/usr/bin/python3"].into_iter().find(has))
}

fn have_element(name: &str) -> bool {
    let mut command = program("gst-inspect-1.0");
    run(command.args(["--exists", "--atleast-version=0.0.0", name])).code == Some(0)
}

/// Runs `tests/hosts/NAME.py`, unless one of the `elements` or typelibs (`NAME-VERSION`) is missing.
fn host(name: &str, typelibs: &[&str], elements: &[&str]) {
    if !have(PYGOBJECT, python().is_some()) || !have_runtime() {
        return;
    }
    let python = python().expect("PyGObject was found");
    let typelib = |name: &&str| {
        let (name, version) = name.split_once('-').expect("name and version");
        let code = format!("import gi; gi.require_version('{name}', '{version}')");
        !Command::new(python).args(["-c", &code]).output().expect("Python starts").status.success()
    };
    let missing = typelibs.iter().copied().find(typelib).or(elements.iter().copied().find(|name| !have_element(name)));
    if !have(missing.unwrap_or_default(), missing.is_none()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ended = run(script(python, &Path::new(HERE).join(name).with_extension("py")).arg(folder.path()));
    let Ended { stdout, .. } = ended.expect_clean();
    print!("{stdout}");
    assert!(!stdout.is_empty(), "the program prints its result");
}

fn script(python: &str, file: &Path) -> Command {
    let mut command = program(python);
    // -B: no compiled files next to the sources.
    command.arg("-B").arg(file).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command
}

#[test]
fn playbin_with_a_video_filter() {
    host("playbin", &[], &["playbin3", "x264enc", "avenc_aac"]);
}

#[test]
fn uridecodebin3_and_a_seek() {
    host("uridecodebin3", &[], &["uridecodebin3", "x264enc"]);
}

#[test]
fn an_effect_in_a_timeline() {
    host("ges", &["GES-1.0"], &["x264enc"]);
}

#[test]
fn rtsp_live_from_server_to_client() {
    host("rtsp", &["GstRtspServer-1.0"], &["rtspsrc", "x264enc"]);
}

#[test]
fn rtp_with_packet_loss() {
    host("rtp", &[], &["rtpjitterbuffer", "x264enc"]);
}

#[test]
fn srt_live() {
    host("srt", &[], &["srtsrc", "x264enc"]);
}

#[test]
fn hls_out() {
    host("hls", &[], &["hlssink2", "x264enc"]);
}

#[test]
fn webrtc_live() {
    host("webrtc", &["GstWebRTC-1.0"], &["webrtcbin", "nicesrc", "vp8enc"]);
}

/// A clip with this many frames and sound, in a temporary folder.
fn clip(frames: usize) -> Option<(tempfile::TempDir, PathBuf)> {
    if !have(PYGOBJECT, python().is_some()) || !have_runtime() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = script(python()?, &Path::new(HERE).join("clip.py"));
    run(command.arg(folder.path()).arg(frames.to_string())).expect_clean();
    let path = folder.path().join("clip.mp4");
    Some((folder, path))
}

#[test]
fn gst_play_with_the_element_in_its_sink() {
    // gst-play has no option for a filter, but its sink may be a chain of elements.
    let is_installed = Command::new("gst-play-1.0").arg("--version").output().is_ok();
    let Some((folder, clip)) = have("gst-play-1.0", is_installed).then(|| clip(25)).flatten() else { return };
    for player in [&[][..], &["--use-playbin3"]] {
        let plan = folder.path().join("plan.json");
        let chain = format!(
            "upscalefilter model=lanczos2x plan-location={} ! video/x-raw,width=320,height=180 ! fakesink sync=true",
            plan.display()
        );
        let mut command = program("gst-play-1.0");
        command.args(["--no-interactive", "--audiosink=fakesink", "--videosink", &chain]).args(player).arg(&clip);
        let ended = run(&mut command).expect_clean();
        assert!(ended.stdout.contains("Reached end of play list."), "{}", ended.stdout);
        let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
        assert_eq!(plan["stats"]["total_frames"], 25);
        std::fs::remove_file(folder.path().join("plan.json")).unwrap();
    }
}

#[test]
fn the_player_in_python() {
    let Some((_folder, clip)) = clip(40) else { return };
    let player = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/player.py");
    let python = python().expect("Python has made the clip");
    let ended = run(script(python, &player).arg(&clip).arg("lanczos2x")).expect_clean();
    assert!(ended.stdout.lines().last().is_some_and(|line| line.starts_with("40 frames, ")), "{}", ended.stdout);
    // An error is one line.
    let ended = run(script(python, &player).arg(clip.with_file_name("nothing.mp4")));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

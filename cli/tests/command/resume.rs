//! `--resume`: what was done before a run died is not done again, and the result is that of an uninterrupted run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::ending::{Random, kill};
use crate::read;
use crate::robust::clip;
use crate::run::{Outcome, command, names, run_in};
use crate::segments::{can_run, film, frames};

const LOSSLESS: &str = "--model lanczos2x --encoder ffv1 --resume=1s in.mkv out.mkv";

fn run(folder: &Path, args: &str) -> Outcome {
    run_in(folder, args.split_whitespace())
}

/// Starts a run; the receiver gets its messages, and is closed when it has ended.
fn start(folder: &Path, args: &str) -> (Child, Receiver<String>) {
    let mut command = command();
    command.current_dir(folder).args(args.split_whitespace()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, receiver)
}

/// Kills a run when it has finished so many segments.
fn kill_after(folder: &Path, args: &str, segments: usize, more: Duration) {
    let (mut child, lines) = start(folder, args);
    lines.iter().filter(|line| line.contains("frames in")).take(segments).for_each(drop);
    lines.recv_timeout(more).ok();
    kill(&child, "-KILL");
    child.wait().expect("it ends");
}

#[test]
fn a_run_that_is_killed_at_random_moments_goes_on_and_gives_the_same_frames() {
    if !can_run() {
        return;
    }
    let mut random = Random::seeded();
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "16", "in.mkv");
    run(folder.path(), "-q --model lanczos2x --encoder ffv1 in.mkv whole.mkv").expect_ok();
    for round in 0..12 {
        let more = Duration::from_millis((random.fraction() * 400.0) as u64);
        kill_after(folder.path(), LOSSLESS, round % 2, more);
        assert!(!names(folder.path()).contains(&"out.mkv".to_owned()), "round {round}");
    }
    let outcome = run(folder.path(), LOSSLESS).expect_ok();
    assert!(outcome.stderr.contains("segment 0 is done already"), "{}", outcome.stderr);
    assert_eq!(frames(&folder.path().join("whole.mkv")), frames(&folder.path().join("out.mkv")));
    assert_eq!(names(folder.path()), ["in.mkv", "out.mkv", "whole.mkv"]);
}

#[test]
fn a_resumed_run_keeps_all_streams_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    film(folder.path(), "in.mkv", "open-gop=1");
    let before = names(folder.path());
    let args = "--model lanczos2x --preset ultrafast --start 0.5 --duration 4 in.mkv";
    run(folder.path(), &format!("{args} whole.mp4")).expect_ok();
    let outcome = run(folder.path(), &format!("{args} out.mp4 --resume=1s")).expect_ok();
    assert!(!outcome.stderr.contains("damaged"), "{}", outcome.stderr);
    let (whole, out) = (folder.path().join("whole.mp4"), folder.path().join("out.mp4"));
    assert_eq!(read::times(&whole), read::times(&out));
    assert_eq!(read::sound(&whole), read::sound(&out));
    run(folder.path(), &format!("{args} out.mp4 --resume=1s")).expect_failure(1, "out.mp4 exists: add -y");
    let mut after: Vec<String> = before.into_iter().chain(["out.mp4".into(), "whole.mp4".into()]).collect();
    after.sort();
    assert_eq!(names(folder.path()), after);
}

#[test]
fn other_settings_or_another_input_start_anew_and_other_workers_do_not() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "4", "in.mkv");
    let damaged = folder.path().join("out.mkv.segments/00000.mkv");
    let args = "--model lanczos2x --preset ultrafast --resume=1s in.mkv out.mkv";
    // With the second segment in the way, a run fails after the first.
    let stop = |args: &str| {
        let way = folder.path().join("out.mkv.segments/00001.mkv");
        fs::create_dir_all(&way).unwrap();
        let outcome = run(folder.path(), args);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        fs::remove_dir(&way).unwrap();
        outcome.stderr
    };
    kill_after(folder.path(), args, 1, Duration::ZERO);
    let text = stop(&format!("--crf 30 {args}"));
    assert!(text.contains("starting anew, because the settings are others"), "{text}");
    assert!(stop(&format!("--crf 30 --workers 1 {args}")).contains("segment 0 is done already"));
    fs::write(&damaged, "").unwrap();
    assert!(stop(&format!("--crf 30 {args}")).contains("segment 0 is made again"));
    let text = stop(&format!("--crf 30 {}", args.replace("lanczos2x", "fast2x")));
    assert!(text.contains("starting anew, because the model is another one"), "{text}");
    clip(folder.path(), "5", "in.mkv");
    let outcome = run(folder.path(), args).expect_ok();
    assert!(outcome.stderr.contains("starting anew, because the input has changed"), "{}", outcome.stderr);
    assert_eq!(read::times(&folder.path().join("out.mkv")).len(), 125);
    assert_eq!(names(folder.path()), ["in.mkv", "out.mkv"]);
}

#[test]
fn two_runs_do_not_resume_at_once_and_a_foreign_folder_stays() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "2", "in.mkv");
    let parts = folder.path().join("out.mkv.segments");
    fs::create_dir(&parts).unwrap();
    let lock = fs::File::create(parts.join("run.lock")).unwrap();
    lock.lock().unwrap();
    run(folder.path(), LOSSLESS).expect_failure(75, "another process works on");
    drop(lock);
    fs::write(parts.join("diary.txt"), "mine").unwrap();
    run(folder.path(), LOSSLESS).expect_failure(1, "is no folder of segments");
    assert_eq!(fs::read_to_string(parts.join("diary.txt")).unwrap(), "mine");
    run(folder.path(), "--resume - out.mkv").expect_failure(2, "video files only");
}

#[test]
fn a_run_that_filled_the_disk_goes_on_when_there_is_room() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "8", "in.mkv");
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !mount("size=600k") {
        eprintln!("*** SKIPPED: no file system can be mounted here ***");
        return;
    }
    let args = LOSSLESS.replace("out.mkv", "disk/out.mkv");
    let full = run(folder.path(), &args);
    let has_room = mount("remount,size=20m");
    let (resumed, left) = (run(folder.path(), &args), names(&disk));
    let count = read::times(&disk.join("out.mkv")).len();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    full.expect_failure(75, "no space left for disk/out.mkv.segments");
    assert!(has_room && resumed.stderr.contains("segment 0 is done already"), "{}", resumed.stderr);
    assert_eq!((resumed.code, count, left), (Some(0), 200, vec!["out.mkv".to_owned()]));
}

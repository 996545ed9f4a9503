//! Damaged input, signals, full disks, closed pipes: what can be done is done, and the exit code tells.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::have_runtime;
use crate::probe::{ffmpeg, have_programs};
use crate::read;
use crate::run::{command, names, run_in};

fn can_run() -> bool {
    have_runtime() && have_programs(&["ffmpeg", "ffprobe"])
}

/// So many seconds of 25 frames, of which no two are the same.
pub fn clip(folder: &Path, seconds: &str, name: &str) {
    let source = format!("testsrc2=s=64x48:r=25:d={seconds}");
    ffmpeg(folder, &["-f", "lavfi", "-i", &source, "-c:v", "libx264", "-g", "25", name]);
}

#[test]
fn of_half_a_file_the_half_is_upscaled() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "8", "whole.mkv");
    ffmpeg(folder.path(), &["-i", "whole.mkv", "-c", "copy", "-movflags", "+faststart", "whole.mp4"]);
    for extension in ["mkv", "mp4"] {
        let (whole, half) = (folder.path().join(format!("whole.{extension}")), format!("half.{extension}"));
        let bytes = fs::read(whole).unwrap();
        fs::write(folder.path().join(&half), &bytes[..bytes.len() / 2]).unwrap();
        let args = ["-q", "-y", "--model", "lanczos2x", &half, "out.mp4"];
        let outcome = run_in(folder.path(), args).expect_failure(3, "is damaged");
        assert!(outcome.stderr.contains("of 8.0 s are missing"), "{}", outcome.stderr);
        let frames = read::times(&folder.path().join("out.mp4")).len();
        assert!((60..180).contains(&frames), "{frames} frames of half of .{extension}");
    }
}

#[test]
fn flipped_bytes_are_counted() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "4", "in.mkv");
    let mut bytes = fs::read(folder.path().join("in.mkv")).unwrap();
    let length = bytes.len();
    for place in (length / 3..length * 2 / 3).step_by(97) {
        bytes[place] ^= 0x55;
    }
    fs::write(folder.path().join("in.mkv"), bytes).unwrap();
    run_in(folder.path(), ["-q", "--model", "lanczos2x", "in.mkv", "out.mkv"]).expect_failure(3, "is damaged");
    assert!(read::times(&folder.path().join("out.mkv")).len() > 30);
}

#[test]
fn pictures_of_two_sizes_are_refused_or_fitted() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (index, size) in ["64x48", "48x64"].iter().enumerate() {
        let name = format!("{}.png", index + 1);
        ffmpeg(folder.path(), &["-f", "lavfi", "-i", &format!("testsrc2=s={size}"), "-frames:v", "1", &name]);
    }
    run_in(folder.path(), ["%d.png", "out.mp4"]).expect_failure(1, "changes from 64x48 to 48x64: add --fit");
    assert_eq!(names(folder.path()), ["1.png", "2.png"]);
    run_in(folder.path(), ["--fit", "%d.png", "out.mp4"]).expect_ok();
    assert_eq!(read::times(&folder.path().join("out.mp4")).len(), 2);
}

#[test]
fn what_no_encoder_takes_is_refused_in_words() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &["-f", "lavfi", "-i", "testsrc2=s=20000x2:d=0.08:r=25", "-c:v", "ffv1", "in.mkv"]);
    let outcome = run_in(folder.path(), ["-q", "--model", "lanczos2x", "in.mkv", "out.mp4"])
        .expect_failure(1, "cannot encode 40000x4");
    assert!(outcome.stderr.contains("try another --encoder or --size"), "{}", outcome.stderr);
    assert_eq!(names(folder.path()), ["in.mkv"]);
    run_in(folder.path(), ["-q", "--model", "lanczos2x", "--encoder", "ffv1", "in.mkv", "out.mkv"]).expect_ok();
}

#[test]
fn a_closed_or_full_stderr_does_no_harm() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "1", "in.mkv");
    let run = |stderr: Stdio, output: &str| {
        let status = command()
            .current_dir(folder.path())
            .args(["--model", "lanczos2x", "in.mkv", output])
            .stderr(stderr)
            .status()
            .unwrap();
        assert!(status.success(), "{output}: {status}");
        assert_eq!(read::times(&folder.path().join(output)).len(), 25);
    };
    run(File::options().write(true).open("/dev/full").unwrap().into(), "full.mp4");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    run(writer.into(), "closed.mp4");
}

#[test]
fn signals_that_were_to_be_ignored_stay_ignored() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "20", "in.mkv");
    for (signal, number) in [("-HUP", libc::SIGHUP), ("-INT", libc::SIGINT)] {
        let mut command = command();
        command.current_dir(folder.path()).args([
            "-y",
            "--progress",
            "json",
            "--model",
            "lanczos2x",
            "in.mkv",
            "out.mp4",
        ]);
        // As nohup does, and a shell with what it starts in the background.
        // SAFETY: signal may be called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::signal(number, libc::SIG_IGN);
                Ok(())
            });
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        lines.next().expect("work has begun").unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        lines.for_each(drop);
        assert!(child.wait().unwrap().success(), "{signal}");
        assert_eq!(read::times(&folder.path().join("out.mp4")).len(), 500);
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_stays() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "8", "in.mkv");
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1200k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("*** SKIPPED: no file system can be mounted here ***");
        return;
    }
    let results: Vec<_> = ["disk/out.mkv", "disk/out.mp4", "disk/%03d.png"]
        .map(|output| {
            let args = ["-q", "--model", "lanczos2x", "--size", "640x480", "--crf", "0", "in.mkv", output];
            let args: Vec<&str> = if output.ends_with("png") {
                args.iter().filter(|a| **a != "--crf" && **a != "0").copied().collect()
            } else {
                args.to_vec()
            };
            (run_in(folder.path(), args), names(&disk))
        })
        .into();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    for (outcome, left) in results {
        outcome.expect_failure(1, "no space left for disk");
        assert_eq!(left, [""; 0]);
    }
}

#[test]
fn memory_does_not_grow_with_the_length() {
    if !can_run() || !have_programs(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "20", "short.mkv");
    clip(folder.path(), "180", "long.mkv");
    let peak = |input: &str| {
        let mut child = command()
            .current_dir(folder.path())
            .args([
                "-y",
                "-q",
                "--model",
                "lanczos2x",
                "--preset",
                "ultrafast",
                "--duplicates",
                "off",
                input,
                "out.mkv",
            ])
            .spawn()
            .unwrap();
        let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
        let (mut status, id) = (0, child.id() as libc::pid_t);
        // SAFETY: both are written to; the child is ours, and nobody has waited for it.
        assert_eq!(unsafe { libc::wait4(id, &mut status, 0, &mut usage) }, id);
        child.try_wait().ok();
        assert_eq!(status, 0);
        usage.ru_maxrss
    };
    let (short, long) = (peak("short.mkv"), peak("long.mkv"));
    assert!(long * 10 < short * 12, "{short} kB for 500 frames, {long} kB for 4500");
}

#[test]
fn a_recording_whose_clock_starts_again_goes_on() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let part = |offset: &str, name: &str| {
        let args = format!(
            "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 -c:a aac -output_ts_offset {offset} {name}"
        );
        ffmpeg(folder.path(), &args.split_whitespace().collect::<Vec<_>>());
        fs::read(folder.path().join(name)).unwrap()
    };
    let both = [part("100", "a.ts"), part("0", "b.ts")].concat();
    fs::write(folder.path().join("in.ts"), both).unwrap();
    run_in(folder.path(), ["-q", "--model", "lanczos2x", "in.ts", "out.mkv"]).expect_ok();
    let times = read::times(&folder.path().join("out.mkv"));
    assert_eq!(times.len(), 100);
    assert!(times[99].mseconds() < 4300, "{}", times[99]);
    let steps: Vec<u64> = times.windows(2).map(|pair| pair[1].mseconds() - pair[0].mseconds()).collect();
    assert_eq!(steps.iter().filter(|step| **step == 40).count(), 99, "{steps:?}");
}

#[test]
fn a_video_that_is_shorter_than_its_sound_is_not_damaged() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["in.mp4", "in.mkv"] {
        let args = format!("-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=5 -c:v libx264 -c:a aac {name}");
        ffmpeg(folder.path(), &args.split_whitespace().collect::<Vec<_>>());
        for audio in ["copy", "none"] {
            run_in(folder.path(), ["-y", "--audio", audio, "--model", "lanczos2x", name, "out.mkv"]).expect_ok();
        }
    }
}

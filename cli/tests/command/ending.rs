//! Interruptions.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::common::have_runtime;
use crate::make::{self, have};
use crate::probe::have_programs;
use crate::read;
use crate::robust::clip;
use crate::run::{command, names, run_in};

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
    kill(&child, signal);
    let last = lines.last().unwrap_or_default();
    (child.wait().expect("it ends").code(), last)
}

pub fn kill(child: &Child, signal: &str) {
    // It may have ended already.
    Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status().expect("kill is there");
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

#[test]
fn a_signal_ends_the_opening_of_a_url_that_does_not_answer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut command = command();
    let mut child = command.current_dir(folder.path()).args([&url, "out.mkv"]).stderr(Stdio::null()).spawn().unwrap();
    let connection = listener.accept().unwrap();
    kill(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(connection);
    assert!(names(folder.path()).is_empty());
}

/// Random numbers of a seed.
pub struct Random(u64);

impl Random {
    /// The seed is printed; `UPSCALE_TEST_SEED` repeats it.
    pub fn seeded() -> Self {
        let seed = std::env::var("UPSCALE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("UPSCALE_TEST_SEED={seed}");
        Random(seed)
    }

    /// From 0 to 1, by SplitMix64.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Frames of the clip that is upscaled while killed.
const FRAMES: usize = 200;

/// Starts a run; the receiver gets its lines of progress, and is closed when it has ended.
fn start(folder: &Path, output: &str) -> (Child, Receiver<String>) {
    let mut command = command();
    command.current_dir(folder).args(["--model", "lanczos2x", "--progress", "json", "in.mkv", output]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the command starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, receiver)
}

/// Fails the test if something has the name of a result and is none.
fn check_complete(folder: &Path, what: &str) {
    for name in names(folder).iter().filter(|name| !name.starts_with('.') && *name != "in.mkv") {
        let path = folder.join(name);
        if name.ends_with(".png") {
            let bytes = std::fs::read(&path).expect("it can be read");
            assert!(bytes.ends_with(b"IEND\xAE\x42\x60\x82"), "{what}: half of {name}");
        } else {
            assert_eq!(read::times(&path).len(), FRAMES, "{what}: half of {name}");
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_no_half_result() {
    if !have_runtime() || !have_programs(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let mut random = Random::seeded();
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "8", "in.mkv");
    let begin = Instant::now();
    run_in(folder.path(), ["-q", "--model", "lanczos2x", "in.mkv", "out.mp4"]).expect_ok();
    let whole = begin.elapsed();
    let outputs = ["out.mp4", "out.mkv", "out.webm", "%03d.png"];
    for (round, output) in outputs.iter().cycle().take(16).enumerate() {
        let remove = |name: &String| std::fs::remove_file(folder.path().join(name)).expect("it can be removed");
        names(folder.path()).iter().filter(|name| !name.starts_with('.') && *name != "in.mkv").for_each(remove);
        let hidden = || names(folder.path()).into_iter().filter(|name| name.starts_with('.')).count();
        let (begin, before) = (Instant::now(), hidden());
        let (mut child, lines) = start(folder.path(), output);
        let signal = if random.fraction() < 0.5 { "-KILL" } else { "-TERM" };
        let what = match round / outputs.len() {
            // Anywhere, also before work begins.
            0 => {
                let moment = whole.mul_f64(random.fraction());
                while lines.recv_timeout(moment.saturating_sub(begin.elapsed())).is_ok() {}
                format!("{output}, {signal} after {moment:?}")
            }
            // While frames come out, and the file grows.
            1 => {
                lines.recv().ok();
                let moment = whole.mul_f64(random.fraction() / 2.0);
                lines.recv_timeout(moment).ok();
                format!("{output}, {signal} {moment:?} after the first frame")
            }
            // The file is complete and goes to the disk under its final name.
            _ => {
                while lines.recv().is_ok_and(|line| !line.contains(r#""done":true"#)) {}
                format!("{output}, {signal} after the last frame")
            }
        };
        kill(&child, signal);
        let code = child.wait().expect("it ends").code();
        println!("{what}: {code:?}, {:?}", names(folder.path()).len());
        check_complete(folder.path(), &what);
        // Without a code it ended before it watched for signals.
        assert!(matches!(code, None | Some(0 | 143)), "{what}: {code:?}");
        assert!(code.is_none() || hidden() <= before, "{what}: {:?}", names(folder.path()));
    }
    // Names of what is left begin with a dot, and the next run with the same OUT removes it.
    for output in outputs {
        run_in(folder.path(), ["-y", "-q", "--model", "lanczos2x", "in.mkv", output]).expect_ok();
    }
    assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "{:?}", names(folder.path()));
    check_complete(folder.path(), "in the end");
}

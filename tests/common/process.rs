//! Runs other programs with the plugin that was built for these tests, and with fatal GLib warnings.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A limit for each program.
const LIMIT: Duration = Duration::from_secs(120);

/// The exit code and the output of a program.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the program exited with 0 and printed nothing to stderr.
    #[track_caller]
    pub fn expect_clean(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}", self.stdout);
        assert_eq!(self.stderr, "", "stdout: {}", self.stdout);
        self
    }
}

/// A command for a program that uses GStreamer.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    static SCANNED: Once = Once::new();
    let environment = |command: &mut Command| {
        command
            .env("GST_PLUGIN_PATH", plugin_folder())
            .env("GST_REGISTRY", Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry.bin"))
            .env_remove("GST_DEBUG")
            .stdin(Stdio::null());
    };
    // Fills the registry without fatal warnings, since plugins of the system may warn when they are scanned.
    SCANNED.call_once(|| {
        let mut command = Command::new("gst-inspect-1.0");
        environment(&mut command);
        let status =
            command.args(["--exists", "--atleast-version=0.0.0", "upscalefilter"]).env_remove("G_DEBUG").status();
        assert!(status.expect("gst-inspect-1.0 starts").success(), "the plugin is found");
    });
    let mut command = Command::new(name);
    environment(&mut command);
    command.envs([("G_DEBUG", "fatal-warnings"), ("G_ENABLE_DIAGNOSTIC", "1"), ("GST_DEBUG_NO_COLOR", "1")]);
    command
}

/// Runs a program to its end. Kills it and fails the test if it takes too long.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    run_within(LIMIT, command)
}

/// As [`run`], with another limit.
#[track_caller]
pub fn run_within(limit: Duration, command: &mut Command) -> Ended {
    let end = Instant::now() + limit;
    // In a process group of its own, so that its children can be killed, too.
    command.process_group(0);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let stdout = read(child.stdout.take().expect("it is piped"));
    let stderr = read(child.stderr.take().expect("it is piped"));
    let stdout = text(&mut child, &stdout, end);
    let stderr = text(&mut child, &stderr, end);
    Ended { code: child.wait().expect("it can be waited for").code(), stdout, stderr }
}

fn read(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = from.read_to_end(&mut bytes);
        // The test may have stopped waiting.
        sender.send(read.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&bytes).into())).ok();
    });
    receiver
}

#[track_caller]
fn text(child: &mut Child, from: &Receiver<String>, end: Instant) -> String {
    from.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_else(|_| {
        // SAFETY: the group belongs to our child, which has not been waited for yet.
        unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        child.wait().ok();
        panic!("the program takes too long; its output: {}", from.recv_timeout(LIMIT).unwrap_or_default());
    })
}

/// A folder that contains only the plugin.
pub fn plugin_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    let name = format!("{}gstupscale{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let built = std::env::current_exe().expect("a test is a file").with_file_name(&name);
    assert!(built.exists(), "{} is built with the tests", built.display());
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let link = folder.join(name);
    if std::fs::read_link(&link).ok().as_ref() != Some(&built) {
        // By renaming, because other tests may do the same at the same time.
        let own = folder.join(format!("link.{}", std::process::id()));
        std::os::unix::fs::symlink(&built, &own).expect("a link can be made");
        std::fs::rename(&own, &link).expect("it can be renamed");
    }
    folder
}

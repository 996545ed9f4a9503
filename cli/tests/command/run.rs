//! Running the command.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the run went well.
    #[track_caller]
    pub fn expect_ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Fails the test unless the run ended with `code` and one line that contains `text`.
    #[track_caller]
    pub fn expect_failure(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let lines: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("gst-upscale: ")).collect();
        let last = lines.last().unwrap_or(&"");
        assert!(last.contains(text), "{last:?} does not say {text:?}");
        self
    }
}

impl Outcome {
    /// Fails the test unless the command line was refused with these words.
    #[track_caller]
    pub fn expect_usage(self, text: &str) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert!(self.stderr.contains(text), "{} does not say {text:?}", self.stderr);
    }
}

/// The command, ready for more arguments; nobody is there to be asked.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gst-upscale"));
    command.stdin(Stdio::null());
    command
}

/// Runs the command in `folder`.
pub fn run_in<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Outcome {
    outcome(command().current_dir(folder).args(args).output().expect("the command starts"))
}

/// Runs the command with fast encoding on `input`, to `output`.
pub fn upscale(input: &Path, output: &Path, args: &[&str]) -> Outcome {
    let mut command = command();
    command.args(args);
    let extension = output.extension().and_then(OsStr::to_str);
    if !matches!(extension, Some("png" | "jpg")) && !args.contains(&"ffv1") {
        command.args(["--preset", "ultrafast"]);
    }
    outcome(command.arg("--").arg(input).arg(output).output().expect("the command starts"))
}

fn outcome(output: Output) -> Outcome {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the command speaks UTF-8");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The names of everything in a folder, hidden files too.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

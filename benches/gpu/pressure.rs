//! The element while another process takes the device's memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use crate::Cli;
use crate::job::{Job, What};
use crate::measure::element::Outcome;
use crate::measure::process::last_words;
use crate::speed::Case;

/// Frames that must come out.
const FRAMES: usize = 40;
/// What the automatic choice yields for a large GPU.
const WORKERS: usize = 4;

pub struct Pressed {
    /// MiB that the other process took, and that it left free.
    pub taken: u64,
    pub left: u64,
    pub end: Result<Outcome>,
}

/// The element loads its network and sets its limit from the memory that is free then; the other process takes that
/// memory; then the element's workers open their sessions and run.
pub fn measure(case: &Case, cli: &Cli) -> Result<Pressed> {
    let runtime = case.runtime(cli).map_err(anyhow::Error::msg)?;
    eprintln!("{} {}, under pressure", case.network.name, case.provider.name());
    let start = |what| Running::start(&case.job(what, FRAMES), &runtime);
    let mut element = start(What::ElementThatWaits(WORKERS))?;
    element.line()?;
    let mut other = start(What::TakeMemory(cli.leave))?;
    let (taken, left) = serde_json::from_str(&other.line()?).context("cannot parse the answer")?;
    Ok(Pressed { taken, left, end: element.end() })
}

/// A process with piped input and output; killed on drop.
struct Running {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// A file, because a pipe could fill up.
    errors: NamedTempFile,
}

impl Running {
    fn start(job: &Job, runtime: &std::path::PathBuf) -> Result<Self> {
        let errors = NamedTempFile::new()?;
        let mut command = job.command(runtime)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.reopen()?);
        let mut process = command.spawn().context("cannot start the process")?;
        let input = process.stdin.take().context("its input is a pipe")?;
        let output = process.stdout.take().context("its output is a pipe")?;
        Ok(Running { process, input, output: BufReader::new(output), errors })
    }

    /// The next line of its output.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{}", self.last_words());
        }
        Ok(line)
    }

    /// Lets it continue, and waits for its result.
    fn end(&mut self) -> Result<Outcome> {
        // If the process has already ended, its standard error says why.
        if writeln!(self.input).is_err() {
            bail!("{}", self.last_words());
        }
        let line = self.line()?;
        serde_json::from_str(&line).context("cannot parse the answer")
    }

    fn last_words(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(self.errors.path()).and_then(|mut file| file.read_to_end(&mut text));
        read.map_or_else(|_| "it failed".to_owned(), |_| last_words(&text))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

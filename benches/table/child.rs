//! The processes that measure: what they are told, what they answer, how much memory they took.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::meter::Rate;
use crate::{element, prepare, raw};

/// What this program does in a process of its own.
#[derive(Subcommand)]
#[command(hide = true)]
pub enum Child {
    /// Writes the frames and clips; answers with [`prepare::Prepared`] as JSON
    Prepare { clip: PathBuf, frames: PathBuf, counts: Vec<usize> },
    /// Answers with the [`Rate`] of the raw loop, as JSON
    Raw { model: PathBuf, frames: PathBuf, count: usize, workers: usize, threads: usize },
    /// Answers with the [`Rate`] of the element, as JSON
    Element { model: PathBuf, frames: PathBuf, count: usize, duplicates: String },
}

/// What came out of one process.
pub struct Measured {
    pub rate: Rate,
    pub peak_bytes: u64,
}

impl Child {
    /// In the process itself.
    pub fn run(self) -> Result<()> {
        let answer = match self {
            Child::Prepare { clip, frames, counts } => prepare::run(&clip, &frames, &counts)?,
            Child::Raw { model, frames, count, workers, threads } => {
                serde_json::to_string(&raw::run(&model, &frames, count, workers, threads)?)?
            }
            Child::Element { model, frames, count, duplicates } => {
                serde_json::to_string(&element::run(&model, &frames, count, &duplicates)?)?
            }
        };
        println!("{answer}");
        Ok(())
    }

    /// Starts the process and waits for its answer.
    pub fn run_apart(&self) -> Result<Measured> {
        let finished = self.answer()?;
        let rate = serde_json::from_str(&finished.output).context("the answer is not understood")?;
        Ok(Measured { rate, peak_bytes: finished.peak_bytes })
    }

    /// The same with the answer as it is.
    pub fn answer(&self) -> Result<Finished> {
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let finished = run(Command::new(program).args(self.arguments()))?;
        if !finished.status.success() {
            bail!("it failed with {}", finished.status);
        }
        Ok(finished)
    }

    fn arguments(&self) -> Vec<OsString> {
        let numbers = |numbers: &[usize]| numbers.iter().map(|number| number.to_string().into()).collect::<Vec<_>>();
        let (name, paths, rest) = match self {
            Child::Prepare { clip, frames, counts } => ("prepare", [clip, frames], numbers(counts)),
            Child::Raw { model, frames, count, workers, threads } => {
                ("raw", [model, frames], numbers(&[*count, *workers, *threads]))
            }
            Child::Element { model, frames, count, duplicates } => {
                ("element", [model, frames], vec![count.to_string().into(), duplicates.into()])
            }
        };
        let paths = paths.map(|path| path.as_os_str().to_owned());
        [OsStr::new(name).to_owned()].into_iter().chain(paths).chain(rest).collect()
    }
}

/// How a process ended.
pub struct Finished {
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub output: String,
    /// What all its threads used of the processors.
    pub cpu: Duration,
    /// The most memory that it had resident.
    pub peak_bytes: u64,
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<Finished> {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    let mut output = String::new();
    if let Some(mut pipe) = process.stdout.take() {
        pipe.read_to_string(&mut output).context("its output cannot be read")?;
    }
    let id = libc::pid_t::try_from(process.id()).context("a process id out of range")?;
    let mut status = 0;
    // SAFETY: rusage is a struct of integers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are of live variables. Nobody else waits for the process: `process` is not asked to from here on.
    while unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) } != id {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("its end cannot be waited for");
        }
    }
    let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Finished { status: ExitStatus::from_raw(status), output, cpu, peak_bytes: peak_kib * 1024 })
}

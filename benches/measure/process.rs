//! Programs that are run to measure them, or to measure in.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Runs a program of ours to its end: what it wrote to its standard output, or its last words.
pub fn answer(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().context("it cannot be started")?;
    if !output.status.success() {
        bail!("{}", last_words(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The error with which a program of ours ended, out of what it wrote to its standard error.
pub fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let error = text.lines().find_map(|line| line.strip_prefix("Error: "));
    error.or(text.lines().last()).unwrap_or("it failed without a word").to_owned()
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

//! Child processes, measured or measuring.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Runs one of our programs to its end. Returns its standard output, or the error it printed.
pub fn answer(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().context("cannot start the process")?;
    if !output.status.success() {
        bail!("{}", last_words(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The error that one of our programs printed to standard error.
pub fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let error = text.lines().find_map(|line| line.strip_prefix("Error: "));
    error.or(text.lines().last()).unwrap_or("it failed without a message").to_owned()
}

/// How a process ended.
pub struct Finished {
    pub status: ExitStatus,
    /// Its standard output.
    pub output: String,
    /// CPU time used by all its threads.
    pub cpu: Duration,
    /// Peak resident memory.
    pub peak_bytes: u64,
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<Finished> {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut output = String::new();
    if let Some(mut pipe) = process.stdout.take() {
        pipe.read_to_string(&mut output).context("cannot read its output")?;
    }
    let id = libc::pid_t::try_from(process.id()).context("process id out of range")?;
    let mut status = 0;
    // SAFETY: rusage is a struct of integers, for which all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers refer to live variables. Nothing else waits for the process, since `process` is not used
    // from here on.
    while unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) } != id {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for its end");
        }
    }
    let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Finished { status: ExitStatus::from_raw(status), output, cpu, peak_bytes: peak_kib * 1024 })
}

//! The measuring processes: their jobs and results as JSON, and the device's memory while they run.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use anyhow::{Context, Result};
use gstupscale::device;
use gstupscale::schedule::worker_counts::threads_per_worker;
use gstupscale::types::Provider;
use gstupscale::types::Size;
use serde::{Deserialize, Serialize};

use crate::measure::element::{self, Outcome};
use crate::measure::frames::Frames;
use crate::measure::{process, raw};
use crate::{networks, nvidia};

/// Interval between readings of the device's memory.
const LOOK: Duration = Duration::from_millis(20);
/// MiB allocated instead by the process that takes memory, if the device is not a GPU: enough to be noticeable, but
/// harmless.
const HARMLESS: u64 = 256;

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum What {
    /// ONNX Runtime alone, with this many sessions.
    Raw(usize),
    /// A plain loop with one session.
    OneByOne,
    /// The element with this many workers; 0 for the automatic number.
    Element(usize),
    /// The same, but it reports when the network is loaded, and waits for a line on its standard input.
    ElementThatWaits(usize),
    /// Allocates all but this many MiB of the device's memory, reports that, and holds it until its standard input
    /// ends.
    TakeMemory(u64),
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Job {
    pub what: What,
    pub model: PathBuf,
    pub provider: String,
    pub size: (u32, u32),
    pub frames: PathBuf,
    pub count: usize,
}

/// The device's free memory before a process started, and its minimum while it ran, in bytes.
#[derive(Clone, Copy)]
pub struct Watched {
    pub before: u64,
    pub least: u64,
}

impl Watched {
    pub fn reserve(&self) -> u64 {
        device::reserve(self.before)
    }
}

/// Runs a job in this process.
pub fn run(text: &str) -> Result<()> {
    let job: Job = serde_json::from_str(text)?;
    let provider = networks::provider(&job.provider).map_err(anyhow::Error::msg)?;
    if let What::TakeMemory(leave) = job.what {
        return hold(provider, leave);
    }
    let frames = Frames::read(&job.frames, Size { width: job.size.0, height: job.size.1 })?;
    let outcome = match job.what {
        What::Element(workers) => element(&job, provider, workers, &frames, || Ok(()))?,
        What::ElementThatWaits(workers) => element(&job, provider, workers, &frames, || {
            println!("loaded");
            std::io::stdout().flush()?;
            std::io::stdin().lock().read_line(&mut String::new()).context("cannot read the line to continue")?;
            Ok(())
        })?,
        What::Raw(workers) => alone(raw::run(&settings(&job, provider, workers), &frames)?),
        _ => alone(raw::one_by_one(&settings(&job, provider, 1), &frames)?),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn alone(rate: crate::measure::meter::Rate) -> Outcome {
    Outcome { rate, steps_down: 0, workers: 0, tile: 0 }
}

fn element(
    job: &Job,
    provider: Provider,
    workers: usize,
    frames: &Frames,
    loaded: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    // All frames differ, so comparing them would be wasted time.
    let settings = element::Settings { model: &job.model, provider, count: job.count, workers, duplicates: "off" };
    element::run(&settings, frames, loaded)
}

/// The sessions get as many threads as the element would give them.
fn settings(job: &Job, provider: Provider, workers: usize) -> raw::Settings {
    let cores = available_parallelism().map_or(1, Into::into);
    let threads = threads_per_worker(cores, workers);
    raw::Settings { model: job.model.clone(), provider, count: job.count, workers, threads }
}

fn hold(provider: Provider, leave: u64) -> Result<()> {
    let mut held = Vec::new();
    let (taken, left) = match provider {
        Provider::Cuda | Provider::TensorRt | Provider::WebGpu => nvidia::take(leave)?,
        _ => {
            held.resize((HARMLESS << 20) as usize, 1_u8);
            (HARMLESS, device::memory(provider, 0).map_or(0, |memory| memory.free >> 20))
        }
    };
    println!("{}", serde_json::to_string(&(taken, left))?);
    std::io::stdout().flush()?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    drop(held);
    Ok(())
}

impl Job {
    /// The command that runs the job.
    pub fn command(&self, runtime: &PathBuf) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("this program cannot find itself")?);
        command.arg("--job").arg(serde_json::to_string(self)?).env("ORT_DYLIB_PATH", runtime);
        Ok(command)
    }

    /// Runs the job in a separate process, and watches the device's memory meanwhile.
    pub fn run_apart(&self, runtime: &PathBuf) -> Result<(Outcome, Option<Watched>)> {
        let provider = networks::provider(&self.provider).map_err(anyhow::Error::msg)?;
        let free = || device::memory(provider, 0).map(|memory| memory.free);
        let before = free();
        let done = AtomicBool::new(false);
        let (answer, least) = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut least = u64::MAX;
                while !done.load(Ordering::Relaxed) {
                    least = least.min(free().unwrap_or(u64::MAX));
                    thread::sleep(LOOK);
                }
                least
            });
            let answer = self.command(runtime).and_then(|mut command| process::answer(&mut command));
            done.store(true, Ordering::Relaxed);
            (answer, watcher.join().unwrap_or(u64::MAX))
        });
        let outcome = serde_json::from_str(&answer?).context("cannot parse the answer")?;
        Ok((outcome, before.map(|before| Watched { before, least })))
    }
}

//! The processes that measure: what they are told and answer, in JSON, and the device's memory while they run.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use anyhow::{Context, Result};
use gstupscale::device;
use gstupscale::schedule::budget::threads_per_worker;
use gstupscale::types::Provider;
use gstupscale::types::Size;
use serde::{Deserialize, Serialize};

use crate::measure::element::{self, Outcome};
use crate::measure::frames::Frames;
use crate::measure::{process, raw};
use crate::{networks, nvidia};

/// Between two looks at the device's memory.
const LOOK: Duration = Duration::from_millis(20);
/// What the process that takes memory takes where that is not a GPU's: enough to see that it is there, and no danger.
const HARMLESS: u64 = 256;

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum What {
    /// ONNX Runtime alone, so many sessions.
    Raw(usize),
    /// A plain loop with one session.
    OneByOne,
    /// The element with so many workers; 0: as many as it finds right.
    Element(usize),
    /// The same; it says when the network is loaded, and goes on when it is told to.
    ElementThatWaits(usize),
    /// Takes the device's memory but for so many MiB, says so, and holds it until its standard input ends.
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

/// The device's memory from before a process began until it ended, in bytes.
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

/// What a process does that was started for a job.
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
            std::io::stdin().lock().read_line(&mut String::new()).context("nobody said to go on")?;
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
    // Frames that differ would be compared in vain.
    let settings = element::Settings { model: &job.model, provider, count: job.count, workers, duplicates: "off" };
    element::run(&settings, frames, loaded)
}

/// The sessions get the threads that the element would give them.
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
    /// The command that does it.
    pub fn command(&self, runtime: &PathBuf) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("this program cannot find itself")?);
        command.arg("--job").arg(serde_json::to_string(self)?).env("ORT_DYLIB_PATH", runtime);
        Ok(command)
    }

    /// Does it in a process of its own, and looks at the device's memory meanwhile.
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
        let outcome = serde_json::from_str(&answer?).context("the answer is not understood")?;
        Ok((outcome, before.map(|before| Watched { before, least })))
    }
}

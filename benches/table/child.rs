//! The measuring processes: their arguments, their answers, their peak memory.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use gstupscale::types::Provider;

use crate::measure::frames::Frames;
use crate::measure::meter::Rate;
use crate::measure::process::{self, Finished};
use crate::measure::{element, raw};
use crate::{SIZE, prepare};

/// What this program does in a separate process.
#[derive(Subcommand)]
#[command(hide = true)]
pub enum Child {
    /// Writes the frames and clips; answers with [`prepare::Prepared`] as JSON
    Prepare { clip: PathBuf, frames: PathBuf, counts: Vec<usize> },
    /// Answers with the [`Rate`] of the raw loop as JSON
    Raw { model: PathBuf, frames: PathBuf, count: usize, workers: usize, threads: usize },
    /// Answers with the [`Rate`] of the element as JSON
    Element { model: PathBuf, frames: PathBuf, count: usize, duplicates: String },
}

/// The result of one process.
pub struct Measured {
    pub rate: Rate,
    pub peak_bytes: u64,
}

impl Child {
    /// Runs in the process itself.
    pub fn run(self) -> Result<()> {
        let answer = match self {
            Child::Prepare { clip, frames, counts } => prepare::run(&clip, &frames, &counts)?,
            Child::Raw { model, frames, count, workers, threads } => {
                let settings = raw::Settings { model, provider: Provider::Cpu, count, workers, threads };
                serde_json::to_string(&raw::run(&settings, &Frames::read(&frames, SIZE)?)?)?
            }
            Child::Element { model, frames, count, duplicates } => {
                let (model, duplicates) = (model.as_path(), duplicates.as_str());
                let settings = element::Settings { model, provider: Provider::Auto, count, workers: 0, duplicates };
                serde_json::to_string(&element::run(&settings, &Frames::read(&frames, SIZE)?, || Ok(()))?.rate)?
            }
        };
        println!("{answer}");
        Ok(())
    }

    /// Starts the process and waits for its answer.
    pub fn run_apart(&self) -> Result<Measured> {
        let finished = self.answer()?;
        let rate = serde_json::from_str(&finished.output).context("cannot parse the answer")?;
        Ok(Measured { rate, peak_bytes: finished.peak_bytes })
    }

    /// Like [`run_apart`](Self::run_apart), but returns the raw answer.
    pub fn answer(&self) -> Result<Finished> {
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let finished = process::run(Command::new(program).args(self.arguments()))?;
        if !finished.status.success() {
            bail!("the process failed with {}", finished.status);
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

//! The whole command.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::child::Measured;
use crate::measure::meter::Rate;
use crate::measure::process;
use crate::prepare::Clip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gst-upscale");

/// Upscales a clip from file to file: frames by all the time that takes, the start included. `None` if there is no such command.
pub fn run(model: &Path, clip: &Clip) -> Result<Option<Measured>> {
    let version = process::run(Command::new(PROGRAM).arg("--version"))?;
    if !version.output.starts_with("gst-upscale") {
        return Ok(None);
    }
    let folder = tempfile::tempdir().context("there is no room for the result")?;
    let output = folder.path().join("out.mp4");
    let mut command = Command::new(PROGRAM);
    command.args(["--quiet", "--preset", "veryfast", "--model"]).args([model, &clip.path, &output]);
    let begin = Instant::now();
    let finished = process::run(&mut command)?;
    let took = begin.elapsed();
    ensure!(finished.status.success() && output.exists(), "gst-upscale failed with {}", finished.status);
    Ok(Some(Measured { rate: Rate::new(clip.frames, took, finished.cpu), peak_bytes: finished.peak_bytes }))
}

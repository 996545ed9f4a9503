//! The command `gst-upscale`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::child::Measured;
use crate::measure::meter::Rate;
use crate::measure::process;
use crate::prepare::Clip;

/// Upscales a clip from file to file: frames per total time, including the start-up. `None` if the command is missing.
pub fn run(model: &Path, clip: &Clip) -> Result<Option<Measured>> {
    // Benchmarks are built in deps/; Cargo puts programs in its parent.
    let program = std::env::current_exe()?.with_file_name("../gst-upscale");
    ensure!(program.exists(), "{} is not built; run: cargo build --release", program.display());
    let version = process::run(Command::new(&program).arg("--version"))?;
    if !version.output.starts_with("gst-upscale") {
        return Ok(None);
    }
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let output = folder.path().join("out.mp4");
    let mut command = Command::new(&program);
    command.args(["--quiet", "--preset", "veryfast", "--model"]).args([model, &clip.path, &output]);
    let start = Instant::now();
    let finished = process::run(&mut command)?;
    let took = start.elapsed();
    ensure!(finished.status.success() && output.exists(), "gst-upscale failed with {}", finished.status);
    Ok(Some(Measured { rate: Rate::new(clip.frames, took, finished.cpu), peak_bytes: finished.peak_bytes }))
}

//! ONNX Runtime alone.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use gstupscale::model::{self, LoadOptions, ModelInfo, Provider, RunError, Source, Upscaler};
use gstupscale::picture::convert::{Converter, Scratch};
use gstupscale::picture::format::{ChromaSite, Colour, Matrix, Range};
use gstupscale::picture::region::{Limits, cover};

use crate::frames::{FORMAT, Frames, SIZE};
use crate::meter::{Meter, Rate};

/// Runs `workers` sessions of `threads` threads each, which take the next frame as soon as they are done with one.
pub fn run(model: &Path, frames: &Path, count: usize, workers: usize, threads: usize) -> Result<Rate> {
    let options = LoadOptions { provider: Provider::Cpu, intra_threads: threads, ..LoadOptions::default() };
    let model = model::load(&Source::File(model.to_owned()), options)?;
    let inputs = tensors(&Frames::read(frames)?, model.info())?;
    let sessions: Vec<_> = (0..workers).map(|_| model.open_session()).collect::<Result<_, _>>()?;
    let meter = Meter::new(count, workers * threads);
    let next = AtomicUsize::new(0);
    let start = Barrier::new(workers);
    let work = |mut session: Box<dyn Upscaler>| -> Result<(), RunError> {
        let mut output = Vec::new();
        start.wait();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= meter.total() {
                return Ok(());
            }
            session.run(&inputs[index % inputs.len()], SIZE, &mut output)?;
            meter.tick();
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = sessions.into_iter().map(|session| scope.spawn(|| work(session))).collect();
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })?;
    meter.rate().context("not all frames were run")
}

/// The frames as the network takes them.
fn tensors(frames: &Frames, info: &ModelInfo) -> Result<Vec<Vec<f32>>> {
    let limits = Limits { fixed: info.fixed_size, multiple: info.multiple, min: info.min_size, ..Limits::default() };
    let regions = cover(SIZE, limits);
    ensure!(regions.len() == 1 && regions[0].tensor == SIZE, "{} does not take 640x360 as it is", info.name);
    let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site: ChromaSite::MPEG2 };
    let converter = Converter::new(FORMAT, colour, SIZE, info.channels, info.scale);
    let mut scratch = Scratch::default();
    let tensor = |index| {
        let mut tensor = Vec::new();
        converter.gather(&frames.picture(index), &regions[0], &mut scratch, &mut tensor);
        tensor
    };
    Ok((0..frames.len()).map(tensor).collect())
}

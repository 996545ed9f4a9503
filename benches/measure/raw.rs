//! Measures ONNX Runtime alone, and the simplest program around it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use gstupscale::model::{self, LoadOptions, Model, ModelInfo, RunError, Source, Upscaler};
use gstupscale::picture::convert::{Converter, Scratch};
use gstupscale::picture::format::{ChromaSite, Colour, Matrix, PictureMut, Range};
use gstupscale::picture::region::{Limits, Region, cover};
use gstupscale::types::Provider;

use super::frames::{FORMAT, Frames, frame_bytes, planes};
use super::meter::{Meter, Rate};

/// What to run.
pub struct Settings {
    pub model: PathBuf,
    pub provider: Provider,
    /// Number of frames to measure.
    pub count: usize,
    /// Number of sessions, and threads in each.
    pub workers: usize,
    pub threads: usize,
}

impl Settings {
    fn load(&self) -> Result<Arc<dyn Model>> {
        let options = LoadOptions { provider: self.provider, intra_threads: self.threads, ..LoadOptions::default() };
        Ok(model::load(&Source::parse(&self.model), options)?)
    }
}

/// Runs `workers` sessions of `threads` threads each, from tensors to tensors. Each session takes the next frame as
/// soon as it has finished one.
pub fn run(settings: &Settings, frames: &Frames) -> Result<Rate> {
    let model = settings.load()?;
    let region = whole(frames, model.info())?;
    let inputs = tensors(frames, model.info(), &region);
    let sessions: Vec<_> = (0..settings.workers).map(|_| model.open_session()).collect::<Result<_, _>>()?;
    let meter = Meter::new(settings.count, settings.workers * settings.threads);
    let next = AtomicUsize::new(0);
    let start = Barrier::new(settings.workers);
    let work = |mut session: Box<dyn Upscaler>| -> Result<(), RunError> {
        let mut output = Vec::new();
        start.wait();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= meter.total() {
                return Ok(());
            }
            session.run(&inputs[index % inputs.len()], region.tensor, &mut output)?;
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

/// Processes one frame after the other, as a plain loop around ONNX Runtime does: converts pixels to a tensor, copies
/// it to the device, runs the network, copies the result back, and converts it to pixels. Then the next frame.
pub fn one_by_one(settings: &Settings, frames: &Frames) -> Result<Rate> {
    let model = settings.load()?;
    let info = model.info();
    let region = whole(frames, info)?;
    let converter = converter(frames, info);
    let mut session = model.open_session()?;
    let meter = Meter::new(settings.count, 1);
    let (mut scratch, mut input, mut output) = (Scratch::default(), Vec::new(), Vec::new());
    let out = converter.output_size();
    let mut picture = vec![0; frame_bytes(out)];
    // The plane sizes follow from the format and are the same in every round.
    let lengths: Vec<_> = planes(&picture, out).iter().map(|(plane, stride)| (plane.len(), *stride)).collect();
    for index in 0..meter.total() {
        let source = frames.picture(index);
        converter.to_tensor(&source, &region, &mut scratch, &mut input);
        session.run(&input, region.tensor, &mut output)?;
        let mut rest = picture.as_mut_slice();
        let split = lengths.iter().map(|(length, stride)| (rest.split_off_mut(..*length).unwrap_or_default(), *stride));
        let mut picture = PictureMut::new(FORMAT, out, split).map_err(|error| anyhow!("{error}"))?;
        converter.resize_passthrough_planes(&source, &mut picture, &mut scratch);
        converter.from_tensor(&output, &region, &mut scratch, &mut picture);
        meter.tick();
    }
    meter.rate().context("not all frames were run")
}

/// The whole frame, which the network must accept at once.
fn whole(frames: &Frames, info: &ModelInfo) -> Result<Region> {
    let limits = Limits { fixed: info.fixed_size, multiple: info.multiple, min: info.min_size, ..Limits::default() };
    let regions = cover(frames.size, limits);
    ensure!(regions.len() == 1, "{} does not take {}x{} as a whole", info.name, frames.size.width, frames.size.height);
    Ok(regions[0])
}

fn converter(frames: &Frames, info: &ModelInfo) -> Converter {
    let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site: ChromaSite::MPEG2 };
    Converter::new(FORMAT, colour, frames.size, info.channels, info.scale)
}

/// The frames as input tensors.
fn tensors(frames: &Frames, info: &ModelInfo, region: &Region) -> Vec<Vec<f32>> {
    let converter = converter(frames, info);
    let mut scratch = Scratch::default();
    let tensor = |index| {
        let mut tensor = Vec::new();
        converter.to_tensor(&frames.picture(index), region, &mut scratch, &mut tensor);
        tensor
    };
    (0..frames.len()).map(tensor).collect()
}

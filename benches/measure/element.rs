//! Measures the element, from memory into a fakesink.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use gstupscale::types::Provider;
use gstupscale::types::Size;
use serde::{Deserialize, Serialize};

use super::frames::{FORMAT, Frames, frame_bytes, stamp};
use super::meter::{Meter, Rate};

/// How long to wait for a message that must arrive.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);
/// Frames between source and element.
const AHEAD: u64 = 2;

/// What to run.
pub struct Settings<'a> {
    pub model: &'a Path,
    pub provider: Provider,
    /// Number of frames to measure.
    pub count: usize,
    /// 0 for the automatic number.
    pub workers: usize,
    pub duplicates: &'a str,
}

/// The result of a run.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Outcome {
    pub rate: Rate,
    /// From the element's statistics: steps down, and the level at the end.
    pub steps_down: u64,
    pub workers: u64,
    pub tile: u32,
}

/// Runs `appsrc ! upscalefilter ! fakesink`. All frames are different, so each goes through the network. `loaded` is
/// called after the network has been loaded, before the first frame.
pub fn run(settings: &Settings, frames: &Frames, loaded: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    gst::init()?;
    gstupscale::plugin_register_static()?;
    let busy = if settings.workers > 0 { settings.workers } else { available_parallelism().map_or(1, Into::into) };
    let meter = Arc::new(Meter::new(settings.count, busy));
    let model = settings.model.to_str().context("the model's path is not UTF-8")?;
    let element = gst::ElementFactory::make("upscalefilter")
        .property("model", model)
        .property("workers", u32::try_from(settings.workers)?)
        .property_from_str("execution-provider", settings.provider.name())
        .property_from_str("duplicates", settings.duplicates)
        .build()?;
    let pipeline = Pipeline::new(&element, &meter, frames.size)?;
    let played = pipeline.play(frames, meter.total(), loaded);
    let stats = element.property::<gst::Structure>("stats");
    pipeline.stop()?;
    played?;
    let unique: u64 = stats.get("unique").context("the statistics have no field `unique`")?;
    ensure!(unique == meter.total() as u64, "{unique} of {} frames were upscaled", meter.total());
    let rate = meter.rate().context("not all frames came out")?;
    let (steps_down, workers) = (stats.get("steps-down")?, stats.get("workers")?);
    Ok(Outcome { rate, steps_down, workers, tile: stats.get("tile-size")? })
}

struct Pipeline {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    /// Frames come from a pool, as from a decoder, to avoid an allocation per frame.
    pool: gst_video::VideoBufferPool,
}

impl Pipeline {
    fn new(element: &gst::Element, meter: &Arc<Meter>, size: Size) -> Result<Self> {
        let fps = gst::Fraction::new(24, 1);
        let format = gst_video::VideoFormat::from_string(FORMAT.name());
        let info = gst_video::VideoInfo::builder(format, size.width, size.height).fps(fps).build()?;
        ensure!(info.size() == frame_bytes(size), "GStreamer uses another layout for frames of this size");
        let caps = info.to_caps()?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), u32::try_from(info.size())?, 0, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;

        let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).block(true).build();
        source.set_max_buffers(AHEAD);
        source.set_max_bytes(0);
        let sink = gst::ElementFactory::make("fakesink").property("sync", false).build()?;
        let pad = sink.static_pad("sink").context("fakesink has a sink pad")?;
        let meter = Arc::clone(meter);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            meter.tick();
            gst::PadProbeReturn::Ok
        });
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), element, &sink])?;
        gst::Element::link_many([source.upcast_ref(), element, &sink])?;
        Ok(Pipeline { pipeline, source, pool })
    }

    /// Plays from start to end.
    fn play(&self, frames: &Frames, total: usize, loaded: impl FnOnce() -> Result<()>) -> Result<()> {
        // This loads the network; errors are on the bus.
        if self.pipeline.set_state(gst::State::Ready).is_err() {
            return self.finish();
        }
        loaded()?;
        let fed = self.feed(frames, total);
        self.finish()?;
        fed
    }

    /// Pushes `total` frames. An error here is the consequence of one that [`Pipeline::finish`] finds on the bus.
    fn feed(&self, frames: &Frames, total: usize) -> Result<()> {
        self.pipeline.set_state(gst::State::Playing)?;
        let duration = gst::ClockTime::SECOND / 24;
        for index in 0..total {
            let mut buffer = self.pool.acquire_buffer(None)?;
            let frame = buffer.get_mut().context("a buffer out of the pool has no other owner")?;
            frame.set_pts(duration * index as u64);
            frame.set_duration(duration);
            let mut pixels = frame.map_writable()?;
            pixels.copy_from_slice(frames.frame(index));
            stamp(&mut pixels, index);
            drop(pixels);
            self.source.push_buffer(buffer)?;
        }
        self.source.end_of_stream()?;
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        let bus = self.pipeline.bus().context("a pipeline has a bus")?;
        // Few frames are in flight at this point.
        match bus.timed_pop_filtered(PATIENCE, &[gst::MessageType::Eos, gst::MessageType::Error]) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => bail!("{}", error.error()),
                _ => Ok(()),
            },
            None => bail!("no end of the stream within {PATIENCE}"),
        }
    }

    fn stop(&self) -> Result<()> {
        self.pipeline.set_state(gst::State::Null)?;
        self.pool.set_active(false)?;
        Ok(())
    }
}

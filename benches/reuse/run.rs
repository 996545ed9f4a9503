//! Runs a clip through the element.

use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst_video::VideoFrameExt;

use crate::clip::{Clip, mean_luma};

pub struct Figures {
    pub seconds: f64,
    /// Percentage of the frame area.
    pub reused: f64,
}

/// An output frame.
pub struct Output {
    buffer: gst::Buffer,
    info: gst_video::VideoInfo,
}

impl Output {
    /// The visible bytes.
    pub fn visible(&self) -> Result<Vec<u8>> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.info)?;
        let mut bytes = Vec::with_capacity(self.info.size());
        for plane in 0..frame.n_planes() {
            let (data, stride) = (frame.plane_data(plane)?, usize::try_from(frame.plane_stride()[plane as usize])?);
            let (width, height) = (frame.comp_width(plane) as usize, frame.comp_height(plane) as usize);
            (0..height).for_each(|y| bytes.extend_from_slice(&data[y * stride..][..width]));
        }
        Ok(bytes)
    }

    pub fn mean_luma(&self) -> Result<f64> {
        mean_luma(&self.buffer, &self.info)
    }
}

/// Runs the clip, and passes each output frame to `look`.
pub fn run(clip: &Clip, model: &str, mode: &str, look: &mut dyn FnMut(&Output) -> Result<()>) -> Result<Figures> {
    let (duplicates, tolerance) = mode.split_once('+').unwrap_or((mode, "0"));
    let element = gst::ElementFactory::make("upscalefilter")
        .property("model", model)
        .property_from_str("duplicates", duplicates)
        .property_from_str("detail-tolerance", tolerance)
        .build()?;
    let source = gst_app::AppSrc::builder().caps(&clip.caps).format(gst::Format::Time).block(true).build();
    source.set_max_buffers(2);
    source.set_max_bytes(0);
    let (sender, outputs) = mpsc::sync_channel(1);
    let sink =
        gst::ElementFactory::make("fakesink").property("sync", false).property("enable-last-sample", false).build()?;
    let pad = sink.static_pad("sink").context("fakesink has a sink pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps();
        let output = info.buffer().cloned().zip(caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok()));
        // A closed channel means that the run has already failed.
        if let Some((buffer, info)) = output
            && sender.send(Output { buffer, info }).is_err()
        {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref(), &element, &sink])?;
    gst::Element::link_many([source.upcast_ref(), &element, &sink])?;
    pipeline.set_state(gst::State::Playing)?;
    let start = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let feeding = scope.spawn(|| -> Result<()> {
            for index in 0..clip.frames() {
                source.push_buffer(clip.frame(index))?;
            }
            source.end_of_stream()?;
            Ok(())
        });
        for _ in 0..clip.frames() {
            look(&outputs.recv_timeout(std::time::Duration::from_secs(600)).context("not all frames came out")?)?;
        }
        feeding.join().map_err(|_| anyhow::anyhow!("the thread that feeds frames panicked"))?
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let reused = element.property::<gst::Structure>("stats").get("reused-percentage")?;
    let error = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    pipeline.set_state(gst::State::Null)?;
    match error.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error()),
        _ => Ok(Figures { seconds, reused }),
    }
}

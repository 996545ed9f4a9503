//! A clip's frames in memory.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst_video::VideoFrameExt;

pub struct Clip {
    pub caps: gst::Caps,
    info: gst_video::VideoInfo,
    samples: Vec<gst::Buffer>,
}

impl Clip {
    /// The first `most` frames, in 8-bit 4:2:0.
    pub fn decode(path: &Path, most: usize) -> Result<Self> {
        // The VP8 decoder of libvpx 1.12 produces corrupt, non-deterministic frames on some machines.
        if let Some(decoder) = gst::Registry::get().lookup_feature("vp8dec") {
            decoder.set_rank(gst::Rank::NONE);
        }
        let description = "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false max-buffers=2";
        let pipeline: gst::Pipeline = gst::parse::launch(description)?
            .downcast()
            .map_err(|_| anyhow::anyhow!("the description is not a pipeline"))?;
        let named = |name: &str| pipeline.by_name(name).with_context(|| format!("the pipeline has no {name}"));
        named("file")?.set_property("location", path);
        let sink =
            named("sink")?.downcast::<gst_app::AppSink>().map_err(|_| anyhow::anyhow!("the sink is not an appsink"))?;
        pipeline.set_state(gst::State::Playing)?;
        let mut samples = Vec::new();
        let mut caps = None;
        while samples.len() < most
            && let Ok(sample) = sink.pull_sample()
        {
            caps = sample.caps_owned();
            // A copy, so that the decoder gets its buffers back.
            samples.push(sample.buffer().context("a sample without a buffer")?.copy_deep()?);
        }
        pipeline.set_state(gst::State::Null)?;
        let Some(caps) = caps else { bail!("{} has no frames", path.display()) };
        let info = gst_video::VideoInfo::from_caps(&caps)?;
        Ok(Clip { caps, info, samples })
    }

    pub fn frames(&self) -> usize {
        self.samples.len()
    }

    /// A frame with its timestamps; the memory is shared.
    pub fn frame(&self, index: usize) -> gst::Buffer {
        self.samples[index].clone()
    }

    pub fn mean_luma(&self, index: usize) -> f64 {
        mean_luma(&self.samples[index], &self.info).expect("a frame that was decoded can be read")
    }
}

/// Mean code value of the first plane.
pub fn mean_luma(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<f64> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let (data, stride) = (frame.plane_data(0)?, usize::try_from(frame.plane_stride()[0])?);
    let (width, height) = (info.width() as usize, info.height() as usize);
    let sum: u64 = (0..height).flat_map(|y| &data[y * stride..][..width]).map(|code| u64::from(*code)).sum();
    Ok(sum as f64 / (width * height) as f64)
}

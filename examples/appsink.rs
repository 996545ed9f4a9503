//! Receives the upscaled frames of a file in a program: prints the time, size and mean luma of each.
//!
//!     script/env cargo run --release --example appsink -- VIDEO

use anyhow::{Context, bail};
use gst::prelude::*;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: appsink VIDEO")?;
    gst::init()?;
    gstupscale::plugin_register_static()?;

    let pipeline = gst::parse::launch(
        "filesrc name=file ! decodebin ! upscalefilter ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=frames sync=false",
    )?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
    pipeline.by_name("file").context("it is in the pipeline")?.set_property("location", file);
    let frames = pipeline.by_name("frames").context("it is in the pipeline")?;
    let frames = frames.downcast::<gst_app::AppSink>().expect("it is an appsink");

    pipeline.set_state(gst::State::Playing)?;
    while let Ok(sample) = frames.pull_sample() {
        let info = gst_video::VideoInfo::from_caps(sample.caps().context("a sample has caps")?)?;
        let buffer = sample.buffer().context("a sample has a buffer")?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
        let luma = frame.plane_data(0)?.iter().map(|sample| u64::from(*sample)).sum::<u64>() as f64;
        let mean = luma / frame.plane_data(0)?.len() as f64;
        println!("{} {}x{} mean {mean:.1}", buffer.pts().display(), info.width(), info.height());
    }
    // The frames end at EOS, and also after an error: the bus says which.
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match error.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error()),
        _ => Ok(()),
    }
}

//! Upscales a live test stream for some seconds, into a window or, without a display, into a fakesink.
//!
//!     script/env cargo run --release --example live -- [SECONDS]

use anyhow::{Context, bail};
use gst::prelude::*;

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).as_deref().unwrap_or("10").parse().context("usage: live [SECONDS]")?;
    gst::init()?;
    gstupscale::plugin_register_static()?;

    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let sink = if display { "videoconvert ! autovideosink" } else { "fakesink sync=true" };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true pattern=ball num-buffers={} ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! upscalefilter name=upscale ! {sink}",
        30 * seconds
    ))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            _ => {}
        }
    }
    let mut latency = gst::query::Latency::new();
    if pipeline.query(&mut latency) {
        println!("latency of the pipeline: {}", latency.result().1);
    }
    let upscale = pipeline.by_name("upscale").context("it is in the pipeline")?;
    println!("{}", upscale.property::<gst::Structure>("stats"));
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

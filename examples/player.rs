//! Plays a file or a URI, upscaled: playbin with `upscalefilter` as its video filter.
//!
//!     script/env cargo run --release --example player -- VIDEO [MODEL]

use anyhow::{Context, bail};
use gst::prelude::*;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let video = arguments.next().context("usage: player VIDEO [MODEL]")?;
    gst::init()?;
    gstupscale::plugin_register_static()?;

    let uri =
        if video.contains("://") { video } else { glib::filename_to_uri(std::path::absolute(&video)?, None)?.into() };
    let filter = gst::ElementFactory::make("upscalefilter").build()?;
    if let Some(model) = arguments.next() {
        filter.set_property("model", model);
    }
    // Progress once per second, for the terminal.
    filter.set_property("progress-interval", gst::ClockTime::SECOND.nseconds());
    let player = gst::ElementFactory::make("playbin").property("uri", uri).property("video-filter", &filter).build()?;

    player.set_state(gst::State::Playing)?;
    let bus = player.bus().context("playbin has a bus")?;
    let outcome = follow(&bus, &player);
    player.set_state(gst::State::Null)?;
    outcome
}

/// Prints statistics until the end or an error.
fn follow(bus: &gst::Bus, player: &gst::Element) -> anyhow::Result<()> {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            // A filter that holds frames adds latency, which the pipeline must distribute.
            gst::MessageView::Latency(_) => {
                if let Some(bin) = player.downcast_ref::<gst::Bin>() {
                    bin.recalculate_latency()?;
                }
            }
            gst::MessageView::Element(element) => {
                if let Some(figures) = element.structure().filter(|figures| figures.name() == "upscalefilter-progress")
                {
                    println!(
                        "{} frames, {:.1} per second, {:.0} % seen before",
                        figures.get::<u64>("frames-out")?,
                        figures.get::<f64>("fps")?,
                        figures.get::<f64>("duplicate-percentage")?
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

//! Measures live streams: how long frames stay in the element, compared with the reported latency, and what happens to
//! frames that would be late.
//!
//!     script/bench live [--seconds N] [--model NAME]
//!
//! Every frame is different (`duplicates=off`), so that only the speed of the network matters. The first two seconds
//! are ignored, since a stream that is faster than the machine takes that long to settle. A queue after the element
//! decouples it from the sink.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use gst::prelude::*;
use parking_lot::Mutex;

const SIZES: [(u32, u32); 2] = [(640, 360), (1280, 720)];
const RATES: [u32; 3] = [15, 30, 60];
const MODES: [&str; 3] = ["upscale", "fallback", "drop"];
const SETTLING: gst::ClockTime = gst::ClockTime::from_seconds(2);
const FALLBACK_META: &str = "GstUpscaleFilterFallbackMeta";

#[derive(Parser)]
struct Args {
    /// Duration of each stream, including the ignored first seconds
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[arg(long, default_value = "fast2x")]
    model: String,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A frame that left the element.
struct Left {
    /// The running time of its PTS, and when it left.
    due: gst::ClockTime,
    at: gst::ClockTime,
    fallback: bool,
}

struct Figures {
    fps: f64,
    /// In milliseconds.
    median: f64,
    p99: f64,
    promised: f64,
    fallback: f64,
    dropped: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    gst::init()?;
    gstupscale::plugin_register_static()?;
    println!(
        "| input | late-frames | fps out | latency p50, ms | p99, ms | promised, ms | p99 below it | fallback | dropped |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (width, height) in SIZES {
        for rate in RATES {
            for mode in MODES {
                let Figures { fps, median, p99, promised, fallback, dropped } =
                    stream(&args, (width, height), rate, mode)?;
                let kept = if p99 < promised { "yes" } else { "NO" };
                println!(
                    "| {width}x{height}, {rate} fps | {mode} | {fps:.1} | {median:.1} | {p99:.1} | {promised:.1} | {kept} \
                     | {fallback:.0} % | {dropped:.0} % |"
                );
            }
        }
    }
    Ok(())
}

fn stream(args: &Args, (width, height): (u32, u32), rate: u32, mode: &str) -> anyhow::Result<Figures> {
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true pattern=smpte horizontal-speed=3 num-buffers={} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 ! queue \
         ! upscalefilter name=upscale model={} duplicates=off late-frames={mode} ! queue max-size-buffers=0 max-size-time=0 max-size-bytes=0 \
         ! fakesink sync=true",
        args.seconds * u64::from(rate),
        args.model
    ))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
    let element = pipeline.by_name("upscale").context("it is in the pipeline")?;
    let left: Arc<Mutex<Vec<Left>>> = Arc::default();
    watch(&element, Arc::clone(&left))?;
    pipeline.set_state(gst::State::Playing)?;
    let promised = wait(&pipeline, &element, Duration::from_secs(args.seconds * 20))?;
    let stats = element.property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null)?;

    let left: Vec<_> = std::mem::take(&mut *left.lock()).into_iter().filter(|left| left.due >= SETTLING).collect();
    let (first, last) = left.first().zip(left.last()).context("no frame came after the first seconds")?;
    let mut stays: Vec<f64> = left.iter().map(|left| milliseconds(left.at.saturating_sub(left.due))).collect();
    stays.sort_by(f64::total_cmp);
    let share = |part: usize| 100.0 * part as f64 / left.len() as f64;
    let (frames_in, dropped): (u64, u64) = (stats.get("frames-in")?, stats.get("dropped")?);
    Ok(Figures {
        fps: (left.len() - 1) as f64 / (last.at - first.at).nseconds().max(1) as f64 * 1e9,
        median: stays[stays.len() / 2],
        p99: stays[(stays.len() * 99).div_ceil(100) - 1],
        promised: milliseconds(promised),
        fallback: share(left.iter().filter(|left| left.fallback).count()),
        dropped: 100.0 * dropped as f64 / frames_in.max(1) as f64,
    })
}

/// Records each frame as it leaves.
fn watch(element: &gst::Element, left: Arc<Mutex<Vec<Left>>>) -> anyhow::Result<()> {
    let pad = element.static_pad("src").context("it has a source pad")?;
    let element = element.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let (Some(buffer), Some(element)) = (info.buffer(), element.upgrade()) else { return gst::PadProbeReturn::Ok };
        let now = element.clock().zip(element.base_time()).map(|(clock, base)| clock.time().saturating_sub(base));
        if let Some((due, at)) = buffer.pts().zip(now) {
            let fallback = gst::meta::CustomMeta::from_buffer(buffer, FALLBACK_META).is_ok();
            left.lock().push(Left { due, at, fallback });
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Waits for the end of the stream, and returns the latency that the element reports: from the source to its source
/// pad.
fn wait(pipeline: &gst::Pipeline, element: &gst::Element, limit: Duration) -> anyhow::Result<gst::ClockTime> {
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let limit = gst::ClockTime::try_from(limit)?;
    for message in bus.iter_timed(limit) {
        match message.view() {
            gst::MessageView::Eos(_) => {
                let mut latency = gst::query::Latency::new();
                if !element.static_pad("src").is_some_and(|pad| pad.query(&mut latency)) {
                    bail!("the element does not report its latency");
                }
                return Ok(latency.result().1);
            }
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            _ => {}
        }
    }
    bail!("the stream does not end")
}

fn milliseconds(time: gst::ClockTime) -> f64 {
    time.nseconds() as f64 / 1e6
}

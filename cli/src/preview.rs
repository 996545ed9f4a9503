//! A window that shows source and result side by side while it works.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::av::{self, Frame, Graph, PictureInput, PixelFormat, rational};
use crate::colour::{Colour, conversion};
use crate::console::Console;
use crate::failure::{Context, Result, failed};
use crate::upscaler;

/// The longer side of each of the two pictures, in pixels.
const SIDE: i32 = 640;
/// Minimum time between two frames.
const INTERVAL: Duration = Duration::from_millis(100);
/// Drawing takes at most one part in so many of the time.
const SHARE: u32 = 40;

const WRONG: &str = "--preview: no window can be opened";

/// The window. Frames that come while it is busy are skipped.
pub struct Preview(SyncSender<(Frame, Frame)>);

impl Preview {
    pub fn open(console: &Console) -> Result<Self> {
        let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if cfg!(target_os = "linux") && !has("DISPLAY") && !has("WAYLAND_DISPLAY") {
            // Without a display, some of GStreamer's sinks crash.
            return failed(format!("{WRONG}: there is no display"));
        }
        let source = gst_app::AppSrc::builder()
            .is_live(true)
            .format(gst::Format::Time)
            .do_timestamp(true)
            .max_buffers(1)
            .build();
        source.set_leaky_type(gst_app::AppLeakyType::Downstream);
        let convert = gst::ElementFactory::make("videoconvert").build().context(WRONG)?;
        let sink = gst::ElementFactory::make("autovideosink").property("sync", false).build().context(WRONG)?;
        let pipeline = gst::Pipeline::new();
        let all = [source.upcast_ref::<gst::Element>(), &convert, &sink];
        pipeline.add_many(all).and_then(|()| gst::Element::link_many(all)).context(WRONG)?;
        pipeline.set_state(gst::State::Playing).context(WRONG)?;
        // Capacity 0: a frame is accepted only while the thread waits for one.
        let (sender, receiver) = sync_channel::<(Frame, Frame)>(0);
        let console = console.clone();
        std::thread::spawn(move || {
            let bus = pipeline.bus();
            for (before, after) in receiver {
                let begin = Instant::now();
                let shown = side_by_side(before, after, SIDE)
                    .and_then(|frame| source.push_buffer(upscaler::describe(&source, &frame)?).context("the window"));
                let error = bus.as_ref().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
                if error.is_some() || shown.is_err() {
                    console.note("the preview was closed; upscaling continues");
                    break;
                }
                std::thread::sleep(INTERVAL.max(begin.elapsed() * SHARE));
            }
            pipeline.set_state(gst::State::Null).ok();
        });
        Ok(Preview(sender))
    }

    /// Shows a frame and its upscaled version, unless the window is busy.
    pub fn show(&self, source: &Frame, result: &Frame) {
        if let (Ok(source), Ok(result)) = (source.share(), result.share()) {
            self.0.try_send((source, result)).ok();
        }
    }
}

/// Both pictures at the same size in one, the source on the left.
pub fn side_by_side(source: Frame, result: Frame, side: i32) -> Result<Frame> {
    let (width, height) = (f64::from(result.width), f64::from(result.height));
    let factor = (f64::from(side) / width.max(height)).min(1.0);
    let even = |length: f64| ((length * factor / 2.0).round() as i32 * 2).max(2);
    let (width, height) = (even(width), even(height));
    let (left, right) = (scaled(source, (width, height))?, scaled(result, (width, height))?);
    let mut both = Frame::picture(left.pixel_format(), width * 2, height).context("a picture")?;
    for ((to, left), right) in both.rows_mut(0).zip(left.rows(0)).zip(right.rows(0)) {
        let (to_left, to_right) = to.split_at_mut(left.len());
        to_left.copy_from_slice(left);
        to_right.copy_from_slice(right);
    }
    Ok(both)
}

/// Scales a frame to that size, as RGB.
pub fn scaled(mut frame: Frame, (width, height): (i32, i32)) -> Result<Frame> {
    let (from, colour) = (frame.pixel_format(), Colour::of(&frame));
    let conversion = conversion((from, colour), (PixelFormat::known("rgb24"), colour), frame.height);
    let filters = format!("scale={width}:{height}:flags=lanczos,{conversion}");
    let base = rational(1, 1000);
    frame.pts = 0;
    let run = || -> av::Result<Option<Frame>> {
        let input = PictureInput { base, rate: rational(0, 1), out_base: base };
        let mut graph = Graph::video(None, &filters, &frame, input)?;
        let mut frames = graph.filter(Some(&frame))?;
        frames.extend(graph.filter(None)?);
        Ok(frames.pop())
    };
    run().context("a frame cannot be shown")?.context("a frame cannot be shown")
}

//! A window that shows source and result side by side while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::av::{Frame, Graph, PictureInput};
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::upscaler;

/// The longer side of each of the two pictures, in pixels.
const SIDE: i32 = 640;
/// Shortest time between two frames: smooth enough to watch, cheap enough not to matter.
const INTERVAL: Duration = Duration::from_millis(100);
/// Of the time, at most one part in so many goes into the preview.
const SHARE: u32 = 40;

/// The window. Frames that come while it is busy are skipped.
pub struct Preview {
    sender: SyncSender<(Frame, Frame)>,
    /// No frame is shown before this.
    next: Arc<Mutex<Instant>>,
    /// Whether the window was closed.
    closed: Arc<AtomicBool>,
}

impl Preview {
    pub fn open(console: &Console) -> Result<Self> {
        let wrong = |error: String| Failure::Failed(format!("--preview: no window can be opened: {error}"));
        let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if cfg!(target_os = "linux") && !has("DISPLAY") && !has("WAYLAND_DISPLAY") {
            // Some of GStreamer's sinks crash then.
            return Err(wrong("there is no display".into()));
        }
        let source = gst_app::AppSrc::builder()
            .is_live(true)
            .format(gst::Format::Time)
            .do_timestamp(true)
            .max_buffers(1)
            .build();
        source.set_leaky_type(gst_app::AppLeakyType::Downstream);
        let convert = gst::ElementFactory::make("videoconvert").build().map_err(|error| wrong(error.to_string()))?;
        let sink = gst::ElementFactory::make("autovideosink").property("sync", false).build();
        let sink = sink.map_err(|error| wrong(error.to_string()))?;
        let pipeline = gst::Pipeline::new();
        let all = [source.upcast_ref::<gst::Element>(), &convert, &sink];
        pipeline.add_many(all).and_then(|()| gst::Element::link_many(all)).map_err(|error| wrong(error.to_string()))?;
        pipeline.set_state(gst::State::Playing).map_err(|error| wrong(error.to_string()))?;
        let (sender, receiver) = sync_channel::<(Frame, Frame)>(1);
        let preview =
            Preview { sender, next: Arc::new(Mutex::new(Instant::now())), closed: Arc::new(AtomicBool::new(false)) };
        let (next, closed, console) = (Arc::clone(&preview.next), Arc::clone(&preview.closed), console.clone());
        std::thread::spawn(move || {
            let bus = pipeline.bus().expect("a pipeline has a bus");
            for (before, after) in receiver {
                let begin = Instant::now();
                let shown = side_by_side(before, after, SIDE).and_then(|frame| push(&source, &frame));
                *next.lock() = Instant::now() + INTERVAL.max(begin.elapsed() * SHARE);
                let error = bus.pop_filtered(&[gst::MessageType::Error]);
                if error.is_some() || shown.is_err() {
                    closed.store(true, Ordering::Relaxed);
                    console.note("the preview was closed; upscaling continues");
                    break;
                }
            }
            pipeline.set_state(gst::State::Null).ok();
        });
        Ok(preview)
    }

    /// Shows a frame and its upscaled version, unless the window is busy.
    pub fn show(&self, source: &Frame, result: &Frame) {
        if self.closed.load(Ordering::Relaxed) || Instant::now() < *self.next.lock() {
            return;
        }
        if let (Ok(source), Ok(result)) = (source.share(), result.share()) {
            // A full queue means that the window is busy.
            self.sender.try_send((source, result)).ok();
        }
    }
}

/// Both pictures at the same size in one, the source on the left.
pub fn side_by_side(source: Frame, result: Frame, side: i32) -> std::result::Result<Frame, String> {
    let (width, height) = (f64::from(result.width), f64::from(result.height));
    let factor = (f64::from(side) / width.max(height)).min(1.0);
    let even = |length: f64| ((length * factor / 2.0).round() as i32 * 2).max(2);
    let (width, height) = (even(width), even(height));
    let left = scaled(source, width, height)?;
    let right = scaled(result, width, height)?;
    let mut both = Frame::picture(left.pixel_format(), width * 2, height).map_err(|error| error.to_string())?;
    for ((to, left), right) in both.rows_mut(0).zip(left.rows(0)).zip(right.rows(0)) {
        let (to_left, to_right) = to.split_at_mut(left.len());
        to_left.copy_from_slice(left);
        to_right.copy_from_slice(right);
    }
    Ok(both)
}

/// As R'G'B' of that size.
pub fn scaled(mut frame: Frame, width: i32, height: i32) -> std::result::Result<Frame, String> {
    let (from, colour) = (frame.pixel_format(), crate::colour::Colour::of(&frame));
    let to = crate::av::PixelFormat::from_name("rgb24").expect("FFmpeg has it");
    let conversion = crate::colour::conversion((from, colour), (to, colour), frame.height);
    let filters = format!("scale={width}:{height}:flags=lanczos,{conversion}");
    let base = ffi::AVRational { num: 1, den: 1000 };
    let input = PictureInput { base, rate: ffi::AVRational { num: 0, den: 1 } };
    let mut run = || -> crate::av::Result<Option<Frame>> {
        let mut graph = Graph::video(&filters, &frame, input)?;
        frame.pts = 0;
        graph.push(Some(&mut frame))?;
        graph.push(None)?;
        graph.pull()
    };
    run().map_err(|error| error.to_string())?.ok_or_else(|| "no picture came out".to_owned())
}

fn push(source: &gst_app::AppSrc, frame: &Frame) -> std::result::Result<(), String> {
    let info = upscaler::video_info(frame).map_err(|failure| failure.to_string())?;
    let caps = info.to_caps().map_err(|error| error.to_string())?;
    if source.caps().as_ref() != Some(&caps) {
        source.set_caps(Some(&caps));
    }
    let buffer = upscaler::to_buffer(frame, &info).map_err(|failure| failure.to_string())?;
    source.push_buffer(buffer).map(drop).map_err(|error| error.to_string())
}

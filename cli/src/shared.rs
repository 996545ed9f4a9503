//! What the streaming threads tell the main thread.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::failure::Failure;

/// Name of the message that wakes the main thread up: [`Shared::failure`] has something to say.
pub const FAILURE_MESSAGE: &str = "gst-upscale-failure";

/// What is known of the video once it is being decoded.
#[derive(Clone, Debug, Default)]
pub struct VideoFacts {
    /// The decoder's output pad, to ask for the duration.
    pub pad: Option<gst::Pad>,
    /// How long it is, where that is known better than by asking.
    pub duration: Option<gst::ClockTime>,
    /// How a player is to turn the picture (GStreamer's `image-orientation`), if at all.
    pub orientation: Option<String>,
    /// GStreamer's `mastering-display-info`, if the video has one.
    pub mastering_display: Option<String>,
    /// By how much everything is muxed later than it is to be shown.
    pub delay: gst::ClockTime,
}

/// One per run; the streaming threads hold it too.
#[derive(Debug, Default)]
pub struct Shared {
    failure: Mutex<Option<Failure>>,
    video: Mutex<VideoFacts>,
    /// The picture file that went into the decoder last.
    current_file: Mutex<Option<PathBuf>>,
    frames: AtomicU64,
    /// Running time of the frame that came out last, nanoseconds.
    position: AtomicU64,
    /// Running time at which the last frame is over, nanoseconds.
    end: AtomicU64,
}

impl Shared {
    /// Reports a failure of a streaming thread; the first one counts.
    pub fn fail(&self, source: &impl IsA<gst::Element>, failure: Failure) {
        self.failure.lock().get_or_insert(failure);
        let message = gst::message::Application::builder(gst::Structure::new_empty(FAILURE_MESSAGE)).build();
        // Only a pipeline that is gone refuses a message, and then nobody waits for one.
        source.post_message(message).ok();
    }

    /// The failure of a streaming thread.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    pub fn video(&self) -> VideoFacts {
        self.video.lock().clone()
    }

    pub fn update_video(&self, change: impl FnOnce(&mut VideoFacts)) {
        change(&mut self.video.lock());
    }

    pub fn set_current_file(&self, path: PathBuf) {
        *self.current_file.lock() = Some(path);
    }

    pub fn current_file(&self) -> Option<PathBuf> {
        self.current_file.lock().clone()
    }

    /// Counts the frames that leave by `pad`, and where in time they are.
    pub fn count_frames(self: &std::sync::Arc<Self>, pad: &gst::Pad) {
        let shared = std::sync::Arc::downgrade(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(shared), Some(buffer)) = (shared.upgrade(), info.buffer()) {
                shared.frames.fetch_add(1, Ordering::Relaxed);
                if let Some(position) = running_time(pad, buffer) {
                    shared.position.store(position.nseconds(), Ordering::Relaxed);
                    let end = position + buffer.duration().unwrap_or_default().max(gst::ClockTime::MSECOND);
                    shared.end.fetch_max(end.nseconds(), Ordering::Relaxed);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Frames that came out so far.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Running time of the last one.
    pub fn position(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.position.load(Ordering::Relaxed))
    }

    /// Running time at which the last frame is over.
    pub fn end(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.end.load(Ordering::Relaxed))
    }
}

/// When a buffer is shown, counted from the start of the stream.
fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts())
}

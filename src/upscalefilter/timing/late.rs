//! Late frames: they are detected before any work is spent on them, then upscaled, resized or dropped as `late-frames`
//! says.
//!
//! In a live pipeline a frame has to leave within the latency that the element reported. In others, lateness comes from
//! the sink's QoS events.

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::upscalefilter::CAT;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::properties::LateFrames;
use crate::upscalefilter::state::State;

/// Name of the custom meta on frames that were resized instead of upscaled. It has no fields.
pub(in crate::upscalefilter) const FALLBACK_META: &str = "GstUpscaleFilterFallbackMeta";

/// How a frame is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upscalefilter) enum LateAction {
    Upscale,
    /// Resized without the network.
    Fallback,
    Drop,
}

impl UpscaleFilter {
    /// Running time now, if there is a clock and it runs.
    pub(in crate::upscalefilter) fn running_time_now(&self) -> Option<gst::ClockTime> {
        let element = self.obj();
        element.clock()?.time().checked_sub(element.base_time()?)
    }

    /// How to handle a frame that gives `workers` workers `work` more pixels. `now` is the running time.
    pub(in crate::upscalefilter) fn late_action(
        &self,
        state: &State,
        late_frames: LateFrames,
        pts: Option<gst::ClockTime>,
        work: u64,
        workers: usize,
        now: Option<gst::ClockTime>,
    ) -> LateAction {
        let action = match late_frames {
            LateFrames::Upscale => return LateAction::Upscale,
            LateFrames::Fallback => LateAction::Fallback,
            LateFrames::Drop => LateAction::Drop,
        };
        let done_in = gst::ClockTime::try_from(state.completion.done_in(work, workers));
        let leaves = now.map(|now| done_in.map_or(gst::ClockTime::MAX, |done_in| now.saturating_add(done_in)));
        let starved = action == LateAction::Drop && state.timing.is_starved(pts);
        if starved || !state.timing.is_late(pts, leaves) {
            return LateAction::Upscale;
        }
        gst::debug!(
            CAT,
            imp = self,
            "Frame {}, PTS {}, would leave at {}, too late for {}: {action:?}; {} frames in flight",
            state.next_index,
            pts.display(),
            leaves.display(),
            state.timing.deadline(pts).display(),
            state.queue.frames()
        );
        action
    }

    /// Posts a QoS message for a dropped frame.
    pub(in crate::upscalefilter) fn post_dropped(&self, pts: Option<gst::ClockTime>, duration: Option<gst::ClockTime>) {
        let now = self.running_time_now();
        let message = {
            let state = self.state.lock();
            let running_time = state.timing.running_time(pts);
            let jitter = now.zip(running_time).map_or(0, |(now, due)| now.nseconds() as i64 - due.nseconds() as i64);
            let stats = &state.stats;
            gst::message::Qos::builder(state.timing.is_live())
                .src(&*self.obj())
                .running_time(running_time)
                .stream_time(state.timing.stream_time(pts))
                .timestamp(pts)
                .duration(duration)
                .values(jitter, state.timing.proportion, 1_000_000)
                .stats(gst::format::Default::from_u64(stats.frames_out), gst::format::Default::from_u64(stats.dropped))
                .build()
        };
        if self.obj().post_message(message).is_err() {
            gst::trace!(CAT, imp = self, "No bus for the QoS message");
        }
    }
}

/// Marks a frame as resized without the network.
pub(in crate::upscalefilter) fn mark_fallback(buffer: &mut gst::BufferRef) {
    if gst::meta::CustomMeta::add(buffer, FALLBACK_META).is_err() {
        gst::debug!(CAT, "The meta that marks resized frames is not registered");
    }
}

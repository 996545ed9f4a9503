//! Frames that would be late: found out before any work is spent on them, and what is done with them then.
//!
//! In a live pipeline a frame has to leave within the latency that the element has promised. Elsewhere nothing is late until the sink
//! says so (QoS).

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::upscalefilter::CAT;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::properties::LateFrames;
use crate::upscalefilter::state::State;

/// Name of the custom meta on frames that were resized in place of upscaled. It has no fields.
pub(in crate::upscalefilter) const FALLBACK_META: &str = "GstUpscaleFilterFallbackMeta";

/// By when frames have to leave, and what the clock says.
#[derive(Debug, Default)]
pub(in crate::upscalefilter) struct Timing {
    /// The sink pad's segment, if it is in time.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Latency from the source to our source pad, if the pipeline is live, and our own part of it; from the last LATENCY query.
    live_latency: Option<(gst::ClockTime, gst::ClockTime)>,
    /// There was a LATENCY query.
    asked: bool,
    /// Downstream was late: running time before which no frame is of use to it any more.
    earliest: Option<gst::ClockTime>,
    /// The last proportion that downstream gave.
    proportion: f64,
    /// Running time of the last frame that was not dropped.
    last: Option<gst::ClockTime>,
}

/// What part of our latency is kept for what is not predicted: putting the frame together, and threads that have to wake up.
const SPARE: u64 = 8;

/// Not longer than this is nothing to be seen because all is late, as in GStreamer's sinks.
const MAX_GAP: gst::ClockTime = gst::ClockTime::from_seconds(1);

impl Timing {
    pub fn set_segment(&mut self, segment: &gst::Segment) {
        self.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        self.earliest = None;
        self.last = None;
    }

    /// A flush: the segment and what downstream said of it are void.
    pub fn flush(&mut self) {
        self.segment = None;
        self.earliest = None;
        self.last = None;
    }

    /// A frame is not dropped.
    pub fn kept(&mut self, pts: Option<gst::ClockTime>) {
        self.last = self.running_time(pts).or(self.last);
    }

    /// Whether nothing was to be seen for so long that one that is late is better than none.
    fn is_starved(&self, pts: Option<gst::ClockTime>) -> bool {
        self.running_time(pts).is_some_and(|now| self.last.is_none_or(|last| now > last + MAX_GAP))
    }

    /// `latency` is that from the source to our source pad, and our own part of it; `None` where nothing is live.
    pub fn set_live(&mut self, latency: Option<(gst::ClockTime, gst::ClockTime)>) {
        self.live_latency = latency;
        self.asked = true;
    }

    pub fn is_live(&self) -> bool {
        self.live_latency.is_some()
    }

    /// The same, if that is known already.
    pub fn live(&self) -> Option<bool> {
        self.asked.then(|| self.is_live())
    }

    /// Takes a QoS event. As in GStreamer's decoders, after a late frame those are skipped that would be late if the delay
    /// grew at the same rate.
    pub fn qos(&mut self, event: &gst::event::Qos) {
        let (_, proportion, difference, timestamp) = event.get();
        self.proportion = proportion;
        self.earliest = timestamp.and_then(|timestamp| {
            let difference = if difference > 0 { difference.saturating_mul(2) } else { difference };
            timestamp.nseconds().checked_add_signed(difference).map(gst::ClockTime::from_nseconds)
        });
    }

    fn running_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time(pts?)
    }

    fn stream_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_stream_time(pts?)
    }

    /// The running time by which a frame has to leave, if there is one.
    pub fn deadline(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.running_time(pts)?.checked_add(self.live_latency?.0)
    }

    /// Whether a frame is of no use if it leaves at running time `leaves` (not known without a clock).
    fn is_late(&self, pts: Option<gst::ClockTime>, leaves: Option<gst::ClockTime>) -> bool {
        let spare = self.live_latency.map_or(gst::ClockTime::ZERO, |(_, own)| own / SPARE);
        let missed =
            self.deadline(pts).zip(leaves).is_some_and(|(deadline, leaves)| leaves.saturating_add(spare) > deadline);
        let skipped = self.earliest.zip(self.running_time(pts)).is_some_and(|(earliest, running)| running < earliest);
        missed || skipped
    }
}

/// What a frame that has come in is worth.
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

    /// What is to become of a frame of which `work` pixels would be given to the `workers` now. `now` is the running time.
    pub(in crate::upscalefilter) fn late_action(
        &self,
        state: &State,
        late_frames: LateFrames,
        pts: Option<gst::ClockTime>,
        (work, workers): (u64, usize),
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

    /// Tells the application of a frame that was dropped, as elements do that drop for QoS.
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

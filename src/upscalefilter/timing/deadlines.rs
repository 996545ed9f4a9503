//! When frames have to leave: from the segment, the pipeline's latency and downstream's QoS events.

/// The deadlines of a stream's frames.
#[derive(Debug, Default)]
pub(in crate::upscalefilter) struct Deadlines {
    /// The sink pad's segment, if its format is time.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// In a live pipeline: the latency from the source to our source pad, and our own share of it; from the last
    /// LATENCY query.
    live_latency: Option<(gst::ClockTime, gst::ClockTime)>,
    /// A LATENCY query has been answered.
    asked: bool,
    /// Downstream was late: it cannot use frames before this running time.
    earliest: Option<gst::ClockTime>,
    /// The proportion in downstream's last QoS event.
    pub proportion: f64,
    /// Running time of the last frame that was not dropped.
    last: Option<gst::ClockTime>,
}

/// This fraction of our latency is reserved for what is not predicted: assembling the frame, and threads that have to
/// wake up.
const RESERVE_DIVISOR: u64 = 8;

/// The longest time without any output because every frame is late, as in GStreamer's sinks.
const MAX_GAP: gst::ClockTime = gst::ClockTime::from_seconds(1);

impl Deadlines {
    pub fn set_segment(&mut self, segment: &gst::Segment) {
        self.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        self.earliest = None;
        self.last = None;
    }

    /// Forgets the segment and downstream's QoS event, which a flush invalidates.
    pub fn flush(&mut self) {
        self.segment = None;
        self.earliest = None;
        self.last = None;
    }

    /// Records that a frame was not dropped.
    pub fn kept(&mut self, pts: Option<gst::ClockTime>) {
        self.last = self.running_time(pts).or(self.last);
    }

    /// Whether there has been no output for so long that a late frame is better than none.
    pub fn is_starved(&self, pts: Option<gst::ClockTime>) -> bool {
        self.running_time(pts).is_some_and(|now| self.last.is_none_or(|last| now > last + MAX_GAP))
    }

    /// `latency` is the latency from the source to our source pad, and our own share of it; `None` if the pipeline is
    /// not live.
    pub fn set_live(&mut self, latency: Option<(gst::ClockTime, gst::ClockTime)>) {
        self.live_latency = latency;
        self.asked = true;
    }

    pub fn is_live(&self) -> bool {
        self.live_latency.is_some()
    }

    /// Whether the pipeline is live; `None` before the first LATENCY query.
    pub fn live(&self) -> Option<bool> {
        self.asked.then(|| self.is_live())
    }

    /// Stores a QoS event. As in GStreamer's decoders, frames after a late one are skipped if they would be late when
    /// the delay kept growing at the same rate.
    pub fn qos(&mut self, event: &gst::event::Qos) {
        let (_, proportion, difference, timestamp) = event.get();
        self.proportion = proportion;
        self.earliest = timestamp.and_then(|timestamp| {
            let difference = if difference > 0 { difference.saturating_mul(2) } else { difference };
            timestamp.nseconds().checked_add_signed(difference).map(gst::ClockTime::from_nseconds)
        });
    }

    pub fn running_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time(pts?)
    }

    pub fn stream_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_stream_time(pts?)
    }

    /// The running time by which a frame has to leave; `None` if the pipeline is not live.
    pub fn deadline(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.running_time(pts)?.checked_add(self.live_latency?.0)
    }

    /// Whether a frame is too late if it leaves at running time `leaves` (unknown without a clock).
    pub fn is_late(&self, pts: Option<gst::ClockTime>, leaves: Option<gst::ClockTime>) -> bool {
        let reserve = self.live_latency.map_or(gst::ClockTime::ZERO, |(_, own)| own / RESERVE_DIVISOR);
        let missed =
            self.deadline(pts).zip(leaves).is_some_and(|(deadline, leaves)| leaves.saturating_add(reserve) > deadline);
        let skipped = self.earliest.zip(self.running_time(pts)).is_some_and(|(earliest, running)| running < earliest);
        missed || skipped
    }
}

//! Latency: how long a frame may stay in the element.

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::properties::LatencyMode;

/// Additional frames in flight if each device runs one at a time: one that waits for a device, one that is pushed.
const EXTRA_FRAMES_LOW_LATENCY: usize = 2;

/// Whether each device runs one frame at a time, on all cores.
pub(in crate::upscalefilter) fn is_low(mode: LatencyMode, live: bool) -> bool {
    match mode {
        LatencyMode::Auto => live,
        LatencyMode::Throughput => false,
        LatencyMode::Low => true,
    }
}

/// The limit on frames between sink and source pad.
pub(in crate::upscalefilter) fn in_flight(engine: &Engine, mode: LatencyMode, live: bool) -> usize {
    let low = is_low(mode, live) && !engine.in_flight_is_set();
    let max = engine.in_flight();
    if low { max.min(engine.devices.len() + EXTRA_FRAMES_LOW_LATENCY) } else { max }
}

/// The latency that the element adds: the frame duration times the limit on frames in flight.
pub(in crate::upscalefilter) fn of_frames(config: &StreamConfig, in_flight: usize) -> Option<gst::ClockTime> {
    config.frame_duration().checked_mul(in_flight as u64)
}

impl UpscaleFilter {
    /// Answers a LATENCY query with upstream's latency plus ours, and notes whether the pipeline is live.
    pub(in crate::upscalefilter) fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let mode = self.settings.lock().latency_mode;
        let in_flight = self.engine().map_or(0, |engine| in_flight(&engine, mode, live));
        let mut state = self.state.lock();
        let own = state.config.as_deref().and_then(|config| of_frames(config, in_flight));
        let own = own.unwrap_or(gst::ClockTime::ZERO);
        let min = min.saturating_add(own);
        state.timing.set_live(live.then_some((min, own)));
        drop(state);
        // The queue buffers for as long as it delays; an unlimited upstream stays unlimited.
        let max = max.map(|max| max.saturating_add(own));
        query.set(live, min, max);
        true
    }

    /// How many of upstream's buffers are held at a time: those of the frames in flight, and the one that waits for
    /// room.
    pub(in crate::upscalefilter) fn held_buffers(&self, engine: &Engine) -> usize {
        let mode = self.settings.lock().latency_mode;
        let known = self.state.lock().timing.live();
        let live = known.unwrap_or_else(|| {
            // Allocation is negotiated before the first LATENCY query.
            let mut latency = gst::query::Latency::new();
            self.sinkpad.peer_query(&mut latency) && latency.result().0
        });
        in_flight(engine, mode, live) + 1
    }

    /// The latency that the element adds now; `None` if it overflows.
    pub(in crate::upscalefilter) fn own_latency(
        &self,
        engine: &Engine,
        config: &StreamConfig,
    ) -> Option<gst::ClockTime> {
        let mode = self.settings.lock().latency_mode;
        let live = self.state.lock().timing.is_live();
        of_frames(config, in_flight(engine, mode, live))
    }

    /// Posts a LATENCY message, so that the pipeline recalculates its latency.
    pub(in crate::upscalefilter) fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        if self.obj().post_message(message).is_err() {
            gst::debug!(CAT, imp = self, "No bus for the LATENCY message");
        }
    }
}

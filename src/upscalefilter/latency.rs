//! Latency: how long a frame may stay in the element.

use gst::prelude::*;

use super::stream::StreamConfig;

/// What the element adds to the pipeline's latency: as many frame durations as frames may be in flight.
pub(super) fn of_frames(config: &StreamConfig, in_flight: usize) -> Option<gst::ClockTime> {
    config.frame_duration().checked_mul(in_flight as u64)
}

/// Answers a LATENCY query: upstream's latency and ours.
pub(super) fn answer(query: &mut gst::query::Latency, sinkpad: &gst::Pad, own: Option<gst::ClockTime>) -> bool {
    let mut upstream = gst::query::Latency::new();
    if !sinkpad.peer_query(&mut upstream) {
        return false;
    }
    let (live, min, max) = upstream.result();
    let own = own.unwrap_or(gst::ClockTime::ZERO);
    // The queue holds as long as it delays; upstream without a bound stays without one.
    let max = max.map(|max| max.checked_add(own).unwrap_or(max));
    query.set(live, min.checked_add(own).unwrap_or(min), max);
    true
}

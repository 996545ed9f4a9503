//! Changing events on their way.

use gst::prelude::*;

/// Changes the caps that pass `pad`.
pub fn on_caps(pad: &gst::Pad, change: impl Fn(&mut gst::Caps) + Send + Sync + 'static) {
    on_event(pad, move |event| {
        let gst::EventView::Caps(view) = event.view() else { return None };
        let mut caps = view.caps_owned();
        change(&mut caps);
        Some(gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build())
    });
}

/// Changes the segments (in time) that pass `pad`.
pub fn on_segment(pad: &gst::Pad, change: impl Fn(&mut gst::FormattedSegment<gst::ClockTime>) + Send + Sync + 'static) {
    on_event(pad, move |event| {
        let gst::EventView::Segment(view) = event.view() else { return None };
        let mut segment = view.segment().downcast_ref::<gst::ClockTime>()?.clone();
        change(&mut segment);
        Some(gst::event::Segment::builder(&segment).seqnum(event.seqnum()).build())
    });
}

/// Replaces the serialized events for which `replace` returns another one.
fn on_event(pad: &gst::Pad, replace: impl Fn(&gst::Event) -> Option<gst::Event> + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(event) = info.event().and_then(&replace) {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Replaces the buffers for which `replace` returns another one.
pub fn on_buffer(pad: &gst::Pad, replace: impl Fn(&gst::Buffer) -> Option<gst::Buffer> + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && let Some(buffer) = replace(buffer)
        {
            info.data = Some(gst::PadProbeData::Buffer(buffer));
        }
        gst::PadProbeReturn::Ok
    });
}

//! Elements with dummy networks in harnesses, and the streams that tests send through them.

use std::ops::Range;
use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;

use super::{GRAY, assert_frame, dummy_element, gray_frame, harness, model};

/// An element that runs a dummy network, in a harness that has sent the caps [`GRAY`].
pub struct Fixture {
    pub model: Arc<DummyModel>,
    pub element: gst::Element,
    pub harness: gst_check::Harness,
}

impl Fixture {
    pub fn new(properties: &[(&str, &str)]) -> Self {
        let model = model();
        let (element, harness) = start(&model, properties);
        Fixture { model, element, harness }
    }

    /// The network's gate is closed: no run ends before the test opens it.
    pub fn held(properties: &[(&str, &str)]) -> Self {
        let model = model();
        model.gate().hold();
        let (element, harness) = start(&model, properties);
        Fixture { model, element, harness }
    }
}

/// As [`Fixture::new`], for a network of the test's own.
pub fn start(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    start_with_caps(model, properties, GRAY)
}

pub fn start_with_caps(
    model: &Arc<DummyModel>,
    properties: &[(&str, &str)],
    caps: &str,
) -> (gst::Element, gst_check::Harness) {
    let element = dummy_element(model, properties);
    let mut harness = harness(&element);
    harness.set_src_caps_str(caps);
    (element, harness)
}

/// Gives the element a bus of its own, for its messages.
pub fn with_bus(element: &gst::Element) -> gst::Bus {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    bus
}

/// Pushes frames of [`GRAY`], each with its number as its mark.
pub fn push_frames(harness: &mut gst_check::Harness, frames: Range<u64>) {
    frames.for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok(), "frame {n}"));
}

/// Pulls the frames that [`push_frames`] pushed.
#[track_caller]
pub fn pull_frames(harness: &mut gst_check::Harness, frames: Range<u64>) {
    for n in frames {
        assert_frame(&harness.pull().unwrap(), 40 * n, n as u8);
    }
}

/// Sends an open segment in TIME.
pub fn send_segment(harness: &mut gst_check::Harness) {
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
}

/// Flushes the stream and starts a new segment.
pub fn flush(harness: &mut gst_check::Harness) {
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    send_segment(harness);
}

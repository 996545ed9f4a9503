//! Every kind of event is forwarded once and unchanged, except events that contain pixel positions.

use gst::prelude::*;

use crate::common::{GRAY, gray_frame};
use crate::neighbours::Neighbours;

fn custom(name: &str) -> gst::Structure {
    gst::Structure::builder(name).field("number", 77).build()
}

fn downstream_events() -> Vec<gst::Event> {
    let caps = &GRAY.parse::<gst::Caps>().unwrap();
    let stream = gst::Stream::new(Some("test"), Some(caps), gst::StreamType::VIDEO, gst::StreamFlags::empty());
    let second = gst::ClockTime::SECOND;
    vec![
        gst::event::StreamCollection::new(&gst::StreamCollection::builder(None).stream(stream).build()),
        gst::event::Tag::new(gst::TagList::new()),
        gst::event::Buffersize::new(second, second, false),
        gst::event::StreamGroupDone::new(gst::GroupId::next()),
        gst::event::Toc::new(&gst::Toc::new(gst::TocScope::Global), false),
        gst::event::Gap::builder(second).duration(second).build(),
        gst::event::SegmentDone::new(second),
        gst::event::InstantRateChange::new(1.0, gst::SegmentFlags::empty()),
        gst::event::SinkMessage::new("test", &gst::message::Application::new(custom("sent"))),
        gst::event::CustomDownstream::new(custom("down")),
        gst::event::CustomDownstreamOob::new(custom("down-at-once")),
        gst::event::CustomDownstreamSticky::new(custom("sticky")),
        gst::event::CustomBoth::new(custom("both")),
        gst::event::CustomBothOob::new(custom("both-at-once")),
        gst::event::FlushStart::new(),
        gst::event::FlushStop::new(true),
    ]
}

fn upstream_events() -> Vec<gst::Event> {
    let second = gst::ClockTime::SECOND;
    vec![
        gst::event::Qos::new(gst::QOSType::Underflow, 1.5, -7, second),
        gst::event::Seek::new(1.0, gst::SeekFlags::ACCURATE, gst::SeekType::Set, second, gst::SeekType::None, second),
        gst::event::Navigation::new(custom("application/x-gst-navigation")),
        gst::event::Latency::new(second),
        gst::event::Step::new(gst::format::Default::from_u64(2), 1.0, true, false),
        gst::event::Reconfigure::new(),
        gst::event::TocSelect::new("chapter"),
        gst::event::SelectStreams::new(["test"]),
        gst::event::InstantRateSyncTime::new(1.0, second, second),
        gst::event::CustomUpstream::new(custom("up")),
        gst::event::CustomBoth::new(custom("both")),
        gst::event::CustomBothOob::new(custom("both-at-once")),
    ]
}

/// Type, seqnum and fields of each event. Pads forward a sticky event that is not serialized at once and again as pending; count it once.
fn summary(events: &[gst::Event]) -> Vec<(gst::EventType, gst::Seqnum, String)> {
    let fields = |event: &gst::Event| event.structure().map_or_else(String::new, |fields| fields.to_string());
    let mut summary: Vec<_> = events.iter().map(|event| (event.type_(), event.seqnum(), fields(event))).collect();
    summary.dedup_by(|again, first| again == first && again.0.is_sticky() && !again.0.is_serialized());
    summary
}

#[test]
fn events_from_upstream_are_forwarded_in_order() {
    let neighbours = Neighbours::new();
    neighbours.taken_events();
    for event in downstream_events() {
        assert!(neighbours.before.push_event(event.clone()), "{event:?}");
        neighbours.drain();
        assert_eq!(summary(&neighbours.taken_events()), summary(&[event]));
    }
    // The stream continues after the flush, and EOS follows the last frame.
    neighbours.start();
    assert_eq!(neighbours.before.push(gray_frame(0, 1)), Ok(gst::FlowSuccess::Ok));
    neighbours.taken_events();
    let end = gst::event::Eos::new();
    assert!(neighbours.before.push_event(end.clone()));
    assert_eq!(summary(&[neighbours.next_event()]), summary(&[end]));
}

#[test]
fn events_from_downstream_are_forwarded() {
    let neighbours = Neighbours::new();
    neighbours.taken_events();
    for event in upstream_events() {
        assert!(neighbours.behind.push_event(event.clone()), "{event:?}");
        assert_eq!(summary(&neighbours.taken_events()), summary(&[event]));
    }
}

#[test]
fn unexpected_events_do_no_harm() {
    let neighbours = Neighbours::new();
    // A second EOS, FLUSH_STOP without FLUSH_START, repeated FLUSH_START, and caps that have not changed.
    assert!(neighbours.before.push_event(gst::event::FlushStop::new(false)));
    neighbours.start();
    assert_eq!(neighbours.before.push(gray_frame(0, 1)), Ok(gst::FlowSuccess::Ok));
    assert!(neighbours.before.push_event(gst::event::Eos::new()));
    neighbours.before.push_event(gst::event::Eos::new());
    assert_eq!(neighbours.before.push(gray_frame(1, 1)), Err(gst::FlowError::Eos));
    for _ in 0..2 {
        neighbours.element.static_pad("sink").unwrap().send_event(gst::event::FlushStart::new());
    }
    assert!(neighbours.before.push_event(gst::event::FlushStop::new(true)));
    neighbours.start();
    assert_eq!(neighbours.before.push(gray_frame(2, 2)), Ok(gst::FlowSuccess::Ok));
    neighbours.drain();
}

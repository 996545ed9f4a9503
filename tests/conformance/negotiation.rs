//! ANY, EMPTY, unfixed and unsupported caps.

use gst::prelude::*;

use crate::common::{GRAY, dummy_element, gray_frame, harness, init, model};

fn template(pad: &gst::Pad) -> gst::Caps {
    pad.pad_template_caps()
}

#[test]
fn an_unlinked_pad_accepts_its_template_caps_in_every_state() {
    let element = dummy_element(&model(), &[]);
    for state in [gst::State::Null, gst::State::Ready, gst::State::Paused] {
        element.set_state(state).unwrap();
        let sink = element.static_pad("sink").unwrap();
        assert!(sink.query_caps(None).is_strictly_equal(&template(&sink)), "{state:?}: {}", sink.query_caps(None));
        let src = element.static_pad("src").unwrap();
        let caps = src.query_caps(None);
        assert!(caps.is_subset(&template(&src)) && !caps.is_empty(), "{state:?}: {caps}");
        for pad in [&sink, &src] {
            let any = pad.query_caps(Some(&gst::Caps::new_any()));
            assert!(any.is_strictly_equal(&pad.query_caps(None)), "ANY filters nothing: {any}");
            assert!(pad.query_caps(Some(&gst::Caps::new_empty())).is_empty());
            assert!(pad.query_caps(Some(&"audio/x-raw".parse().unwrap())).is_empty());
        }
    }
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn only_offered_caps_are_accepted() {
    let element = dummy_element(&model(), &[]);
    element.set_state(gst::State::Ready).unwrap();
    let sink = element.static_pad("sink").unwrap();
    let accepts = |caps: &str| sink.query_accept_caps(&caps.parse().unwrap());
    assert!(accepts(GRAY));
    for foreign in [
        "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved",
        "video/x-raw,format=YUY2,width=4,height=2,framerate=25/1",
        "video/x-raw(memory:GLMemory),format=RGBA,width=4,height=2,framerate=25/1",
        "video/x-h264,stream-format=avc,alignment=au",
    ] {
        assert!(!accepts(foreign), "{foreign}");
    }
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_peer_with_any_caps_changes_nothing() {
    init();
    let any = gst::PadTemplate::new("any", gst::PadDirection::Sink, gst::PadPresence::Always, &gst::Caps::new_any());
    let behind = gst::Pad::builder_from_template(&any.unwrap())
        .query_function(|_, _, query| match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                query.set_result(&gst::Caps::new_any());
                true
            }
            _ => false,
        })
        .build();
    let element = dummy_element(&model(), &[]);
    element.static_pad("src").unwrap().link(&behind).unwrap();
    element.set_state(gst::State::Ready).unwrap();
    let sink = element.static_pad("sink").unwrap();
    assert!(sink.query_caps(None).is_strictly_equal(&template(&sink)), "{}", sink.query_caps(None));
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_peer_with_empty_caps_leaves_no_caps() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_sink_caps(gst::Caps::new_empty());
    assert!(element.static_pad("sink").unwrap().query_caps(None).is_empty());
}

#[test]
fn frames_pass_to_a_sink_with_any_caps() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_caps(GRAY.parse().unwrap(), gst::Caps::new_any());
    assert_eq!(harness.push_and_pull(gray_frame(0, 3)).unwrap().size(), 32);
}

#[test]
fn a_frame_before_caps_is_not_negotiated_and_later_caps_start_the_stream() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.play();
    assert!(harness.push_event(gst::event::StreamStart::new("test")));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    assert_eq!(harness.push(gray_frame(0, 3)), Err(gst::FlowError::NotNegotiated));
    // The pad would warn about a segment that arrived before the caps.
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    harness.set_src_caps_str(GRAY);
    assert!(harness.push_and_pull(gray_frame(1, 3)).is_ok());
}

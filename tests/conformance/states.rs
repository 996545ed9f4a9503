//! Changes of state of an element that nothing is linked to, by every way, and what is left of it.

use gst::State::{Null, Paused, Playing, Ready};
use gst::prelude::*;

use crate::common::{dummy_element, element, have_runtime, model};

/// The ways that GStreamer's test of all elements takes, and each state twice.
const WAYS: [&[gst::State]; 6] = [
    &[Null, Ready, Paused, Playing, Paused, Ready, Null],
    &[Playing, Null, Playing, Null, Playing, Null],
    &[Ready, Paused, Ready, Paused, Ready, Null],
    &[Paused, Playing, Paused, Playing, Null],
    &[Ready, Null, Ready, Null],
    &[Null, Null, Ready, Ready, Paused, Paused, Playing, Playing, Paused, Null, Null],
];

fn walk(element: &gst::Element) {
    for way in WAYS {
        for state in way {
            let change = element.set_state(*state).unwrap_or_else(|_| panic!("{state:?} in {way:?}"));
            // The element neither waits for data nor is it live, so that nothing is left to come.
            assert_eq!(change, gst::StateChangeSuccess::Success, "{state:?} in {way:?}");
            assert_eq!(element.state(gst::ClockTime::ZERO).1, *state);
        }
    }
}

#[test]
fn every_way_through_the_states_without_a_pad_linked() {
    let model = model();
    let element = dummy_element(&model, &[]);
    walk(&element);
    assert_eq!(element.ref_count(), 1, "nobody else holds it");
    assert_eq!(model.sessions_open(), 0);
    let gone = element.downgrade();
    drop(element);
    assert!(gone.upgrade().is_none());
}

#[test]
fn every_way_through_the_states_with_a_network() {
    if have_runtime() {
        let element = element(&[("model", "fast2x"), ("workers", "1")]);
        walk(&element);
        assert_eq!(element.ref_count(), 1, "nobody else holds it");
    }
}

#[test]
fn an_element_that_was_never_used_goes_without_a_trace() {
    let gone = element(&[]).downgrade();
    assert!(gone.upgrade().is_none());
}

#[test]
fn names_and_metadata_are_there() {
    let element = element(&[]);
    assert_eq!(element.num_pads(), 2);
    for (pad, direction) in [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)] {
        let template = element.pad_template(pad).expect("its pads have templates");
        assert_eq!((template.direction(), template.presence()), (direction, gst::PadPresence::Always));
    }
    for key in ["long-name", "klass", "description", "author"] {
        assert!(element.metadata(key).is_some_and(|text| !text.is_empty()), "{key}");
    }
}

//! State changes of an unlinked element, in several orders, and its release.

use gst::State::{Null, Paused, Playing, Ready};
use gst::prelude::*;

use crate::common::{dummy_element, element, have_runtime, model};

/// The sequences of GStreamer's test of all elements, and one with each state twice.
const SEQUENCES: [&[gst::State]; 6] = [
    &[Null, Ready, Paused, Playing, Paused, Ready, Null],
    &[Playing, Null, Playing, Null, Playing, Null],
    &[Ready, Paused, Ready, Paused, Ready, Null],
    &[Paused, Playing, Paused, Playing, Null],
    &[Ready, Null, Ready, Null],
    &[Null, Null, Ready, Ready, Paused, Paused, Playing, Playing, Paused, Null, Null],
];

fn walk(element: &gst::Element) {
    for sequence in SEQUENCES {
        for state in sequence {
            let change = element.set_state(*state).unwrap_or_else(|_| panic!("{state:?} in {sequence:?}"));
            // The element neither prerolls nor is it live, so no change is asynchronous.
            assert_eq!(change, gst::StateChangeSuccess::Success, "{state:?} in {sequence:?}");
            assert_eq!(element.state(gst::ClockTime::ZERO).1, *state);
        }
    }
}

#[test]
fn state_sequences_without_linked_pads() {
    let model = model();
    let element = dummy_element(&model, &[]);
    walk(&element);
    assert_eq!(element.ref_count(), 1, "nothing else holds the element");
    assert_eq!(model.sessions_open(), 0);
    let gone = element.downgrade();
    drop(element);
    assert!(gone.upgrade().is_none());
}

#[test]
fn state_sequences_with_a_network() {
    if have_runtime() {
        let element = element(&[("model", "fast2x"), ("workers", "1")]);
        walk(&element);
        assert_eq!(element.ref_count(), 1, "nothing else holds the element");
    }
}

#[test]
fn an_unused_element_is_released() {
    let gone = element(&[]).downgrade();
    assert!(gone.upgrade().is_none());
}

#[test]
fn pads_and_metadata_are_complete() {
    let element = element(&[]);
    assert_eq!(element.num_pads(), 2);
    for (pad, direction) in [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)] {
        let template = element.pad_template(pad).expect("its pads have templates");
        assert_eq!(template.direction(), direction);
        assert_eq!(template.presence(), gst::PadPresence::Always);
    }
    for key in ["long-name", "klass", "description", "author"] {
        assert!(element.metadata(key).is_some_and(|text| !text.is_empty()), "{key}");
    }
}

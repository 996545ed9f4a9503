//! Changes of the network and its workers while frames flow: no frame is lost or delayed, and the order is kept.

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::*;
use gst::prelude::*;
use gstupscale::model::Model;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;
use gstupscale::upscalefilter::UpscaleFilter;
use proptest::prelude::*;

fn luma(scale: u32) -> Arc<DummyModel> {
    Arc::new(DummyModel::new(Channels::Luma, scale))
}

fn set_model(element: &gst::Element, model: &Arc<DummyModel>) {
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_model(Arc::clone(model) as Arc<dyn Model>);
}

/// Pushes and pulls frames, from number `first`, until one has `size` bytes; returns the number after it.
fn push_until(harness: &mut gst_check::Harness, first: u64, size: usize) -> u64 {
    let deadline = Instant::now() + PATIENCE.into();
    for n in first.. {
        assert!(Instant::now() < deadline, "the change never takes effect");
        harness.push(gray_frame(n, n as u8)).unwrap();
        let out = harness.pull().unwrap();
        assert_frame(&out, 40 * n, n as u8);
        if out.size() == size {
            return n + 1;
        }
    }
    unreachable!()
}

/// Bytes of a 4x2 frame enlarged by `scale`, in GRAY8 with rows padded to a multiple of 4.
fn bytes(scale: usize) -> usize {
    4 * scale * 2 * scale
}

#[test]
fn another_network_takes_over_between_two_frames() {
    let (first, second) = (luma(2), luma(3));
    let (element, mut harness) = start(&first, &[("workers", "2")]);
    let next = push_until(&mut harness, 0, bytes(2));
    set_model(&element, &second);
    element.set_property("model", "another");
    let next = push_until(&mut harness, next, bytes(3));
    let caps = element.static_pad("src").unwrap().current_caps().unwrap();
    assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(12));
    // Back, triggered by another property.
    set_model(&element, &first);
    element.set_property("workers", 1u32);
    push_until(&mut harness, next, bytes(2));
    assert_stats(&element, &[("workers", 1)]);
    element.set_state(gst::State::Null).unwrap();
    // All sessions of both are closed.
    assert_eq!(first.sessions_open(), 0);
    assert_eq!(second.sessions_open(), 0);
}

#[test]
fn frames_in_flight_finish_on_the_network_that_started_them() {
    let (first, second) = (luma(2), luma(3));
    first.gate().hold();
    let (element, mut harness) = start(&first, &[("workers", "2"), ("max-in-flight", "1000")]);
    push_frames(&mut harness, 0..4);
    first.gate().wait_arrived(2);
    set_model(&element, &second);
    element.set_property("model", "another");
    let deadline = Instant::now() + PATIENCE.into();
    let mut pushed = 4;
    while second.runs() == 0 {
        assert!(Instant::now() < deadline, "the second network never runs");
        harness.push(gray_frame(pushed, pushed as u8)).unwrap();
        pushed += 1;
        std::thread::yield_now();
    }
    // Results of the second network wait for those of the first.
    first.gate().open();
    let mut sizes = Vec::new();
    for n in 0..pushed {
        let out = harness.pull().unwrap();
        assert_frame(&out, 40 * n, n as u8);
        sizes.push(out.size());
    }
    assert!(sizes.is_sorted() && sizes[3] == bytes(2) && sizes[pushed as usize - 1] == bytes(3), "{sizes:?}");
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(first.sessions_open(), 0);
    assert_eq!(second.sessions_open(), 0);
}

#[test]
fn a_network_that_cannot_be_loaded_is_a_warning_and_the_old_one_stays() {
    let (first, second) = (luma(2), luma(3));
    let (element, mut harness) = start(&first, &[]);
    let bus = with_bus(&element);
    let next = push_until(&mut harness, 0, bytes(2));
    second.fail_session(0, "on purpose");
    set_model(&element, &second);
    element.set_property("model", "another");
    let message = wait_message(&bus, &[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    let text = warning.error().to_string();
    assert!(text.contains("on purpose") && text.contains("continues as before"), "{text}");
    push_until(&mut harness, next, bytes(2));
}

#[test]
fn setting_a_property_to_its_present_value_loads_nothing() {
    let model = luma(2);
    let (element, mut harness) = start(&model, &[("workers", "1")]);
    push_until(&mut harness, 0, bytes(2));
    let opened = model.sessions_opened();
    element.set_property("workers", 1u32);
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(model.sessions_opened(), opened);
}

#[derive(Clone, Debug)]
enum Step {
    Frames(u64),
    Swap(u32),
    Workers(u32),
    Flush,
    Caps(i32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..6).prop_map(Step::Frames),
        2 => (1u32..4).prop_map(Step::Swap),
        1 => (1u32..4).prop_map(Step::Workers),
        1 => Just(Step::Flush),
        1 => (1i32..4).prop_map(|width| Step::Caps(2 * width)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever changes when, all frames since the last flush leave in order with their own content.
    #[test]
    fn nothing_is_lost_in_any_order_of_changes(steps in proptest::collection::vec(step(), 1..24)) {
        let models: Vec<_> = (1..4).map(luma).collect();
        let (element, mut harness) = start(&models[1], &[("workers", "2"), ("max-in-flight", "200")]);
        let (mut next, mut due, mut width) = (0u64, Vec::new(), 4);
        let pull = |harness: &mut gst_check::Harness, due: &mut Vec<u64>| {
            for n in due.drain(..) {
                let out = harness.pull().unwrap();
                assert_frame(&out, 40 * n, n as u8);
            }
        };
        for (turn, step) in steps.into_iter().enumerate() {
            match step {
                Step::Frames(count) => for _ in 0..count {
                    let mut frame = gst::Buffer::from_mut_slice(vec![next as u8; 2 * (width as usize).next_multiple_of(4)]);
                    frame.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * next));
                    harness.push(frame).unwrap();
                    due.push(next);
                    next += 1;
                },
                Step::Swap(scale) => {
                    set_model(&element, &models[scale as usize - 1]);
                    element.set_property("model", format!("network {turn}"));
                }
                Step::Workers(workers) => element.set_property("workers", workers),
                Step::Flush => {
                    pull(&mut harness, &mut due);
                    flush(&mut harness);
                }
                Step::Caps(other) => {
                    width = other;
                    harness.set_src_caps_str(&GRAY.replace("width=4", &format!("width={width}")));
                }
            }
        }
        pull(&mut harness, &mut due);
        element.set_state(gst::State::Null).unwrap();
        drop(harness);
        prop_assert_eq!(models.iter().map(|model| model.sessions_open()).sum::<usize>(), 0);
    }
}

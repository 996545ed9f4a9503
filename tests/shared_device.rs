//! Several elements in one process: they share each device's memory and its time.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::{Channels, Provider};

/// What a run on a whole frame takes, estimated and in truth.
const RUN: u64 = 176 * 8;
/// What may be taken of the device: half of so little is left alone.
const BUDGET: u64 = 12 * RUN;

fn device(provider: Provider) -> Arc<DummyModel> {
    let model = DummyModel::new(Channels::Luma, 2)
        .with_info(|info| {
            info.live_elements = Some(8);
            info.provider = provider;
        })
        .with_device(2 * BUDGET, |pixels| 176 * pixels);
    Arc::new(model)
}

fn start(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    let element = dummy_element(model, properties);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (element, harness)
}

fn push(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    frames.for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
}

fn pull(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    for n in frames {
        let out = harness.pull().unwrap();
        assert_eq!((pts_ms(&out), mark(&out)), (40 * n, n as u8));
    }
}

/// The memory limit in runs, and the workers.
fn share(element: &gst::Element) -> (u64, u64) {
    let stats = element.property::<gst::Structure>("stats");
    (stats.get::<u64>("memory-limit").unwrap() / RUN, stats.get("workers").unwrap())
}

#[test]
fn memory_is_divided_and_goes_back() {
    let model = device(Provider::Cuda);
    let (first, mut harness) = start(&model, &[("workers", "8")]);
    assert_eq!(share(&first), (12, 8));
    let (second, _second_harness) = start(&model, &[("workers", "8")]);
    assert_eq!([&first, &second].map(share), [(6, 6); 2]);
    // Who has a limit of its own takes no more than that, and the others the rest.
    let (third, _third_harness) = start(&model, &[("workers", "8"), ("vram-limit", &(2 * RUN).to_string())]);
    assert_eq!([&first, &second, &third].map(share), [(5, 5), (5, 5), (2, 2)]);
    second.set_state(gst::State::Null).unwrap();
    assert_eq!([&first, &third].map(share), [(10, 8), (2, 2)]);
    third.set_state(gst::State::Null).unwrap();
    assert_eq!(share(&first), (12, 8));
    push(&mut harness, 0..3);
    pull(&mut harness, 0..3);
    // In READY it has its share again.
    second.set_state(gst::State::Ready).unwrap();
    assert_eq!(share(&first), (6, 6));
}

/// An element that is idle keeps no sessions that have run larger tensors than its share now has room for.
#[test]
fn what_an_idle_element_held_goes_to_others() {
    const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1";
    const FRAME: u64 = 176 * 64 * 64;
    let model = DummyModel::new(Channels::Luma, 2)
        .with_info(|info| info.live_elements = Some(8))
        .with_device(3 * FRAME, |pixels| 176 * pixels);
    let model = Arc::new(model);
    let (first, mut harness) = start(&model, &[("workers", "1")]);
    harness.set_src_caps_str(CAPS);
    let mut frame = gst::Buffer::from_mut_slice(vec![5; 64 * 64]);
    frame.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    harness.push_and_pull(frame).unwrap();
    let tile = || first.property::<gst::Structure>("stats").get::<u32>("tile-size").unwrap();
    assert_eq!((tile(), model.sessions_open()), (0, 1));
    let (_second, _second_harness) = start(&model, &[("workers", "1")]);
    assert_ne!(tile(), 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while model.sessions_open() != 1 {
        assert!(std::time::Instant::now() < deadline, "the first one keeps its session");
        std::thread::yield_now();
    }
}

#[test]
fn other_devices_and_changed_properties_leave_the_shares_alone() {
    let models = [device(Provider::Cuda), device(Provider::Cuda)];
    let (first, mut harness) = start(&models[0], &[("workers", "8")]);
    let (second, _second_harness) = start(&models[1], &[("workers", "8")]);
    assert_eq!([&first, &second].map(share), [(12, 8); 2]);
    // The next engine is loaded beside the one at work, for the same element.
    first.set_property("workers", 7u32);
    let mut n = 0;
    while share(&first).1 != 7 {
        push(&mut harness, n..n + 1);
        pull(&mut harness, n..n + 1);
        assert_eq!(share(&first).0, 12);
        n += 1;
    }
}

#[test]
fn all_together_keep_to_the_memory_of_the_device() {
    let model = device(Provider::Cuda);
    let mut elements: Vec<_> = (0..3).map(|_| start(&model, &[("workers", "8"), ("max-in-flight", "16")])).collect();
    model.gate().hold();
    for (_, harness) in &mut elements {
        push(harness, 0..12);
    }
    model.gate().wait_waiting(8);
    for run in 0..36 {
        model.gate().release(1);
        model.gate().wait_finished(run + 1);
    }
    elements.iter_mut().for_each(|(_, harness)| pull(harness, 0..12));
    assert!(model.device_bytes().0 <= BUDGET, "{} of {BUDGET}", model.device_bytes().0);
}

#[test]
fn all_together_run_no_more_at_a_time_than_one_would() {
    let model = model();
    let properties = [("workers", "4"), ("max-in-flight", "16")];
    let (_first, mut first) = start(&model, &properties);
    let (_second, mut second) = start(&model, &properties);
    let (_third, _idle) = start(&model, &properties);
    model.gate().hold();
    push(&mut first, 0..8);
    // Others that are idle take nothing from it.
    model.gate().wait_waiting(4);
    push(&mut second, 0..8);
    for run in 0..16 {
        model.gate().release(1);
        model.gate().wait_finished(run + 1);
    }
    pull(&mut first, 0..8);
    pull(&mut second, 0..8);
    assert_eq!(model.most_waiting(), 4);
}

/// While others keep the device busy.
#[test]
fn who_waits_for_a_turn_can_be_flushed_and_stopped() {
    let model = model();
    let properties = [("workers", "4"), ("max-in-flight", "16")];
    let (_first, mut first) = start(&model, &properties);
    let (element, mut second) = start(&model, &properties);
    model.gate().hold();
    push(&mut first, 0..8);
    model.gate().wait_waiting(4);
    let second = completes_within(Duration::from_secs(30), "the flush", move || {
        push(&mut second, 0..8);
        second.push_event(gst::event::FlushStart::new());
        second.push_event(gst::event::FlushStop::new(true));
        second.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        push(&mut second, 0..8);
        element.set_state(gst::State::Null).unwrap();
        second
    });
    drop(second);
    model.gate().open();
    pull(&mut first, 0..8);
}

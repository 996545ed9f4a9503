//! Several elements in one process share each device's memory and compute time.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::{Channels, Provider};

/// Bytes that a run on a whole frame takes, estimated and actual.
const RUN: u64 = 176 * 8;
/// Bytes of the device that the elements may use: of a small device, half.
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

/// The memory limit in runs, and the workers.
fn share(element: &gst::Element) -> (u64, u64) {
    (stat(element, "memory-limit") / RUN, stat(element, "workers"))
}

#[test]
fn memory_is_divided_and_returned() {
    let model = device(Provider::Cuda);
    let (first, mut harness) = start(&model, &[("workers", "8")]);
    assert_eq!(share(&first), (12, 8));
    let (second, _second_harness) = start(&model, &[("workers", "8")]);
    assert_eq!([&first, &second].map(share), [(6, 6); 2]);
    // An element with a limit of its own takes no more than that; the others share the rest.
    let (third, _third_harness) = start(&model, &[("workers", "8"), ("vram-limit", &(2 * RUN).to_string())]);
    assert_eq!([&first, &second, &third].map(share), [(5, 5), (5, 5), (2, 2)]);
    second.set_state(gst::State::Null).unwrap();
    assert_eq!([&first, &third].map(share), [(10, 8), (2, 2)]);
    third.set_state(gst::State::Null).unwrap();
    assert_eq!(share(&first), (12, 8));
    push_frames(&mut harness, 0..3);
    pull_frames(&mut harness, 0..3);
    // In READY it gets its share back.
    second.set_state(gst::State::Ready).unwrap();
    assert_eq!(share(&first), (6, 6));
}

/// An idle element closes sessions that have run larger tensors than its present share holds.
#[test]
fn the_memory_of_idle_sessions_goes_to_other_elements() {
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
    let tile = || stat(&first, "tile-size");
    assert_eq!(tile(), 0);
    assert_eq!(model.sessions_open(), 1);
    let (_second, _second_harness) = start(&model, &[("workers", "1")]);
    assert_ne!(tile(), 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while model.sessions_open() != 1 {
        assert!(std::time::Instant::now() < deadline, "the first element keeps its session");
        std::thread::yield_now();
    }
}

#[test]
fn other_devices_and_changed_properties_leave_the_shares_alone() {
    let models = [device(Provider::Cuda), device(Provider::Cuda)];
    let (first, mut harness) = start(&models[0], &[("workers", "8")]);
    let (second, _second_harness) = start(&models[1], &[("workers", "8")]);
    assert_eq!([&first, &second].map(share), [(12, 8); 2]);
    // The next engine is loaded while the present one runs, for the same element.
    first.set_property("workers", 7u32);
    let mut n = 0;
    while share(&first).1 != 7 {
        push_frames(&mut harness, n..n + 1);
        pull_frames(&mut harness, n..n + 1);
        assert_eq!(share(&first).0, 12);
        n += 1;
    }
}

#[test]
fn all_elements_together_stay_within_the_memory_of_the_device() {
    let model = device(Provider::Cuda);
    let mut elements: Vec<_> = (0..3).map(|_| start(&model, &[("workers", "8"), ("max-in-flight", "16")])).collect();
    model.gate().hold();
    for (_, harness) in &mut elements {
        push_frames(harness, 0..12);
    }
    model.gate().wait_waiting(8);
    for run in 0..36 {
        model.gate().release(1);
        model.gate().wait_finished(run + 1);
    }
    elements.iter_mut().for_each(|(_, harness)| pull_frames(harness, 0..12));
    assert!(model.device_bytes().0 <= BUDGET, "{} of {BUDGET}", model.device_bytes().0);
}

#[test]
fn all_elements_together_run_no_more_at_a_time_than_one_would() {
    let model = model();
    let properties = [("workers", "4"), ("max-in-flight", "16")];
    let (_first, mut first) = start(&model, &properties);
    let (_second, mut second) = start(&model, &properties);
    let (_third, _idle) = start(&model, &properties);
    model.gate().hold();
    push_frames(&mut first, 0..8);
    // Idle elements take no share of it.
    model.gate().wait_waiting(4);
    push_frames(&mut second, 0..8);
    for run in 0..16 {
        model.gate().release(1);
        model.gate().wait_finished(run + 1);
    }
    pull_frames(&mut first, 0..8);
    pull_frames(&mut second, 0..8);
    assert_eq!(model.most_waiting(), 4);
}

#[test]
fn an_element_that_waits_for_the_device_can_be_flushed_and_stopped() {
    let model = model();
    let properties = [("workers", "4"), ("max-in-flight", "16")];
    let (_first, mut first) = start(&model, &properties);
    let (element, mut second) = start(&model, &properties);
    model.gate().hold();
    push_frames(&mut first, 0..8);
    model.gate().wait_waiting(4);
    let second = completes_within(Duration::from_secs(30), "the flush", move || {
        push_frames(&mut second, 0..8);
        flush(&mut second);
        push_frames(&mut second, 0..8);
        element.set_state(gst::State::Null).unwrap();
        second
    });
    drop(second);
    model.gate().open();
    pull_frames(&mut first, 0..8);
}

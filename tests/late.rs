//! Live streams and QoS: the latency that the element reports, and what it does with late frames.

mod common;

use std::sync::Arc;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;

const FRAME: u64 = 40;

/// An element in a live pipeline whose clock stands at zero, with 10 ms of upstream latency.
fn live(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    let element = dummy_element(model, properties);
    let mut harness = harness(&element);
    harness.use_testclock();
    harness.set_live(true);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(10));
    harness.set_src_caps_str(GRAY);
    harness.query_latency();
    (element, harness)
}

fn set_time(harness: &mut gst_check::Harness, ms: u64) {
    harness.set_time(gst::ClockTime::from_mseconds(ms)).unwrap();
}

fn push(harness: &mut gst_check::Harness, n: u64) {
    assert_eq!(harness.push(gray_frame(n, n as u8)), Ok(gst::FlowSuccess::Ok));
}

fn is_fallback(buffer: &gst::BufferRef) -> bool {
    gst::meta::CustomMeta::from_buffer(buffer, "GstUpscaleFilterFallbackMeta").is_ok()
}

/// Pulls the next frame, which must be frame `n`. True if it was resized without the network.
fn pull(harness: &mut gst_check::Harness, n: u64) -> bool {
    let out = harness.pull().unwrap();
    assert_eq!(pts_ms(&out), FRAME * n);
    assert_eq!(mark(&out), n as u8);
    assert_eq!(out.size(), 32);
    is_fallback(&out)
}

#[test]
fn the_latency_is_upstreams_plus_the_frames_in_flight() {
    for (properties, live_frames, frames) in [
        (&[("workers", "2")][..], 3, 6),
        (&[("workers", "2"), ("latency-mode", "throughput")], 6, 6),
        (&[("workers", "2"), ("latency-mode", "low")], 3, 3),
        (&[("workers", "2"), ("max-in-flight", "5")], 5, 5),
    ] {
        for (is_live, frames) in [(true, live_frames), (false, frames)] {
            let (_element, mut harness) = live(&model(), properties);
            harness.set_live(is_live);
            assert_eq!(
                harness.query_latency(),
                Some(gst::ClockTime::from_mseconds(10 + FRAME * frames)),
                "{properties:?}"
            );
        }
    }
}

#[test]
fn by_default_every_frame_is_upscaled_and_late_ones_are_counted() {
    let model = model();
    let (element, mut harness) = live(&model, &[("workers", "1")]);
    for n in 0..4 {
        // Later than the latency allows.
        set_time(&mut harness, FRAME * n + 1000);
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(model.finished(), 4);
    assert_stats(&element, &[("late", 4), ("fallback", 0)]);
}

#[test]
fn before_the_first_measurement_frames_without_a_free_worker_are_resized() {
    let model = model();
    model.gate().hold();
    let (element, mut harness) = live(&model, &[("workers", "1"), ("late-frames", "fallback")]);
    push(&mut harness, 0);
    model.gate().wait_arrived(1);
    set_time(&mut harness, FRAME);
    push(&mut harness, 1);
    push(&mut harness, 2);
    assert_eq!(stat(&element, "fallback"), 2);
    model.gate().open();
    assert_eq!((0..3).map(|n| pull(&mut harness, n)).collect::<Vec<_>>(), [false, true, true]);
    // The run was measured as fast: from here on every frame is upscaled.
    for n in 3..20 {
        set_time(&mut harness, FRAME * n);
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(model.finished(), 18);
    assert_stats(&element, &[("fallback", 2), ("late", 0)]);
}

#[test]
fn frames_that_cannot_be_on_time_are_not_started() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "fallback"), ("max-in-flight", "3")]);
    // The deadline is 10 ms and three frames after the PTS, minus an eighth of the three frames.
    for (n, now, late) in [(0, 0, false), (1, 40 + 114, false), (2, 80 + 116, true), (3, 5000, true)] {
        set_time(&mut harness, now);
        push(&mut harness, n);
        assert_eq!(pull(&mut harness, n), late, "frame {n}");
    }
    assert_eq!(model.finished(), 2);
    assert_stats(&element, &[("fallback", 2), ("unique", 4)]);
}

/// A resized frame is never reused: a duplicate of it is upscaled if it is on time.
#[test]
fn a_resized_frame_is_not_reused() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "fallback"), ("duplicates", "exact")]);
    set_time(&mut harness, 5000);
    push(&mut harness, 1);
    assert!(pull(&mut harness, 1));
    // A frame with the same content, on time.
    let mut frame = gray_frame(1, 1);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(6000));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert!(!is_fallback(&out));
    assert_eq!(model.finished(), 1);
    assert_stats(&element, &[("duplicates", 0)]);
    // A duplicate of an upscaled frame costs nothing, so it is never too late.
    set_time(&mut harness, 60_000);
    let mut frame = gray_frame(1, 1);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(6040));
    harness.push(frame).unwrap();
    assert!(!is_fallback(&harness.pull().unwrap()));
    element.set_state(gst::State::Null).unwrap();
    // Frames that left late are counted, resized or not.
    assert_stats(&element, &[("duplicates", 1), ("late", 2)]);
}

/// A worker resizes its chroma, so it is on time if a worker is free.
#[test]
fn a_frame_that_differs_only_in_chroma_takes_a_worker_but_no_run() {
    let model = model();
    model.gate().hold();
    let (element, mut harness) = live(&model, &[("workers", "1"), ("late-frames", "fallback")]);
    harness.set_src_caps_str("video/x-raw,format=I420,width=8,height=8,framerate=25/1");
    let frame = |n: u64, chroma: u8| {
        let mut buffer = gst::Buffer::from_mut_slice([[9; 64].as_slice(), &[chroma; 32]].concat());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(FRAME * n));
        buffer
    };
    harness.push(frame(0, 100)).unwrap();
    model.gate().wait_arrived(1);
    harness.push(frame(1, 110)).unwrap();
    assert_eq!(stat(&element, "fallback"), 1, "the worker is busy");
    model.gate().open();
    assert!((0..2).map(|_| is_fallback(&harness.pull().unwrap())).eq([false, true]));
    for n in 2..6 {
        set_time(&mut harness, FRAME * n);
        harness.push(frame(n, 100 + n as u8)).unwrap();
        let out = harness.pull().unwrap();
        assert!(!is_fallback(&out));
        let bytes = out.map_readable().unwrap();
        assert!(bytes[..256].iter().all(|luma| *luma == 9) && bytes[256..].iter().all(|byte| *byte == 100 + n as u8));
    }
    assert_eq!(model.finished(), 1);
    assert_stats(&element, &[("fallback", 1)]);
}

/// `duplicates=similar` refreshes every region from time to time. A late frame skips its refresh; the next frame does it.
#[test]
fn a_refresh_due_in_a_late_frame_happens_in_the_next() {
    for mode in ["fallback", "drop"] {
        let model = model();
        let properties = [("late-frames", mode), ("duplicates", "similar"), ("similarity-max-age", "5")];
        let (_element, mut harness) = live(&model, &properties);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1");
        // A few samples differ by one, which is within the tolerance.
        let level = |n: u64, at: usize| 100 + u8::from(n > 0 && at.is_multiple_of(8) && (at / 64).is_multiple_of(8));
        let frame = |n: u64, ms: u64| {
            let mut buffer = gst::Buffer::from_mut_slice((0..64 * 64).map(|at| level(n, at)).collect::<Vec<_>>());
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(ms));
            buffer
        };
        for n in 0..5 {
            set_time(&mut harness, FRAME * n);
            harness.push(frame(n, FRAME * n)).unwrap();
            assert_eq!(harness.pull().unwrap().map_readable().unwrap()[0], 100, "frame {n} reuses frame 0");
        }
        assert_eq!(model.finished(), 1);
        // Frame 5 should refresh, but it is late.
        set_time(&mut harness, 900);
        harness.push(frame(5, FRAME * 5)).unwrap();
        assert!(mode == "drop" || is_fallback(&harness.pull().unwrap()));
        assert_eq!(model.finished(), 1);
        harness.push(frame(6, 1000)).unwrap();
        let out = harness.pull().unwrap();
        assert!(!is_fallback(&out) && out.map_readable().unwrap()[0] == 101, "{mode}");
        for n in 7..11 {
            set_time(&mut harness, 1000 + FRAME * (n - 6));
            harness.push(frame(n, 1000 + FRAME * (n - 6))).unwrap();
            assert_eq!(harness.pull().unwrap().map_readable().unwrap()[0], 101);
        }
        assert_eq!(model.finished(), 2);
    }
}

#[test]
fn a_dropped_frame_posts_qos_and_the_next_one_is_discontinuous() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "drop")]);
    let bus = with_bus(&element);
    push(&mut harness, 0);
    assert!(!pull(&mut harness, 0));
    set_time(&mut harness, 5000);
    push(&mut harness, 1);
    push(&mut harness, 2);
    // The next frame is late as well, but a second after the last one pushed, so it is pushed.
    let mut frame = gray_frame(3, 3);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(1001));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert!(pts_ms(&out) == 1001 && out.flags().contains(gst::BufferFlags::DISCONT));
    let mut frame = gray_frame(3, 3);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(5000));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert_frame(&out, 5000, 3);
    for dropped in 1..3 {
        let message = wait_message(&bus, &[gst::MessageType::Qos]);
        let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
        let (live, running_time, _, timestamp, duration) = qos.get();
        let time = gst::ClockTime::from_mseconds(FRAME * dropped);
        assert!(live);
        assert_eq!(running_time, Some(time));
        assert_eq!(timestamp, Some(time));
        assert_eq!(duration, Some(gst::ClockTime::from_mseconds(FRAME)));
        assert_eq!(qos.values().0, 5_000_000_000 - time.nseconds() as i64);
    }
    // The task counts after the push, so wait for its end.
    element.set_state(gst::State::Null).unwrap();
    assert_stats(&element, &[("frames-in", 5), ("frames-out", 3), ("dropped", 2), ("fallback", 0)]);
}

fn qos(diff: i64, timestamp_ms: u64) -> gst::Event {
    let timestamp = gst::ClockTime::from_mseconds(timestamp_ms);
    gst::event::Qos::new(gst::QOSType::Underflow, 1.5, diff, timestamp)
}

#[test]
fn in_non_live_pipelines_qos_events_decide_and_are_forwarded() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[("late-frames", "drop")]);
    push(&mut harness, 0);
    assert!(!pull(&mut harness, 0));
    // The frame at 0 was 50 ms late: frames before 100 ms cannot be on time.
    harness.push_upstream_event(qos(50_000_000, 0));
    let upstream =
        std::iter::from_fn(|| harness.try_pull_upstream_event()).find(|event| event.type_() == gst::EventType::Qos);
    assert!(upstream.is_some());
    (1..4).for_each(|n| push(&mut harness, n));
    assert!(!pull(&mut harness, 3));
    assert_eq!(stat(&element, "dropped"), 2);
    // The sink is ahead again.
    harness.push_upstream_event(qos(-20_000_000, 120));
    push(&mut harness, 4);
    assert!(!pull(&mut harness, 4));
    // A flush discards the last QoS event.
    harness.push_upstream_event(qos(500_000_000, 160));
    flush(&mut harness);
    push(&mut harness, 5);
    assert!(!pull(&mut harness, 5));
}

#[test]
fn by_default_qos_events_change_nothing() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[]);
    harness.push_upstream_event(qos(5_000_000_000, 0));
    for n in 0..5 {
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    assert_eq!(stat(&element, "dropped") + stat(&element, "fallback"), 0);
}

#[test]
fn a_new_frame_rate_posts_a_latency_message() {
    let (element, mut harness) = live(&model(), &[("max-in-flight", "4")]);
    let bus = with_bus(&element);
    harness.set_src_caps_str(&GRAY.replace("25/1", "50/1"));
    push(&mut harness, 0);
    wait_message(&bus, &[gst::MessageType::Latency]);
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(10 + 4 * 20)));
}

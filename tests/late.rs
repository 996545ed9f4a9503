//! Live streams and QoS: what the element says of its latency, and what becomes of frames that would be late.

mod common;

use std::sync::Arc;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;

const FRAME: u64 = 40;

/// In a live pipeline whose clock stands at nought, in front of 10 ms of latency.
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

/// The next frame has to be this one. Whether it was resized without the network.
fn pull(harness: &mut gst_check::Harness, n: u64) -> bool {
    let out = harness.pull().unwrap();
    assert_eq!((pts_ms(&out), mark(&out), out.size()), (FRAME * n, n as u8, 32));
    is_fallback(&out)
}

fn figure(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

#[test]
fn the_latency_is_upstreams_and_that_of_the_frames_in_flight() {
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
        // Already later than any latency allows.
        set_time(&mut harness, FRAME * n + 1000);
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    element.set_state(gst::State::Null).unwrap();
    assert_eq!((model.finished(), figure(&element, "late"), figure(&element, "fallback")), (4, 4, 0));
}

#[test]
fn while_nothing_is_known_what_no_worker_is_free_for_is_resized() {
    let model = model();
    model.gate().hold();
    let (element, mut harness) = live(&model, &[("workers", "1"), ("late-frames", "fallback")]);
    push(&mut harness, 0);
    model.gate().wait_arrived(1);
    set_time(&mut harness, FRAME);
    push(&mut harness, 1);
    push(&mut harness, 2);
    assert_eq!(figure(&element, "fallback"), 2);
    model.gate().open();
    assert_eq!((0..3).map(|n| pull(&mut harness, n)).collect::<Vec<_>>(), [false, true, true]);
    // It was quick: now that this is known, all are upscaled again.
    for n in 3..20 {
        set_time(&mut harness, FRAME * n);
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    element.set_state(gst::State::Null).unwrap();
    assert_eq!((model.finished(), figure(&element, "fallback"), figure(&element, "late")), (18, 2, 0));
}

#[test]
fn what_cannot_be_in_time_is_not_begun() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "fallback"), ("max-in-flight", "3")]);
    // 10 ms and three frames after its time is the last moment, less an eighth of the three.
    for (n, now, late) in [(0, 0, false), (1, 40 + 114, false), (2, 80 + 116, true), (3, 5000, true)] {
        set_time(&mut harness, now);
        push(&mut harness, n);
        assert_eq!(pull(&mut harness, n), late, "frame {n}");
    }
    assert_eq!((model.finished(), figure(&element, "fallback"), figure(&element, "unique")), (2, 2, 4));
}

/// What a resized frame shows is no base for others, and what a resized one looks like is upscaled when there is time.
#[test]
fn nothing_is_built_upon_a_resized_frame() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "fallback"), ("duplicates", "exact")]);
    set_time(&mut harness, 5000);
    push(&mut harness, 1);
    assert!(pull(&mut harness, 1));
    // The same picture in time.
    let mut frame = gray_frame(1, 1);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(6000));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert!(!is_fallback(&out));
    assert_eq!((model.finished(), figure(&element, "duplicates")), (1, 0));
    // And a repeat of that is never late: it costs nothing.
    set_time(&mut harness, 60_000);
    let mut frame = gray_frame(1, 1);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(6040));
    harness.push(frame).unwrap();
    assert!(!is_fallback(&harness.pull().unwrap()));
    element.set_state(gst::State::Null).unwrap();
    // Those that left too late, resized or not, are counted all the same.
    assert_eq!((figure(&element, "duplicates"), figure(&element, "late")), (1, 2));
}

/// Its chroma is for a worker to resize, so it is in time where one is free.
#[test]
fn a_frame_of_other_chroma_alone_takes_a_worker_and_no_network() {
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
    assert_eq!(figure(&element, "fallback"), 1, "the worker is busy");
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
    assert_eq!((model.finished(), figure(&element, "fallback")), (1, 1));
}

/// In `similar` every place is upscaled again now and then. A frame that is late is not, and the next one makes up for it.
#[test]
fn a_refresh_that_fell_on_a_late_frame_comes_with_the_next_one() {
    for mode in ["fallback", "drop"] {
        let model = model();
        let properties = [("late-frames", mode), ("duplicates", "similar"), ("similarity-max-age", "5")];
        let (_element, mut harness) = live(&model, &properties);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1");
        // One code of difference in a few places, which is let pass.
        let level = |n: u64, at: usize| 100 + u8::from(n > 0 && at.is_multiple_of(8) && (at / 64).is_multiple_of(8));
        let frame = |n: u64, ms: u64| {
            let mut buffer = gst::Buffer::from_mut_slice((0..64 * 64).map(|at| level(n, at)).collect::<Vec<_>>());
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(ms));
            buffer
        };
        for n in 0..5 {
            set_time(&mut harness, FRAME * n);
            harness.push(frame(n, FRAME * n)).unwrap();
            assert_eq!(harness.pull().unwrap().map_readable().unwrap()[0], 100, "frame {n} is the first one's");
        }
        assert_eq!(model.finished(), 1);
        // Its turn is that of the fifth frame, which is late.
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
fn a_dropped_frame_is_told_of_and_the_next_one_is_discontinuous() {
    let model = model();
    let (element, mut harness) = live(&model, &[("late-frames", "drop")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    push(&mut harness, 0);
    assert!(!pull(&mut harness, 0));
    set_time(&mut harness, 5000);
    push(&mut harness, 1);
    push(&mut harness, 2);
    // One that is a second on is late as well, but better than nothing.
    let mut frame = gray_frame(3, 3);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(1001));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert!(pts_ms(&out) == 1001 && out.flags().contains(gst::BufferFlags::DISCONT));
    let mut frame = gray_frame(3, 3);
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(5000));
    harness.push(frame).unwrap();
    let out = harness.pull().unwrap();
    assert_eq!((pts_ms(&out), mark(&out)), (5000, 3));
    for dropped in 1..3 {
        let message = wait_message(&bus, &[gst::MessageType::Qos]);
        let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
        let (live, running_time, _, timestamp, duration) = qos.get();
        let time = gst::ClockTime::from_mseconds(FRAME * dropped);
        assert_eq!((live, running_time, timestamp), (true, Some(time), Some(time)));
        assert_eq!(duration, Some(gst::ClockTime::from_mseconds(FRAME)));
        assert_eq!(qos.values().0, 5_000_000_000 - time.nseconds() as i64);
    }
    // What is counted after the push is there when the task has ended.
    element.set_state(gst::State::Null).unwrap();
    let figures = ["frames-in", "frames-out", "dropped", "fallback"].map(|name| figure(&element, name));
    assert_eq!(figures, [5, 3, 2, 0]);
}

fn qos(diff: i64, timestamp_ms: u64) -> gst::Event {
    let timestamp = gst::ClockTime::from_mseconds(timestamp_ms);
    gst::event::Qos::new(gst::QOSType::Underflow, 1.5, diff, timestamp)
}

#[test]
fn what_the_sink_says_counts_where_nothing_is_live_and_goes_on_upstream() {
    let model = model();
    let element = dummy_element(&model, &[("late-frames", "drop")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    push(&mut harness, 0);
    assert!(!pull(&mut harness, 0));
    // The frame at 0 came 50 ms late: what is before 100 ms cannot be in time.
    harness.push_upstream_event(qos(50_000_000, 0));
    let upstream =
        std::iter::from_fn(|| harness.try_pull_upstream_event()).find(|event| event.type_() == gst::EventType::Qos);
    assert!(upstream.is_some());
    (1..4).for_each(|n| push(&mut harness, n));
    assert!(!pull(&mut harness, 3));
    assert_eq!(figure(&element, "dropped"), 2);
    // Early again.
    harness.push_upstream_event(qos(-20_000_000, 120));
    push(&mut harness, 4);
    assert!(!pull(&mut harness, 4));
    // A flush makes it void.
    harness.push_upstream_event(qos(500_000_000, 160));
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push(&mut harness, 5);
    assert!(!pull(&mut harness, 5));
}

#[test]
fn in_the_default_mode_the_sink_changes_nothing() {
    let model = model();
    let element = dummy_element(&model, &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_upstream_event(qos(5_000_000_000, 0));
    for n in 0..5 {
        push(&mut harness, n);
        assert!(!pull(&mut harness, n));
    }
    assert_eq!(figure(&element, "dropped") + figure(&element, "fallback"), 0);
}

#[test]
fn the_latency_is_told_anew_when_the_frame_rate_changes() {
    let (element, mut harness) = live(&model(), &[("max-in-flight", "4")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    harness.set_src_caps_str(&GRAY.replace("25/1", "50/1"));
    push(&mut harness, 0);
    wait_message(&bus, &[gst::MessageType::Latency]);
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(10 + 4 * 20)));
}

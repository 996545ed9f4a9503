//! Backpressure, flushes and flow returns from downstream.

mod common;

use std::time::Duration;

use common::*;
use gst::prelude::*;

#[test]
fn a_full_queue_blocks_upstream_until_a_frame_leaves() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("workers", "1"), ("max-in-flight", "2")]);
    let (progress, reached) = std::sync::mpsc::channel();
    let gate = model.gate();
    let pusher = std::thread::spawn(move || {
        for n in 0..4 {
            harness.push(gray_frame(n, n as u8)).unwrap();
            progress.send(n).unwrap();
        }
        harness
    });
    assert_eq!([reached.recv(), reached.recv()], [Ok(0), Ok(1)]);
    gate.wait_waiting(1);
    assert_stats(&element, &[("in-flight", 2)]);
    assert!(reached.try_recv().is_err(), "the third push blocks");
    gate.release(1);
    assert_eq!(reached.recv(), Ok(2));
    gate.open();
    assert_eq!(reached.recv(), Ok(3));
    let mut harness = pusher.join().unwrap();
    (0..4).for_each(|n| assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n));
}

#[test]
fn a_flush_drops_frames_in_flight_and_the_stream_continues() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("workers", "2"), ("max-in-flight", "8")]);
    push_frames(&mut harness, 0..4);
    model.gate().wait_waiting(2);
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(harness.push(gray_frame(5, 5)), Err(gst::FlowError::Flushing));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    model.gate().open();
    assert!(harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    // One of them equals a dropped frame: an interrupted run must not count as its result.
    for (n, mark) in [(9, 0), (10, 1), (11, 9)] {
        let out = harness.push_and_pull(gray_frame(n, mark)).unwrap();
        assert_frame(&out, 40 * n, mark);
    }
    assert_eq!(harness.buffers_in_queue(), 0);
    assert!(model.interrupted() > 0, "runs were interrupted");
}

#[test]
fn a_flush_unblocks_upstream() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("workers", "1"), ("max-in-flight", "1")]);
    harness.push(gray_frame(0, 0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let blocked = std::thread::spawn(move || pad.push(gray_frame(1, 1)));
    model.gate().wait_waiting(1);
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(
        completes_within(Duration::from_secs(5), "the push", move || blocked.join().unwrap()),
        Err(gst::FlowError::Flushing)
    );
}

#[test]
fn cached_results_survive_a_flush() {
    let plan = tempfile::tempdir().unwrap();
    let location = plan.path().join("plan.json");
    let properties = [("plan-location", location.to_str().unwrap())];
    let Fixture { model, element, mut harness } = Fixture::new(&properties);
    (0..3).for_each(|n| assert_eq!(mark(&harness.push_and_pull(gray_frame(n, n as u8)).unwrap()), n as u8));
    flush(&mut harness);
    for (n, expected) in [(0, 2), (1, 2), (2, 5), (3, 0)] {
        assert_eq!(mark(&harness.push_and_pull(gray_frame(n, expected)).unwrap()), expected);
    }
    assert_eq!(model.runs(), 4, "three before the flush, and one new frame");
    let pushed = record(&element);
    harness.push_event(gst::event::Eos::new());
    assert_eq!(pushed.recv_timeout(Duration::from_secs(30)).as_deref(), Ok("eos"));
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(location).unwrap()).unwrap();
    assert_eq!(plan["frames_to_process"], serde_json::json!(["frame_00001", "frame_00003", "frame_00004"]));
    assert_eq!(plan["stats"]["total_frames"], 4);
}

/// Makes the pad return `flow` for each buffer whose PTS, in ms, satisfies `refuse`.
fn refuse(
    pad: &gst::Pad,
    flow: gst::FlowError,
    refuse: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> gst::PadProbeId {
    let probe = pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if !refuse(pts_ms(info.buffer().unwrap())) {
            return gst::PadProbeReturn::Ok;
        }
        info.flow_res = Err(flow);
        info.data = None;
        gst::PadProbeReturn::Handled
    });
    probe.unwrap()
}

#[test]
fn downstream_flow_errors_reach_upstream() {
    for flow in [gst::FlowError::Eos, gst::FlowError::Error, gst::FlowError::NotLinked, gst::FlowError::NotNegotiated] {
        let Fixture { element, mut harness, .. } = Fixture::new(&[("max-in-flight", "2")]);
        let bus = with_bus(&element);
        harness.push_and_pull(gray_frame(0, 0)).unwrap();
        refuse(&harness.sinkpad().unwrap(), flow, |_| true);
        let returned = (1..20).map(|n| harness.push(gray_frame(n, n as u8))).find_map(Result::err);
        assert_eq!(returned, Some(flow));
        let fatal = flow != gst::FlowError::Eos;
        assert_eq!(bus.iter_filtered(&[gst::MessageType::Error]).count(), 0, "upstream posts it");
        let pushed = record(&element);
        assert_eq!(harness.push_event(gst::event::Eos::new()), !fatal);
        if fatal {
            assert_eq!(
                bus.iter_filtered(&[gst::MessageType::Error]).count(),
                1,
                "after EOS only the element can post it"
            );
        } else {
            assert_eq!(pushed.recv_timeout(Duration::from_secs(30)).as_deref(), Ok("eos"));
        }
        element.set_bus(None);
    }
}

#[test]
fn after_downstream_returns_eos_the_next_segment_is_pushed() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("max-in-flight", "8")]);
    refuse(&harness.sinkpad().unwrap(), gst::FlowError::Eos, |pts| pts < 80);
    let pushed = record(&element);
    push_frames(&mut harness, 0..2);
    send_segment(&mut harness);
    // Frame 2 is a duplicate of a skipped frame whose run has not ended.
    for (n, mark) in [(2, 1), (3, 3)] {
        harness.push(gray_frame(n, mark)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    model.gate().open();
    let pushed: Vec<_> = std::iter::from_fn(|| pushed.recv_timeout(Duration::from_secs(30)).ok())
        .skip_while(|what| what != "0")
        .take(5)
        .collect();
    assert_eq!(pushed, ["0", "segment", "80", "120", "eos"]);
    assert_eq!(mark(&harness.pull().unwrap()), 1);
    assert_eq!(mark(&harness.pull().unwrap()), 3);
}

#[test]
fn each_new_segment_after_eos_from_downstream_restarts_the_stream() {
    let Fixture { mut harness, .. } = Fixture::new(&[("workers", "2"), ("max-in-flight", "2")]);
    let sinkpad = harness.sinkpad().unwrap();
    completes_within(Duration::from_secs(60), "fifty segments", move || {
        for turn in 0..50u64 {
            let probe = refuse(&sinkpad, gst::FlowError::Eos, |_| true);
            while harness.push(gray_frame(0, turn as u8)) != Err(gst::FlowError::Eos) {}
            sinkpad.remove_probe(probe);
            send_segment(&mut harness);
            assert_eq!(mark(&harness.push_and_pull(gray_frame(1, 100 + turn as u8)).unwrap()), 100 + turn as u8);
        }
    });
}

#[test]
fn a_flush_keeps_new_caps_that_are_still_in_the_queue() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
    harness.push(gray_frame(0, 0)).unwrap();
    model.gate().wait_waiting(1);
    // Straight to the pad: a harness would send its sticky events again.
    let pad = harness.srcpad().unwrap();
    assert!(pad.push_event(gst::event::Caps::new(
        &"video/x-raw,format=GRAY8,width=8,height=1,framerate=25/1".parse().unwrap()
    )));
    assert!(pad.push_event(gst::event::FlushStart::new()));
    assert!(pad.push_event(gst::event::FlushStop::new(true)));
    model.gate().open();
    assert!(pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    pad.push(gray_frame(1, 1)).unwrap();
    let out = harness.pull().unwrap();
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(16));
    assert_eq!(out.size(), 32);
}

#[test]
fn a_stream_continues_once_its_src_pad_is_linked_again() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[("max-in-flight", "2")]);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let (src, peer) = (element.static_pad("src").unwrap(), harness.sinkpad().unwrap());
    src.unlink(&peer).unwrap();
    let returned = (1..20).map(|n| harness.push(gray_frame(n, n as u8))).find_map(Result::err);
    assert_eq!(returned, Some(gst::FlowError::NotLinked));
    src.link(&peer).unwrap();
    assert_eq!(pts_ms(&harness.push_and_pull(gray_frame(30, 30)).unwrap()), 1200);
}

#[test]
fn flush_stop_does_not_start_the_task_of_an_inactive_pad() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[]);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let src = element.static_pad("src").unwrap();
    src.set_active(false).unwrap();
    flush(&mut harness);
    assert_eq!(harness.push(gray_frame(1, 1)), Err(gst::FlowError::Flushing));
    assert_ne!(src.task_state(), gst::TaskState::Started);
}

#[test]
fn a_downstream_failure_after_eos_is_posted_once() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("max-in-flight", "4")]);
    let bus = with_bus(&element);
    push_frames(&mut harness, 0..3);
    assert!(harness.push_event(gst::event::Eos::new()));
    refuse(&harness.sinkpad().unwrap(), gst::FlowError::Error, |_| true);
    let pushed = record(&element);
    model.gate().open();
    wait_message(&bus, &[gst::MessageType::Error]);
    let last = std::iter::from_fn(|| pushed.recv_timeout(Duration::from_secs(30)).ok()).find(|what| what == "eos");
    assert_eq!(last.as_deref(), Some("eos"), "downstream gets EOS and can finish its file");
    assert_eq!(bus.iter_filtered(&[gst::MessageType::Error]).count(), 0);
    element.set_bus(None);
}

#[test]
fn a_flush_unblocks_a_waiting_query() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
    harness.push(gray_frame(0, 0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let drain = std::thread::spawn(move || pad.peer_query(&mut gst::query::Drain::new()));
    model.gate().wait_waiting(1);
    harness.push_event(gst::event::FlushStart::new());
    assert!(!completes_within(Duration::from_secs(5), "the query", move || drain.join().unwrap()));
}

/// A flush finds newer caps in the queue after the task has taken older ones and before it has pushed them.
#[test]
fn a_flush_replaces_caps_that_the_task_is_about_to_push() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[]);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    // A log function holds the task at the message before the push.
    let (at_message, task_holds) = std::sync::mpsc::channel();
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
    let task_barrier = std::sync::Arc::clone(&barrier);
    gst::log::remove_default_log_function();
    gst::log::set_threshold_for_name("upscalefilter", gst::DebugLevel::Debug);
    let log_function = gst::log::add_log_function(move |_, _, _, _, _, _, message| {
        let text = message.get().map(|text| text.to_string()).unwrap_or_default();
        if text.starts_with("Pushing caps") && text.contains("width=(int)20") {
            at_message.send(()).unwrap();
            task_barrier.wait();
        }
    });
    let caps = |width: i32| gst::event::Caps::new(&GRAY.replace("width=4", &format!("width={width}")).parse().unwrap());
    // Straight to the pad: a harness would send its sticky events again.
    let pad = harness.srcpad().unwrap();
    assert!(pad.push_event(caps(10)));
    task_holds.recv_timeout(Duration::from_secs(30)).expect("the task pushes the caps");
    assert!(pad.push_event(caps(12)));
    let flusher = std::thread::spawn({
        let pad = pad.clone();
        move || pad.push_event(gst::event::FlushStart::new())
    });
    let source = element.static_pad("src").unwrap();
    let deadline = std::time::Instant::now() + PATIENCE.into();
    while source.task_state() != gst::TaskState::Paused {
        assert!(std::time::Instant::now() < deadline, "the flush does not pause the task");
        std::thread::yield_now();
    }
    barrier.wait();
    assert!(flusher.join().unwrap());
    gst::log::remove_log_function(log_function);
    let width = source.current_caps().unwrap().structure(0).unwrap().get::<i32>("width");
    assert_eq!(width, Ok(24));
}

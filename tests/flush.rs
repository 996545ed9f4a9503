//! Backpressure, flushes and what downstream returns.

mod common;

use std::time::Duration;

use common::*;
use gst::prelude::*;

#[test]
fn a_full_queue_blocks_upstream_until_a_frame_leaves() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "1"), ("max-in-flight", "2")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
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
    let stats = || element.property::<gst::Structure>("stats");
    assert_eq!(stats().get::<u64>("in-flight"), Ok(2));
    assert!(reached.try_recv().is_err(), "the third has to wait");
    gate.release(1);
    assert_eq!(reached.recv(), Ok(2));
    gate.open();
    assert_eq!(reached.recv(), Ok(3));
    let mut harness = pusher.join().unwrap();
    (0..4).for_each(|n| assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n));
}

#[test]
fn a_flush_drops_what_is_under_way_and_the_stream_goes_on() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (0..4).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    model.gate().wait_waiting(2);
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(harness.push(gray_frame(5, 5)), Err(gst::FlowError::Flushing));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    model.gate().open();
    assert!(harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    // Also one of those that were dropped: nothing half done is taken for its result.
    for (n, mark) in [(9, 0), (10, 1), (11, 9)] {
        let out = harness.push_and_pull(gray_frame(n, mark)).unwrap();
        assert_eq!((pts_ms(&out), common::mark(&out)), (40 * n, mark));
    }
    assert_eq!(harness.buffers_in_queue(), 0);
    assert!(model.interrupted() > 0, "runs were cut short");
}

#[test]
fn a_flush_frees_a_blocked_upstream() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "1"), ("max-in-flight", "1")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
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
fn results_outlive_a_flush() {
    let model = model();
    let plan = tempfile::tempdir().unwrap();
    let location = plan.path().join("plan.json");
    let element = dummy_element(&model, &[("plan-location", location.to_str().unwrap())]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (0..3).for_each(|n| assert_eq!(mark(&harness.push_and_pull(gray_frame(n, n as u8)).unwrap()), n as u8));
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    for (n, shown) in [(0, 2), (1, 2), (2, 5), (3, 0)] {
        assert_eq!(mark(&harness.push_and_pull(gray_frame(n, shown)).unwrap()), shown);
    }
    assert_eq!(model.runs(), 4, "three before, and the one that is new");
    let pushed = record(&element);
    harness.push_event(gst::event::Eos::new());
    assert_eq!(pushed.recv_timeout(Duration::from_secs(30)).as_deref(), Ok("eos"));
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(location).unwrap()).unwrap();
    assert_eq!(plan["frames_to_process"], serde_json::json!(["frame_00001", "frame_00003", "frame_00004"]));
    assert_eq!(plan["stats"]["total_frames"], 4);
}

/// Makes the pad return `flow` for every buffer for which `refuse` is true.
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
fn what_downstream_returns_reaches_upstream() {
    for flow in [gst::FlowError::Eos, gst::FlowError::Error, gst::FlowError::NotLinked, gst::FlowError::NotNegotiated] {
        let element = dummy_element(&model(), &[("max-in-flight", "2")]);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = harness(&element);
        harness.set_src_caps_str(GRAY);
        harness.push_and_pull(gray_frame(0, 0)).unwrap();
        refuse(&harness.sinkpad().unwrap(), flow, |_| true);
        let returned = (1..20).map(|n| harness.push(gray_frame(n, n as u8))).find_map(Result::err);
        assert_eq!(returned, Some(flow));
        let fatal = flow != gst::FlowError::Eos;
        assert_eq!(bus.iter_filtered(&[gst::MessageType::Error]).count(), 0, "upstream will post it");
        let pushed = record(&element);
        assert_eq!(harness.push_event(gst::event::Eos::new()), !fatal);
        if fatal {
            assert_eq!(bus.iter_filtered(&[gst::MessageType::Error]).count(), 1, "nobody else could post it");
        } else {
            assert_eq!(pushed.recv_timeout(Duration::from_secs(30)).as_deref(), Ok("eos"));
        }
        element.set_bus(None);
    }
}

#[test]
fn downstream_that_has_enough_still_gets_what_ends_the_segment() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    refuse(&harness.sinkpad().unwrap(), gst::FlowError::Eos, |pts| pts < 80);
    let pushed = record(&element);
    (0..2).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    // Also one that shows what was skipped while its run is under way.
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
    assert_eq!((mark(&harness.pull().unwrap()), mark(&harness.pull().unwrap())), (1, 3));
}

#[test]
fn a_segment_after_downstream_had_enough_starts_again_each_time() {
    let model = model();
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "2")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let sinkpad = harness.sinkpad().unwrap();
    completes_within(Duration::from_secs(60), "fifty segments", move || {
        for turn in 0..50u64 {
            let probe = refuse(&sinkpad, gst::FlowError::Eos, |_| true);
            while harness.push(gray_frame(0, turn as u8)) != Err(gst::FlowError::Eos) {}
            sinkpad.remove_probe(probe);
            harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            assert_eq!(mark(&harness.push_and_pull(gray_frame(1, 100 + turn as u8)).unwrap()), 100 + turn as u8);
        }
    });
}

#[test]
fn new_caps_that_a_flush_catches_in_the_queue_are_not_lost() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
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
    assert_eq!((caps.structure(0).unwrap().get::<i32>("width"), out.size()), (Ok(16), 32));
}

#[test]
fn a_stream_that_was_not_linked_goes_on_once_it_is() {
    let element = dummy_element(&model(), &[("max-in-flight", "2")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let (src, peer) = (element.static_pad("src").unwrap(), harness.sinkpad().unwrap());
    src.unlink(&peer).unwrap();
    let returned = (1..20).map(|n| harness.push(gray_frame(n, n as u8))).find_map(Result::err);
    assert_eq!(returned, Some(gst::FlowError::NotLinked));
    src.link(&peer).unwrap();
    assert_eq!(pts_ms(&harness.push_and_pull(gray_frame(30, 30)).unwrap()), 1200);
}

#[test]
fn the_end_of_a_flush_does_not_wake_an_inactive_pad() {
    let model = model();
    let element = dummy_element(&model, &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let src = element.static_pad("src").unwrap();
    src.set_active(false).unwrap();
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(harness.push(gray_frame(1, 1)), Err(gst::FlowError::Flushing));
    assert_ne!(src.task_state(), gst::TaskState::Started);
}

#[test]
fn a_failure_downstream_after_eos_is_posted_once() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "4")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (0..3).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    assert!(harness.push_event(gst::event::Eos::new()));
    refuse(&harness.sinkpad().unwrap(), gst::FlowError::Error, |_| true);
    let pushed = record(&element);
    model.gate().open();
    wait_message(&bus, &[gst::MessageType::Error]);
    let last = std::iter::from_fn(|| pushed.recv_timeout(Duration::from_secs(30)).ok()).find(|what| what == "eos");
    assert_eq!(last.as_deref(), Some("eos"), "downstream can finish its file");
    assert_eq!(bus.iter_filtered(&[gst::MessageType::Error]).count(), 0);
    element.set_bus(None);
}

#[test]
fn a_flush_frees_a_query_that_waits() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push(gray_frame(0, 0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let drain = std::thread::spawn(move || pad.peer_query(&mut gst::query::Drain::new()));
    model.gate().wait_waiting(1);
    harness.push_event(gst::event::FlushStart::new());
    assert!(!completes_within(Duration::from_secs(5), "the query", move || drain.join().unwrap()));
}

/// The task has taken new caps from the queue, and has not pushed them, when a flush finds newer ones there.
#[test]
fn caps_on_their_way_out_do_not_outlive_newer_ones() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    // The task stands where it says what it is about to push.
    let (stand, standing) = std::sync::mpsc::channel();
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    let way = std::sync::Arc::clone(&gate);
    gst::log::remove_default_log_function();
    gst::log::set_threshold_for_name("upscalefilter", gst::DebugLevel::Debug);
    let held = gst::log::add_log_function(move |_, _, _, _, _, _, message| {
        let text = message.get().map(|text| text.to_string()).unwrap_or_default();
        if text.starts_with("Pushing caps") && text.contains("width=(int)20") {
            stand.send(()).unwrap();
            way.wait();
        }
    });
    let caps = |width: i32| gst::event::Caps::new(&GRAY.replace("width=4", &format!("width={width}")).parse().unwrap());
    // Straight to the pad: a harness would send its sticky events again.
    let pad = harness.srcpad().unwrap();
    assert!(pad.push_event(caps(10)));
    standing.recv_timeout(Duration::from_secs(30)).expect("the task pushes the caps");
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
    gate.wait();
    assert!(flusher.join().unwrap());
    gst::log::remove_log_function(held);
    let width = source.current_caps().unwrap().structure(0).unwrap().get::<i32>("width");
    assert_eq!(width, Ok(24));
}

//! Events, queries, flow returns, flushes and states, as GStreamer expects of an element with a queue.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gstupscale::model::Channels;
use gstupscale::model::dummy::DummyModel;

fn model() -> Arc<DummyModel> {
    Arc::new(DummyModel::new(Channels::Luma, 2))
}

/// Everything that is pushed on the source pad, as text: "40" for a buffer of that PTS in ms, the type's name for an event.
fn record(element: &gst::Element) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let text = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => pts_ms(buffer).to_string(),
            Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
            _ => unreachable!(),
        };
        sender.send(text).ok();
        gst::PadProbeReturn::Ok
    });
    receiver
}

#[test]
fn only_the_size_of_the_caps_changes_and_metadata_stays() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness
        .set_src_caps_str("video/x-raw,format=GRAY8,width=4,height=2,framerate=25/1,pixel-aspect-ratio=4/3,x=(int)5");
    let mut buffer = gray_frame(3, 9);
    {
        let frame = buffer.get_mut().unwrap();
        frame.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
        frame.set_offset(77);
        gst_video::VideoRegionOfInterestMeta::add(frame, "face", (1, 0, 2, 1));
        gst::ReferenceTimestampMeta::add(
            frame,
            &gst::Caps::new_empty_simple("x/y"),
            gst::ClockTime::SECOND,
            gst::ClockTime::NONE,
        );
    }
    let out = harness.push_and_pull(buffer).unwrap();
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    let structure = caps.structure(0).unwrap();
    assert_eq!((structure.get::<i32>("width"), structure.get::<i32>("height")), (Ok(8), Ok(4)));
    assert_eq!(structure.get::<gst::Fraction>("pixel-aspect-ratio"), Ok(gst::Fraction::new(4, 3)));
    assert_eq!(structure.get::<i32>("x"), Ok(5));
    assert_eq!((pts_ms(&out), out.duration(), out.offset()), (120, Some(gst::ClockTime::from_mseconds(40)), 77));
    assert!(out.flags().contains(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER));
    assert_eq!(out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap().rect(), (2, 0, 4, 2));
    assert_eq!(out.meta::<gst::ReferenceTimestampMeta>().unwrap().timestamp(), gst::ClockTime::SECOND);
    assert_eq!(out.size(), 32);
}

#[test]
fn padded_strides_and_plane_offsets_are_read_by_their_meta() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let mut buffer = gst::Buffer::from_mut_slice([&[99; 3][..], &[1, 2, 3, 4, 99], &[5, 6, 7, 8]].concat());
    let frame = buffer.get_mut().unwrap();
    gst_video::VideoMeta::add_full(
        frame,
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::Gray8,
        4,
        2,
        &[3],
        &[5],
    )
    .unwrap();
    let out = harness.push_and_pull(buffer).unwrap();
    let row = |values: [u8; 4]| values.map(|v| [v, v]).concat();
    let (first, second) = (row([1, 2, 3, 4]), row([5, 6, 7, 8]));
    assert_eq!(out.map_readable().unwrap().as_slice(), [&first[..], &first, &second, &second].concat());
}

#[test]
fn serialized_events_keep_their_places() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    let pushed = record(&element);
    harness.set_src_caps_str(GRAY);
    let mut tags = gst::TagList::new();
    tags.get_mut().unwrap().add::<gst::tags::Title>(&"a title", gst::TagMergeMode::Replace);
    harness.push(gray_frame(0, 1)).unwrap();
    assert!(harness.push_event(gst::event::Tag::new(tags)));
    harness.push(gray_frame(1, 2)).unwrap();
    assert!(harness.push_event(gst::event::Gap::builder(gst::ClockTime::from_mseconds(80)).build()));
    harness.push(gray_frame(3, 3)).unwrap();
    assert!(harness.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("mine"))));
    assert!(harness.push_event(gst::event::Eos::new()));
    model.gate().open();
    let order: Vec<_> = std::iter::from_fn(|| pushed.recv_timeout(Duration::from_secs(30)).ok())
        .skip_while(|what| what != "0")
        .take(7)
        .collect();
    assert_eq!(order, ["0", "tag", "40", "gap", "120", "custom-downstream", "eos"]);
}

#[test]
fn events_that_are_not_serialized_go_through_at_once() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push(gray_frame(0, 1)).unwrap();
    let pushed = record(&element);
    assert!(harness.push_event(gst::event::CustomDownstreamOob::new(gst::Structure::new_empty("mine"))));
    assert_eq!(pushed.try_recv(), Ok("custom-downstream-oob".to_owned()));
}

#[test]
fn frames_in_flight_come_before_eos_and_none_is_taken_after_it() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "3"), ("max-in-flight", "8")]);
    let mut harness = harness(&element);
    let pushed = record(&element);
    harness.set_src_caps_str(GRAY);
    (0..6).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!(harness.push(gray_frame(7, 7)), Err(gst::FlowError::Eos));
    model.gate().open();
    let pushed: Vec<_> = std::iter::from_fn(|| pushed.recv_timeout(Duration::from_secs(30)).ok())
        .skip_while(|what| what != "0")
        .take(7)
        .collect();
    assert_eq!(pushed, ["0", "40", "80", "120", "160", "200", "eos"]);
}

#[test]
fn a_new_stream_follows_eos() {
    let model = model();
    let element = dummy_element(&model, &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_and_pull(gray_frame(0, 1)).unwrap();
    harness.push_event(gst::event::Eos::new());
    harness.push_event(gst::event::StreamStart::new("next"));
    harness.set_src_caps_str(GRAY);
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(pts_ms(&harness.push_and_pull(gray_frame(0, 1)).unwrap()), 0);
}

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
fn nothing_passes_a_discontinuity() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    for (n, discontinuous) in [(10, false), (5, true), (4, false)] {
        let mut frame = gray_frame(n, n as u8);
        if discontinuous {
            frame.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        }
        harness.push(frame).unwrap();
    }
    model.gate().open();
    assert_eq!([10, 4, 5].map(|_| pts_ms(&harness.pull().unwrap()) / 40), [4, 10, 5]);
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
fn caps_change_without_loss() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "8")]);
    let mut harness = harness(&element);
    let (sender, seen) = std::sync::mpsc::channel();
    element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps().unwrap();
        let width = caps.structure(0).unwrap().get::<i32>("width").unwrap();
        sender.send((width, info.buffer().unwrap().size())).ok();
        gst::PadProbeReturn::Ok
    });
    harness.set_src_caps_str(GRAY);
    (0..2).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=8,height=1,framerate=25/1");
    // The same bytes as a frame before, and yet another picture.
    (0..2).for_each(|n| assert!(harness.push(gray_frame(2 + n, n as u8)).is_ok()));
    harness.set_src_caps_str("video/x-raw,format=RGB,width=2,height=1,framerate=25/1");
    assert!(harness.push(gray_frame(4, 4)).is_ok());
    model.gate().open();
    (0..5).for_each(|n| assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(8, 32), (8, 32), (16, 32), (16, 32), (4, 24)]);
}

#[test]
fn interlaced_video_is_refused_by_name_of_the_remedy() {
    let element = dummy_element(&model(), &[]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    for mode in ["interleaved", "mixed", "fields"] {
        harness.set_src_caps_str(&format!(
            "video/x-raw,format=I420,width=4,height=4,framerate=25/1,interlace-mode={mode}"
        ));
        assert_eq!(harness.push(gray_frame(0, 0)), Err(gst::FlowError::NotNegotiated), "{mode}");
        let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("it is told");
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        assert!(error.error().to_string().contains("`deinterlace`"), "{mode}: {error:?}");
        assert!(error.error().matches(gst::CoreError::Negotiation));
    }
    element.set_bus(None);
}

#[test]
fn latency_is_that_of_the_frames_in_flight() {
    let element = dummy_element(&model(), &[("max-in-flight", "5")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(7));
    harness.set_src_caps_str(GRAY);
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some(), "the pipeline is told");
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(5 * 40 + 7)));
    element.set_bus(None);
}

#[test]
fn upstream_is_told_how_many_buffers_stay() {
    let element = dummy_element(&model(), &[("max-in-flight", "5")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert_eq!(query.allocation_pools().map(|(_, size, min, max)| (size, min, max)).collect::<Vec<_>>(), [(8, 6, 0)]);
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
}

#[test]
fn an_upstream_pool_of_four_buffers_is_enough() {
    let model = model();
    let element = dummy_element(&model, &[("workers", "3"), ("max-in-flight", "32"), ("duplicates", "off")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&GRAY.parse().unwrap()), 8, 4, 4);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    let pushed = pool.clone();
    let harness = completes_within(Duration::from_secs(30), "streaming", move || {
        for n in 0..100 {
            let mut buffer = pushed.acquire_buffer(None).unwrap();
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
            buffer.get_mut().unwrap().map_writable().unwrap().fill(n as u8);
            harness.push(buffer).unwrap();
            while harness.buffers_in_queue() > 0 {
                harness.pull().unwrap();
            }
        }
        // What is still on its way.
        let pulled = 100 - harness.buffers_received() as u64;
        (0..pulled).for_each(|_| drop(harness.pull().unwrap()));
        harness
    });
    drop(harness);
    element.set_state(gst::State::Null).unwrap();
    // All have come home.
    let kept: Vec<_> = (0..4).map(|_| pool.acquire_buffer(Some(&dont_wait())).unwrap()).collect();
    drop(kept);
    pool.set_active(false).unwrap();
}

fn dont_wait() -> gst::BufferPoolAcquireParams {
    gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT)
}

#[test]
fn a_serialized_query_waits_for_its_turn_and_brings_the_answer_back() {
    let model = model();
    model.gate().hold();
    let element = dummy_element(&model, &[("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push(gray_frame(0, 0)).unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    harness.sinkpad().unwrap().add_probe(
        gst::PadProbeType::QUERY_DOWNSTREAM | gst::PadProbeType::PUSH,
        move |_, info| {
            let Some(query) = info.query_mut().filter(|query| query.type_() == gst::QueryType::Custom) else {
                return gst::PadProbeReturn::Ok;
            };
            query.structure_mut().set("answer", 42);
            sender.send(()).ok();
            gst::PadProbeReturn::Handled
        },
    );
    let pad = harness.srcpad().unwrap();
    // No constructor makes a serialized custom query, so a drain query stands for all of them on the way, and a custom one below.
    let drain = std::thread::spawn(move || pad.peer_query(&mut gst::query::Drain::new()));
    model.gate().wait_waiting(1);
    assert!(!drain.is_finished() || model.finished() > 0);
    model.gate().open();
    completes_within(Duration::from_secs(10), "the query", move || drain.join().unwrap());
    assert_eq!(pts_ms(&harness.pull().unwrap()), 0);
    let mut custom = gst::query::Custom::new(gst::Structure::new_empty("question"));
    assert!(harness.srcpad().unwrap().peer_query(&mut custom));
    assert!(asked.try_recv().is_ok());
    assert_eq!(custom.structure().unwrap().get::<i32>("answer"), Ok(42));
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

#[test]
fn pointer_coordinates_are_those_of_the_input() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let move_to = gst::Structure::builder("application/x-gst-navigation")
        .field("event", "mouse-move")
        .field("pointer_x", 6.0)
        .field("pointer_y", 3.0)
        .build();
    harness.push_upstream_event(gst::event::Navigation::new(move_to));
    let event = std::iter::from_fn(|| harness.try_pull_upstream_event())
        .find(|event| event.type_() == gst::EventType::Navigation)
        .expect("it is passed on");
    let structure = event.structure().unwrap();
    assert_eq!((structure.get::<f64>("pointer_x"), structure.get::<f64>("pointer_y")), (Ok(3.0), Ok(1.5)));
}

#[test]
fn progress_and_plan() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("plan.json");
    let element = dummy_element(
        &model(),
        &[("plan-location", location.to_str().unwrap()), ("progress-interval", "1"), ("workers", "2")],
    );
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    for (n, mark) in [5, 5, 6, 5].into_iter().enumerate() {
        harness.push_and_pull(gray_frame(n as u64, mark)).unwrap();
    }
    let pushed = record(&element);
    harness.push_event(gst::event::Eos::new());
    assert_eq!(pushed.recv_timeout(Duration::from_secs(30)).as_deref(), Ok("eos"));
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(&location).unwrap()).unwrap();
    assert_eq!(plan["frames_to_process"], serde_json::json!(["frame_00001", "frame_00003"]));
    assert_eq!(plan["frame_output_mapping"]["3"]["unique_frame"], "frame_00001");
    assert_eq!(plan["frame_output_mapping"]["3"]["pts"], 120_000_000);
    assert_eq!(plan["stats"]["parallel_jobs"], 2);
    let figures = bus.iter_filtered(&[gst::MessageType::Element]).last().expect("there were messages");
    let figures = figures.structure().unwrap();
    assert_eq!(figures.name(), "upscalefilter-progress");
    for (field, value) in
        [("frames-in", 4), ("frames-out", 4), ("unique", 2), ("duplicates", 2), ("in-flight", 0), ("workers", 2)]
    {
        assert_eq!(figures.get::<u64>(field), Ok(value), "{field}");
    }
    assert!(figures.get::<f64>("fps").unwrap() > 0.0);
    element.set_bus(None);
}

#[test]
fn an_unwritable_plan_is_a_warning_at_once() {
    let element = dummy_element(&model(), &[("plan-location", "/no/such/folder/plan.json")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    element.set_state(gst::State::Paused).unwrap();
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).expect("it is told before the first frame");
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().to_string().contains("/no/such/folder/plan.json"), "{warning:?}");
    element.set_bus(None);
    element.set_state(gst::State::Null).unwrap();
}

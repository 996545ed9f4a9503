//! Order of events, queries and frames, as GStreamer expects it of an element with a queue.

mod common;

use std::time::Duration;

use common::*;
use gst::prelude::*;

#[test]
fn serialized_events_keep_their_order() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("max-in-flight", "8")]);
    let pushed = record(&element);
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
fn out_of_band_events_overtake_frames() {
    let Fixture { element, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
    harness.push(gray_frame(0, 1)).unwrap();
    let pushed = record(&element);
    assert!(harness.push_event(gst::event::CustomDownstreamOob::new(gst::Structure::new_empty("mine"))));
    assert_eq!(pushed.try_recv(), Ok("custom-downstream-oob".to_owned()));
}

#[test]
fn frames_in_flight_leave_before_eos_and_later_ones_are_refused() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("workers", "3"), ("max-in-flight", "8")]);
    let pushed = record(&element);
    push_frames(&mut harness, 0..6);
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
    let Fixture { mut harness, .. } = Fixture::new(&[]);
    harness.push_and_pull(gray_frame(0, 1)).unwrap();
    harness.push_event(gst::event::Eos::new());
    harness.push_event(gst::event::StreamStart::new("next"));
    harness.set_src_caps_str(GRAY);
    send_segment(&mut harness);
    assert_eq!(pts_ms(&harness.push_and_pull(gray_frame(0, 1)).unwrap()), 0);
}

#[test]
fn frames_are_not_sorted_across_a_discontinuity() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
    for (n, discontinuous) in [(10, false), (5, true), (4, false)] {
        let mut frame = gray_frame(n, n as u8);
        if discontinuous {
            frame.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        }
        harness.push(frame).unwrap();
    }
    model.gate().open();
    assert_eq!([10, 4, 5].map(|_| pts_ms(&harness.pull().unwrap()) / 40), [10, 4, 5]);
}

#[test]
fn a_serialized_query_waits_for_its_turn_and_returns_the_answer() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
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
    // There is no constructor for a serialized custom query, so a drain query tests the order and a custom query the answer.
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
fn pointer_coordinates_are_scaled_to_the_input() {
    let Fixture { mut harness, .. } = Fixture::new(&[]);
    harness.push_and_pull(gray_frame(0, 0)).unwrap();
    let move_to = gst::Structure::builder("application/x-gst-navigation")
        .field("event", "mouse-move")
        .field("pointer_x", 6.0)
        .field("pointer_y", 3.0)
        .build();
    harness.push_upstream_event(gst::event::Navigation::new(move_to));
    let event = std::iter::from_fn(|| harness.try_pull_upstream_event())
        .find(|event| event.type_() == gst::EventType::Navigation)
        .expect("the event is forwarded");
    let structure = event.structure().unwrap();
    assert_eq!(structure.get::<f64>("pointer_x"), Ok(3.0));
    assert_eq!(structure.get::<f64>("pointer_y"), Ok(1.5));
}

#[test]
fn progress_messages_and_the_plan_report_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("plan.json");
    let location_text = location.to_str().unwrap();
    let properties = [("plan-location", location_text), ("progress-interval", "1"), ("workers", "2")];
    let Fixture { element, mut harness, .. } = Fixture::new(&properties);
    let bus = with_bus(&element);
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
    let message = bus.iter_filtered(&[gst::MessageType::Element]).last().expect("messages were posted");
    let progress = message.structure().unwrap();
    assert_eq!(progress.name(), "upscalefilter-progress");
    assert_fields(
        progress,
        &[("frames-in", 4), ("frames-out", 4), ("unique", 2), ("duplicates", 2), ("in-flight", 0), ("workers", 2)],
    );
    assert!(progress.get::<f64>("fps").unwrap() > 0.0);
    element.set_bus(None);
}

#[test]
fn an_unwritable_plan_is_a_warning_before_the_first_frame() {
    let element = dummy_element(&model(), &[("plan-location", "/no/such/folder/plan.json")]);
    let bus = with_bus(&element);
    element.set_state(gst::State::Paused).unwrap();
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).expect("a warning is posted before the first frame");
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().to_string().contains("/no/such/folder/plan.json"), "{warning:?}");
    element.set_bus(None);
    element.set_state(gst::State::Null).unwrap();
}

/// A gapless playlist of streams that differ in size and format.
#[test]
fn concatenated_streams_play_without_a_gap() {
    init();
    let pipeline = gst::parse::launch(
        "concat name=list ! upscalefilter name=upscale model=lanczos2x ! fakesink name=sink sync=false \
         videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=32,height=24,framerate=25/1 ! list. \
         videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=I420,width=48,height=16,framerate=25/1 ! list. \
         videotestsrc num-buffers=20 ! video/x-raw,format=NV12,width=32,height=24,framerate=25/1 ! list.",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let element = pipeline.by_name("upscale").unwrap();
    element.downcast_ref::<gstupscale::upscalefilter::UpscaleFilter>().unwrap().set_test_model(model());
    let (sender, seen) = std::sync::mpsc::channel();
    let sink = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
        let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap().clone();
        let caps = pad.current_caps().unwrap();
        let width = caps.structure(0).unwrap().get::<i32>("width").unwrap();
        sender.send((segment.to_running_time(info.buffer().unwrap().pts()).unwrap().mseconds(), width)).ok();
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_message(&pipeline.bus().unwrap(), &[gst::MessageType::Eos]);
    pipeline.set_state(gst::State::Null).unwrap();
    let seen: Vec<_> = seen.try_iter().collect();
    let due: Vec<_> = (0..60).map(|n| (40 * n, if n / 20 == 1 { 96 } else { 64 })).collect();
    assert_eq!(seen, due);
}

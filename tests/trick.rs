//! Trick modes, as players request them.

mod common;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::upscalefilter::UpscaleFilter;

const LENGTH: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// A seekable source, the element and a sink, in PAUSED. The channel receives each PTS, in ms, that reaches the sink.
fn scene(model: &Arc<DummyModel>, sync: bool) -> (gst::Pipeline, Receiver<u64>) {
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc pattern=ball num-buffers=50 ! video/x-raw,format=GRAY8,width=32,height=24,framerate=25/1 \
         ! upscalefilter name=upscale workers=3 ! fakesink name=sink sync={sync}"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let element = pipeline.by_name("upscale").unwrap();
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_model(Arc::clone(model) as _);
    let (sender, seen) = channel();
    let sink = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        sender.send(pts_ms(info.buffer().unwrap())).ok();
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Paused).unwrap();
    let (change, ..) = pipeline.state(PATIENCE);
    assert!(change.is_ok());
    (pipeline, seen)
}

/// Waits for the preroll after a seek; returns its PTS, in ms, and discards those before.
fn settle(pipeline: &gst::Pipeline, seen: &Receiver<u64>) -> u64 {
    assert!(pipeline.state(PATIENCE).0.is_ok());
    seen.try_iter().last().expect("the sink has prerolled")
}

fn end(pipeline: &gst::Pipeline, message: gst::MessageType) {
    wait_message(&pipeline.bus().unwrap(), &[message]);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn backwards() {
    let (pipeline, seen) = scene(&model(), false);
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let stop = gst::SeekType::Set;
    pipeline.seek(-1.0, flags, gst::SeekType::Set, gst::ClockTime::ZERO, stop, LENGTH / 2).unwrap();
    let first = settle(&pipeline, &seen);
    pipeline.set_state(gst::State::Playing).unwrap();
    end(&pipeline, gst::MessageType::Eos);
    let all: Vec<_> = std::iter::once(first).chain(seen.try_iter()).collect();
    assert!(all.len() >= 24 && all.is_sorted_by(|a, b| a > b), "{all:?}");
}

#[test]
fn faster_and_only_key_frames() {
    let (pipeline, seen) = scene(&model(), false);
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::TRICKMODE;
    pipeline.seek(4.0, flags, gst::SeekType::Set, LENGTH / 2, gst::SeekType::None, gst::ClockTime::NONE).unwrap();
    let first = settle(&pipeline, &seen);
    assert_eq!(first, 1000);
    pipeline.set_state(gst::State::Playing).unwrap();
    end(&pipeline, gst::MessageType::Eos);
    let rest: Vec<_> = seen.try_iter().collect();
    assert!(rest.is_sorted() && rest.last() >= Some(&1800), "{rest:?}");
}

#[test]
fn a_segment_ends_with_segment_done_and_the_next_one_follows() {
    let (pipeline, seen) = scene(&model(), false);
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT;
    let stop = gst::SeekType::Set;
    pipeline.seek(1.0, flags, gst::SeekType::Set, LENGTH / 4, stop, LENGTH / 2).unwrap();
    let first = settle(&pipeline, &seen);
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_message(&pipeline.bus().unwrap(), &[gst::MessageType::SegmentDone]);
    // Players loop without a flush.
    pipeline.seek(1.0, gst::SeekFlags::empty(), gst::SeekType::Set, gst::ClockTime::ZERO, stop, LENGTH / 4).unwrap();
    end(&pipeline, gst::MessageType::Eos);
    let all: Vec<_> = std::iter::once(first).chain(seen.try_iter()).collect();
    let due: Vec<_> = (12..25).chain(0..13).map(|n| 40 * n).collect();
    assert_eq!(all, due);
}

#[test]
fn one_frame_at_a_time() {
    let (pipeline, seen) = scene(&model(), true);
    let bus = pipeline.bus().unwrap();
    assert_eq!(seen.try_iter().last(), Some(0));
    for n in 1..6 {
        let step = gst::event::Step::new(gst::format::Buffers::from_u64(1), 1.0, true, false);
        assert!(pipeline.send_event(step));
        wait_message(&bus, &[gst::MessageType::StepDone]);
        assert!(pipeline.state(PATIENCE).0.is_ok());
        assert_eq!(seen.try_iter().last(), Some(40 * n));
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// The sink sets the pace; the element must not lose or hold back frames.
#[test]
fn another_speed_at_once() {
    let (pipeline, seen) = scene(&model(), true);
    let first = settle(&pipeline, &seen);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert!(pipeline.state(PATIENCE).0.is_ok());
    let flags = gst::SeekFlags::INSTANT_RATE_CHANGE;
    let none = gst::SeekType::None;
    pipeline.seek(4.0, flags, none, gst::ClockTime::NONE, none, gst::ClockTime::NONE).unwrap();
    end(&pipeline, gst::MessageType::Eos);
    let all: Vec<_> = std::iter::once(first).chain(seen.try_iter()).collect();
    assert_eq!(all, (0..50).map(|n| 40 * n).collect::<Vec<_>>());
}

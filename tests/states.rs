//! Seeks and state changes at random moments, in real pipelines.

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// A generator with a fixed seed.
fn random() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

/// videotestsrc ! upscalefilter ! fakesink, endless at 25 fps. The channel receives each PTS, in ms, that reaches the sink.
fn pipeline(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Pipeline, std::sync::mpsc::Receiver<u64>) {
    let element = dummy_element(model, properties);
    let pipeline = gst::Pipeline::new();
    let source = gst::parse::bin_from_description(
        "videotestsrc pattern=ball ! capsfilter caps=video/x-raw,format=I420,width=32,height=24,framerate=25/1",
        true,
    )
    .unwrap();
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
    pipeline.add_many([source.upcast_ref(), &element, &sink]).unwrap();
    gst::Element::link_many([source.upcast_ref(), &element, &sink]).unwrap();
    let (sender, receiver) = channel();
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        sender.send(pts_ms(info.buffer().unwrap())).ok();
        gst::PadProbeReturn::Ok
    });
    (pipeline, receiver)
}

#[test]
fn two_hundred_random_seeks() {
    let model = model();
    let (pipeline, frames) = pipeline(&model, &[("workers", "3")]);
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut random = random();
    for _ in 0..200 {
        // Wait for up to three frames since the last seek.
        for _ in 0..random.next_u32() % 4 {
            frames.recv_timeout(Duration::from_secs(30)).ok();
        }
        let position = gst::ClockTime::from_mseconds(40 * u64::from(random.next_u32() % 240));
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let moved = pipeline.clone();
        completes_within(Duration::from_secs(5), "the seek", move || moved.seek_simple(flags, position)).unwrap();
        while frames.try_recv().is_ok() {}
    }
    // After the last seek every frame arrives, in order, up to EOS.
    let (start, stop) = (gst::ClockTime::from_seconds(4), gst::ClockTime::from_seconds(10));
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    pipeline.seek(1.0, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop).unwrap();
    wait_message(&bus, &[gst::MessageType::Eos]);
    pipeline.set_state(gst::State::Null).unwrap();
    let all: Vec<_> = frames.try_iter().collect();
    let first = all.iter().rposition(|pts| *pts == 4000).expect("the frame at the seek position arrives");
    assert_eq!(all[first..], (100..250).map(|n| 40 * n).collect::<Vec<_>>());
}

#[test]
fn null_at_any_moment() {
    let mut random = random();
    for _ in 0..40 {
        let model = model();
        let (pipeline, frames) = pipeline(&model, &[("workers", "2")]);
        pipeline.set_state(gst::State::Playing).unwrap();
        for _ in 0..random.next_u32() % 20 {
            frames.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        let moved = pipeline.clone();
        completes_within(Duration::from_secs(5), "the change to NULL", move || moved.set_state(gst::State::Null))
            .unwrap();
        assert_eq!(model.sessions_open(), 0);
    }
}

/// Up to a random state and back to NULL, five hundred times, while other threads load the CPU.
#[test]
fn five_hundred_starts_and_stops_at_random_moments_under_load() {
    const TIMES: u32 = 500;
    let (model, mut random, over) = (model(), random(), AtomicBool::new(false));
    let (pipeline, frames) = pipeline(&model, &[("workers", "2"), ("cache-size", "100000")]);
    let bus = pipeline.bus().unwrap();
    std::thread::scope(|scope| {
        let over = StopAtEnd(&over);
        for _ in 0..2 {
            let over = over.0;
            scope.spawn(|| {
                (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(|n: u64| {
                    black_box(n);
                })
            });
        }
        let mut after_hundred = 0;
        for n in 0..TIMES {
            let (moment, state) = (random.next_u32() % 4, [gst::State::Ready, gst::State::Paused, gst::State::Playing]);
            let state = state[random.next_u32() as usize % 3];
            let moved = pipeline.clone();
            completes_within(Duration::from_secs(5), "the change", move || moved.set_state(state)).unwrap();
            if state == gst::State::Playing {
                for _ in 0..moment {
                    frames.recv_timeout(Duration::from_secs(5)).unwrap();
                }
            }
            // Before NULL, which discards the messages.
            assert!(bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]).is_none());
            let moved = pipeline.clone();
            completes_within(Duration::from_secs(5), "the change to NULL", move || moved.set_state(gst::State::Null))
                .unwrap();
            assert_eq!(model.sessions_open(), 0, "start {n}");
            while frames.try_recv().is_ok() {}
            if n == TIMES / 5 {
                after_hundred = resident();
            }
        }
        let grown = resident().saturating_sub(after_hundred);
        // Thread stacks and allocator blocks vary by less; a leaked frame or session at each start would be more.
        assert!(grown < 4 << 20, "memory grew by {grown} bytes in {} starts", TIMES - TIMES / 5);
    });
}

/// Stops the threads even if the test fails, which would hang otherwise.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn null_interrupts_the_runs_of_all_workers() {
    let model = model();
    model.gate().hold();
    let (pipeline, _frames) = pipeline(&model, &[("workers", "3")]);
    pipeline.set_state(gst::State::Playing).unwrap();
    model.gate().wait_waiting(3);
    completes_within(Duration::from_secs(5), "the change to NULL", move || pipeline.set_state(gst::State::Null))
        .unwrap();
    assert_eq!(model.sessions_open(), 0);
    assert_eq!(model.interrupted(), 3);
}

#[test]
fn ready_and_back_keeps_the_sessions_and_restarts_the_stream() {
    let model = model();
    let (pipeline, frames) = pipeline(&model, &[("workers", "2")]);
    for _ in 0..5 {
        pipeline.set_state(gst::State::Playing).unwrap();
        assert_eq!(frames.recv_timeout(Duration::from_secs(30)), Ok(0));
        pipeline.set_state(gst::State::Ready).unwrap();
        while frames.try_recv().is_ok() {}
    }
    // At most one for each worker.
    assert!(model.sessions_opened() <= 2);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_property_changed_in_ready_takes_effect() {
    let model = model();
    let element = dummy_element(&model, &[("workers", "1")]);
    element.set_state(gst::State::Ready).unwrap();
    element.set_property("workers", 3u32);
    element.set_state(gst::State::Paused).unwrap();
    assert_stats(&element, &[("workers", 3)]);
    // The other sessions open when there is work for them.
    assert_eq!(model.sessions_open(), 1);
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_model_that_cannot_be_loaded_fails_the_change_to_ready_with_its_reason() {
    for (file, reason) in [("/no/such/model.onnx", "does not exist"), ("/", "directory")] {
        let element = element(&[("model", file)]);
        let bus = with_bus(&element);
        assert!(element.set_state(gst::State::Ready).is_err());
        let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error is posted");
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        let text = error.error().to_string();
        assert!(text.contains(file) && text.contains(reason), "{text}");
        element.set_bus(None);
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_session_that_cannot_be_opened_fails_the_change_and_no_session_stays_open() {
    let model = model();
    model.fail_session(0, "no memory");
    let element = dummy_element(&model, &[("workers", "3")]);
    assert!(element.set_state(gst::State::Ready).is_err());
    assert_eq!(model.sessions_open(), 0);
    element.set_state(gst::State::Null).unwrap();
}

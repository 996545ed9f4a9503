//! Frames leave in PTS order, in whatever order their runs end.

mod common;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::Failure;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whichever run ends first, frames leave in order of arrival, each with its own content.
    #[test]
    fn completion_order_does_not_change_the_output(workers in 1usize..5, choices in proptest::collection::vec(any::<prop::sample::Index>(), 12)) {
        let Fixture { model, mut harness, .. } = Fixture::held(&[("workers", &workers.to_string()), ("max-in-flight", "16")]);
        let frames = choices.len();
        for n in 0..frames {
            prop_assert_eq!(harness.push(gray_frame(n as u64, 10 + n as u8)), Ok(gst::FlowSuccess::Ok));
        }
        let gate = model.gate();
        for (done, choice) in choices.iter().enumerate() {
            let waiting = gate.wait_waiting(workers.min(frames - done));
            gate.release_run(choice.get(&waiting).run);
            gate.wait_finished(done + 1);
        }
        for n in 0..frames {
            let out = harness.pull().unwrap();
            assert_frame(&out, 40 * n as u64, 10 + n as u8);
        }
    }

    /// Frames that arrive out of order leave in order while none of them has left.
    #[test]
    fn waiting_frames_are_sorted_by_pts(order in Just((0u64..8).collect::<Vec<_>>()).prop_shuffle()) {
        let Fixture { model, element, mut harness } = Fixture::held(&[("workers", "2"), ("max-in-flight", "16")]);
        for n in &order {
            prop_assert_eq!(harness.push(gray_frame(*n, *n as u8)), Ok(gst::FlowSuccess::Ok));
        }
        model.gate().open();
        for n in 0..8 {
            let out = harness.pull().unwrap();
            assert_frame(&out, 40 * n, n as u8);
        }
        let out_of_order =
            (0..order.len()).filter(|i| order[..*i].iter().any(|earlier| *earlier > order[*i])).count() as u64;
        assert_stats(&element, &[("reorders", out_of_order)]);
    }
}

#[test]
fn a_frame_that_arrives_too_late_to_be_sorted_leaves_at_once_and_is_counted() {
    let Fixture { element, mut harness, .. } = Fixture::new(&[]);
    for n in [0, 2, 1] {
        harness.push(gray_frame(n, n as u8)).unwrap();
        assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n);
    }
    assert_stats(&element, &[("reorders-failed", 1)]);
}

/// 0 to 480 ms, twice, as when a player loops: no frame of the second round overtakes one of the first, whatever has left by then.
#[test]
fn a_loop_keeps_its_order() {
    const ROUND: u64 = 13;
    for (in_flight, waiting) in (0..6).map(|waiting| (6, waiting)).chain([(32, 0), (32, 5), (32, 13)]) {
        let Fixture { model, mut harness, .. } =
            Fixture::held(&[("workers", "1"), ("max-in-flight", &in_flight.to_string())]);
        let gate = model.gate();
        let pad = harness.srcpad().unwrap();
        let (sender, pushed) = std::sync::mpsc::channel();
        let (start_second, second_round) = std::sync::mpsc::channel();
        let pusher = std::thread::spawn(move || {
            for n in 0..2 * ROUND {
                if n == ROUND {
                    second_round.recv().unwrap();
                }
                pad.push(gray_frame(n % ROUND, n as u8)).unwrap();
                sender.send(n).unwrap();
            }
        });
        // This many of the first round leave before the second starts.
        let first = ROUND - waiting;
        gate.release(first as usize);
        let mut out: Vec<_> = (0..first).map(|_| mark(&harness.pull().unwrap())).collect();
        start_second.send(()).unwrap();
        assert!(pushed.iter().any(|n| n == ROUND), "the second round has started");
        gate.open();
        out.extend((first..2 * ROUND).map(|_| mark(&harness.pull().unwrap())));
        pusher.join().unwrap();
        assert!(out.iter().copied().eq(0..2 * ROUND as u8), "{waiting} of {in_flight} waiting: {out:?}");
    }
}

/// With six frames in flight, a frame may be at most five frames (200 ms) older than the newest.
#[test]
fn only_frames_within_the_queue_length_are_sorted() {
    for (arrival, due) in [([0, 6, 1], [0, 1, 6]), ([0, 7, 1], [0, 7, 1]), ([30, 40, 31], [30, 40, 31])] {
        let Fixture { model, mut harness, .. } = Fixture::held(&[("workers", "2"), ("max-in-flight", "6")]);
        arrival.iter().for_each(|n| assert!(harness.push(gray_frame(*n, *n as u8)).is_ok()));
        model.gate().open();
        assert_eq!(due.map(|_| pts_ms(&harness.pull().unwrap()) / 40), due, "{arrival:?}");
    }
}

#[test]
fn reverse_playback_keeps_the_order_of_arrival() {
    let Fixture { model, mut harness, .. } = Fixture::held(&[("max-in-flight", "8")]);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::from_seconds(1));
    harness.push_event(gst::event::Segment::new(&segment));
    for n in [3, 2, 1] {
        harness.push(gray_frame(n, n as u8)).unwrap();
    }
    model.gate().open();
    for n in [3, 2, 1] {
        assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n);
    }
}

#[test]
fn duplicates_wait_for_the_first_run_and_share_its_memory() {
    let Fixture { model, element, mut harness } = Fixture::held(&[("workers", "2"), ("max-in-flight", "8")]);
    // A-B-A-A, all while the run on A has not ended.
    for (n, mark) in [(0, 1), (1, 2), (2, 1), (3, 1)] {
        harness.push(gray_frame(n, mark)).unwrap();
    }
    model.gate().wait_waiting(2);
    model.gate().open();
    let out: Vec<_> = (0..4).map(|_| harness.pull().unwrap()).collect();
    assert_eq!(out.iter().map(mark).collect::<Vec<_>>(), [1, 2, 1, 1]);
    assert_eq!(out.iter().map(|out| pts_ms(out)).collect::<Vec<_>>(), [0, 40, 80, 120]);
    assert_eq!(model.runs(), 2);
    let memory = |buffer: &gst::Buffer| buffer.map_readable().unwrap().as_ptr();
    assert_eq!(memory(&out[0]), memory(&out[2]));
    assert_eq!(memory(&out[0]), memory(&out[3]));
    assert_stats(&element, &[("unique", 2), ("duplicates", 2)]);
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<f64>("duplicate-percentage"), Ok(50.0));
}

#[test]
fn without_duplicate_detection_every_frame_is_run() {
    let Fixture { model, mut harness, .. } = Fixture::new(&[("duplicates", "off")]);
    for n in 0..5 {
        harness.push(gray_frame(n, 7)).unwrap();
        let out = harness.pull().unwrap();
        assert_frame(&out, 40 * n, 7);
        assert!(out.is_all_memory_writable(), "nothing else holds it");
    }
    assert_eq!(model.runs(), 5);
}

#[test]
fn the_cache_evicts_the_least_recently_used_frame() {
    // Room for two frames of 8 x 4 pixels.
    let Fixture { model, element, mut harness } = Fixture::new(&[("cache-size", "64")]);
    for (n, mark) in [1, 2, 1, 3, 1, 2].into_iter().enumerate() {
        harness.push(gray_frame(n as u64, mark)).unwrap();
        assert_eq!(common::mark(&harness.pull().unwrap()), mark);
    }
    assert_eq!(model.runs(), 4, "1, 2, 3, and 2 again");
    assert!(stat(&element, "cache-bytes") <= 64);
}

#[test]
fn a_failed_frame_posts_an_error_with_its_pts_and_upstream_gets_the_flow_error() {
    for failure in
        [Failure::Error("on purpose".into()), Failure::WrongSize, Failure::OutOfMemory, Failure::Panic("oh".into())]
    {
        let model = model();
        // The retry in a new session fails, too. After a panic there is no retry.
        for run in [2, 3] {
            model.fail_run(run, failure.clone());
        }
        let (element, mut harness) = start(&model, &[("workers", "1"), ("max-in-flight", "2")]);
        let bus = with_bus(&element);
        let refused = (0..20).map(|n| harness.push(gray_frame(n, n as u8))).find_map(Result::err);
        assert_eq!(refused, Some(gst::FlowError::Error), "{failure:?}");
        let errors: Vec<_> = bus.iter_filtered(&[gst::MessageType::Error]).collect();
        assert_eq!(errors.len(), 1, "{failure:?}: {errors:?}");
        let gst::MessageView::Error(error) = errors[0].view() else { unreachable!() };
        let text = error.error().to_string();
        assert!(text.contains("Frame 2") && text.contains("0:00:00.080"), "{failure:?}: {text}");
        assert_eq!([0, 40].map(|_| pts_ms(&harness.pull().unwrap())), [0, 40], "{failure:?}: earlier frames leave");
        assert_eq!(harness.try_pull().map(|out| pts_ms(&out)), None, "{failure:?}");
        element.set_bus(None);
    }
}

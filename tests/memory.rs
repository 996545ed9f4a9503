//! The memory limit and the degradation levels, on a dummy device: no frame is lost, and no run exceeds the memory.

mod common;

use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::{Channels, Provider};
use proptest::prelude::*;

use common::{assert_stats, stat, with_bus};

const SIDE: u64 = 64;
const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1";
/// Bytes that a run takes per pixel, estimated and actual.
const PER_PIXEL: u64 = 176;
const FRAME: u64 = PER_PIXEL * SIDE * SIDE;
/// Bytes that a run on the smallest tile, 32x32, takes.
const TILE: u64 = PER_PIXEL * 32 * 32;

fn model(total: u64) -> DummyModel {
    DummyModel::new(Channels::Luma, 2)
        .with_info(|info| info.live_elements = Some(PER_PIXEL / 22))
        .with_device(total, |pixels| PER_PIXEL * pixels)
}

fn frame(n: u64) -> gst::Buffer {
    let pixels = (0..SIDE * SIDE).map(|i| (i * (n + 3) % 251) as u8).collect::<Vec<_>>();
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
    buffer
}

/// The output of [`DummyModel`] for [`frame`]: each pixel four times.
fn enlarged(n: u64) -> Vec<u8> {
    let frame = frame(n);
    let map = frame.map_readable().unwrap();
    let rows = map.chunks_exact(SIDE as usize).flat_map(|row| {
        let wide: Vec<u8> = row.iter().flat_map(|&value| [value, value]).collect();
        [wide.clone(), wide]
    });
    rows.flatten().collect()
}

fn check(buffer: &gst::Buffer, n: u64) {
    assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40 * n)));
    assert!(buffer.map_readable().unwrap().as_slice() == enlarged(n), "frame {n} has the wrong content");
}

/// Calls `change` before each frame, pushes the frame, and checks the output.
fn push_all(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>, mut change: impl FnMut(u64)) {
    for n in frames.clone() {
        change(n);
        harness.push(frame(n)).unwrap();
    }
    for n in frames {
        check(&harness.pull().unwrap(), n);
    }
}

fn start(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    common::start_with_caps(model, properties, CAPS)
}

fn warnings(bus: &gst::Bus) -> Vec<String> {
    std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]))
        .map(|message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            _ => unreachable!("filtered"),
        })
        .collect()
}

#[test]
fn as_many_workers_run_as_fit_into_the_limit() {
    for (limit, workers, tile) in
        [(4 * FRAME, 4, 0), (2 * FRAME, 2, 0), (FRAME, 1, 0), (FRAME - 1, 1, 62), (TILE, 1, 32)]
    {
        let model = Arc::new(model(100 * FRAME));
        let (element, mut harness) = start(&model, &[("workers", "4"), ("vram-limit", &limit.to_string())]);
        push_all(&mut harness, 0..20, |_| {});
        assert_stats(&element, &[("workers", workers), ("tile-size", tile)]);
        let (peak, left) = model.device_bytes();
        assert!(peak <= limit && left == 0, "{peak} of {limit}, {left} left");
        assert!(stat(&element, "memory-peak") <= limit);
        assert_stats(&element, &[("memory-used", 0), ("memory-limit", limit), ("steps-down", 0), ("steps-up", 0)]);
    }
}

#[test]
fn a_tile_size_that_is_set_is_used() {
    let model = Arc::new(model(100 * FRAME));
    let (element, mut harness) = start(&model, &[("workers", "2"), ("tile-size", "40"), ("vram-limit", "10000000")]);
    push_all(&mut harness, 0..6, |_| {});
    assert_stats(&element, &[("tile-size", 40)]);
    assert_eq!(model.device_bytes().0 % (PER_PIXEL * 32 * 32), 0, "64 pixels are two tiles of 32");
}

#[test]
fn workers_step_down_while_another_program_takes_memory_and_then_return() {
    let model = Arc::new(model(4 * FRAME));
    let (element, mut harness) =
        start(&model, &[("workers", "4"), ("vram-limit", &(4 * FRAME).to_string()), ("duplicates", "off")]);
    let bus = with_bus(&element);
    push_all(&mut harness, 0..8, |_| {});
    assert_eq!(stat(&element, "steps-down"), 0);
    // Now a tile fits, but not a whole frame.
    model.others_take(4 * FRAME - TILE);
    push_all(&mut harness, 8..16, |_| {});
    assert_eq!(stat(&element, "steps-down"), 3, "four workers, two, one, and tiles");
    let warnings = warnings(&bus);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    // In any order, because two workers may post at the same time.
    for step in ["with 4 workers, whole frames", "Retrying with 2 workers", "Retrying with 1 worker, tiles of 32"] {
        assert!(warnings.iter().any(|text| text.contains(step) && text.contains("PTS")), "{step}: {warnings:?}");
    }
    model.others_take(0);
    push_all(&mut harness, 16..200, |_| {});
    assert_stats(&element, &[("workers", 4), ("steps-up", 3), ("tile-size", 0), ("memory-used", 0)]);
}

#[test]
fn a_frame_that_does_not_fit_at_all_is_an_error_with_its_pts() {
    let model = Arc::new(model(4 * FRAME));
    let (element, mut harness) = start(&model, &[("workers", "2"), ("vram-limit", "10000000")]);
    let bus = with_bus(&element);
    push_all(&mut harness, 0..2, |_| {});
    model.others_take(4 * FRAME - TILE + 1);
    // Whether the push fails depends on timing.
    harness.push(frame(2)).ok();
    let message = common::wait_message(&bus, &[gst::MessageType::Error]);
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("Frame 2 (PTS 0:00:00.080000000)") && text.contains("out of memory"), "{text}");
    assert_eq!(stat(&element, "memory-used"), 0);
}

#[test]
fn run_time_errors_are_retried() {
    let model = Arc::new(model(100 * FRAME));
    for run in [3, 4] {
        model.fail_run(run, Failure::Error("the device is lost".into()));
    }
    let (element, mut harness) = start(&model, &[("workers", "1"), ("vram-limit", "10000000")]);
    let bus = with_bus(&element);
    push_all(&mut harness, 0..8, |_| {});
    let warnings = warnings(&bus);
    // With one worker and no smaller tile, the only step left is a retry in a new session.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(model.sessions_opened(), 3);
    assert!(warnings[0].contains("the device is lost"), "{warnings:?}");
}

#[test]
fn with_fallback_the_cpu_takes_over() {
    if !common::have_runtime() {
        return;
    }
    let model = Arc::new(model(4 * FRAME).with_info(|info| info.provider = Provider::Cuda));
    let (element, mut harness) =
        start(&model, &[("workers", "1"), ("fallback", "true"), ("model", "lanczos2x"), ("vram-limit", "10000000")]);
    let bus = with_bus(&element);
    push_all(&mut harness, 0..1, |_| {});
    model.others_take(4 * FRAME);
    for n in 1..4 {
        harness.push(frame(n)).unwrap();
    }
    for n in 1..4 {
        assert_eq!(harness.pull().unwrap().pts(), Some(gst::ClockTime::from_mseconds(40 * n)));
    }
    let warnings = warnings(&bus);
    assert!(warnings.last().is_some_and(|text| text.contains("on the CPU")), "{warnings:?}");
    model.others_take(0);
    for n in 4..100 {
        harness.push(frame(n)).unwrap();
        harness.pull().unwrap();
    }
    // Back on the device.
    push_all(&mut harness, 100..104, |_| {});
}

#[test]
fn measured_memory_replaces_the_estimate() {
    // The estimate is four times the actual memory, so the element uses tiles, which are too small for a measurement.
    let model = Arc::new(model(100 * FRAME).with_info(|info| info.live_elements = Some(4 * PER_PIXEL / 22)));
    let (element, mut harness) = start(&model, &[("workers", "2"), ("vram-limit", &(2 * FRAME).to_string())]);
    push_all(&mut harness, 0..40, |_| {});
    assert!(stat(&element, "tile-size") > 0);
    assert_eq!(stat(&element, "steps-down"), 0);

    let model = Arc::new(self::model(100 * FRAME).with_info(|info| info.live_elements = Some(2 * PER_PIXEL / 22)));
    let (element, mut harness) = start(&model, &[("workers", "4"), ("vram-limit", &(2 * FRAME).to_string())]);
    assert_eq!(stat(&element, "workers"), 1, "as estimated");
    push_all(&mut harness, 0..40, |_| {});
    assert_eq!(stat(&element, "workers"), 2, "as measured");
    assert!(model.device_bytes().0 <= 2 * FRAME);
}

#[test]
fn the_peak_is_the_memory_that_the_sessions_held() {
    // The estimate is four times the actual memory.
    let model = Arc::new(model(100 * FRAME).with_info(|info| info.live_elements = Some(4 * PER_PIXEL / 22)));
    let (element, mut harness) =
        start(&model, &[("workers", "2"), ("vram-limit", &(100 * FRAME).to_string()), ("duplicates", "off")]);
    model.gate().hold();
    (0..4).for_each(|n| assert!(harness.push(frame(n)).is_ok()));
    model.gate().wait_waiting(2);
    model.gate().open();
    (0..4).for_each(|n| check(&harness.pull().unwrap(), n));
    element.set_state(gst::State::Paused).unwrap();
    assert_eq!(model.device_bytes().0, 2 * FRAME);
    assert_stats(&element, &[("memory-peak", 2 * FRAME)]);
}

#[test]
fn a_device_without_room_for_every_session_gets_fewer_workers() {
    let model = Arc::new(model(4 * FRAME).with_session_bytes(3 * FRAME / 2));
    let (element, mut harness) = start(&model, &[("workers", "4"), ("vram-limit", &(4 * FRAME).to_string())]);
    let bus = with_bus(&element);
    // Until a run has been measured, every worker tries to open a session.
    model.gate().hold();
    for n in 0..4 {
        harness.push(frame(n)).unwrap();
    }
    let message = common::wait_message(&bus, &[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    assert!(warning.error().to_string().contains("are free"), "{warning:?}");
    model.gate().open();
    (0..4).for_each(|n| check(&harness.pull().unwrap(), n));
    push_all(&mut harness, 4..20, |_| {});
    assert!(stat(&element, "workers") <= 2);
    assert!(model.device_bytes().0 <= 4 * FRAME);
}

/// A step of a random script.
#[derive(Clone, Debug)]
enum Act {
    /// Other programs now hold this many bytes of the device.
    Others(u64),
    /// The next run fails.
    Fail,
    Flush,
    /// The next frames have other caps.
    Caps,
    Frame,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u64..=(4 * FRAME - TILE - 4 * SESSION)).prop_map(Act::Others),
        1 => Just(Act::Fail),
        1 => Just(Act::Flush),
        1 => Just(Act::Caps),
        8 => Just(Act::Frame),
    ]
}

/// Bytes that an open session takes in random scripts.
const SESSION: u64 = TILE / 4;

/// Runs a script and checks that each frame that is not flushed comes out once, in order, with the right content.
struct Script {
    bus: gst::Bus,
    harness: gst_check::Harness,
    model: Arc<DummyModel>,
    next: u64,
    /// The next frame to come out.
    due: u64,
    framerate: i32,
}

impl Script {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Others(bytes) => self.model.others_take(*bytes),
            Act::Fail => {
                // With free memory, so that two failures never meet at the lowest degradation level.
                self.drain();
                self.model.others_take(0);
                self.model.fail_run(self.model.runs(), Failure::Error("on purpose".into()));
                self.act(&Act::Frame);
                self.drain();
            }
            Act::Flush => {
                self.harness.push_event(gst::event::FlushStart::new());
                // Frames that left before the flush are checked; the others are gone.
                while let Some(buffer) = self.harness.try_pull() {
                    check(&buffer, self.due);
                    self.due += 1;
                }
                self.harness.push_event(gst::event::FlushStop::new(true));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                self.harness.push_event(gst::event::Segment::new(&segment));
                self.due = self.next;
            }
            Act::Caps => {
                self.framerate += 1;
                self.harness.set_src_caps_str(&CAPS.replace("25/1", &format!("{}/1", self.framerate)));
            }
            Act::Frame => {
                self.harness.push(frame(self.next)).unwrap();
                self.next += 1;
            }
        }
    }

    fn drain(&mut self) {
        while self.due < self.next {
            let buffer = self
                .harness
                .pull()
                .unwrap_or_else(|_| panic!("{:?}", self.bus.pop_filtered(&[gst::MessageType::Error])));
            check(&buffer, self.due);
            self.due += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Other programs take and free memory at random and runs fail, but one tile always fits.
    #[test]
    fn no_script_that_leaves_room_for_a_tile_loses_a_frame(
        others in prop::collection::vec(0u64..=(4 * FRAME - TILE), 1..40),
        errors in prop::collection::btree_set(0usize..60, 0..3),
        workers in 1u32..5,
        limit in TILE..(6 * FRAME),
    ) {
        let model = Arc::new(model(4 * FRAME));
        let limited = limit.min(4 * FRAME);
        let (element, mut harness) = start(
            &model,
            &[("workers", &workers.to_string()), ("vram-limit", &limit.to_string()), ("max-in-flight", "64")],
        );
        // Runs fail only while memory cannot run out: both together may use up the degradation levels.
        let script = if errors.is_empty() { others } else { vec![0; others.len()] };
        if limit >= 2 * FRAME && workers > 1 {
            for run in errors.into_iter().take(2) {
                model.fail_run(run, Failure::OutOfMemory);
            }
        }
        push_all(&mut harness, 0..script.len() as u64, |n| model.others_take(script[n as usize]));
        prop_assert!(model.device_bytes().0 <= limited.max(TILE));
        prop_assert_eq!(model.device_bytes().1, 0);
        prop_assert_eq!(stat(&element, "memory-used"), 0);
    }

    /// The same with flushes, changes of caps, failing runs, and sessions that take memory while they are open.
    #[test]
    fn no_script_with_flushes_and_caps_loses_a_frame(
        acts in prop::collection::vec(act(), 1..60),
        workers in 1u32..5,
        limit in (2 * TILE)..(6 * FRAME),
    ) {
        let model = Arc::new(model(4 * FRAME).with_session_bytes(SESSION));
        let limit = limit.to_string();
        let (element, harness) = start(
            &model,
            &[("workers", &workers.to_string()), ("vram-limit", &limit), ("max-in-flight", "64"), ("duplicates", "off")],
        );
        let mut script = Script { bus: with_bus(&element), harness, model: Arc::clone(&model), next: 0, due: 0, framerate: 25 };
        acts.iter().for_each(|act| script.act(act));
        script.drain();
        // A run that a flush has interrupted may not have ended yet.
        element.set_state(gst::State::Ready).unwrap();
        prop_assert!(model.device_bytes().0 <= 4 * FRAME);
        prop_assert_eq!(stat(&element, "memory-used"), 0);
    }
}

//! A live stream with random seeks, pauses, caps changes, property changes and failing runs, for a minute; `script/soak` runs longer.
//!
//! Every frame must leave in order or be counted as dropped, nothing may leak, and memory must not grow.

#[path = "../common/mod.rs"]
mod common;

mod frames;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::process::{program, run_within};
use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::Channels;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use frames::{Frames, Totals};
use memory::Memory;

/// The duration in seconds.
const SECONDS: &str = "UPSCALE_SOAK_SECONDS";
const CHILD: &str = "UPSCALE_TEST_SOAK_CHILD";
const OVER: &str = "the soak is over";

const FORMATS: [&str; 4] = ["I420", "NV12", "RGB", "GRAY8"];
const SIZES: [(u32, u32); 3] = [(64, 48), (33, 24), (80, 16)];
/// Properties that change while it plays. The last two load another engine.
const PROPERTIES: [(&str, &[&str]); 8] = [
    ("duplicates", &["off", "exact", "similar"]),
    ("cache-size", &["0", "20000", "1000000"]),
    ("similarity-tolerance", &["0", "2", "9"]),
    ("show-updates", &["false", "true"]),
    ("progress-interval", &["0", "100000000"]),
    ("late-frames", &["upscale", "fallback", "drop"]),
    ("workers", &["1", "2", "3"]),
    ("tile-size", &["0", "32"]),
];

fn seconds() -> u64 {
    std::env::var(SECONDS).map_or(60, |text| text.parse().expect("a number of seconds"))
}

#[test]
fn everything_at_once() {
    if std::env::var_os(CHILD).is_some() {
        soak(Duration::from_secs(seconds()));
        eprintln!("{OVER}");
        // SAFETY: the last thing this process does with GStreamer; it makes the tracer report.
        unsafe { gst::deinit() };
        return;
    }
    let mut command = program(std::env::current_exe().unwrap());
    command.args(["--exact", "everything_at_once", "--nocapture"]);
    command.env(CHILD, "1");
    // The tracer's own memory grows, so a long run checks memory instead.
    let traced = Duration::from_secs(seconds()) < memory::LONG;
    if traced {
        command.envs([("GST_TRACERS", "leaks(check-refs=true)"), ("GST_DEBUG", "GST_TRACER:7")]);
    }
    let ended = run_within(Duration::from_secs(seconds() + 60), &mut command);
    let words: Vec<_> = ended.stderr.lines().filter(|line| !line.contains("GST_TRACER")).collect();
    assert!(ended.code == Some(0) && words.last() == Some(&OVER), "{}{words:#?}", ended.stdout);
    println!("{}", ended.stdout);
    assert!(!traced || ended.stderr.contains("GST_TRACER"), "the tracer reports");
    let leaks = ended.stderr.lines().filter(|line| line.contains("object-alive, ") && !line.contains("format string"));
    assert_eq!(leaks.collect::<Vec<_>>(), [""; 0], "something leaks");
    assert!(!ended.stderr.contains("CRITICAL") && !ended.stderr.contains("WARNING"), "{words:#?}");
}

/// The number of actions of each kind.
type Counts = BTreeMap<&'static str, u64>;

struct Scene {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    caps: gst::Element,
    element: gst::Element,
    frames: Arc<Frames>,
    random: TestRng,
    /// The number of the last run that fails on purpose.
    failure: usize,
    counts: Counts,
}

fn soak(length: Duration) {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let mut scene = Scene::new(&model);
    let (end, mut memory) = (Instant::now() + length, Memory::default());
    scene.pipeline.set_state(gst::State::Playing).unwrap();
    while Instant::now() < end {
        let ms = 50 + u64::from(scene.random.next_u32() % 250);
        scene.follow_for(ms);
        scene.act(&model);
        memory.sample();
    }
    scene.pipeline.set_state(gst::State::Playing).unwrap();
    scene.pipeline.send_event(gst::event::Eos::new());
    wait_message(&scene.bus, &[gst::MessageType::Eos]);
    let Scene { pipeline, element, bus, frames, counts, .. } = scene;
    let Totals { entered, left, dropped } = frames.check_end(&element);
    pipeline.set_state(gst::State::Null).unwrap();
    bus.set_flushing(true);
    assert_eq!(model.sessions_open(), 0);
    println!("{entered} frames in, {left} out, {dropped} dropped; {counts:?}; {}", memory.summary());
    assert!(left > 10 * length.as_secs(), "the stream stalls: {left} frames in {length:?}");
    memory.check();
}

impl Scene {
    /// 30 frames a second from a live source, at a sink that waits for the clock.
    fn new(model: &Arc<DummyModel>) -> Self {
        let element = dummy_element(model, &[("workers", "2"), ("cache-size", "1000000")]);
        let make = |name: &str| gst::ElementFactory::make(name).build().unwrap();
        let (source, caps, sink) = (make("videotestsrc"), make("capsfilter"), make("fakesink"));
        source.set_property("is-live", true);
        source.set_property_from_str("pattern", "ball");
        // Frames with the old caps may still be in flight when the caps change.
        caps.set_property_from_str("caps-change-mode", "delayed");
        sink.set_property("sync", true);
        sink.set_property("qos", true);
        let pipeline = gst::Pipeline::new();
        let chain = [&source, &caps, &element, &sink];
        pipeline.add_many(chain).unwrap();
        gst::Element::link_many(chain).unwrap();
        let frames = Frames::watch(&element);
        let bus = pipeline.bus().unwrap();
        let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut scene = Scene { pipeline, bus, caps, element, frames, random, failure: 0, counts: Counts::new() };
        scene.change_caps();
        scene
    }

    /// Handles bus messages for this long. Failing runs cause warnings; an error fails the test.
    fn follow_for(&mut self, ms: u64) {
        let end = Instant::now() + Duration::from_millis(ms);
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            let rest = gst::ClockTime::from_nseconds(rest.as_nanos() as u64);
            let Some(message) = self.bus.timed_pop(rest) else { return };
            match message.view() {
                gst::MessageView::Latency(_) => self.pipeline.recalculate_latency().unwrap(),
                gst::MessageView::Error(error) => panic!("{error:?}"),
                gst::MessageView::Warning(warning) => {
                    let text = warning.error().to_string();
                    assert!(text.contains("on purpose"), "{text}");
                    *self.counts.entry("warnings").or_default() += 1;
                }
                _ => {}
            }
        }
    }

    fn act(&mut self, model: &Arc<DummyModel>) {
        let what = match self.random.next_u32() % 8 {
            0 | 1 => self.seek(),
            2 => self.pause(),
            3 => self.change_caps(),
            4 => {
                // Far apart, because a second failure of a frame at the lowest degradation level is an error.
                self.failure = (model.runs() + 4).max(self.failure + 30);
                model.fail_run(self.failure, Failure::Error("on purpose".into()));
                "failures"
            }
            _ => self.change_property(),
        };
        *self.counts.entry(what).or_default() += 1;
    }

    /// Seeks in PAUSED: otherwise running time would restart at zero in a live pipeline, while the clock would not.
    fn seek(&mut self) -> &'static str {
        let to = gst::ClockTime::from_mseconds(u64::from(self.random.next_u32() % 5000));
        let pipeline = self.pipeline.clone();
        completes_within(Duration::from_secs(5), "the seek", move || {
            pipeline.set_state(gst::State::Paused).unwrap();
            pipeline.seek_simple(gst::SeekFlags::FLUSH, to).unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
        });
        "seeks"
    }

    fn pause(&mut self) -> &'static str {
        for state in [gst::State::Paused, gst::State::Playing] {
            let pipeline = self.pipeline.clone();
            completes_within(Duration::from_secs(5), "the change", move || pipeline.set_state(state)).unwrap();
            let ms = u64::from(self.random.next_u32() % 100);
            self.follow_for(ms);
        }
        "pauses"
    }

    fn change_caps(&mut self) -> &'static str {
        let format = FORMATS[self.random.next_u32() as usize % FORMATS.len()];
        let (width, height) = SIZES[self.random.next_u32() as usize % SIZES.len()];
        let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=30/1");
        self.caps.set_property_from_str("caps", &caps);
        "caps"
    }

    fn change_property(&mut self) -> &'static str {
        let (name, values) = PROPERTIES[self.random.next_u32() as usize % PROPERTIES.len()];
        let value = values[self.random.next_u32() as usize % values.len()];
        self.element.set_property_from_str(name, value);
        "properties"
    }
}

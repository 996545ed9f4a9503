//! Reuse of unchanged regions: the output is the same as if every frame were upscaled as a whole.
//!
//! Some tests need ONNX Runtime (`./script/env cargo test` finds it), one the third-party networks of the shared test data.

mod common;

use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::picture::format::PixelFormat;
use gstupscale::types::{Channels, Provider, Size};
use proptest::prelude::*;

use common::clip::{Clip, Edit, TALL, drawn, edit, enlarged};
use common::*;

/// A few edits of each kind.
const SOME: [Edit; 9] = [
    Edit::Box { plane: 0, at: (120, 90), size: (5, 7), by: 100 },
    Edit::Box { plane: 1, at: (20, 230), size: (2, 2), by: 30 },
    Edit::Hold,
    Edit::Line { down: true, at: 140, by: 90 },
    Edit::Corner { right: true, bottom: true, by: 120 },
    Edit::Box { plane: 2, at: (250, 3), size: (9, 9), by: 200 },
    Edit::Back(3),
    Edit::Cut,
    Edit::Corner { right: false, bottom: false, by: 1 },
];

#[test]
fn the_output_is_the_same_bytes_for_every_format() {
    if !have_runtime() {
        return;
    }
    for (index, format) in PixelFormat::ALL.iter().enumerate() {
        let (model, size) = [("fast2x", (161, 115)), ("lanczos2x", (120, 90)), ("quality3x", (139, 101))][index % 3];
        let clip = Clip::new(format.name(), size, &SOME);
        let reused = clip.check(element, &[("model", model)]);
        assert!(reused > 25.0, "{} {model}: only {reused} % was reused", format.name());
    }
}

#[test]
fn the_output_is_the_same_with_a_network_that_sees_colour() {
    for format in PixelFormat::ALL {
        for scale in [1, 2, 3] {
            let model = Arc::new(DummyModel::new(Channels::Rgb, scale));
            let clip = Clip::new(format.name(), (71, 53), &SOME);
            let reused = clip.check(|properties| dummy_element(&model, properties), &[]);
            assert!(reused > 25.0, "{} x{scale}: only {reused} % was reused", format.name());
        }
    }
}

#[test]
fn the_output_is_the_same_with_third_party_models() {
    let (true, Some(models)) = (have_runtime(), shared_data("models")) else { return };
    // With the large fixed size of ACNet, a frame is a single tile.
    for (model, format) in LOCAL_MODELS.into_iter().chain([("acnet/ACNetHDNL0", "I420")]) {
        let path = models.join(format!("{model}.onnx"));
        let edits = if model.starts_with("acnet") { &SOME[..1] } else { &SOME[..5] };
        Clip::new(format, (151, 117), edits).check(element, &[("model", path.to_str().unwrap())]);
    }
}

#[test]
fn boxes_that_alternate_with_overlapping_dirty_regions_are_not_confused() {
    if !have_runtime() {
        return;
    }
    // A tall box next to a small one: two dirty regions whose receptive fields overlap.
    for (tall, small) in [(TALL, 5), (TALL + 1, 4), (TALL + 2, 5), (TALL + 1, 6)] {
        let edits: Vec<Edit> = (0..16).map(|n| Edit::Toggle(if n % 2 == 0 { tall } else { small })).collect();
        let clip = Clip::new("I420", (161, 115), &edits);
        let both: Vec<_> = clip.frames.iter().step_by(2).cloned().collect();
        assert!(clip.check(element, &[("cache-size", "0")]) > 25.0);
        Clip { frames: both, ..clip }.check(element, &[("cache-size", "0")]);
    }
}

#[test]
fn tiles_and_reuse_work_together() {
    if !have_runtime() {
        return;
    }
    let clip = Clip::new("I420", (250, 170), &SOME);
    assert!(clip.check(element, &[("tile-size", "64")]) > 25.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_edits_of_random_frames_give_the_same_output(
        format in prop::sample::select(PixelFormat::ALL),
        size in (1u32..180, 1u32..140),
        edits in prop::collection::vec(edit(), 1..10),
        model in prop::sample::select(&["fast2x", "quality4x", "lanczos2x"][..]),
    ) {
        if have_runtime() {
            Clip::new(format.name(), size, &edits).check(element, &[("model", model)]);
        }
        let dummy = Arc::new(DummyModel::new(Channels::Rgb, 2));
        Clip::new(format.name(), size, &edits).check(|properties| dummy_element(&dummy, properties), &[]);
    }
}

/// A frame of 64x64 with one dot, whose position depends on the number.
fn dotted(n: u64, format: &str) -> gst::Buffer {
    let clip = Clip::new(
        format,
        (64, 64),
        &[Edit::Box { plane: 0, at: ((n * 37 % 256) as u8, (n * 91 % 256) as u8), size: (3, 3), by: 99 }],
    );
    let mut buffer = gst::Buffer::from_slice(clip.frames[1].clone());
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
    buffer
}

/// Pushes and pulls frames; each must have its own content.
fn pass(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    for n in frames.clone() {
        harness.push(dotted(n, "GRAY8")).unwrap();
    }
    for n in frames {
        let buffer = harness.pull().unwrap();
        assert!(buffer.map_readable().unwrap().as_slice() == enlarged(&dotted(n, "GRAY8")), "frame {n}");
    }
}

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1";

fn start(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    start_with_caps(model, properties, CAPS)
}

#[test]
fn flushes_and_new_caps_leave_no_stale_regions() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let (element, mut harness) = start(&model, &[("workers", "2"), ("max-in-flight", "16")]);
    for round in 0..20u64 {
        pass(&mut harness, 10 * round..10 * round + 5);
        assert!(element.property::<gst::Structure>("stats").get::<f64>("reused-percentage").unwrap() > 0.0);
        // These are in flight, each based on the previous frame, when the flush starts.
        let finished = model.finished();
        model.gate().hold();
        for n in 10 * round + 5..10 * round + 10 {
            harness.push(dotted(n, "GRAY8")).unwrap();
        }
        model.gate().wait_waiting(2);
        harness.push_event(gst::event::FlushStart::new());
        model.gate().open();
        model.gate().wait_finished(finished + 2);
        harness.push_event(gst::event::FlushStop::new(true));
        send_segment(&mut harness);
        while harness.try_pull().is_some() {}
        let framerate = if round % 2 == 0 { "30/1" } else { "25/1" };
        harness.set_src_caps_str(&CAPS.replace("25/1", framerate));
    }
}

#[test]
fn frames_whose_regions_fail_are_retried() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.provider = Provider::Cuda));
    for run in [3, 5, 9] {
        model.fail_run(run, Failure::Error("on purpose".into()));
    }
    let (_element, mut harness) = start(&model, &[("workers", "4"), ("max-in-flight", "64")]);
    pass(&mut harness, 0..40);
}

#[test]
fn regions_wait_for_the_previous_frame_while_other_workers_continue() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let (_element, mut harness) = start(&model, &[("workers", "4"), ("max-in-flight", "64")]);
    // The gate holds the first frame and lets all others pass.
    model.gate().hold();
    harness.push(dotted(0, "GRAY8")).unwrap();
    let first = model.gate().wait_waiting(1)[0].run;
    (0..64).filter(|run| *run != first).for_each(|run| model.gate().release_run(run));
    for n in 1..10 {
        harness.push(dotted(n, "GRAY8")).unwrap();
    }
    model.gate().wait_finished(9);
    assert!(harness.try_pull().is_none());
    model.gate().open();
    for n in 0..10 {
        let buffer = harness.pull().unwrap();
        assert!(buffer.map_readable().unwrap().as_slice() == enlarged(&dotted(n, "GRAY8")), "frame {n}");
    }
}

#[test]
fn a_frame_may_leave_before_the_frame_that_it_is_based_on() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let (_element, mut harness) = start(&model, &[("workers", "2"), ("max-in-flight", "64")]);
    model.gate().hold();
    let order = [0, 2, 1, 4, 3, 5];
    for n in order {
        harness.push(dotted(n, "GRAY8")).unwrap();
    }
    model.gate().open();
    for n in 0..6 {
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40 * n)));
        assert!(buffer.map_readable().unwrap().as_slice() == enlarged(&dotted(n, "GRAY8")), "frame {n}");
    }
}

#[test]
fn show_updates_outlines_what_was_upscaled_in_that_frame_only() {
    let dot = |n: u64| drawn(4, move |frame, x, y| if frame == n && (x, y) == (30, 30) { 255 } else { 16 });
    let clip = dot(1);
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let (frames, _) = clip.upscaled(&dummy_element(&model, &[("show-updates", "true"), ("workers", "1")]));
    let at = |frame: usize, x: usize, y: usize| frames[frame][y * 128 + x];
    // Frame 0 is new as a whole, frame 1 in the 8x8 block around the dot. Frames 2 and 3 are duplicates of frame 0.
    assert_eq!(at(0, 0, 0), !16);
    assert_eq!(at(0, 127, 127), !16);
    assert_eq!(at(0, 64, 64), 16);
    assert_eq!(at(1, 0, 0), 16);
    assert_eq!(at(1, 48, 48), !16);
    assert_eq!(at(1, 63, 63), !16);
    assert_eq!(at(1, 56, 50), 16);
    assert_eq!(at(1, 60, 60), 255);
    for frame in [2, 3] {
        assert!(frames[frame].iter().all(|value| *value == 16), "frame {frame}");
    }
}

#[test]
fn a_gpu_gets_few_tensor_sizes() {
    let edits: Vec<Edit> = (1..40)
        .map(|n| Edit::Box { plane: 0, at: (n * 5, n * 3), size: (n as usize, 40 - n as usize), by: n })
        .collect();
    let clip = Clip::new("GRAY8", (256, 256), &edits);
    for (provider, most) in [(Provider::Cpu, 100), (Provider::Cuda, 8)] {
        let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.provider = provider));
        assert!(clip.check(|properties| dummy_element(&model, properties), &[]) > 50.0);
        let sizes = model.sizes();
        assert!(sizes.len() <= most, "{provider:?}: {sizes:?}");
        assert!(provider == Provider::Cpu || sizes.iter().all(|size| size.width % 32 == 0 && size.height % 32 == 0));
    }
}

#[test]
fn sessions_stay_open_while_regions_are_upscaled() {
    // A run on a whole frame takes all of a session's share.
    let frame = |pixels: u64| 100 * pixels;
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_device(1 << 30, frame));
    let limit = (2 * frame(64 * 64)).to_string();
    let (_element, mut harness) = start(&model, &[("workers", "2"), ("vram-limit", &limit), ("max-in-flight", "16")]);
    pass(&mut harness, 0..100);
    assert!(model.sessions_opened() <= 3, "{} sessions", model.sessions_opened());
}

#[test]
fn another_size_or_mode_starts_with_a_whole_frame() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "16")]);
    let mut harness = harness(&element);
    for round in 0..4u64 {
        harness.set_src_caps_str(CAPS);
        pass(&mut harness, 10 * round..10 * round + 4);
        let mode = ["off", "similar", "exact", "similar"][round as usize];
        element.set_property_from_str("duplicates", mode);
        if mode == "similar" {
            element.set_property("similarity-tolerance", 0u32);
        }
        pass(&mut harness, 10 * round + 4..10 * round + 8);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=8,height=4,framerate=25/1");
        for n in 0..3u8 {
            harness.push(gst::Buffer::from_slice([n; 32])).unwrap();
            assert!(harness.pull().unwrap().map_readable().unwrap().iter().all(|byte| *byte == n));
        }
    }
}

#[test]
fn a_network_that_is_not_exact_on_regions_runs_on_whole_frames_with_duplicates_exact() {
    let inexact = |info: &mut gstupscale::model::ModelInfo| {
        let gstupscale::model::graph::Locality::Local(local) = &mut info.locality else { unreachable!() };
        local.exact = false;
    };
    for (mode, reuses) in [("exact", false), ("similar", true)] {
        let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(inexact));
        let (element, mut harness) = start(&model, &[("duplicates", mode)]);
        pass(&mut harness, 0..10);
        let reused = element.property::<gst::Structure>("stats").get::<f64>("reused-percentage").unwrap();
        assert_eq!(reused > 0.0, reuses, "{mode}: {reused}");
    }
}

/// Four frames: noise, then a few changed chroma samples, then all chroma changed, then a few changed luma samples.
fn colours_change(format: &str) -> Clip {
    let mut clip = Clip::new(format, (64, 64), &[Edit::Box { plane: 1, at: (90, 120), size: (4, 4), by: 100 }]);
    let mut other = clip.frames[1].clone();
    let chroma = clip.info.offset()[1];
    other[chroma..].iter_mut().for_each(|byte| *byte = !*byte);
    clip.frames.push(other);
    let luma = clip.edited(&Edit::Box { plane: 0, at: (30, 30), size: (4, 4), by: 100 });
    clip.frames.push(luma);
    clip
}

#[test]
fn a_luma_network_does_not_run_when_only_chroma_changes() {
    for format in ["I420", "NV12", "Y42B", "Y444", "I420_10LE", "P010_10LE"] {
        let clip = colours_change(format);
        for latency in ["throughput", "low"] {
            let model = Arc::new(DummyModel::new(Channels::Luma, 2));
            let make = |properties: &[(&str, &str)]| dummy_element(&model, properties);
            let whole = clip.upscaled(&make(&[("duplicates", "off")])).0;
            assert_eq!(model.finished(), 4);
            let (frames, stats) = clip.upscaled(&make(&[("workers", "1"), ("latency-mode", latency)]));
            assert!(frames == whole, "{format}, {latency}");
            // The first frame, and a region of the last.
            assert_eq!(model.finished(), 4 + 2, "{format}, {latency}");
            assert_fields(&stats, &[("unique", 4), ("duplicates", 0)]);
            let reused = stats.get::<f64>("reused-percentage").unwrap();
            assert!((50.0..75.0).contains(&reused), "{format}, {latency}: {reused}");
        }
    }
}

/// A luma network that cannot run on regions of a frame.
fn whole_frames_only(why: &str) -> Arc<DummyModel> {
    use gstupscale::model::graph::Locality;
    let model = DummyModel::new(Channels::Luma, 2).with_info(|info| match why {
        "global" => info.locality = Locality::Global { reason: "on purpose".into() },
        "fixed" => info.fixed_size = Some(Size { width: 64, height: 64 }),
        "inexact" => {
            let Locality::Local(local) = &mut info.locality else { unreachable!() };
            local.exact = false;
        }
        _ => {}
    });
    Arc::new(model)
}

#[test]
fn a_luma_network_that_needs_whole_frames_does_not_run_when_only_chroma_changes() {
    let clip = colours_change("I420");
    // With fit, the network runs twice; 300 needs a resize after that.
    for (why, fit) in [("global", None), ("fixed", None), ("inexact", None), ("twice", Some(256)), ("twice", Some(300))]
    {
        let [off, exact] = ["off", "exact"].map(|duplicates| {
            let model = whole_frames_only(why);
            let element = dummy_element(&model, &[("workers", "2"), ("duplicates", duplicates)]);
            let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
            if let Some(side) = fit {
                let caps = gst::Caps::builder("video/x-raw").field("width", side).field("height", side).build();
                filter.set_property("caps", caps);
            }
            let bin = gst::Bin::new();
            bin.add_many([&element, &filter]).unwrap();
            element.link(&filter).unwrap();
            for (name, pad) in [("sink", element.static_pad("sink")), ("src", filter.static_pad("src"))] {
                let ghost = gst::GhostPad::builder_with_target(&pad.unwrap()).unwrap().name(name).build();
                bin.add_pad(&ghost).unwrap();
            }
            let mut harness = harness(bin.upcast_ref());
            harness.set_src_caps(clip.info.to_caps().unwrap());
            let frames: Vec<Vec<u8>> = clip
                .frames
                .iter()
                .map(|bytes| {
                    harness.push(gst::Buffer::from_slice(bytes.clone())).unwrap();
                    let out = harness.pull().unwrap();
                    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
                    common::clip::visible(&out, &gst_video::VideoInfo::from_caps(&caps).unwrap())
                })
                .collect();
            let passes = if fit.is_some() { 2 } else { 1 };
            assert_eq!(model.finished(), passes * if duplicates == "off" { 4 } else { 2 }, "{why}, {duplicates}");
            let reused = element.property::<gst::Structure>("stats").get::<f64>("reused-percentage").unwrap();
            assert_eq!(reused, if duplicates == "off" { 0.0 } else { 50.0 }, "{why}, {duplicates}");
            frames
        });
        assert!(off == exact, "{why}, {fit:?}");
    }
}

#[test]
fn stats_and_plan_count_a_chroma_change_by_its_cost() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("plan.json");
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let element = dummy_element(&model, &[("plan-location", location.to_str().unwrap())]);
    let clip = colours_change("I420");
    let clip = Clip { frames: clip.frames[..3].to_vec(), ..clip };
    let mut harness = harness(&element);
    harness.set_src_caps(clip.info.to_caps().unwrap());
    for bytes in &clip.frames {
        harness.push(gst::Buffer::from_slice(bytes.clone())).unwrap();
        harness.pull().unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    while harness.pull_event().unwrap().type_() != gst::EventType::Eos {}
    assert_eq!(model.finished(), 1);
    let stats = element.property::<gst::Structure>("stats");
    assert!((stats.get::<f64>("reused-percentage").unwrap() - 200.0 / 3.0).abs() < 1e-9);
    // Two more frames would have cost two more runs.
    let took = stats.get::<f64>("inference-ms-average").unwrap() / 1e3;
    assert!((stats.get::<f64>("saved-seconds").unwrap() - 2.0 * took).abs() < 1e-9);
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(&location).unwrap()).unwrap();
    assert_eq!(plan["stats"]["unique_frames"], 3);
    assert!((plan["stats"]["reused_percentage"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9);
}

/// A hash of each output frame of a clip.
fn hashes(clip: &std::path::Path, duplicates: &str) -> Vec<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    init();
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=file ! decodebin ! upscalefilter model=lanczos2x duplicates={duplicates} cache-size=0 ! \
         appsink name=sink sync=false max-buffers=4"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    pipeline.by_name("file").unwrap().set_property("location", clip);
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut hashes = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let mut hasher = DefaultHasher::new();
        clip::visible(&sample.buffer_owned().unwrap(), &info).hash(&mut hasher);
        hashes.push(hasher.finish());
    }
    pipeline.set_state(gst::State::Null).unwrap();
    hashes
}

#[test]
fn real_clips_give_the_same_bytes() {
    let (true, Some(clips)) = (have_runtime(), shared_data("clips")) else { return };
    // A terminal, where small regions change and change back, and held frames with codec noise.
    for clip in ["vhs/neofetch.mp4", "derived/sintel360_on_twos_h264.mp4"] {
        let (whole, parts) = (hashes(&clips.join(clip), "off"), hashes(&clips.join(clip), "exact"));
        assert_eq!(whole.len(), parts.len());
        let other: Vec<_> = (0..whole.len()).filter(|n| whole[*n] != parts[*n]).collect();
        assert!(other.is_empty(), "{clip}: frames {other:?}");
    }
}

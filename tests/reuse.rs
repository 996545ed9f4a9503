//! Parts of frames that are as they were: upscaled once, and the output is the same as if every frame were upscaled.
//!
//! Some tests need ONNX Runtime (`./script/env cargo test` finds it), one the networks of other people; where they are not there, the
//! tests say so and pass.

mod common;

use std::sync::Arc;

use gst::prelude::*;
use gst_video::VideoFrameExt;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::model::{Channels, Provider};
use gstupscale::picture::format::PixelFormat;
use proptest::prelude::*;

use common::{dummy_element, element, harness, have_runtime, shared_data};

/// What becomes of a frame's bytes, from one frame to the next. Fractions of the whole in 1/256.
#[derive(Clone, Debug)]
enum Edit {
    /// Bytes of one plane: from this column and row on, so many across and down.
    Box {
        plane: usize,
        at: (u8, u8),
        size: (usize, usize),
        by: u8,
    },
    /// A line at a border of the cells in which changes are told.
    Line {
        down: bool,
        at: u8,
        by: u8,
    },
    /// The frame's first, last, ... byte.
    Corner {
        right: bool,
        bottom: bool,
        by: u8,
    },
    /// Nothing.
    Hold,
    /// The frame so many before comes again.
    Back(usize),
    Cut,
}

fn edit() -> impl Strategy<Value = Edit> {
    let by = 1u8..255;
    prop_oneof![
        6 => (0usize..3, any::<(u8, u8)>(), (1usize..24, 1usize..24), by.clone())
            .prop_map(|(plane, at, size, by)| Edit::Box { plane, at, size, by }),
        2 => (any::<bool>(), any::<u8>(), by.clone()).prop_map(|(down, at, by)| Edit::Line { down, at, by }),
        2 => (any::<bool>(), any::<bool>(), by).prop_map(|(right, bottom, by)| Edit::Corner { right, bottom, by }),
        2 => Just(Edit::Hold),
        1 => (1usize..5).prop_map(Edit::Back),
        1 => Just(Edit::Cut),
    ]
}

/// Frames of a clip: each edit makes one of the frame before.
struct Clip {
    info: gst_video::VideoInfo,
    frames: Vec<Vec<u8>>,
}

impl Clip {
    fn new(format: &str, (width, height): (u32, u32), edits: &[Edit]) -> Self {
        common::init();
        let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=25/1");
        let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
        let mut clip = Clip { frames: vec![noise(info.size(), 1)], info };
        for edit in edits {
            let next = clip.edited(edit);
            clip.frames.push(next);
        }
        clip
    }

    fn edited(&self, edit: &Edit) -> Vec<u8> {
        let mut frame = self.frames.last().unwrap().clone();
        let planes = self.info.n_planes() as usize;
        match *edit {
            Edit::Hold => {}
            Edit::Back(frames) => frame.clone_from(&self.frames[self.frames.len().saturating_sub(frames)]),
            Edit::Cut => frame = noise(frame.len(), self.frames.len() as u64 + 1),
            Edit::Box { plane, at, size, by } => {
                let plane = plane % planes;
                let (bytes, rows) = self.plane(plane);
                let place = |at: u8, length: usize| usize::from(at) * length / 256;
                self.add(&mut frame, plane, (place(at.0, bytes), place(at.1, rows)), size, by);
            }
            Edit::Line { down, at, by } => {
                let (bytes, rows) = self.plane(0);
                let place = |length: usize| usize::from(at) * length / 256 / 8 * 8;
                let size = if down { (1, rows) } else { (bytes, 1) };
                let at = if down { (place(bytes), 0) } else { (0, place(rows)) };
                self.add(&mut frame, 0, at, size, by);
            }
            Edit::Corner { right, bottom, by } => {
                let (bytes, rows) = self.plane(0);
                let at = (if right { bytes - 1 } else { 0 }, if bottom { rows - 1 } else { 0 });
                self.add(&mut frame, 0, at, (1, 1), by);
            }
        }
        frame
    }

    /// Visible bytes of a row, and rows.
    fn plane(&self, plane: usize) -> (usize, usize) {
        let component =
            (0..self.info.n_components()).find(|c| self.info.comp_plane(*c as u8) as usize == plane).unwrap();
        let bytes = self.info.comp_width(component as u8) as usize * self.info.comp_pstride(component as u8) as usize;
        (bytes, self.info.comp_height(component as u8) as usize)
    }

    fn add(&self, frame: &mut [u8], plane: usize, at: (usize, usize), size: (usize, usize), by: u8) {
        let (bytes, rows) = self.plane(plane);
        let (offset, stride) = (self.info.offset()[plane], self.info.stride()[plane] as usize);
        for y in at.1..(at.1 + size.1).min(rows) {
            for x in at.0..(at.0 + size.0).min(bytes) {
                let byte = &mut frame[offset + y * stride + x];
                *byte = byte.wrapping_add(by);
            }
        }
    }

    /// What an element makes of it, frame by frame, and its figures at the end.
    fn upscaled(&self, element: &gst::Element) -> (Vec<Vec<u8>>, gst::Structure) {
        let mut harness = harness(element);
        harness.set_src_caps(self.info.to_caps().unwrap());
        for (n, bytes) in self.frames.iter().enumerate() {
            let mut buffer = gst::Buffer::from_slice(bytes.clone());
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n as u64));
            harness.push(buffer).unwrap();
        }
        let mut info = None;
        let frames = (0..self.frames.len()).map(|n| {
            let buffer = harness.pull().unwrap();
            assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40 * n as u64)));
            let info = info.get_or_insert_with(|| {
                gst_video::VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap()).unwrap()
            });
            visible(&buffer, info)
        });
        (frames.collect(), element.property("stats"))
    }

    /// Fails if `make`'s element gives other bytes with reuse than without, for any number of workers.
    fn check(&self, make: impl Fn(&[(&str, &str)]) -> gst::Element, extra: &[(&str, &str)]) -> f64 {
        fn with<'a>(more: [(&'a str, &'a str); 2], extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
            [&more[..], &[("max-in-flight", "64")], extra].concat()
        }
        let (whole, _) = self.upscaled(&make(&with([("workers", "2"), ("duplicates", "off")], extra)));
        let mut reused = 0.0;
        for workers in ["1", "2", "4"] {
            let (parts, stats) = self.upscaled(&make(&with([("workers", workers), ("duplicates", "exact")], extra)));
            for (n, (part, whole)) in parts.iter().zip(&whole).enumerate() {
                assert!(part == whole, "frame {n} of {}, {workers} workers", self.info.to_caps().unwrap());
            }
            reused = stats.get::<f64>("reused-percentage").unwrap();
        }
        reused
    }
}

/// Pseudo-random bytes (Knuth's MMIX generator), each near the one before as in a picture.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut value = 128i32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value = (value + (state >> 58) as i32 - 32).clamp(0, 255);
        value as u8
    })
    .take(length)
    .collect()
}

/// The bytes that are seen, row by row: what stands between rows is nobody's.
fn visible(buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut bytes = Vec::new();
    for plane in 0..frame.n_planes() {
        let component = (0..info.n_components()).find(|c| info.comp_plane(*c as u8) == plane).unwrap();
        let (rows, stride) = (frame.comp_height(component), frame.plane_stride()[plane as usize] as usize);
        let length = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let data = frame.plane_data(plane).unwrap();
        (0..rows as usize).for_each(|row| bytes.extend(&data[row * stride..row * stride + length]));
    }
    bytes
}

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
fn the_output_is_the_same_to_the_byte_for_every_format() {
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
fn the_output_is_the_same_with_other_peoples_models() {
    let (true, Some(models)) = (have_runtime(), shared_data("models")) else { return };
    for (model, format) in [
        ("acnet/ACNetHDNL0", "I420"),
        ("animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16", "NV12"),
        ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32", "RGB"),
        ("esr/eSR-CNN_s4_C4_D7_S12", "I420_10LE"),
        ("esr/eSR-TM_s2_K7_C16", "GRAY8"),
        ("nn-upscaler/2xNomosUni_span_multijpg_ldl", "I420"),
        ("qualityscaler/RealESR_Animex4_fp16", "Y42B"),
    ] {
        let path = models.join(format!("{model}.onnx"));
        // Of one with a large fixed size a frame is one tile, as a whole.
        let edits = if model.starts_with("acnet") { &SOME[..1] } else { &SOME[..5] };
        Clip::new(format, (151, 117), edits).check(element, &[("model", path.to_str().unwrap())]);
    }
}

#[test]
fn tiles_and_parts_go_together() {
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

/// A frame of 64x64 in which one dot is where the number says.
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

/// What the dummy network makes of [`dotted`]: every pixel four times.
fn enlarged(buffer: &gst::Buffer) -> Vec<u8> {
    let map = buffer.map_readable().unwrap();
    map.chunks_exact(64)
        .flat_map(|row| {
            let wide: Vec<u8> = row.iter().flat_map(|&value| [value, value]).collect();
            [wide.clone(), wide]
        })
        .flatten()
        .collect()
}

/// Pushes and pulls frames; each must be its own.
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

#[test]
fn a_flush_and_other_caps_in_the_middle_leave_no_trace() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "16")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    for round in 0..20u64 {
        pass(&mut harness, 10 * round..10 * round + 5);
        assert!(element.property::<gst::Structure>("stats").get::<f64>("reused-percentage").unwrap() > 0.0);
        // These are under way, each on the one before, when the flush comes.
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
        harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        while harness.try_pull().is_some() {}
        let framerate = if round % 2 == 0 { "30/1" } else { "25/1" };
        harness.set_src_caps_str(&CAPS.replace("25/1", framerate));
    }
}

#[test]
fn frames_whose_parts_fail_are_tried_again() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.provider = Provider::Cuda));
    for run in [3, 5, 9] {
        model.fail_run(run, Failure::Error("as the test says".into()));
    }
    let element = dummy_element(&model, &[("workers", "4"), ("max-in-flight", "64")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    pass(&mut harness, 0..40);
}

#[test]
fn parts_wait_for_the_frame_before_and_other_workers_go_on() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let element = dummy_element(&model, &[("workers", "4"), ("max-in-flight", "64")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    // The first frame stands at the gate while all others pass.
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
fn a_frame_that_comes_late_is_put_together_before_the_one_it_builds_upon() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let element = dummy_element(&model, &[("workers", "2"), ("max-in-flight", "64")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
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

/// Gray frames of 64x64 made by a function of frame, column and row.
fn drawn(frames: u64, level: impl Fn(u64, u32, u32) -> u8) -> Clip {
    let mut clip = Clip::new("GRAY8", (64, 64), &[]);
    let pixels = |n| (0..64).flat_map(|y| (0..64).map(move |x| (x, y))).map(|(x, y)| level(n, x, y)).collect();
    clip.frames = (0..frames).map(pixels).collect();
    clip
}

fn similar(clip: &Clip, extra: &[(&str, &str)]) -> (Vec<Vec<u8>>, f64) {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let properties = [&[("duplicates", "similar"), ("workers", "2"), ("max-in-flight", "64")], extra].concat();
    let (frames, stats) = clip.upscaled(&dummy_element(&model, &properties));
    (frames, stats.get("reused-percentage").unwrap())
}

/// The largest difference of a sample from what upscaling every frame gives, in any frame.
fn worst(clip: &Clip, frames: &[Vec<u8>]) -> u8 {
    let whole = clip.frames.iter().map(|frame| enlarged(&gst::Buffer::from_slice(frame.clone())));
    let differences = whole.zip(frames).flat_map(|(whole, got)| {
        assert_eq!(whole.len(), got.len());
        whole.into_iter().zip(got.clone()).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>()
    });
    differences.max().unwrap()
}

#[test]
fn noise_within_the_tolerance_is_not_upscaled_again_and_differences_do_not_add_up() {
    let clip = drawn(60, |n, x, y| 100 + (((n * 7 + u64::from(x * 13 + y * 29)) * 2_654_435_761) >> 13) as u8 % 3);
    let (frames, reused) = similar(&clip, &[("similarity-max-age", "0")]);
    assert!(reused > 90.0, "{reused}");
    assert!(worst(&clip, &frames) <= 2);
    let (frames, reused) = similar(&clip, &[("similarity-tolerance", "1")]);
    assert!(reused < 50.0, "{reused}");
    assert!(worst(&clip, &frames) <= 1);
    let (frames, _) = similar(&clip, &[("similarity-tolerance", "0")]);
    assert_eq!(worst(&clip, &frames), 0);
}

#[test]
fn a_slow_fade_follows_and_a_dot_is_never_lost() {
    let fade = drawn(100, |n, x, _| (n / 4 + u64::from(x) / 4) as u8);
    let (frames, reused) = similar(&fade, &[]);
    assert_eq!(worst(&fade, &frames), 0, "a whole code is more than half a one");
    assert!(reused > 60.0, "{reused}");
    let dot = drawn(60, |n, x, y| if (u64::from(x), u64::from(y)) == (n, 30) { 255 } else { 16 });
    assert_eq!(worst(&dot, &similar(&dot, &[]).0), 0);
}

#[test]
fn every_place_is_upscaled_again_before_it_is_too_old() {
    // One code of difference in a few places is let pass, but not for ever.
    let clip = drawn(40, |n, x, y| 100 + u8::from(n > 0 && x % 8 == 0 && y % 8 == 0));
    let whole = similar(&clip, &[("similarity-max-age", "10")]).0;
    assert!(whole[12] == enlarged(&gst::Buffer::from_slice(clip.frames[12].clone())));
    let never = similar(&clip, &[("similarity-max-age", "0")]).0;
    assert!(never[39] == never[0]);
}

#[test]
fn what_is_only_similar_is_not_kept_for_frames_that_come_back() {
    // B is similar to A in one half and new in the other; when B comes again after C, it must not build upon A twice.
    let clip = drawn(5, |n, x, y| {
        let scene = [0, 1, 2, 1, 3][n as usize];
        match scene {
            2 => 200,
            _ => {
                50 + (x % 7) as u8 + u8::from(scene > 0 && x < 32 && y % 8 == 0) + if x >= 48 { 20 * scene } else { 0 }
            }
        }
    });
    let (frames, _) = similar(&clip, &[]);
    assert!(worst(&clip, &frames) <= 1);
    assert_eq!(
        frames[3],
        enlarged(&gst::Buffer::from_slice(clip.frames[3].clone())),
        "after a cut it is upscaled as it is"
    );
}

#[test]
fn updates_are_shown_around_what_was_upscaled_and_do_not_stay() {
    let dot = |n: u64| drawn(4, move |frame, x, y| if frame == n && (x, y) == (30, 30) { 255 } else { 16 });
    let clip = dot(1);
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let (frames, _) = clip.upscaled(&dummy_element(&model, &[("show-updates", "true"), ("workers", "1")]));
    let at = |frame: usize, x: usize, y: usize| frames[frame][y * 128 + x];
    // The first is new as a whole, the second in the cell of 8x8 around the dot; the third is the first again, and the last the third.
    assert_eq!((at(0, 0, 0), at(0, 127, 127), at(0, 64, 64)), (!16, !16, 16));
    assert_eq!((at(1, 0, 0), at(1, 48, 48), at(1, 63, 63), at(1, 56, 50), at(1, 60, 60)), (16, !16, !16, 16, 255));
    for frame in [2, 3] {
        assert!(frames[frame].iter().all(|code| *code == 16), "frame {frame}");
    }
}

#[test]
fn a_gpu_gets_few_sizes() {
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
fn sessions_stay_open_in_a_stream_of_parts() {
    // Each whole frame takes a session's whole share.
    let frame = |pixels: u64| 100 * pixels;
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_device(1 << 30, frame));
    let limit = (2 * frame(64 * 64)).to_string();
    let element = dummy_element(&model, &[("workers", "2"), ("vram-limit", &limit), ("max-in-flight", "16")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    pass(&mut harness, 0..100);
    assert!(model.sessions_opened() <= 3, "{} sessions", model.sessions_opened());
}

#[test]
fn frames_of_another_size_and_another_mode_begin_anew() {
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
fn a_network_whose_parts_differ_in_the_last_bit_is_run_on_whole_frames_where_bytes_are_promised() {
    let inexact = |info: &mut gstupscale::model::ModelInfo| {
        let gstupscale::model::graph::Locality::Local(local) = &mut info.locality else { unreachable!() };
        local.exact = false;
    };
    for (mode, reuses) in [("exact", false), ("similar", true)] {
        let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(inexact));
        let element = dummy_element(&model, &[("duplicates", mode)]);
        let mut harness = harness(&element);
        harness.set_src_caps_str(CAPS);
        pass(&mut harness, 0..10);
        let reused = element.property::<gst::Structure>("stats").get::<f64>("reused-percentage").unwrap();
        assert_eq!(reused > 0.0, reuses, "{mode}: {reused}");
    }
}

#[test]
fn what_changes_a_little_each_time_at_the_border_of_a_part_does_not_fall_behind() {
    if !have_runtime() {
        return;
    }
    // A dot flickers, so that the same part is upscaled with every frame; around it everything rises by a code every two frames.
    let clip = drawn(40, |n, x, y| {
        let rise = if (20..44).contains(&x) && (20..44).contains(&y) { n / 2 } else { 0 };
        if (x, y) == (32, 32) { 200 * (n % 2) as u8 } else { 60 + rise as u8 }
    });
    let with = |mode| {
        let properties =
            [("model", "fast2x"), ("duplicates", mode), ("similarity-max-age", "0"), ("max-in-flight", "64")];
        clip.upscaled(&element(&properties)).0
    };
    for (n, (whole, similar)) in with("off").iter().zip(with("similar")).enumerate() {
        let worst = whole.iter().zip(&similar).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 8, "frame {n}: {worst}");
    }
}

//! Real clips from the shared test data.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::picture::format::{PictureRef, PixelFormat};
use gstupscale::reuse::{Fingerprint, Fingerprinter};
use gstupscale::types::Channels;
use gstupscale::types::Size;

const CLIPS: &[&str] = &[
    "androidx/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
    "androidx/bear-vp9-odd-dimensions.webm",
    "androidx/roadtrip-vp92-10bit.webm",
    "androidx/sample_with_increasing_timestamps_360p.mp4",
    "androidx/silent-black-25s.mp4",
    "derived/kodim05_slow_fade_lossless_vp9.webm",
    "derived/kodim08_static_lossless_vp9.webm",
    "derived/sintel240_on_twos_lossless_vp9.webm",
    "derived/sintel360_on_twos_h264.mp4",
    "fly-pie/video1.webm",
    "intel/bottle-detection.mp4",
    "test-videos-co-uk/Big_Buck_Bunny_1080_10s_1MB.mp4",
    "test-videos-co-uk/Big_Buck_Bunny_360_10s_1MB.mp4",
    "test-videos-co-uk/Sintel_360_10s_1MB.mp4",
    "test-videos-co-uk/Sintel_720_10s_1MB.mp4",
    "vhs/neofetch.mp4",
    "vhs/neofetch.webm",
];

/// The buffers that passed a pad: PTS, duration and, if requested, a fingerprint of the visible pixels.
type Passed = Arc<Mutex<Vec<(Option<gst::ClockTime>, Option<gst::ClockTime>, Option<Fingerprint>)>>>;

fn watch(pad: &gst::Pad, hash: bool) -> Passed {
    let passed = Passed::default();
    let seen = Arc::clone(&passed);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer().expect("the probe is for buffers");
        let fingerprint = hash.then(|| fingerprint(&pad.current_caps().expect("caps come first"), buffer));
        seen.lock().unwrap().push((buffer.pts(), buffer.duration(), fingerprint));
        gst::PadProbeReturn::Ok
    });
    passed
}

/// A fingerprint of the visible pixels, without the padding between rows.
fn fingerprint(caps: &gst::Caps, buffer: &gst::BufferRef) -> Fingerprint {
    let info = gst_video::VideoInfo::from_caps(caps).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
    let format = PixelFormat::from_name(info.format().to_str()).unwrap();
    let planes = (0..format.planes()).map(|n| (frame.planes_data()[n], info.stride()[n] as usize)).collect::<Vec<_>>();
    let size = Size { width: info.width(), height: info.height() };
    Fingerprinter::new(1).fingerprint(&PictureRef::new(format, size, &planes).unwrap())
}

/// Decodes a clip through `element`, up to `frames` frames, and returns what went in and what came out.
fn run(clip: &Path, element: &gst::Element, frames: usize, hash: bool) -> (Passed, Passed, gst::Message) {
    let pipeline = gst::Pipeline::new();
    let source = gst::parse::bin_from_description("filesrc name=file ! decodebin name=decode", false).unwrap();
    source.by_name("file").unwrap().set_property("location", clip.to_str().unwrap());
    // Decoders differ in how they stop in mid-stream, so the rest is decoded and dropped.
    let limit = gst::ElementFactory::make("identity").build().unwrap();
    let passed = AtomicUsize::new(0);
    limit.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let keep = passed.fetch_add(1, Ordering::Relaxed) < frames;
        if keep { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
    pipeline.add(&source).unwrap();
    pipeline.add_many([&limit, element, &sink]).unwrap();
    gst::Element::link_many([&limit, element, &sink]).unwrap();
    let target = limit.static_pad("sink").unwrap();
    source.by_name("decode").unwrap().connect_pad_added(move |decode, pad| {
        let video = pad.current_caps().is_some_and(|caps| caps.structure(0).is_some_and(|s| s.name() == "video/x-raw"));
        if video && !target.is_linked() {
            let ghost = gst::GhostPad::with_target(pad).unwrap();
            ghost.set_active(true).unwrap();
            decode.parent().unwrap().downcast::<gst::Bin>().unwrap().add_pad(&ghost).unwrap();
            ghost.link(&target).unwrap();
        }
    });
    let before = watch(&element.static_pad("sink").unwrap(), false);
    let after = watch(&sink.static_pad("sink").unwrap(), hash);
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = wait_message(&pipeline.bus().unwrap(), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    (before, after, end)
}

#[test]
fn every_frame_and_timestamp_passes_through() {
    let Some(clips) = shared_data("clips") else { return };
    for clip in CLIPS {
        let model = Arc::new(DummyModel::new(Channels::Luma, 1));
        let element = dummy_element(&model, &[("workers", "2")]);
        let (before, after, end) = run(&clips.join(clip), &element, usize::MAX, false);
        assert_eq!(end.type_(), gst::MessageType::Eos, "{clip}: {end:?}");
        let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
        assert!(before.len() >= 30, "{clip}: {}", before.len());
        assert_eq!(*before, *after, "{clip}");
    }
}

#[test]
fn interlaced_clips_go_through_a_deinterlacer() {
    let Some(clip) = shared_data("clips/interlace-patterns/bt601-525_480_interlaced_tff.mkv") else { return };
    init();
    let bin = gst::Bin::new();
    let deinterlace = gst::ElementFactory::make("deinterlace").build().unwrap();
    let element = dummy_element(&Arc::new(DummyModel::new(Channels::Luma, 2)), &[]);
    bin.add_many([&deinterlace, &element]).unwrap();
    deinterlace.link(&element).unwrap();
    for pad in [deinterlace.static_pad("sink").unwrap(), element.static_pad("src").unwrap()] {
        bin.add_pad(&gst::GhostPad::with_target(&pad).unwrap()).unwrap();
    }
    let (before, after, end) = run(&clip, bin.upcast_ref(), 10, false);
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    // A frame has two fields, and each becomes a frame.
    assert_eq!(before.lock().unwrap().len(), 10);
    assert_eq!(after.lock().unwrap().len(), 20);
}

/// playbin deinterlaces before its video filter.
#[test]
fn playbin_plays_an_interlaced_clip_through_the_element() {
    let Some(clip) = shared_data("clips/interlace-patterns/bt601-525_480_interlaced_tff.mkv") else { return };
    let element = dummy_element(&Arc::new(DummyModel::new(Channels::Luma, 1)), &[]);
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    let player = gst::ElementFactory::make("playbin").build().unwrap();
    player.set_property("uri", glib::filename_to_uri(clip.canonicalize().unwrap(), None).unwrap());
    player.set_property("video-filter", &element);
    player.set_property("video-sink", &sink);
    player.set_property_from_str("flags", "video+deinterlace");
    let before = watch(&element.static_pad("sink").unwrap(), false);
    let after = watch(&sink.static_pad("sink").unwrap(), false);
    player.set_state(gst::State::Playing).unwrap();
    wait_message(&player.bus().unwrap(), &[gst::MessageType::Eos]);
    let caps = element.static_pad("sink").unwrap().current_caps().unwrap();
    player.set_state(gst::State::Null).unwrap();
    assert_eq!(caps.structure(0).unwrap().get::<&str>("interlace-mode"), Ok("progressive"));
    assert_eq!(*before.lock().unwrap(), *after.lock().unwrap());
    assert!(!after.lock().unwrap().is_empty());
}

#[test]
fn the_output_depends_neither_on_workers_nor_on_duplicate_detection() {
    if !have_runtime() {
        return;
    }
    let Some(clips) = shared_data("clips") else { return };
    for (clip, frames) in [
        ("test-videos-co-uk/Sintel_360_10s_1MB.mp4", 24),
        ("androidx/roadtrip-vp92-10bit.webm", 24),
        ("androidx/bear-vp9-odd-dimensions.webm", 30),
        ("derived/sintel240_on_twos_lossless_vp9.webm", 24),
        ("androidx/silent-black-25s.mp4", 24),
        ("vhs/neofetch.webm", 12),
    ] {
        let mut outputs = [("1", "off"), ("1", "exact"), ("2", "exact"), ("4", "off"), ("4", "exact")].map(
            |(workers, duplicates)| {
                let element = element(&[("model", "lanczos2x"), ("workers", workers), ("duplicates", duplicates)]);
                let (_, after, end) = run(&clips.join(clip), &element, frames, true);
                assert_eq!(end.type_(), gst::MessageType::Eos, "{clip}: {end:?}");
                std::mem::take(&mut *after.lock().unwrap())
            },
        );
        let [first, rest @ ..] = &mut outputs;
        assert_eq!(first.len(), frames, "{clip}");
        assert!(rest.iter().all(|other| other == first), "{clip}");
    }
}

//! Caps, metadata, latency and buffer pools.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gst_video::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

#[test]
fn only_the_size_in_the_caps_changes_and_metadata_is_kept() {
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
    assert_eq!(structure.get::<i32>("width"), Ok(8));
    assert_eq!(structure.get::<i32>("height"), Ok(4));
    assert_eq!(structure.get::<gst::Fraction>("pixel-aspect-ratio"), Ok(gst::Fraction::new(4, 3)));
    assert_eq!(structure.get::<i32>("x"), Ok(5));
    assert_eq!(pts_ms(&out), 120);
    assert_eq!(out.duration(), Some(gst::ClockTime::from_mseconds(40)));
    assert_eq!(out.offset(), 77);
    assert!(out.flags().contains(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER));
    assert_eq!(out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap().rect(), (2, 0, 4, 2));
    assert_eq!(out.meta::<gst::ReferenceTimestampMeta>().unwrap().timestamp(), gst::ClockTime::SECOND);
    assert_eq!(out.size(), 32);
}

#[test]
fn strides_and_offsets_come_from_the_video_meta() {
    let Fixture { mut harness, .. } = Fixture::new(&[]);
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
fn no_frame_is_lost_when_caps_change() {
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
    push_frames(&mut harness, 0..2);
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=8,height=1,framerate=25/1");
    // The same bytes as earlier frames, but another size.
    (0..2).for_each(|n| assert!(harness.push(gray_frame(2 + n, n as u8)).is_ok()));
    harness.set_src_caps_str("video/x-raw,format=RGB,width=2,height=1,framerate=25/1");
    assert!(harness.push(gray_frame(4, 4)).is_ok());
    model.gate().open();
    (0..5).for_each(|n| assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(8, 32), (8, 32), (16, 32), (16, 32), (4, 24)]);
}

/// Caps with this interlace mode; "" for caps without the field.
fn of_mode(mode: &str) -> String {
    let features = if mode == "alternate" { "(format:Interlaced)" } else { "" };
    let field = if mode.is_empty() { String::new() } else { format!(",interlace-mode={mode}") };
    format!("video/x-raw{features},format=I420,width=4,height=4,framerate=25/1{field}")
}

const ACCEPTED: [&str; 3] = ["", "progressive", "mixed"];
const REFUSED: [&str; 3] = ["interleaved", "fields", "alternate"];

#[test]
fn caps_queries_and_accept_caps_agree_with_negotiation() {
    let element = dummy_element(&model(), &[]);
    // In NULL there is no model yet, hence no scale.
    for state in [gst::State::Null, gst::State::Paused] {
        element.set_state(state).unwrap();
        for pad in ["sink", "src"].map(|name| element.static_pad(name).unwrap()) {
            for (modes, accepted) in [(ACCEPTED, true), (REFUSED, false)] {
                for mode in modes {
                    let caps: gst::Caps = of_mode(mode).parse().unwrap();
                    let what = format!("{}, {state:?}, {mode:?}", pad.name());
                    assert_eq!(pad.query_accept_caps(&caps), accepted, "{what}");
                    assert_eq!(!pad.query_caps(Some(&caps)).is_empty(), accepted, "{what}");
                    assert_eq!(pad.query_caps(None).can_intersect(&caps), accepted, "{what}");
                    assert_eq!(pad.pad_template_caps().can_intersect(&caps), accepted, "{what}");
                }
            }
            // Caps without a required field are refused.
            for caps in ["video/x-raw", "video/x-raw,width=4,height=4,framerate=25/1", "audio/x-raw"] {
                assert!(!pad.query_accept_caps(&caps.parse().unwrap()), "{caps}");
            }
        }
    }
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn in_mixed_mode_progressive_frames_pass_and_an_interlaced_frame_is_an_error() {
    let element = dummy_element(&model(), &[]);
    let bus = with_bus(&element);
    let mut harness = harness(&element);
    let caps = "video/x-raw,format=I420,width=6,height=6,framerate=25/1,interlace-mode=mixed";
    let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
    harness.set_src_caps_str(caps);
    let frame = |n: u64, flags: gst_video::VideoBufferFlags| {
        let mut buffer = gst::Buffer::from_mut_slice(vec![n as u8; info.size()]);
        let frame = buffer.get_mut().unwrap();
        frame.set_pts(gst::ClockTime::from_mseconds(40 * n));
        frame.set_video_flags(flags);
        buffer
    };
    // Telecined frames are progressive, too.
    for (n, flags) in [gst_video::VideoBufferFlags::empty(), gst_video::VideoBufferFlags::RFF].into_iter().enumerate() {
        let out = harness.push_and_pull(frame(n as u64, flags)).unwrap();
        let caps = harness.sinkpad().unwrap().current_caps().unwrap();
        assert_eq!(caps.structure(0).unwrap().get::<&str>("interlace-mode"), Ok("mixed"));
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        assert!(clip::visible(&out, &info).iter().all(|byte| *byte == n as u8));
        assert!(out.video_flags().contains(flags));
    }
    let interlaced = gst_video::VideoBufferFlags::INTERLACED;
    assert_eq!(harness.push(frame(2, interlaced | gst_video::VideoBufferFlags::TFF)), Err(gst::FlowError::Error));
    let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error is posted");
    let gst::MessageView::Error(error) = error.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("`deinterlace`") && text.contains("PTS 0:00:00.080000000"), "{text}");
    element.set_bus(None);
}

/// The interlace modes at the element's input and output, and the number of frames.
fn played(description: &str, element: &gst::Element) -> ([String; 2], usize) {
    let pipeline = gst::Pipeline::new();
    let before = gst::parse::bin_from_description(description, true).unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    pipeline.add_many([before.upcast_ref(), element, &sink]).unwrap();
    gst::Element::link_many([before.upcast_ref(), element, &sink]).unwrap();
    let frames = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = frames.clone();
    let mode = |pad: &gst::Pad| {
        let caps = pad.current_caps().expect("it has caps");
        caps.structure(0).unwrap().get::<String>("interlace-mode").unwrap_or_default()
    };
    let modes = Arc::new(std::sync::Mutex::new(Vec::new()));
    for pad in [element.static_pad("sink").unwrap(), sink.static_pad("sink").unwrap()] {
        let (modes, seen) = (modes.clone(), seen.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            modes.lock().unwrap().push(mode(pad));
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_message(&pipeline.bus().unwrap(), &[gst::MessageType::Eos]);
    pipeline.set_state(gst::State::Null).unwrap();
    let modes = modes.lock().unwrap();
    ([modes[0].clone(), modes[modes.len() - 1].clone()], frames.load(std::sync::atomic::Ordering::Relaxed) / 2)
}

#[test]
fn negotiation_makes_interlaced_video_progressive() {
    let source = "videotestsrc num-buffers=4 ! video/x-raw,format=I420,width=32,height=32,framerate=25/1";
    for (description, frames) in [
        // One frame per field of interleaved video; the frames of mixed video are progressive.
        (format!("{source},interlace-mode=interleaved ! deinterlace"), 8),
        (format!("{source},interlace-mode=mixed ! deinterlace"), 4),
        (format!("{source},interlace-mode={{interleaved,progressive}} ! identity"), 4),
        (format!("{source} ! identity"), 4),
    ] {
        let element = dummy_element(&model(), &[("duplicates", "off")]);
        let (modes, count) = played(&description, &element);
        assert_eq!(modes, ["progressive", "progressive"], "{description}");
        assert_eq!(count, frames, "{description}");
    }
}

#[test]
fn interlaced_video_is_refused_with_a_hint_at_deinterlace() {
    let element = dummy_element(&model(), &[]);
    let bus = with_bus(&element);
    let mut harness = harness(&element);
    for mode in ["interleaved", "fields"] {
        harness.set_src_caps_str(&of_mode(mode));
        assert_eq!(harness.push(gray_frame(0, 0)), Err(gst::FlowError::NotNegotiated), "{mode}");
        let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error is posted");
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        assert!(error.error().to_string().contains("`deinterlace`"), "{mode}: {error:?}");
        assert!(error.error().matches(gst::CoreError::Negotiation));
    }
    element.set_bus(None);
}

#[test]
fn latency_is_that_of_the_frames_in_flight() {
    let element = dummy_element(&model(), &[("max-in-flight", "5")]);
    let bus = with_bus(&element);
    let mut harness = harness(&element);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(7));
    harness.set_src_caps_str(GRAY);
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some(), "a LATENCY message is posted");
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(5 * 40 + 7)));
    element.set_bus(None);
}

#[test]
fn the_allocation_answer_says_how_many_buffers_the_element_holds() {
    let Fixture { harness, .. } = Fixture::new(&[("max-in-flight", "5")]);
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert_eq!(query.allocation_pools().map(|(_, size, min, max)| (size, min, max)).collect::<Vec<_>>(), [(8, 6, 0)]);
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
}

/// The minimum pool size that the element asks of upstream after it has negotiated `caps`.
fn min_buffers(harness: &mut gst_check::Harness, caps: &str) -> u32 {
    harness.set_src_caps_str(caps);
    let mut query = gst::query::Allocation::new(Some(&caps.parse().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    query.allocation_pools().next().unwrap().2
}

#[test]
fn the_minimum_pool_size_follows_the_latency_mode() {
    for (mode, live, expected) in
        [("low", false, 4), ("auto", true, 4), ("auto", false, 2 * 16 + 2 + 1), ("throughput", true, 2 * 16 + 2 + 1)]
    {
        let element = dummy_element(&model(), &[("workers", "16"), ("latency-mode", mode)]);
        let mut harness = harness(&element);
        harness.set_live(live);
        // Before any latency query.
        assert_eq!(min_buffers(&mut harness, GRAY), expected, "{mode}, live: {live}");
    }
}

#[test]
fn the_minimum_pool_size_follows_the_workers_that_fit_into_memory() {
    const RUN: u64 = 176 * 8;
    let model = DummyModel::new(Channels::Luma, 2)
        .with_info(|info| info.live_elements = Some(8))
        .with_device(100 * RUN, |pixels| 176 * pixels);
    let limit = (3 * RUN).to_string();
    let element = dummy_element(&Arc::new(model), &[("workers", "16"), ("vram-limit", &limit)]);
    let mut harness = harness(&element);
    harness.set_live(false);
    assert_eq!(min_buffers(&mut harness, GRAY), 2 * 3 + 2 + 1);
    // Smaller frames leave room for more workers.
    let small = GRAY.replace("width=4", "width=2");
    assert_eq!(min_buffers(&mut harness, &small), 2 * 6 + 2 + 1);
}

#[test]
fn an_upstream_pool_of_four_buffers_is_enough() {
    let Fixture { element, mut harness, .. } =
        Fixture::new(&[("workers", "3"), ("max-in-flight", "32"), ("duplicates", "off")]);
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
        // The frames still in flight.
        let pulled = 100 - harness.buffers_received() as u64;
        (0..pulled).for_each(|_| drop(harness.pull().unwrap()));
        harness
    });
    drop(harness);
    element.set_state(gst::State::Null).unwrap();
    // All buffers are back in the pool.
    let kept: Vec<_> = (0..4).map(|_| pool.acquire_buffer(Some(&dont_wait())).unwrap()).collect();
    drop(kept);
    pool.set_active(false).unwrap();
}

fn dont_wait() -> gst::BufferPoolAcquireParams {
    gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT)
}

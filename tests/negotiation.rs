//! Caps, metadata, latency and buffer pools.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

#[test]
fn only_the_size_of_the_caps_changes_and_metadata_stays() {
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
    assert_eq!((structure.get::<i32>("width"), structure.get::<i32>("height")), (Ok(8), Ok(4)));
    assert_eq!(structure.get::<gst::Fraction>("pixel-aspect-ratio"), Ok(gst::Fraction::new(4, 3)));
    assert_eq!(structure.get::<i32>("x"), Ok(5));
    assert_eq!((pts_ms(&out), out.duration(), out.offset()), (120, Some(gst::ClockTime::from_mseconds(40)), 77));
    assert!(out.flags().contains(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER));
    assert_eq!(out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap().rect(), (2, 0, 4, 2));
    assert_eq!(out.meta::<gst::ReferenceTimestampMeta>().unwrap().timestamp(), gst::ClockTime::SECOND);
    assert_eq!(out.size(), 32);
}

#[test]
fn padded_strides_and_plane_offsets_are_read_by_their_meta() {
    let element = dummy_element(&model(), &[]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
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
fn caps_change_without_loss() {
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
    (0..2).for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=8,height=1,framerate=25/1");
    // The same bytes as a frame before, and yet another picture.
    (0..2).for_each(|n| assert!(harness.push(gray_frame(2 + n, n as u8)).is_ok()));
    harness.set_src_caps_str("video/x-raw,format=RGB,width=2,height=1,framerate=25/1");
    assert!(harness.push(gray_frame(4, 4)).is_ok());
    model.gate().open();
    (0..5).for_each(|n| assert_eq!(pts_ms(&harness.pull().unwrap()), 40 * n));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(8, 32), (8, 32), (16, 32), (16, 32), (4, 24)]);
}

#[test]
fn interlaced_video_is_refused_by_name_of_the_remedy() {
    let element = dummy_element(&model(), &[]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    for mode in ["interleaved", "mixed", "fields"] {
        harness.set_src_caps_str(&format!(
            "video/x-raw,format=I420,width=4,height=4,framerate=25/1,interlace-mode={mode}"
        ));
        assert_eq!(harness.push(gray_frame(0, 0)), Err(gst::FlowError::NotNegotiated), "{mode}");
        let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("it is told");
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        assert!(error.error().to_string().contains("`deinterlace`"), "{mode}: {error:?}");
        assert!(error.error().matches(gst::CoreError::Negotiation));
    }
    element.set_bus(None);
}

#[test]
fn latency_is_that_of_the_frames_in_flight() {
    let element = dummy_element(&model(), &[("max-in-flight", "5")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(7));
    harness.set_src_caps_str(GRAY);
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some(), "the pipeline is told");
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(5 * 40 + 7)));
    element.set_bus(None);
}

#[test]
fn upstream_is_told_how_many_buffers_stay() {
    let element = dummy_element(&model(), &[("max-in-flight", "5")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert_eq!(query.allocation_pools().map(|(_, size, min, max)| (size, min, max)).collect::<Vec<_>>(), [(8, 6, 0)]);
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
}

/// What an upstream that has negotiated `caps` is asked for.
fn buffers_asked(harness: &mut gst_check::Harness, caps: &str) -> u32 {
    harness.set_src_caps_str(caps);
    let mut query = gst::query::Allocation::new(Some(&caps.parse().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    query.allocation_pools().next().unwrap().2
}

#[test]
fn upstream_is_asked_for_what_is_held_in_low_latency() {
    for (mode, live, expected) in
        [("low", false, 4), ("auto", true, 4), ("auto", false, 2 * 16 + 2 + 1), ("throughput", true, 2 * 16 + 2 + 1)]
    {
        let element = dummy_element(&model(), &[("workers", "16"), ("latency-mode", mode)]);
        let mut harness = harness(&element);
        harness.set_live(live);
        // Nobody has asked for the latency yet.
        assert_eq!(buffers_asked(&mut harness, GRAY), expected, "{mode}, live: {live}");
    }
}

#[test]
fn upstream_is_asked_for_what_is_held_where_memory_leaves_few_workers() {
    const RUN: u64 = 176 * 8;
    let model = DummyModel::new(Channels::Luma, 2)
        .with_info(|info| info.live_elements = Some(8))
        .with_device(100 * RUN, |pixels| 176 * pixels);
    let limit = (3 * RUN).to_string();
    let element = dummy_element(&Arc::new(model), &[("workers", "16"), ("vram-limit", &limit)]);
    let mut harness = harness(&element);
    harness.set_live(false);
    assert_eq!(buffers_asked(&mut harness, GRAY), 2 * 3 + 2 + 1);
    // Smaller frames: more workers.
    let small = GRAY.replace("width=4", "width=2");
    assert_eq!(buffers_asked(&mut harness, &small), 2 * 6 + 2 + 1);
}

#[test]
fn an_upstream_pool_of_four_buffers_is_enough() {
    let model = model();
    let element = dummy_element(&model, &[("workers", "3"), ("max-in-flight", "32"), ("duplicates", "off")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
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
        // What is still on its way.
        let pulled = 100 - harness.buffers_received() as u64;
        (0..pulled).for_each(|_| drop(harness.pull().unwrap()));
        harness
    });
    drop(harness);
    element.set_state(gst::State::Null).unwrap();
    // All have come home.
    let kept: Vec<_> = (0..4).map(|_| pool.acquire_buffer(Some(&dont_wait())).unwrap()).collect();
    drop(kept);
    pool.set_active(false).unwrap();
}

fn dont_wait() -> gst::BufferPoolAcquireParams {
    gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT)
}

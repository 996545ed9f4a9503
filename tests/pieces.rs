//! The workers share a frame: it comes out as if one had done it.

mod common;

use std::sync::Arc;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::picture::format::PixelFormat;
use gstupscale::types::Channels;

const CAPS: &str = "video/x-raw,format=GRAY8,width=128,height=128,framerate=25/1";

fn frame(n: u64) -> gst::Buffer {
    let pixels = (0..128 * 128u64).map(|i| (i * (n + 3) % 251) as u8).collect::<Vec<_>>();
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
    buffer
}

#[test]
fn one_frame_is_at_all_workers() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "4"), ("latency-mode", "low")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    harness.push(frame(0)).unwrap();
    assert_eq!(model.gate().wait_waiting(4).len(), 4);
    model.gate().open();
    let out = harness.pull().unwrap();
    let (input, map) = (frame(0), out.map_readable().unwrap());
    let input = input.map_readable().unwrap();
    let expected: Vec<u8> = (0..256 * 256).map(|i| input[i / 256 / 2 * 128 + i % 256 / 2]).collect();
    assert!(map.as_slice() == expected);
}

#[test]
fn small_frames_and_other_modes_stay_whole() {
    for (caps, properties) in [
        (GRAY, &[("workers", "4"), ("latency-mode", "low")][..]),
        (CAPS, &[("workers", "4")]),
        (CAPS, &[("workers", "4"), ("latency-mode", "throughput")]),
    ] {
        let model = Arc::new(DummyModel::new(Channels::Luma, 2));
        let element = dummy_element(&model, properties);
        let mut harness = harness(&element);
        harness.set_src_caps_str(caps);
        harness.push(if caps == GRAY { gray_frame(0, 9) } else { frame(0) }).unwrap();
        harness.pull().unwrap();
        assert_eq!(model.runs(), 1, "{properties:?}");
    }
}

#[test]
fn a_piece_that_fails_is_tried_again_and_the_frame_is_whole() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    model.fail_run(1, Failure::Error("on purpose".into()));
    model.fail_run(6, Failure::OutOfMemory);
    let element = dummy_element(&model, &[("workers", "4"), ("latency-mode", "low")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    for n in 0..4 {
        harness.push(frame(n)).unwrap();
        let out = harness.pull().unwrap();
        let (input, map) = (frame(n), out.map_readable().unwrap());
        let input = input.map_readable().unwrap();
        assert!((0..256 * 256).all(|i| map[i] == input[i / 256 / 2 * 128 + i % 256 / 2]), "frame {n}");
    }
}

#[test]
fn a_frame_of_which_a_piece_fails_for_good_is_one_error() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    (0..400).for_each(|run| model.fail_run(run, Failure::Error("on purpose".into())));
    let element = dummy_element(&model, &[("workers", "4"), ("latency-mode", "low")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    harness.push(frame(0)).unwrap();
    let message = wait_message(&bus, &[gst::MessageType::Error]);
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().to_string().contains("Frame 0 (PTS 0:00:00.000000000)"), "{}", error.error());
    element.set_state(gst::State::Null).unwrap();
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

/// All formats with real networks: whole frames, and frames that differ from the one before in parts.
#[test]
fn the_output_is_the_same_to_the_byte() {
    if !have_runtime() {
        return;
    }
    init();
    for model in ["lanczos2x", "fast2x"] {
        for format in PixelFormat::ALL {
            let caps = format!("video/x-raw,format={},width=172,height=131,framerate=25/1", format.name());
            let outputs = ["low", "throughput"].map(|mode| {
                let element = element(&[("model", model), ("workers", "3"), ("latency-mode", mode)]);
                let mut harness = harness(&element);
                harness.set_src_caps_str(&caps);
                let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
                let mut bytes: Vec<u8> = (0..info.size() as u64).map(|i| (i * i % 7919 % 256) as u8).collect();
                (0..4usize)
                    .map(|n| {
                        // A part of it changes.
                        let change = info.size() / 3 + n * 40..info.size() / 2 + n * 40;
                        bytes[change].iter_mut().for_each(|byte| *byte = byte.wrapping_add(7 + n as u8));
                        let mut frame = gst::Buffer::from_mut_slice(bytes.clone());
                        frame.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n as u64));
                        harness.push(frame).unwrap();
                        harness.pull().unwrap().map_readable().unwrap().to_vec()
                    })
                    .collect::<Vec<_>>()
            });
            for (n, (low, throughput)) in outputs[0].iter().zip(&outputs[1]).enumerate() {
                let differ = low.iter().zip(throughput).filter(|(a, b)| a != b).count();
                assert_eq!(differ, 0, "{model}, {}, frame {n}: {differ} bytes of {}", format.name(), low.len());
            }
        }
    }
}

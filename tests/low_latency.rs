//! Low latency: a device runs one frame at a time, with all cores, and what comes out is the same.

mod common;

use std::sync::Arc;
use std::thread::available_parallelism;

use common::*;
use gst::prelude::*;
use gstupscale::model::Model;
use gstupscale::model::dummy::DummyModel;
use gstupscale::model::graph::Locality;
use gstupscale::picture::format::PixelFormat;
use gstupscale::types::{Channels, Provider};
use gstupscale::upscalefilter::UpscaleFilter;

fn cores() -> usize {
    available_parallelism().unwrap().get()
}

fn push(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    frames.for_each(|n| assert!(harness.push(gray_frame(n, n as u8)).is_ok()));
}

fn pull(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    for n in frames {
        let out = harness.pull().unwrap();
        assert_eq!((pts_ms(&out), mark(&out)), (40 * n, n as u8));
    }
}

fn workers(element: &gst::Element) -> u64 {
    element.property::<gst::Structure>("stats").get("workers").unwrap()
}

/// Whether or not parts of its frames could be computed by themselves.
#[test]
fn one_frame_at_a_time_has_all_cores() {
    let global = || Locality::Global { reason: "it looks everywhere".into() };
    for model in [model(), Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.locality = global()))] {
        model.gate().hold();
        let element = dummy_element(&model, &[("workers", "4"), ("latency-mode", "low")]);
        let mut harness = harness(&element);
        harness.set_src_caps_str(GRAY);
        push(&mut harness, 0..3);
        for run in 0..3 {
            assert_eq!(model.gate().wait_waiting(1)[0].run, run);
            model.gate().release(1);
            model.gate().wait_finished(run + 1);
        }
        pull(&mut harness, 0..3);
        assert_eq!(model.threads(), [cores(); 3]);
        assert_eq!((model.sessions_opened(), workers(&element)), (1, 1));
    }
}

#[test]
fn in_live_pipelines_it_is_the_default() {
    for (live, expected) in [(true, (1, cores())), (false, (2, (cores() / 2).max(1)))] {
        let model = model();
        let element = dummy_element(&model, &[("workers", "2")]);
        let mut harness = harness(&element);
        harness.set_live(live);
        harness.set_src_caps_str(GRAY);
        harness.query_latency();
        push(&mut harness, 0..1);
        pull(&mut harness, 0..1);
        assert_eq!((workers(&element) as usize, model.threads()[0]), expected);
    }
}

#[test]
fn each_of_several_devices_has_a_frame() {
    let models = [model(), model()];
    models.iter().for_each(|model| model.gate().hold());
    let element = element(&[("workers", "3"), ("latency-mode", "low")]);
    let listed = models.iter().map(|model| Arc::clone(model) as Arc<dyn Model>).collect();
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_models(listed);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    // One in each, and two that wait or are pushed.
    push(&mut harness, 0..4);
    for model in &models {
        assert_eq!(model.gate().wait_waiting(1).len(), 1);
    }
    assert_eq!(workers(&element), 2);
    models.iter().for_each(|model| model.gate().open());
    pull(&mut harness, 0..4);
    assert!(models.iter().all(|model| model.sessions_opened() == 1));
}

#[test]
fn workers_that_the_memory_has_no_room_for_leave_their_cores_to_the_others() {
    const FRAME: u64 = 176 * 8;
    let model = Arc::new(
        DummyModel::new(Channels::Luma, 2)
            .with_info(|info| info.live_elements = Some(8))
            .with_device(100 * FRAME, |pixels| 176 * pixels),
    );
    let element = dummy_element(&model, &[("workers", "4"), ("vram-limit", &FRAME.to_string())]);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    push(&mut harness, 0..4);
    pull(&mut harness, 0..4);
    assert_eq!((workers(&element), model.threads()), (1, vec![cores(); 4]));
}

/// Elsewhere than on the processor its threads do little, and a session takes long to open.
#[test]
fn a_gpus_sessions_are_not_opened_anew_for_threads() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.provider = Provider::Cuda));
    let element = dummy_element(&model, &[("workers", "2")]);
    let mut harness = harness(&element);
    harness.set_live(true);
    harness.set_src_caps_str(GRAY);
    harness.query_latency();
    for n in 0..3 {
        push(&mut harness, n..n + 1);
        pull(&mut harness, n..n + 1);
    }
    assert_eq!((model.sessions_opened(), workers(&element)), (1, 1));
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

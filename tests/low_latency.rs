//! Low latency: each device runs one frame at a time with all cores, and the output does not change.

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

/// With a local network as with a global one.
#[test]
fn one_frame_at_a_time_has_all_cores() {
    let global = || Locality::Global { reason: "it sees the whole picture".into() };
    for model in [model(), Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.locality = global()))] {
        model.gate().hold();
        let (element, mut harness) = start(&model, &[("workers", "4"), ("latency-mode", "low")]);
        push_frames(&mut harness, 0..3);
        for run in 0..3 {
            assert_eq!(model.gate().wait_waiting(1)[0].run, run);
            model.gate().release(1);
            model.gate().wait_finished(run + 1);
        }
        pull_frames(&mut harness, 0..3);
        assert_eq!(model.threads(), [cores(); 3]);
        assert_eq!(model.sessions_opened(), 1);
        assert_stats(&element, &[("workers", 1)]);
    }
}

#[test]
fn low_latency_is_the_default_in_live_pipelines() {
    for (live, workers, threads) in [(true, 1, cores()), (false, 2, (cores() / 2).max(1))] {
        let model = model();
        let element = dummy_element(&model, &[("workers", "2")]);
        let mut harness = harness(&element);
        harness.set_live(live);
        harness.set_src_caps_str(GRAY);
        harness.query_latency();
        push_frames(&mut harness, 0..1);
        pull_frames(&mut harness, 0..1);
        assert_stats(&element, &[("workers", workers)]);
        assert_eq!(model.threads()[0], threads);
    }
}

#[test]
fn each_of_several_devices_runs_a_frame() {
    let models = [model(), model()];
    models.iter().for_each(|model| model.gate().hold());
    let element = element(&[("workers", "3"), ("latency-mode", "low")]);
    let listed = models.iter().map(|model| Arc::clone(model) as Arc<dyn Model>).collect();
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_models(listed);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    // Each device holds one frame; the other two wait.
    push_frames(&mut harness, 0..4);
    for model in &models {
        assert_eq!(model.gate().wait_waiting(1).len(), 1);
    }
    assert_stats(&element, &[("workers", 2)]);
    models.iter().for_each(|model| model.gate().open());
    pull_frames(&mut harness, 0..4);
    assert!(models.iter().all(|model| model.sessions_opened() == 1));
}

#[test]
fn workers_that_do_not_fit_into_memory_leave_their_cores_to_the_others() {
    const FRAME: u64 = 176 * 8;
    let model = Arc::new(
        DummyModel::new(Channels::Luma, 2)
            .with_info(|info| info.live_elements = Some(8))
            .with_device(100 * FRAME, |pixels| 176 * pixels),
    );
    let (element, mut harness) = start(&model, &[("workers", "4"), ("vram-limit", &FRAME.to_string())]);
    push_frames(&mut harness, 0..4);
    pull_frames(&mut harness, 0..4);
    assert_stats(&element, &[("workers", 1)]);
    assert_eq!(model.threads(), vec![cores(); 4]);
}

/// On a GPU, CPU threads matter little and a session takes long to open.
#[test]
fn gpu_sessions_are_not_reopened_for_another_number_of_threads() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2).with_info(|info| info.provider = Provider::Cuda));
    let element = dummy_element(&model, &[("workers", "2")]);
    let mut harness = harness(&element);
    harness.set_live(true);
    harness.set_src_caps_str(GRAY);
    harness.query_latency();
    for n in 0..3 {
        push_frames(&mut harness, n..n + 1);
        pull_frames(&mut harness, n..n + 1);
    }
    assert_eq!(model.sessions_opened(), 1);
    assert_stats(&element, &[("workers", 1)]);
}

/// All formats with real networks: whole frames, and frames of which a region has changed.
#[test]
fn the_output_is_the_same_bytes() {
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
                        // A region changes.
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

//! Several devices share the frames. Each has its own memory and degradation levels; if one fails, the others take its frames.

mod common;

use std::sync::Arc;

use common::*;
use gst::prelude::*;
use gstupscale::model::Model;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::{Channels, Provider};
use gstupscale::upscalefilter::UpscaleFilter;

fn luma() -> DummyModel {
    DummyModel::new(Channels::Luma, 2)
}

fn start_on(models: &[&Arc<DummyModel>], properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    let element = element(properties);
    let models = models.iter().map(|model| Arc::clone(model) as Arc<dyn Model>).collect();
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_models(models);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (element, harness)
}

#[test]
fn a_frame_goes_to_the_device_that_is_free() {
    let models = [Arc::new(luma()), Arc::new(luma())];
    models.iter().for_each(|model| model.gate().hold());
    let (_element, mut harness) = start_on(&[&models[0], &models[1]], &[("workers", "1"), ("max-in-flight", "20")]);
    push_frames(&mut harness, 0..10);
    models.iter().for_each(|model| assert_eq!(model.gate().wait_waiting(1).len(), 1));
    // The first device holds one frame; the second runs all others.
    models[1].gate().open();
    models[1].gate().wait_finished(9);
    assert_eq!(models[0].gate().waiting().len(), 1);
    models[0].gate().open();
    pull_frames(&mut harness, 0..10);
}

#[test]
fn each_device_has_its_own_workers() {
    let models = [Arc::new(luma()), Arc::new(luma())];
    models.iter().for_each(|model| model.gate().hold());
    let (element, mut harness) = start_on(&[&models[0], &models[1]], &[("workers", "2"), ("max-in-flight", "20")]);
    push_frames(&mut harness, 0..10);
    models.iter().for_each(|model| assert_eq!(model.gate().wait_waiting(2).len(), 2));
    assert_stats(&element, &[("workers", 4)]);
    models.iter().for_each(|model| model.gate().open());
    pull_frames(&mut harness, 0..10);
}

/// Every run on the first device fails. The other device takes its frames even with `fallback=true`: the CPU would slow both down.
#[test]
fn a_device_that_keeps_failing_is_given_up() {
    let gpu = || luma().with_info(|info| info.provider = Provider::Cuda);
    let models = [Arc::new(gpu()), Arc::new(gpu())];
    (0..200).for_each(|run| models[0].fail_run(run, Failure::Error("broken".into())));
    let (element, mut harness) = start_on(&[&models[0], &models[1]], &[("workers", "1"), ("fallback", "true")]);
    let bus = with_bus(&element);
    // The second device is busy with one frame, so the first takes the other.
    models[1].gate().hold();
    push_frames(&mut harness, 0..2);
    let text = loop {
        let message = wait_message(&bus, &[gst::MessageType::Warning]);
        let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
        let text = warning.error().to_string();
        if text.contains("The other devices continue without it") {
            break text;
        }
    };
    assert!(text.contains("broken") && text.contains("device 0 of the list"), "{text}");
    models[1].gate().open();
    pull_frames(&mut harness, 0..2);
    for n in 2..20 {
        push_frames(&mut harness, n..n + 1);
        pull_frames(&mut harness, n..n + 1);
    }
    assert_stats(&element, &[("workers", 1)]);
    assert!(models[0].runs() < 30, "the device was given up only after {} runs", models[0].runs());
}

#[test]
fn each_device_has_its_own_memory_limit() {
    // The small device holds one run on a whole 4x2 frame at a time.
    let small = Arc::new(luma().with_device(8 * 176, |pixels| 176 * pixels));
    let large = Arc::new(luma().with_device(1 << 20, |pixels| 176 * pixels));
    let (element, mut harness) = start_on(&[&small, &large], &[("workers", "3"), ("max-in-flight", "40")]);
    push_frames(&mut harness, 0..40);
    pull_frames(&mut harness, 0..40);
    assert!(stat(&element, "memory-limit") < (1 << 20) + 8 * 176);
    assert!(small.device_bytes().1 <= 8 * 176 && small.runs() + large.runs() >= 40);
}

#[test]
fn an_invalid_device_list_is_an_error_that_shows_the_syntax() {
    for (list, says) in [("zero", "such as 0 or 0,1"), ("0,0", "twice"), ("0,", "such as 0 or 0,1"), ("-1", "such as")]
    {
        let element = element(&[("device-id", list)]);
        let bus = with_bus(&element);
        assert!(element.set_state(gst::State::Ready).is_err(), "{list}");
        let message = wait_message(&bus, &[gst::MessageType::Error]);
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().to_string().contains(says), "{list}: {}", error.error());
        element.set_state(gst::State::Null).unwrap();
    }
    assert_eq!(element(&[]).property::<String>("device-id"), "0");
}

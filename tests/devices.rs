//! Several devices share the frames: each has a memory and a degradation levels of its own, and one that fails leaves its frames to the others.

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

fn start(models: &[&Arc<DummyModel>], properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    let element = element(properties);
    let models = models.iter().map(|model| Arc::clone(model) as Arc<dyn Model>).collect();
    element.downcast_ref::<UpscaleFilter>().unwrap().set_test_models(models);
    let mut harness = harness(&element);
    harness.set_src_caps_str(GRAY);
    (element, harness)
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

#[test]
fn a_frame_goes_to_the_device_that_is_free() {
    let models = [Arc::new(luma()), Arc::new(luma())];
    models.iter().for_each(|model| model.gate().hold());
    let (_element, mut harness) = start(&[&models[0], &models[1]], &[("workers", "1"), ("max-in-flight", "20")]);
    push(&mut harness, 0..10);
    models.iter().for_each(|model| assert_eq!(model.gate().wait_waiting(1).len(), 1));
    // One frame is held by the first device; the second does all the others.
    models[1].gate().open();
    models[1].gate().wait_finished(9);
    assert_eq!(models[0].gate().waiting().len(), 1);
    models[0].gate().open();
    pull(&mut harness, 0..10);
}

#[test]
fn each_device_has_its_own_workers() {
    let models = [Arc::new(luma()), Arc::new(luma())];
    models.iter().for_each(|model| model.gate().hold());
    let (element, mut harness) = start(&[&models[0], &models[1]], &[("workers", "2"), ("max-in-flight", "20")]);
    push(&mut harness, 0..10);
    models.iter().for_each(|model| assert_eq!(model.gate().wait_waiting(2).len(), 2));
    assert_eq!(element.property::<gst::Structure>("stats").get::<u64>("workers"), Ok(4));
    models.iter().for_each(|model| model.gate().open());
    pull(&mut harness, 0..10);
}

/// The first device fails in every run; its frames are done by the other, whatever `fallback` says: a slow processor would hold up both.
#[test]
fn a_device_that_fails_for_good_is_left_out() {
    let gpu = || luma().with_info(|info| info.provider = Provider::Cuda);
    let models = [Arc::new(gpu()), Arc::new(gpu())];
    (0..200).for_each(|run| models[0].fail_run(run, Failure::Error("broken".into())));
    let (element, mut harness) = start(&[&models[0], &models[1]], &[("workers", "1"), ("fallback", "true")]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    // The second one is busy with a frame, so that the other frame is the first one's.
    models[1].gate().hold();
    push(&mut harness, 0..2);
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
    pull(&mut harness, 0..2);
    for n in 2..20 {
        push(&mut harness, n..n + 1);
        pull(&mut harness, n..n + 1);
    }
    assert_eq!(element.property::<gst::Structure>("stats").get::<u64>("workers"), Ok(1));
    assert!(models[0].runs() < 30, "it was left out after {} runs only", models[0].runs());
}

#[test]
fn memory_of_one_says_nothing_of_the_other() {
    // Room for a whole frame of 4x2 on one, for one run at a time on the other.
    let small = Arc::new(luma().with_device(8 * 176, |pixels| 176 * pixels));
    let large = Arc::new(luma().with_device(1 << 20, |pixels| 176 * pixels));
    let (element, mut harness) = start(&[&small, &large], &[("workers", "3"), ("max-in-flight", "40")]);
    push(&mut harness, 0..40);
    pull(&mut harness, 0..40);
    let stats = element.property::<gst::Structure>("stats");
    assert!(stats.get::<u64>("memory-limit").unwrap() < (1 << 20) + 8 * 176);
    assert!(small.device_bytes().1 <= 8 * 176 && small.runs() + large.runs() >= 40);
}

#[test]
fn a_list_that_is_none_is_refused_with_what_is_expected() {
    for (list, says) in [("zero", "such as 0 or 0,1"), ("0,0", "twice"), ("0,", "such as 0 or 0,1"), ("-1", "such as")]
    {
        let element = element(&[("device-id", list)]);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert!(element.set_state(gst::State::Ready).is_err(), "{list}");
        let message = wait_message(&bus, &[gst::MessageType::Error]);
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().to_string().contains(says), "{list}: {}", error.error());
        element.set_state(gst::State::Null).unwrap();
    }
    assert_eq!(element(&[]).property::<String>("device-id"), "0");
}

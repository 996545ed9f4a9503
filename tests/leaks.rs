//! GStreamer's leaks tracer (`GST_TRACERS=leaks`) finds no leak after seeks, errors, duplicates and stops in mid-stream.

mod common;

use std::process::Command;
use std::sync::Arc;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::Channels;

const OVER: &str = "the scenes are over";
const CHILD: &str = "UPSCALE_TEST_LEAKS_CHILD";

#[test]
fn nothing_leaks() {
    if std::env::var_os(CHILD).is_some() {
        scenes();
        std::mem::forget(gst::Caps::new_empty_simple("leaked/on-purpose"));
        eprintln!("{OVER}");
        // SAFETY: the last thing this process does with GStreamer; it makes the tracer report.
        unsafe { gst::deinit() };
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_leaks", "--nocapture"])
        .envs([
            (CHILD, "1"),
            ("GST_TRACERS", "leaks(check-refs=true)"),
            ("GST_DEBUG", "GST_TRACER:7"),
            ("G_DEBUG", "fatal_warnings"),
        ])
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    // The exit status says nothing: the tracer's warning about the deliberate leak is fatal.
    assert!(log.contains(OVER), "{log}");
    let leaks: Vec<_> =
        log.lines().filter(|line| line.contains("object-alive, ") && !line.contains("format string")).collect();
    let (on_purpose, leaks): (Vec<_>, Vec<_>) = leaks.into_iter().partition(|line| line.contains("leaked/on-purpose"));
    assert_eq!(on_purpose.len(), 1, "the tracer finds the deliberate leak: {log}");
    assert!(leaks.is_empty(), "{leaks:#?}");
}

fn scenes() {
    init();
    for properties in [&[("workers", "3")][..], &[("workers", "1"), ("duplicates", "off")], &[("cache-size", "2000")]] {
        let model = Arc::new(DummyModel::new(Channels::Luma, 2));
        play(&model, properties, |pipeline, bus| {
            for seconds in [5, 1, 9] {
                let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
                pipeline.seek_simple(flags, gst::ClockTime::from_seconds(seconds)).unwrap();
            }
            wait_message(bus, &[gst::MessageType::Eos]);
        });
        // A stop in mid-stream.
        play(&model, properties, |_, _| {});
        let failing = Arc::new(DummyModel::new(Channels::Rgb, 2));
        failing.fail_run(3, Failure::Panic("on purpose".into()));
        play(&failing, properties, |_, bus| drop(wait_message(bus, &[gst::MessageType::Error])));
    }
}

fn play(model: &Arc<DummyModel>, properties: &[(&str, &str)], scene: impl FnOnce(&gst::Pipeline, &gst::Bus)) {
    let element = dummy_element(model, properties);
    let source = gst::parse::bin_from_description(
        "videotestsrc num-buffers=250 pattern=ball ! capsfilter caps=video/x-raw,format=NV12,width=33,height=24,framerate=25/1",
        true,
    )
    .unwrap();
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref(), &element, &sink]).unwrap();
    gst::Element::link_many([source.upcast_ref(), &element, &sink]).unwrap();
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    scene(&pipeline, &bus);
    pipeline.set_state(gst::State::Null).unwrap();
    bus.set_flushing(true);
}

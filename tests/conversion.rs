//! Pixel conversion on the network's device, through the whole element, on the CPU provider: compared with conversion on the processor,
//! and with and without reuse and tiles.
//!
//! Needs ONNX Runtime (`./script/env cargo test` finds it), and one test the third-party networks of the shared test data.

mod common;

use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

use common::clip::{Clip, Edit, worst};
use common::{LOCAL_MODELS, dummy_element, element, harness, have_runtime, shared_data};

/// A hold, changes in small regions, a frame that returns, and a cut.
const EDITS: [Edit; 6] = [
    Edit::Box { plane: 0, at: (120, 90), size: (5, 7), by: 100 },
    Edit::Box { plane: 1, at: (20, 230), size: (2, 2), by: 30 },
    Edit::Hold,
    Edit::Corner { right: true, bottom: true, by: 120 },
    Edit::Back(3),
    Edit::Cut,
];

const FORMATS: [&str; 8] = ["I420", "NV12", "P010_10LE", "I422_10LE", "RGBA", "BGR", "GBR_10LE", "GRAY8"];

/// A network in `tests/data`.
fn own(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

/// Fails if the device's output differs from the processor's by more than one, or depends on reuse, tiles or workers.
#[track_caller]
fn check(model: &str, format: &str, size: (u32, u32), edits: &[Edit]) {
    let clip = Clip::new(format, size, edits).with_valid_samples();
    let device = [("model", model), ("execution-provider", "cpu"), ("conversion", "device")];
    clip.check(element, &device);
    let with = |more: &[(&str, &str)]| {
        let properties = [&device[..2], &[("max-in-flight", "64"), ("duplicates", "off")], more].concat();
        clip.upscaled(&element(&properties)).0
    };
    let (processor, whole) = (with(&[("conversion", "processor")]), with(&[("conversion", "device")]));
    for (n, (processor, device)) in processor.iter().zip(&whole).enumerate() {
        let worst = worst(processor, device, format);
        assert!(worst <= 1, "frame {n} of {format} through {model}: differs by {worst}");
    }
    assert!(processor == with(&[]), "on the CPU provider, auto means the processor");
    let tiles = with(&[("conversion", "device"), ("tile-size", "80"), ("workers", "2")]);
    assert!(tiles == whole, "{format} through {model}: tiles");
}

#[test]
fn device_and_processor_differ_by_at_most_one() {
    if !have_runtime() {
        return;
    }
    let colour = own("free_channels.onnx");
    for format in FORMATS {
        check("fast2x", format, (161, 115), &EDITS);
        check(&colour, format, (97, 65), &EDITS);
    }
    // A grid of 4 pixels, and bytes.
    check(&own("multiple_of_4.onnx"), "NV12", (103, 77), &EDITS);
    check(&own("uint8_x2.onnx"), "I420", (103, 77), &EDITS);
    check(&own("fixed_8x6_x3.onnx"), "I420", (37, 29), &EDITS[..1]);
}

#[test]
fn third_party_networks_are_extended() {
    let (true, Some(models)) = (have_runtime(), shared_data("models")) else { return };
    for (model, format) in LOCAL_MODELS {
        let path = models.join(format!("{model}.onnx"));
        check(path.to_str().unwrap(), format, (109, 83), &EDITS[..2]);
    }
}

/// The error that an element posts when it gets caps.
fn refusal(element: &gst::Element) -> String {
    let mut harness = harness(element);
    let bus = common::with_bus(element);
    harness.set_src_caps_str("video/x-raw,format=I420,width=64,height=48,framerate=25/1");
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Error]).expect("an error is posted");
    element.set_bus(None);
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    error.error().to_string()
}

#[test]
fn a_device_that_cannot_convert_is_an_error_only_if_it_was_requested() {
    if !have_runtime() {
        return;
    }
    let model = own("cuts_at_64_rows.onnx");
    let reason = refusal(&element(&[("model", &model), ("conversion", "device")]));
    assert!(reason.contains("conversion=device is not possible") && reason.contains("blended"), "{reason}");
    let dummy = Arc::new(DummyModel::new(Channels::Luma, 2));
    let reason = refusal(&dummy_element(&dummy, &[("conversion", "device")]));
    assert!(reason.contains("conversion=device is not possible with dummy"), "{reason}");
    let clip = Clip::new("I420", (64, 48), &[]);
    assert_eq!(clip.upscaled(&element(&[("model", &model), ("conversion", "auto")])).0.len(), 1);
}

#[test]
fn the_conversion_may_change_while_the_video_plays() {
    if !have_runtime() {
        return;
    }
    let clip = Clip::new("NV12", (64, 48), &[const { Edit::Cut }; 5]);
    let (frames, _) = clip.upscaled(&element(&[("execution-provider", "cpu"), ("duplicates", "off")]));
    let element = element(&[("execution-provider", "cpu"), ("duplicates", "off"), ("workers", "1")]);
    let mut harness = harness(&element);
    harness.set_src_caps(clip.info.to_caps().unwrap());
    for (n, (input, expected)) in clip.frames.iter().zip(&frames).enumerate() {
        let place = ["processor", "device", "auto"][n % 3];
        element.set_property_from_str("conversion", place);
        let output = harness.push_and_pull(gst::Buffer::from_slice(input.clone())).unwrap();
        let caps = harness.sinkpad().unwrap().current_caps().unwrap();
        let output = common::clip::visible(&output, &gst_video::VideoInfo::from_caps(&caps).unwrap());
        assert!(worst(expected, &output, "NV12") <= 1, "frame {n}, {place}");
    }
}

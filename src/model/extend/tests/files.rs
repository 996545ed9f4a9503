//! The extended model file.

use bytes::Bytes;
use prost::Message;

use super::super::{Recipe, extend};
use super::*;
use crate::model::graph::proto;
use crate::model::{Element, RunError};
use crate::picture::tests::hd;
use crate::types::Conversion;

fn recipe(channels: Channels) -> Recipe {
    let encoding = PixelEncoding { format: PixelFormat::I420, colour: hd() };
    Recipe::new(&encoding, channels, [Element::Float32; 2], None)
}

#[track_caller]
fn refused(model: &Bytes, reason: &str) {
    let error = extend(model, &recipe(Channels::Luma), "x", "y").unwrap_err();
    assert!(error.contains(reason), "{error}");
}

/// Tests a field that the format does not have, and a field of the graph that the analysis does not read.
#[test]
fn unknown_fields_are_kept() {
    let model = plain(Channels::Rgb, 2).build();
    let unknown: &[u8] = &[0xfa, 0x3f, 3, b'a', b'b', b'c'];
    let doc: &[u8] = &[0x52, 4, b'w', b'o', b'r', b'd'];
    let parts = proto::Model::decode(model.clone()).unwrap();
    let graph = Bytes::from([parts.graph[0].as_ref(), doc].concat());
    let with = proto::Model { graph: vec![graph], ..parts.clone() }.encode_to_vec();
    let with = Bytes::from([with.as_slice(), unknown].concat());
    let extended = extend(&with, &recipe(Channels::Rgb), "x", "y").unwrap();
    let holds = |part: &[u8]| extended.bytes.windows(part.len()).any(|bytes| bytes == part);
    assert!(holds(unknown) && holds(doc));
    let before = proto::Graph::decode(parts.graph[0].clone()).unwrap();
    let after = proto::Model::decode(extended.bytes.as_slice()).unwrap();
    assert_eq!((after.ir_version, &after.opset_import), (parts.ir_version, &parts.opset_import));
    let after = proto::Graph::decode(after.graph[0].clone()).unwrap();
    assert_eq!(after.initializer, before.initializer);
    let at = after.node.iter().position(|node| *node == before.node[0]).unwrap();
    assert_eq!(after.node[at..at + before.node.len()], before.node);
    // Three planes; index lists of the chroma samples in both directions, and of the pixels averaged to them: 3 + 2.
    assert_eq!((after.input.len(), after.output.len()), (3 + 4 + 5, 3));
    assert_eq!((extended.inputs.len(), extended.outputs.len()), (12, 3));
}

/// The network of [`plain`], decoded.
fn parts(channels: Channels) -> (proto::Model, proto::Graph) {
    let model = proto::Model::decode(plain(channels, 2).build()).unwrap();
    let graph = proto::Graph::decode(model.graph[0].clone()).unwrap();
    (model, graph)
}

/// Asserts that a model file in `folder` converts like the network of [`plain`].
#[track_caller]
fn is_plain(folder: &std::path::Path, model: &proto::Model, graph: &proto::Graph) {
    let path = folder.join("network.onnx");
    let model = proto::Model { graph: vec![graph.encode_to_vec().into()], ..model.clone() };
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    let options = LoadOptions { provider: Provider::Cpu, ..LoadOptions::default() };
    let model = OnnxModel::load(&Source::File(path), options).unwrap();
    let frame = size(9, 7);
    let src = Owned::random(PixelFormat::Nv12, frame, 3);
    let run = |model: &OnnxModel| {
        let mut pair = Pair::new(model, PixelFormat::Nv12, hd(), frame);
        let regions = crate::picture::region::cover(frame, pair.limits);
        pair.compare(&src, &regions, "the file");
        pair.on_device(&src, &regions).visible()
    };
    assert_eq!(run(&model), run(&load(plain(Channels::Rgb, 2))));
}

#[test]
fn weights_in_other_files_are_found() {
    let (model, mut graph) = parts(Channels::Rgb);
    let folder = tempfile::tempdir().unwrap();
    let mut weights = proto::Tensor::decode(graph.initializer[0].clone()).unwrap();
    std::fs::write(folder.path().join("weights"), &weights.raw_data).unwrap();
    weights.raw_data = Bytes::new();
    weights.data_location = proto::EXTERNAL;
    // external_data: key "location", value "weights".
    let location = [&[0x6a, 19, 0x0a, 8][..], b"location", &[0x12, 7], b"weights"].concat();
    graph.initializer[0] = [weights.encode_to_vec(), location].concat().into();
    is_plain(folder.path(), &model, &graph);
}

/// Before version 4 of the format, weights had to be listed among the inputs.
#[test]
fn old_files_list_their_weights_among_the_inputs() {
    let (model, mut graph) = parts(Channels::Rgb);
    let weights = proto::Tensor::decode(graph.initializer[0].clone()).unwrap();
    let length = |length: &i64| proto::Dimension { length: Some(proto::Length::Fixed(*length)) };
    let shape = Some(proto::Shape { dim: weights.dims.iter().map(length).collect() });
    let kind = Some(proto::Kind { tensor: Some(proto::TensorKind { elem_type: weights.data_type, shape }) });
    graph.input.push(proto::ValueInfo { name: weights.name, kind }.encode_to_vec().into());
    let folder = tempfile::tempdir().unwrap();
    is_plain(folder.path(), &proto::Model { ir_version: 3, ..model }, &graph);
}

#[test]
fn added_names_do_not_collide() {
    let graph = Builder::new(1).node("Identity", "x", "upscalefilter.value1", &[]).node(
        "Identity",
        "upscalefilter.value1",
        "_upscalefilter.plane1",
        &[],
    );
    let model = load(enlarge(graph, ("_upscalefilter.plane1", "y"), 1, 2));
    let frame = size(9, 7);
    let mut pair = Pair::new(&model, PixelFormat::Nv12, hd(), frame);
    let regions = crate::picture::region::cover(frame, pair.limits);
    pair.compare(&Owned::random(PixelFormat::Nv12, frame, 3), &regions, "names");
}

#[test]
fn all_opsets_since_the_minimum_work() {
    for opset in super::super::MIN_OPSET..=21 {
        let model = load(plain(Channels::Rgb, 2).opset(opset));
        let frame = size(9, 7);
        for format in [PixelFormat::P01010Le, PixelFormat::Rgbx] {
            let mut pair = Pair::new(&model, format, hd(), frame);
            let regions = crate::picture::region::cover(frame, pair.limits);
            pair.compare(&Owned::random(format, frame, 3), &regions, &format!("opset {opset}"));
        }
    }
}

#[test]
fn what_cannot_be_extended_is_refused_with_a_reason() {
    refused(&plain(Channels::Luma, 2).opset(10).build(), "ONNX opset 10, but conversion on the device needs opset 11");
    refused(&Bytes::from_static(b"\x18\0\0\0ORTM12345678901234"), "not an ONNX file");
    refused(&plain(Channels::Luma, 2).build().slice(..100), "damaged");
    refused(&Bytes::from_static(&[8, 7]), "0 graphs");
    let parts = proto::Model::decode(plain(Channels::Luma, 2).build()).unwrap();
    let silent = proto::Model { opset_import: Vec::new(), ..parts };
    refused(&silent.encode_to_vec().into(), "does not say which version");
    let old = load(plain(Channels::Luma, 2).opset(10));
    let error =
        old.check_converting(&PixelEncoding { format: PixelFormat::I420, colour: hd() }).unwrap_err().to_string();
    assert!(error.starts_with("conversion=device is not possible with") && error.contains("opset 10"), "{error}");
}

#[test]
fn sessions_refuse_other_tensors_and_can_be_interrupted() {
    let model = load(plain(Channels::Rgb, 2));
    let frame = size(9, 7);
    let mut pair = Pair::new(&model, PixelFormat::I420, hd(), frame);
    let regions = crate::picture::region::cover(frame, pair.limits);
    let src = Owned::random(PixelFormat::I420, frame, 3);
    let expected = pair.on_device(&src, &regions);
    assert!(matches!(pair.floats.run_converting(&mut pair.tensors), Err(RunError::Failed(_))));
    assert!(matches!(pair.integers.run(&[0.0; 63], frame, &mut Vec::new()), Err(RunError::Failed(_))));
    let interrupter = pair.integers.interrupter();
    interrupter.interrupt();
    assert!(matches!(pair.integers.run_converting(&mut pair.tensors), Err(RunError::Interrupted)));
    interrupter.rearm();
    assert_eq!(pair.on_device(&src, &regions).visible(), expected.visible());
    // Tensors of another encoding, and of other sizes than the network returns.
    assert!(matches!(pair.integers.run_converting(&mut DeviceTensors::default()), Err(RunError::Failed(_))));
    pair.tensors.outputs[0].set_u8(&[1, 1, 3, 5]);
    assert!(matches!(pair.integers.run_converting(&mut pair.tensors), Err(RunError::WrongSize { .. })));
}

/// Measurements of one kind of session do not apply to the other.
#[test]
fn the_key_depends_on_where_pictures_are_converted() {
    let source = Source::parse("fast2x");
    let key = |conversion| {
        let options = LoadOptions { provider: Provider::Cpu, conversion, ..LoadOptions::default() };
        OnnxModel::load(&source, options).unwrap().key()
    };
    assert_eq!(key(Conversion::Auto), key(Conversion::Processor));
    assert_ne!(key(Conversion::Device), key(Conversion::Processor));
}

proptest::proptest! {
    /// Damaged files are refused or copied.
    #[test]
    fn damaged_files_do_not_panic(at in 0usize..2000, byte: u8) {
        let mut model = plain(Channels::Rgb, 2).build().to_vec();
        let length = model.len();
        model[at % length] = byte;
        extend(&model.into(), &recipe(Channels::Rgb), "x", "y").ok();
    }
}

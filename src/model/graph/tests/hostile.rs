//! Damaged and hostile files: the analysis returns a result or an error in bounded time and never panics.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use crate::model::builtin;
use crate::model::graph::builder::{Builder, int, ints};
use crate::model::graph::{Locality, analyse, proto};

/// Files to damage: the built-in ones, one with size arithmetic, and a third-party one if available.
fn files() -> Vec<Bytes> {
    let arithmetic = Builder::new(1)
        .ints("two", &[4], &[1, 1, 2, 2])
        .node("Shape", "x", "shape", &[])
        .node("Div", "shape two", "half", &[])
        .node("Mul", "half two", "sizes", &[])
        .node("Resize", "x - - sizes", "a", &[])
        .node("Slice", "a two shape", "b", &[])
        .node("Reshape", "b shape", "c", &[])
        .node("Pad", "c shape", "d", &[])
        .node("Split", "d", "e f", &[int("axis", 1)])
        .node("Transpose", "e", "g", &[ints("perm", &[0, 1, 2, 3])])
        .node("Concat", "g f", "y", &[int("axis", 1)])
        .build();
    let mut files: Vec<Bytes> = builtin::BUILTINS.iter().map(|builtin| Bytes::from_static(builtin.onnx)).collect();
    files.push(arithmetic);
    let real = "../shared/data/models/animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16.onnx";
    match std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(real)) {
        Ok(bytes) => files.push(bytes.into()),
        Err(error) => eprintln!("SKIPPED: {real}: {error}"),
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncated_and_damaged_files_do_not_panic(
        file in any::<prop::sample::Index>(),
        end in prop::option::of(any::<prop::sample::Index>()),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let files = files();
        let mut bytes = file.get(&files).to_vec();
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        let start = Instant::now();
        // Any result is fine; it must return.
        drop(analyse(bytes.into(), None));
        prop_assert!(start.elapsed() < Duration::from_secs(10));
    }

    /// Valid files with random numbers: some operator reads each attribute and constant.
    #[test]
    fn random_numbers_do_not_panic(
        operator in prop::sample::select(vec![
            "Conv", "ConvTranspose", "MaxPool", "Resize", "Slice", "Pad", "Reshape", "Gather", "Split", "Tile",
            "Expand", "Squeeze", "Unsqueeze", "Concat", "Transpose", "DepthToSpace", "SpaceToDepth", "ReduceSum",
            "Softmax", "Flatten", "ConstantOfShape", "Shape",
        ]),
        on_picture in any::<bool>(),
        opset in 1i64..22,
        numbers in vec(vec(prop_oneof![-3i64..5, any::<i64>(), Just(i64::MAX), Just(i64::MIN)], 0..9), 4),
        attributes in vec((
            prop::sample::select(vec![
                "pads", "strides", "dilations", "kernel_shape", "axes", "axis", "perm", "starts", "ends", "split",
                "blocksize", "group", "output_padding", "start", "end", "num_outputs", "keepdims", "ceil_mode", "shape",
            ]),
            prop_oneof![-3i64..5, any::<i64>()],
            vec(prop_oneof![0i64..4, any::<i64>()], 0..7),
        ), 0..4),
        weights in vec(prop_oneof![0i64..4, any::<i64>()], 4),
    ) {
        let mut graph = Builder::new(1).opset(opset).tensor(&proto::Tensor {
            dims: weights, data_type: 1, data_location: 1, name: "w".into(), ..proto::Tensor::default()
        });
        for (at, numbers) in numbers.iter().enumerate() {
            graph = graph.ints(&format!("n{at}"), &[numbers.len() as i64], numbers);
        }
        let attributes: Vec<proto::Attribute> = attributes
            .into_iter()
            .map(|(name, i, ints)| proto::Attribute { name: name.into(), i, ints, ..proto::Attribute::default() })
            .collect();
        let second = if operator.starts_with("Conv") { "w" } else { "n1" };
        let first = if on_picture { "x" } else { "n0" };
        let graph = graph
            .node(operator, &format!("{first} {second} n2 n3"), "a b", &attributes)
            .node("Concat", "a x", "y", &[int("axis", 1)]);
        drop(analyse(graph.build(), None));
    }
}

#[test]
fn many_operators_take_bounded_time() {
    let start = Instant::now();
    let mut graph = Builder::new(1).node("SpaceToDepth", "x", "a0", &[int("blocksize", 8)]);
    for at in 0..20_000 {
        graph = graph.node("Concat", &format!("a{at}"), &format!("a{}", at + 1), &[int("axis", 1)]);
    }
    let graph = graph.node("DepthToSpace", "a20000", "y", &[int("blocksize", 8)]);
    assert!(matches!(analyse(graph.build(), None).unwrap().locality, Locality::Global { reason }
            if reason.contains("blocks")));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn many_outputs_take_linear_time_or_are_refused() {
    let parts = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("p{at}")).collect();
        Builder::new(1)
            .conv("x", "a", [1, count as i64], 1, &[])
            .node("Split", "a", &names.join(" "), &[int("axis", 1), int("num_outputs", count as i64)])
            .node("Concat", &names.join(" "), "b", &[int("axis", 1)])
            .conv("b", "y", [count as i64, 1], 1, &[])
            .build()
    };
    let start = Instant::now();
    let many = analyse(parts(100_000), None).unwrap();
    assert_eq!(many.locality.radius(), Some(0), "{:?}", many.locality);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let start = Instant::now();
    let too_many = analyse(parts(1_000_000), None).unwrap();
    assert!(matches!(too_many.locality, Locality::Global { reason } if reason.contains("inputs, outputs")));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn empty_nodes_take_little_memory() {
    // Each node is two bytes on the wire; decoded, they would take hundreds of megabytes.
    let graph = proto::Graph { node: vec![Bytes::new(); 2_000_000], ..proto::Graph::default() };
    let model = proto::Model { ir_version: 8, graph: vec![graph.encode_to_vec().into()], ..proto::Model::default() };
    let error = analyse(model.encode_to_vec().into(), None).unwrap_err();
    assert!(error.contains("2000000 operators"), "{error}");
}

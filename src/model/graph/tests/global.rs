//! Graphs that are not local, or not provably so, and the reasons given.

use crate::model::graph::builder::{Builder, Len, int, ints, text};
use crate::model::graph::proto::Tensor;
use crate::model::graph::{Locality, analyse};

/// The reason why the graph is not local.
fn reason(graph: Builder) -> String {
    match analyse(graph.build(), None).unwrap().locality {
        Locality::Global { reason } => reason,
        Locality::Local(local) => panic!("said to be local: {local:?}"),
    }
}

#[track_caller]
fn check(graph: Builder, parts: &[&str]) {
    let reason = reason(graph);
    assert!(parts.iter().all(|part| reason.contains(part)), "{reason:?} does not say {parts:?}");
}

#[test]
fn operators_over_the_whole_picture_are_not_local() {
    let one = || Builder::new(1);
    check(
        one().node("GlobalAveragePool", "x", "a", &[]).node("Mul", "x a", "y", &[]),
        &["GlobalAveragePool", "whole picture"],
    );
    let norm = one().weights("s", &[1]).weights("b", &[1]).node("InstanceNormalization", "x s b", "y", &[]);
    check(norm, &["InstanceNormalization"]);
    check(one().node("ReduceMean", "x", "y", &[]), &["ReduceMean", "rows or columns"]);
    check(one().node("Softmax", "x", "y", &[int("axis", 3)]), &["Softmax", "rows or columns"]);
    // Before version 13, it covers all dimensions from the axis on.
    check(one().opset(11).node("Softmax", "x", "y", &[int("axis", 1)]), &["Softmax"]);
    check(one().node("LayerNormalization", "x", "y", &[]), &["LayerNormalization"]);
    check(one().node("MatMul", "x x", "y", &[]), &["MatMul", "two tensors"]);
    check(one().weights("m", &[8, 8]).node("MatMul", "x m", "y", &[]), &["MatMul", "rows or columns"]);
    check(one().node("If", "x", "y", &[]), &["If", "not known"]);
}

#[test]
fn unknown_operators_and_attributes_are_not_local() {
    check(Builder::new(1).node("Det", "x", "y", &[]), &["Det", "not known"]);
    check(Builder::new(1).node("org.example:Sharpen", "x", "y", &[]), &["org.example:Sharpen", "not known"]);
    let novel = [ints("pads", &[1; 4]), int("novel", 1)];
    check(Builder::new(1).conv("x", "y", [1, 1], 3, &novel), &["Conv", "\"novel\""]);
    let mode = [text("mode", "wrap")];
    check(
        Builder::new(1).ints("pads", &[8], &[0, 0, 1, 1, 0, 0, 1, 1]).node("Pad", "x pads", "y", &mode),
        &["Pad", "\"wrap\""],
    );
    let aligned = [text("mode", "linear"), text("coordinate_transformation_mode", "align_corners")];
    let resize = Builder::new(1).floats("s", &[4], &[1.0, 1.0, 2.0, 2.0]).node("Resize", "x - s", "y", &aligned);
    check(resize, &["Resize", "align_corners"]);
    check(Builder::new(1).node("Relu", "gone", "y", &[]), &["Relu", "\"gone\""]);
    check(Builder::new(1).node("Relu", "x", "z", &[]), &["does not depend on the picture"]);
}

#[test]
fn operators_that_the_output_does_not_need_are_ignored() {
    let graph = Builder::new(1).node("org.example:Sharpen", "x", "z", &[]).conv("x", "y", [1, 1], 1, &[]);
    let analysis = analyse(graph.build(), None).unwrap();
    assert_eq!(analysis.locality.radius(), Some(0));
    assert_eq!(analysis.operators.into_iter().collect::<Vec<_>>(), [("Conv".to_owned(), 1)]);
}

#[test]
fn dependence_on_the_size_of_the_picture_is_not_local() {
    let shape = || Builder::new(1).node("Shape", "x", "shape", &[]);
    let by_height = shape()
        .ints("two", &[], &[2])
        .node("Gather", "shape two", "rows", &[int("axis", 0)])
        .node("Mod", "rows two", "odd", &[])
        .node("Cast", "odd", "number", &[int("to", 1)])
        .node("Mul", "x number", "y", &[]);
    check(by_height, &["Mul", "depends on the picture's size"]);
    let odd = || {
        Builder::new(1)
            .lengths(false)
            .ints("twos", &[1], &[2])
            .ints("ones", &[1], &[1])
            .node("Mod", "h twos", "odd", &[])
            .node("Cast", "odd", "number", &[int("to", 1)])
    };
    for at in 1..5 {
        let mut inputs = ["x", "one", "one", "one", "one"];
        inputs[at] = "number";
        let norm = odd().floats("one", &[1], &[1.0]).node("BatchNormalization", &inputs.join(" "), "y", &[]);
        check(norm, &["BatchNormalization", "depends on the picture's size"]);
    }
    // Constants selected by it, and numbers derived from their count.
    let chosen = odd()
        .floats("table", &[2], &[1.0, 2.0])
        .node("Add", "odd ones", "next", &[])
        .node("Slice", "table odd next", "entry", &[])
        .node("Mul", "x entry", "y", &[]);
    check(chosen, &["Mul", "depends on the picture's size"]);
    let counted = odd()
        .floats("one", &[1], &[1.0])
        .node("Add", "odd ones", "count", &[])
        .node("Expand", "one count", "all", &[])
        .node("ReduceSum", "all", "sum", &[])
        .node("Mul", "x sum", "y", &[]);
    check(counted, &["Mul", "depends on the picture's size"]);
    let cut = |to: i64| {
        Builder::new(1).ints("from", &[1], &[0]).ints("to", &[1], &[to]).ints("axis", &[1], &[2]).node(
            "Slice",
            "x from to axis",
            "y",
            &[],
        )
    };
    check(cut(64), &["not the input times a whole number"]);
    check(cut(5000), &["Slice", "compared"]);
    let flipped = Builder::new(1)
        .ints("from", &[1], &[-1])
        .ints("to", &[1], &[i64::MIN])
        .ints("axis", &[1], &[3])
        .ints("step", &[1], &[-1])
        .node("Slice", "x from to axis step", "y", &[]);
    check(flipped, &["Slice", "over"]);
    check(Builder::new(1).node("Concat", "x x", "y", &[int("axis", 3)]), &["Concat", "side by side"]);
    check(
        Builder::new(1).node("Transpose", "x", "y", &[ints("perm", &[0, 1, 3, 2])]),
        &["not the picture's rows and columns"],
    );
    let halves = Builder::new(1).ints("s", &[5], &[1, 1, 2, -1, 16]).node("Reshape", "x s", "y", &[]);
    check(halves, &["Reshape", "mixes"]);
    let flat = Builder::new(1)
        .ints("flat", &[3], &[1, 1, -1])
        .node("Reshape", "x flat", "a", &[])
        .weights("w", &[1, 1, 3])
        .node("Conv", "a w", "y", &[]);
    check(flat, &["Conv", "four-dimensional"]);
}

#[test]
fn a_constant_that_varies_over_the_picture_is_not_local() {
    let input = [Len::Fixed(1), Len::Fixed(1), Len::Fixed(6), Len::Fixed(8)];
    let graph = Builder::new(1).input(input).weights("w", &[1, 1, 6, 8]).node("Add", "x w", "y", &[]);
    check(graph, &["Add", "different shapes"]);
}

#[test]
fn numbers_in_another_file_are_named_as_the_reason() {
    let pads = Tensor { name: "pads".into(), dims: vec![8], data_type: 7, data_location: 1, ..Tensor::default() };
    check(Builder::new(1).tensor(&pads).node("Pad", "x pads", "y", &[]), &["Pad", "another file"]);
    // For weights, the shape is enough.
    let weights =
        Tensor { name: "w".into(), dims: vec![1, 1, 3, 3], data_type: 1, data_location: 1, ..Tensor::default() };
    let graph = Builder::new(1).tensor(&weights).node("Conv", "x w", "y", &[ints("pads", &[1; 4])]);
    assert_eq!(analyse(graph.build(), None).unwrap().locality.radius(), Some(1));
}

#[test]
fn excessive_block_sizes_are_refused() {
    let graph = Builder::new(1).node("SpaceToDepth", "x", "a", &[int("blocksize", 64)]).node(
        "DepthToSpace",
        "a",
        "y",
        &[int("blocksize", 64)],
    );
    check(graph, &["blocks of"]);
}

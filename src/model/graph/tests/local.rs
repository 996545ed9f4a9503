//! Local graphs: checks the derived properties, and that ONNX Runtime agrees.

use std::io::Write;
use std::sync::Arc;

use super::perturb::{assert_parts_like_whole, assert_tight, everywhere, perturb};
use crate::model::graph::builder::{Builder, Len, int, ints, text};
use crate::model::graph::{Local, Locality, ReceptiveField, analyse};
use crate::model::{self, Model, Source};
use crate::types::Size;

fn load(model: &[u8]) -> Arc<dyn Model> {
    let mut file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    file.write_all(model).unwrap();
    model::load(&Source::File(file.path().to_owned()), super::on_cpu()).unwrap()
}

/// The properties derived for a graph of any size.
struct Expected {
    /// Left, right, top, bottom.
    field: [u32; 4],
    scale: u32,
    /// The same in both directions.
    alignment: u32,
    multiple: u32,
    /// By how much the receptive field exceeds the observed effect of any single pixel.
    slack: u32,
}

/// The same receptive field on all sides, no grid, scale 1.
const fn around(radius: u32) -> Expected {
    Expected { field: [radius; 4], scale: 1, alignment: 1, multiple: 1, slack: 0 }
}

/// Derives the properties, then checks them against the running network.
fn check(name: &str, graph: Builder, expected: Expected) {
    let model = graph.build();
    let analysis = analyse(model.clone(), None).unwrap();
    let Locality::Local(Local { receptive_field, alignment, .. }) = analysis.locality else {
        panic!("{name}: {:?}", analysis.locality)
    };
    let [left, right, top, bottom] = expected.field;
    assert_eq!(receptive_field, ReceptiveField { left, right, top, bottom }, "{name}");
    assert_eq!(analysis.scale, Some(expected.scale), "{name}");
    let square = |side| Size { width: side, height: side };
    assert_eq!(alignment, square(expected.alignment), "{name}: alignment");
    assert_eq!(analysis.multiple, square(expected.multiple), "{name}: multiple");
    let model = load(&model);
    assert_eq!(model.info().locality, analysis.locality, "{name}: as loaded");
    for size in [Size { width: 48, height: 40 }, Size { width: 48 + expected.multiple, height: 40 + expected.multiple }]
    {
        let seen = perturb(&*model, size, &everywhere(size));
        assert_tight(name, receptive_field, seen, expected.slack);
        assert_parts_like_whole(&*model, size);
    }
}

fn pads(pad: i64) -> [super::super::proto::Attribute; 1] {
    [ints("pads", &[pad; 4])]
}

#[test]
fn convolutions_see_the_extent_of_their_kernels() {
    check("3x3", Builder::new(1).conv("x", "y", [1, 1], 3, &pads(1)), around(1));
    let dilated = [ints("pads", &[4; 4]), ints("dilations", &[2, 2])];
    check("dilated", Builder::new(1).conv("x", "y", [1, 1], 5, &dilated), around(4));
    let aside = [ints("pads", &[2, 0, 0, 2])];
    check("aside", Builder::new(1).conv("x", "y", [1, 1], 3, &aside), Expected { field: [0, 2, 2, 0], ..around(0) });
    for (auto, field) in [("SAME_UPPER", [1, 2, 1, 2]), ("SAME_LOWER", [2, 1, 2, 1])] {
        let same = [text("auto_pad", auto)];
        check(auto, Builder::new(1).conv("x", "y", [1, 1], 4, &same), Expected { field, ..around(0) });
    }
    let groups = Builder::new(3).weights("w", &[3, 1, 3, 3]).node(
        "Conv",
        "x w",
        "y",
        &[int("group", 3), ints("pads", &[1; 4]), ints("kernel_shape", &[3, 3])],
    );
    check("groups", groups, around(1));
    let chain = Builder::new(1)
        .conv("x", "a", [1, 4], 3, &pads(1))
        .node("Relu", "a", "b", &[])
        .conv("b", "c", [4, 4], 1, &[])
        .conv("c", "d", [4, 1], 5, &pads(2))
        .node("Add", "d x", "y", &[]);
    check("chain", chain, around(3));
}

#[test]
fn enlargements_are_followed_phase_by_phase() {
    let twice = |radius| Expected { field: [radius; 4], scale: 2, ..around(0) };
    for (kernel, pad, radius) in [(2, 0, 0), (4, 1, 1), (6, 2, 1), (8, 3, 2)] {
        let graph = Builder::new(1).weights("w", &[1, 1, kernel, kernel]).node(
            "ConvTranspose",
            "x w",
            "y",
            &[ints("strides", &[2, 2]), ints("pads", &[pad; 4])],
        );
        check("ConvTranspose", graph, twice(radius));
    }
    let shuffle = Builder::new(1).conv("x", "a", [1, 9], 3, &pads(1)).node(
        "DepthToSpace",
        "a",
        "y",
        &[int("blocksize", 3), text("mode", "CRD")],
    );
    check("DepthToSpace", shuffle, Expected { scale: 3, ..around(1) });
    // Two 3x3 convolutions on the fine grid see one pixel of the coarse grid.
    let fine = Builder::new(1)
        .conv("x", "a", [1, 4], 1, &[])
        .node("DepthToSpace", "a", "b", &[int("blocksize", 2)])
        .conv("b", "c", [1, 1], 3, &pads(1))
        .conv("c", "y", [1, 1], 3, &pads(1));
    check("fine", fine, twice(1));
}

#[test]
fn resizes_see_the_taps_of_their_mode() {
    let resize = |mode: &'static str, coordinates: &'static str, nearest: &'static str, scale: f32| {
        Builder::new(1).floats("scales", &[4], &[1.0, 1.0, scale, scale]).node(
            "Resize",
            "x - scales",
            "y",
            &[text("mode", mode), text("coordinate_transformation_mode", coordinates), text("nearest_mode", nearest)],
        )
    };
    for (mode, coordinates, nearest, scale, [before, behind]) in [
        ("nearest", "asymmetric", "floor", 2, [0, 0]),
        ("nearest", "half_pixel", "round_prefer_floor", 2, [0, 0]),
        ("nearest", "asymmetric", "ceil", 2, [0, 1]),
        ("linear", "half_pixel", "floor", 2, [1, 1]),
        ("linear", "asymmetric", "floor", 4, [0, 1]),
        ("linear", "pytorch_half_pixel", "floor", 3, [1, 1]),
        ("cubic", "pytorch_half_pixel", "floor", 2, [2, 2]),
        ("cubic", "half_pixel", "floor", 4, [2, 2]),
    ] {
        let field = [before, behind, before, behind];
        let graph = resize(mode, coordinates, nearest, scale as f32);
        let rounded = scale == 3;
        let Locality::Local(local) = analyse(graph.clone().build(), None).unwrap().locality else { panic!("{mode}") };
        assert_eq!(local.exact, !rounded, "{mode} {coordinates} {scale}");
        check(&format!("{mode} {coordinates} {nearest}"), graph, Expected { field, scale, ..around(0) });
    }
    // The output size is computed from the input size, as exporters do it.
    let by_sizes = Builder::new(1)
        .ints("three", &[4], &[1, 1, 3, 3])
        .node("Shape", "x", "shape", &[])
        .node("Mul", "shape three", "sizes", &[])
        .node(
            "Resize",
            "x - - sizes",
            "y",
            &[
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ],
        );
    // `floor` of a rounded third may be one too small.
    check("sizes", by_sizes, Expected { field: [1, 0, 1, 0], scale: 3, slack: 1, ..around(0) });
    let by_floats = Builder::new(1)
        .floats("two", &[1], &[2.0])
        .ints("from", &[1], &[2])
        .ints("to", &[1], &[4])
        .ints("ones", &[2], &[1, 1])
        .node("Shape", "x", "shape", &[])
        .node("Slice", "shape from to", "size", &[])
        .node("Cast", "size", "floats", &[int("to", 1)])
        .node("Mul", "floats two", "larger", &[])
        .node("Floor", "larger", "rounded", &[])
        .node("Cast", "rounded", "integers", &[int("to", 7)])
        .node("Concat", "ones integers", "sizes", &[int("axis", 0)])
        .node("Resize", "x - - sizes", "y", &[text("mode", "linear")]);
    check("floats", by_floats, Expected { scale: 2, ..around(1) });
}

#[test]
fn padding_does_not_exceed_the_window_that_follows() {
    for mode in ["constant", "reflect", "edge"] {
        let graph = Builder::new(1)
            .ints("pads", &[8], &[0, 0, 3, 3, 0, 0, 3, 3])
            .node("Pad", "x pads", "a", &[text("mode", mode)])
            .conv("a", "y", [1, 1], 7, &[]);
        check(mode, graph, around(3));
        // On one side only: a reflection mirrors the receptive field to the other side.
        let aside = Builder::new(1)
            .ints("pads", &[8], &[0, 0, 0, 4, 0, 0, 0, 0])
            .node("Pad", "x pads", "a", &[text("mode", mode)])
            .weights("w", &[1, 1, 1, 5])
            .node("Conv", "a w", "y", &[]);
        let field = if mode == "reflect" { [4, 4, 0, 0] } else { [4, 0, 0, 0] };
        check(mode, aside, Expected { field, ..around(0) });
    }
}

#[test]
fn padding_after_cropping_depends_on_the_edge() {
    let cut = |mode: &'static str| {
        Builder::new(1)
            .ints("start", &[2], &[4, 4])
            .ints("end", &[2], &[-4, -4])
            .ints("axes", &[2], &[2, 3])
            .ints("pads", &[8], &[0, 0, 4, 4, 0, 0, 4, 4])
            .node("Slice", "x start end axes", "a", &[])
            .node("Pad", "a pads", "y", &[text("mode", mode)])
    };
    check("constant", cut("constant"), Expected { slack: 4, ..around(4) });
    check("edge", cut("edge"), around(4));
    // Pixel 0 shows pixel 8. The derived field adds the 4 pixels to the edge again: a following window could see that
    // far.
    check("reflect", cut("reflect"), Expected { slack: 4, ..around(12) });
    let trimmed = Builder::new(1)
        .conv("x", "a", [1, 1], 3, &pads(2))
        .ints("one", &[2], &[1, 1])
        .ints("end", &[2], &[-1, -1])
        .ints("axes", &[2], &[2, 3])
        .node("Slice", "a one end axes", "y", &[]);
    check("trimmed", trimmed, around(1));
}

#[test]
fn alignment_is_that_of_the_grid() {
    let grid = |radius, slack| Expected { field: [radius; 4], scale: 1, alignment: 2, multiple: 2, slack };
    let folded = Builder::new(1)
        .node("SpaceToDepth", "x", "a", &[int("blocksize", 2)])
        .conv("a", "b", [4, 4], 3, &pads(1))
        .node("DepthToSpace", "b", "y", &[int("blocksize", 2)]);
    check("folded", folded, grid(3, 0));
    let reflected = Builder::new(1)
        .node("SpaceToDepth", "x", "a", &[int("blocksize", 2)])
        .ints("pads", &[8], &[0, 0, 1, 1, 0, 0, 1, 1])
        .node("Pad", "a pads", "b", &[text("mode", "reflect")])
        .conv("b", "c", [4, 4], 3, &[])
        .node("DepthToSpace", "c", "y", &[int("blocksize", 2)]);
    check("reflected", reflected, grid(4, 1));
    let strided = Builder::new(1)
        .conv("x", "a", [1, 2], 3, &[ints("pads", &[1; 4]), ints("strides", &[2, 2])])
        .weights("w", &[2, 1, 4, 4])
        .node("ConvTranspose", "a w", "y", &[ints("strides", &[2, 2]), ints("pads", &[1; 4])]);
    check("strided", strided, Expected { field: [3, 2, 3, 2], ..grid(0, 0) });
    let pooled = Builder::new(1)
        .node("MaxPool", "x", "a", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
        .node(
            "Resize",
            "a - scales",
            "y",
            &[
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ],
        );
    check("pooled", pooled, grid(1, 0));
    // Every second row and column, as four pictures.
    let mut focus = Builder::new(1).ints("axes", &[2], &[2, 3]).ints("end", &[2], &[i64::MAX, i64::MAX]).ints(
        "step",
        &[2],
        &[2, 2],
    );
    for (name, y, x) in [("a", 0, 0), ("b", 0, 1), ("c", 1, 0), ("d", 1, 1)] {
        let start = format!("start_{name}");
        focus = focus.ints(&start, &[2], &[y, x]).node("Slice", &format!("x {start} end axes step"), name, &[]);
    }
    let focus = focus.node("Concat", "a b c d", "all", &[int("axis", 1)]).conv("all", "e", [4, 4], 3, &pads(1)).node(
        "DepthToSpace",
        "e",
        "y",
        &[int("blocksize", 2)],
    );
    check("focus", focus, grid(3, 0));
}

#[test]
fn shuffles_written_as_reshapes_are_followed() {
    let shuffled = Builder::new(1)
        .lengths(false)
        .conv("x", "a", [1, 4], 3, &pads(1))
        .ints("ones", &[2], &[1, 1])
        .ints("twos", &[2], &[2, 2])
        .node("Concat", "ones twos h w", "split", &[int("axis", 0)])
        .node("Reshape", "a split", "b", &[])
        .node("Transpose", "b", "c1", &[ints("perm", &[0, 1, 4, 2, 5, 3])])
        .node("Mul", "h two", "hh", &[])
        .node("Mul", "w two", "ww", &[])
        .node("Concat", "ones hh ww", "joined", &[int("axis", 0)])
        .node("Reshape", "c1 joined", "y", &[]);
    check("shuffle", shuffled, Expected { scale: 2, ..around(1) });
    let unshuffled = Builder::new(1)
        .lengths(true)
        .ints("one", &[1], &[1])
        .ints("twos", &[1], &[2])
        .ints("four", &[1], &[4])
        .node("Concat", "one one h twos w twos", "split", &[int("axis", 0)])
        .node("Reshape", "x split", "a", &[])
        .node("Transpose", "a", "b", &[ints("perm", &[0, 1, 3, 5, 2, 4])])
        .node("Concat", "one four h w", "joined", &[int("axis", 0)])
        .node("Reshape", "b joined", "c1", &[])
        .conv("c1", "d", [4, 4], 3, &pads(1))
        .node("DepthToSpace", "d", "y", &[int("blocksize", 2)]);
    check("unshuffle", unshuffled, Expected { alignment: 2, multiple: 2, ..around(3) });
}

#[test]
fn a_network_that_pads_to_a_multiple_accepts_any_size() {
    let graph = Builder::new(1)
        .padded_to_multiple(2, "reflect", "a")
        .node("SpaceToDepth", "a", "b", &[int("blocksize", 2)])
        .conv("b", "c1", [4, 4], 3, &pads(1))
        .node("DepthToSpace", "c1", "d", &[int("blocksize", 2)])
        .cut_back("d");
    check("padded", graph, Expected { alignment: 2, ..around(3) });
}

#[test]
fn a_network_that_pads_to_a_multiple_is_aligned_to_it() {
    let size = |width, height| Size { width, height };
    for mode in ["constant", "edge", "reflect"] {
        let model = Builder::self_padding(mode).build();
        let analysis = analyse(model.clone(), None).unwrap();
        let Locality::Local(local) = analysis.locality else { panic!("{mode}: {:?}", analysis.locality) };
        assert_eq!((local.alignment, analysis.multiple), (size(4, 4), size(1, 1)), "{mode}");
        let model = load(&model);
        assert_eq!(model.info().locality, analysis.locality, "{mode}: as loaded");
        // All remainders.
        for (width, height) in [(48, 40), (49, 43), (50, 42), (51, 41)] {
            assert_parts_like_whole(&*model, size(width, height));
        }
    }
}

#[test]
fn a_network_that_is_local_only_at_multiples_takes_multiples() {
    let model = Builder::u_net().build();
    let analysis = analyse(model.clone(), None).unwrap();
    let sixteen = Size { width: 16, height: 16 };
    assert_eq!(analysis.multiple, sixteen);
    let model = load(&model);
    assert_eq!((model.info().multiple, model.info().min_size), (sixteen, sixteen));
    assert_eq!(model.info().local().map(|local| local.alignment), Some(sixteen));
    assert_parts_like_whole(&*model, Size { width: 320, height: 304 });
}

#[test]
fn operators_across_channels_are_local() {
    let wide = || Builder::new(1).conv("x", "a", [1, 4], 3, &pads(1));
    let (axis, last) = (|at| [int("axis", at)], [0, 2, 3, 1]);
    check("Softmax", wide().node("Softmax", "a", "b", &axis(1)).conv("b", "y", [4, 1], 1, &[]), around(1));
    let sum = wide().ints("axes", &[1], &[1]).node("ReduceSum", "a axes", "y", &[]);
    check("ReduceSum", sum, around(1));
    let split = wide().node("Split", "a", "b c", &[int("axis", 1), int("num_outputs", 2)]);
    check("Split", split.node("Mul", "b c", "d", &[]).conv("d", "y", [2, 1], 1, &[]), around(1));
    let gather = wide().ints("which", &[2], &[3, 0]).node("Gather", "a which", "b", &axis(1));
    check("Gather", gather.conv("b", "y", [2, 1], 1, &[]), around(1));
    let normal = wide()
        .node("Transpose", "a", "b", &[ints("perm", &last)])
        .weights("scale", &[4])
        .node("LayerNormalization", "b scale", "c", &[])
        .weights("matrix", &[4, 1])
        .node("MatMul", "c matrix", "d", &[])
        .node("Transpose", "d", "y", &[ints("perm", &[0, 3, 1, 2])]);
    check("LayerNormalization, MatMul", normal, around(1));
    let slopes = wide()
        .weights("slope", &[4, 1, 1])
        .node("PRelu", "a slope", "b", &[])
        .floats("low", &[], &[0.0])
        .floats("high", &[], &[1e6])
        .node("Clip", "b low high", "c", &[])
        .node("Cast", "c", "d", &[int("to", 11)])
        .node("Cast", "d", "e", &[int("to", 1)])
        .conv("e", "y", [4, 1], 3, &pads(1));
    check("PRelu, Clip, Cast", slopes, around(2));
}

#[test]
fn older_operator_sets_use_attributes() {
    let pads = [ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), text("mode", "edge")];
    let eleven = Builder::new(1).opset(10).node("Pad", "x", "a", &pads).conv("a", "y", [1, 1], 3, &[]);
    check("Pad", eleven, around(1));
    let nine = Builder::new(1).opset(9).conv("x", "a", [1, 2], 3, &[ints("pads", &[2; 4])]).node(
        "Slice",
        "a",
        "b",
        &[ints("axes", &[1, 2, 3]), ints("starts", &[1, 1, 1]), ints("ends", &[2, -1, -1])],
    );
    let nine = nine.floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]).node("Upsample", "b scales", "y", &[]);
    check("Slice, Upsample", nine, Expected { scale: 2, ..around(1) });
}

#[test]
fn a_fixed_size_is_analysed_for_that_size() {
    let input = [Len::Fixed(1), Len::Fixed(1), Len::Fixed(24), Len::Fixed(32)];
    let model = Builder::new(1)
        .input(input)
        .conv("x", "a", [1, 4], 5, &pads(2))
        .ints("split", &[6], &[-1, 1, 2, 2, 24, 32])
        .node("Reshape", "a split", "b", &[])
        .node("Transpose", "b", "c", &[ints("perm", &[0, 1, 4, 2, 5, 3])])
        .ints("joined", &[4], &[-1, 1, 48, 64])
        .node("Reshape", "c joined", "y", &[])
        .build();
    let model = load(&model);
    let field = ReceptiveField { left: 2, right: 2, top: 2, bottom: 2 };
    assert!(
        matches!(model.info().locality, Locality::Local(local) if local.receptive_field == field),
        "{:?}",
        model.info()
    );
    let size = Size { width: 32, height: 24 };
    assert_tight("fixed", field, perturb(&*model, size, &everywhere(size)), 0);
}

#[test]
fn free_channels_follow_from_the_weights() {
    for channels in [1, 3] {
        let input = [Len::Free("n"), Len::Free("c"), Len::Free("h"), Len::Free("w")];
        let graph = Builder::new(0).input(input).conv("x", "y", [channels, channels], 3, &pads(1));
        let analysis = analyse(graph.build(), None).unwrap();
        assert_eq!(analysis.channels, u32::try_from(channels).ok());
        assert_eq!(analysis.locality.radius(), Some(1));
    }
}

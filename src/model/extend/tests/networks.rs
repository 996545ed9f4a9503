//! Networks of other number types, of a fixed size, of a grid; and real ones.

use super::*;
use crate::model::builtin;
use crate::picture::format::{ChromaSite, Matrix, Range};
use crate::picture::region::cover;
use crate::picture::tests::{CHANNELS, colour, hd};

/// A network that folds 2x2 pixels, so that it takes even sizes alone.
pub(super) fn unshuffling(scale: i64) -> Builder {
    let graph = Builder::new(3).node("SpaceToDepth", "x", "d", &[builder::int("blocksize", 2)]);
    enlarge(graph, ("d", "e"), 12, scale)
        .floats("one", &[12, 12, 1, 1], &(0..144).map(|n| f32::from(u8::from(n % 13 == 0))).collect::<Vec<_>>())
        .node("Conv", "e one", "f", &[])
        .node("DepthToSpace", "f", "y", &[builder::int("blocksize", 2)])
}

/// Casts at both ends.
fn casting(channels: i64, element: i32) -> Builder {
    let graph = Builder::new(channels).element(element);
    let float = builder::int("to", data_type::FLOAT.into());
    if element == data_type::FLOAT16 {
        let graph = graph.node("Cast", "x", "f", &[float]);
        return enlarge(graph, ("f", "g"), channels, 2).node("Cast", "g", "y", &[builder::int("to", element.into())]);
    }
    let graph = graph.floats("full", &[], &[255.0]).floats("none", &[], &[0.0]).node("Cast", "x", "e", &[float]).node(
        "Div",
        "e full",
        "f",
        &[],
    );
    enlarge(graph, ("f", "g"), channels, 2)
        .node("Mul", "g full", "h", &[])
        .node("Clip", "h none full", "i", &[])
        .node("Round", "i", "j", &[])
        .node("Cast", "j", "y", &[builder::int("to", element.into())])
}

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::I420,
    PixelFormat::Nv12,
    PixelFormat::P01010Le,
    PixelFormat::Y42b,
    PixelFormat::Argb,
    PixelFormat::Rgba64Le,
    PixelFormat::Gray16Le,
];

fn agree(model: &OnnxModel, frames: &[Size]) {
    let mut counts = Counts::default();
    for frame in frames {
        for format in FORMATS {
            for colour in [hd(), colour(Matrix::BT601, Range::Full, ChromaSite::JPEG)] {
                let mut pair = Pair::new(model, format, colour, *frame);
                let regions = cover(*frame, pair.limits);
                for src in pictures(format, *frame) {
                    let what = format!("{} {colour:?} {frame:?}", format.name());
                    counts += pair.compare(&src, &regions, &what);
                }
            }
        }
    }
    println!("{}: {} of {} codes differ by one", model.info().name, counts.differ, counts.codes);
}

#[test]
fn number_types() {
    for channels in CHANNELS {
        for element in [data_type::FLOAT16, data_type::UINT8] {
            agree(&load(casting(channels.count() as i64, element)), &[size(23, 17)]);
        }
    }
}

/// Frames smaller than the network's size are padded, larger ones cut.
#[test]
fn fixed_sizes() {
    for channels in CHANNELS {
        let count = channels.count() as i64;
        let fixed = plain(channels, 2).input([Len::Fixed(1), Len::Fixed(count), Len::Fixed(14), Len::Fixed(16)]);
        let model = load(fixed);
        assert_eq!(model.info().fixed_size, Some(size(16, 14)));
        agree(&model, &[size(16, 14), size(13, 9), size(37, 25), size(1, 1)]);
    }
}

#[test]
fn sizes_of_a_multiple() {
    let model = load(unshuffling(2));
    assert_eq!(model.info().multiple, size(2, 2));
    agree(&model, &[size(23, 17), size(1, 1), size(24, 9)]);
}

#[test]
fn real_networks() {
    for name in ["fast2x", "quality3x", "lanczos2x"] {
        let source = Source::Builtin(builtin::find(name).unwrap());
        let options = LoadOptions { provider: Provider::Cpu, ..LoadOptions::default() };
        agree(&OnnxModel::load(&source, options).unwrap(), &[size(45, 33)]);
    }
}

/// What is no number is code 0, and infinity the largest code: as on the processor.
#[test]
fn values_that_are_no_numbers() {
    for channels in CHANNELS {
        let count = channels.count() as i64;
        // 0/0, and infinity with either sign: of codes 16, below and above.
        let graph = Builder::new(count).floats("nought", &[], &[0.0]).node("Div", "x nought", "y", &[]);
        agree(&load(graph), &[size(23, 17)]);
    }
}

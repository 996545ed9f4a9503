//! Networks with other element types, a fixed size or size multiples, and the built-in ones.

use super::*;
use crate::model::builtin;
use crate::picture::format::{ChromaSite, Matrix, Range};
use crate::picture::region::cover;
use crate::picture::tests::{CHANNELS, colour, hd};

/// A network with a 2x2 pixel-unshuffle, which accepts only even sizes.
pub(super) fn unshuffling(scale: i64) -> Builder {
    let graph = Builder::new(3).node("SpaceToDepth", "x", "d", &[builder::int("blocksize", 2)]);
    enlarge(graph, ("d", "e"), 12, scale)
        .floats("one", &[12, 12, 1, 1], &(0..144).map(|n| f32::from(u8::from(n % 13 == 0))).collect::<Vec<_>>())
        .node("Conv", "e one", "f", &[])
        .node("DepthToSpace", "f", "y", &[builder::int("blocksize", 2)])
}

/// A network that casts its input and output.
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
    println!("{}: {} of {} samples differ by one", model.info().name, counts.differ, counts.samples);
}

#[test]
fn element_types() {
    for channels in CHANNELS {
        for element in [data_type::FLOAT16, data_type::UINT8] {
            agree(&load(casting(channels.count() as i64, element)), &[size(23, 17)]);
        }
    }
}

/// Smaller frames are padded to the network's size, larger ones tiled.
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
fn size_multiples() {
    let model = load(unshuffling(2));
    assert_eq!(model.info().multiple, size(2, 2));
    agree(&model, &[size(23, 17), size(1, 1), size(24, 9)]);
}

#[test]
fn built_in_networks() {
    for name in ["fast2x", "quality3x", "lanczos2x"] {
        let source = Source::Builtin(builtin::find(name).unwrap());
        let options = LoadOptions { provider: Provider::Cpu, ..LoadOptions::default() };
        agree(&OnnxModel::load(&source, options).unwrap(), &[size(45, 33)]);
    }
}

/// NaN becomes the sample value 0, and infinity the largest one, as in the converter.
#[test]
fn nan_and_infinity() {
    for channels in CHANNELS {
        let count = channels.count() as i64;
        // For limited-range samples of 16, below and above: 0/0, negative and positive infinity.
        let graph = Builder::new(count).floats("zero", &[], &[0.0]).node("Div", "x zero", "y", &[]);
        agree(&load(graph), &[size(23, 17)]);
    }
}

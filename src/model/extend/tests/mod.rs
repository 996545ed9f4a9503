//! Compares the conversion on the device (here the CPU provider) with the converter's. This file holds the helpers.

mod files;
mod formats;
mod networks;
mod regions;

use std::sync::Arc;

use super::super::graph::builder::{self, Builder, Len};
use super::super::graph::proto::data_type;
use super::PixelEncoding;
use crate::model::onnx::OnnxModel;
use crate::model::{LoadOptions, Model, Source, Upscaler};
use crate::picture::convert::{Converter, Scratch};
use crate::picture::device_tensors::DeviceTensors;
use crate::picture::format::{Colour, PixelFormat};
use crate::picture::region::{Limits, Region};
use crate::picture::tests::{Owned, Random, size};
use crate::types::{Channels, Provider};
use crate::types::{Rect, Size};

/// Weights of a convolution that outputs each channel `copies` times, sharpened and mixed with the others. The result
/// covers all sample values and exceeds the range on both sides.
fn weights(channels: i64, copies: i64, kernel: i64) -> Vec<f32> {
    let mut random = Random(7);
    let middle = kernel * kernel / 2;
    let mut weights = Vec::new();
    for output in 0..channels * copies {
        for input in 0..channels {
            for tap in 0..kernel * kernel {
                let noise = (random.below(2001) as f32 / 1000.0 - 1.0) * 0.06;
                let own = input == output % channels && tap == middle;
                weights.push(noise + if own { 1.1 } else { 0.0 });
            }
        }
    }
    weights
}

/// Appends a 3x3 convolution and a pixel shuffle that enlarge `from` to `to` by `scale`.
fn enlarge(graph: Builder, (from, to): (&str, &str), channels: i64, scale: i64) -> Builder {
    let copies = scale * scale;
    graph
        .floats("w", &[channels * copies, channels, 3, 3], &weights(channels, copies, 3))
        .node("Conv", &format!("{from} w"), "c", &[builder::ints("pads", &[1; 4])])
        .node("DepthToSpace", "c", to, &[builder::int("blocksize", scale)])
}

fn plain(channels: Channels, scale: i64) -> Builder {
    let count = channels.count() as i64;
    enlarge(Builder::new(count), ("x", "y"), count, scale)
}

fn load(graph: Builder) -> Arc<OnnxModel> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, graph.build()).unwrap();
    let options = LoadOptions { provider: Provider::Cpu, ..LoadOptions::default() };
    Arc::new(OnnxModel::load(&Source::File(path), options).unwrap())
}

/// The limits for regions of a model's frames, as the element computes them.
fn limits(model: &OnnxModel, converter: &Converter) -> Limits {
    let info = model.info();
    let local = info.local().expect("it is local");
    Limits {
        fixed: info.fixed_size,
        multiple: info.multiple,
        align: local.alignment,
        min: info.min_size,
        halo: local.receptive_field.radius() + converter.halo(),
        ..Limits::default()
    }
}

/// Both conversions for one network and one pixel encoding.
struct Pair {
    converter: Converter,
    limits: Limits,
    floats: Box<dyn Upscaler>,
    integers: Box<dyn Upscaler>,
    tensors: DeviceTensors,
}

impl Pair {
    fn new(model: &OnnxModel, format: PixelFormat, colour: Colour, frame: Size) -> Self {
        let info = model.info();
        let converter = Converter::new(format, colour, frame, info.channels, info.scale);
        Self {
            limits: limits(model, &converter),
            floats: model.open_session().unwrap(),
            integers: model.open_converting(&converter.encoding(), 1).unwrap(),
            converter,
            tensors: DeviceTensors::default(),
        }
    }

    /// A target filled with random samples, so that unwritten samples matter too.
    fn target(&self, format: PixelFormat) -> Owned {
        Owned::random(format, self.converter.output_size(), 99)
    }

    fn on_host(&mut self, src: &Owned, regions: &[Region]) -> Owned {
        let mut dst = self.target(src.format);
        let (mut scratch, mut input, mut output) = (Scratch::default(), Vec::new(), Vec::new());
        self.converter.resize_passthrough_planes(&src.view(), &mut dst.view_mut(), &mut scratch);
        for region in regions {
            self.converter.to_tensor(&src.view(), region, &mut scratch, &mut input);
            self.floats.run(&input, region.tensor, &mut output).unwrap();
            self.converter.from_tensor(&output, region, &mut scratch, &mut dst.view_mut());
        }
        dst
    }

    fn on_device(&mut self, src: &Owned, regions: &[Region]) -> Owned {
        let mut dst = self.target(src.format);
        let mut scratch = Scratch::default();
        self.converter.resize_passthrough_planes(&src.view(), &mut dst.view_mut(), &mut scratch);
        for region in regions {
            self.converter.to_device_tensors(&src.view(), region, &mut self.tensors);
            self.integers.run_converting(&mut self.tensors).unwrap();
            self.converter.from_device_tensors(&self.tensors.outputs, region, &mut scratch, &mut dst.view_mut());
        }
        dst
    }

    /// Runs both and compares them.
    #[track_caller]
    fn compare(&mut self, src: &Owned, regions: &[Region], what: &str) -> Counts {
        let (host, device) = (self.on_host(src, regions), self.on_device(src, regions));
        assert!(device.is_guarded(), "{what}");
        Counts::of(&host, &device, what)
    }
}

/// How many samples were compared, and how many of them differ (by one).
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    samples: usize,
    differ: usize,
}

impl Counts {
    #[track_caller]
    fn of(a: &Owned, b: &Owned, what: &str) -> Self {
        let mut counts = Counts::default();
        for index in 0..a.components().len() {
            let (columns, rows) = a.extent(index);
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let (a, b) = (a.code(index, x, y), b.code(index, x, y));
                assert!(a.abs_diff(b) <= 1, "{what}: component {index} at {x}, {y} is {b} instead of {a}");
                counts.samples += 1;
                counts.differ += usize::from(a != b);
            }
        }
        counts
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.differ += other.differ;
    }
}

/// Noise over all sample values, and gradients over the full range in both directions.
fn pictures(format: PixelFormat, frame: Size) -> [Owned; 2] {
    let mut slopes = Owned::new(format, frame);
    let max = u64::from(format.layout().max_code());
    let (width, height) = (u64::from(frame.width), u64::from(frame.height));
    slopes.fill(|index, x, y| {
        let (x, y) = (x as u64, y as u64);
        let along = if index % 2 == 0 { (x * max / width + y * 3) % (max + 1) } else { y * max / height };
        along.min(max) as u32
    });
    [Owned::random(format, frame, 11), slopes]
}

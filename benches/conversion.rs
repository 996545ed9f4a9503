//! Compares conversion on the CPU with conversion on the network's device, on the CPU provider: 1280x720 through
//! `fast2x`, from picture to picture. Also computes how many bytes are copied to the device and back.
//!
//! `cargo bench --bench conversion` prints both. Requires ONNX Runtime.

use criterion::{Criterion, criterion_group, criterion_main};
use gstupscale::model::{self, LoadOptions, Source, Upscaler};
use gstupscale::picture::convert::{Converter, Scratch};
use gstupscale::picture::device_tensors::DeviceTensors;
use gstupscale::picture::format::{ChromaSite, Colour, Matrix, PictureMut, PictureRef, PixelFormat, Range};
use gstupscale::picture::region::{Limits, Region, cover};
use gstupscale::types::Size;
use gstupscale::types::{Channels, Provider};

const SIZE: Size = Size { width: 1280, height: 720 };
const SCALE: u32 = 2;
const FORMATS: [PixelFormat; 2] = [PixelFormat::I420, PixelFormat::Nv12];

/// A frame with its buffers.
struct Frame {
    converter: Converter,
    region: Region,
    source: Vec<Vec<u8>>,
    result: Vec<Vec<u8>>,
    scratch: Scratch,
    input: Vec<f32>,
    output: Vec<f32>,
    tensors: DeviceTensors,
}

impl Frame {
    fn new(format: PixelFormat, channels: Channels) -> Self {
        let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site: ChromaSite::MPEG2 };
        let converter = Converter::new(format, colour, SIZE, channels, SCALE);
        let planes = |size: Size| {
            let plane = |plane| {
                let (row_bytes, rows) = format.visible(plane, size);
                (0..row_bytes * rows).map(|at| (at * 37 % 251) as u8).collect()
            };
            (0..format.planes()).map(plane).collect()
        };
        Self {
            source: planes(SIZE),
            result: planes(converter.output_size()),
            converter,
            region: cover(SIZE, Limits::default())[0],
            scratch: Scratch::default(),
            input: Vec::new(),
            output: Vec::new(),
            tensors: DeviceTensors::default(),
        }
    }

    /// Upscales the frame with `session`, which also converts if `device_conversion`.
    fn upscale(&mut self, session: &mut dyn Upscaler, device_conversion: bool) {
        let Self { converter, region, source, result, scratch, input, output, tensors } = self;
        let (format, size) = (converter.format(), converter.output_size());
        let source: Vec<_> =
            source.iter().enumerate().map(|(n, p)| (p.as_slice(), format.visible(n, SIZE).0)).collect();
        let source = PictureRef::new(format, SIZE, &source).expect("the planes were made for the format and size");
        let planes = result.iter_mut().enumerate().map(|(n, p)| (p.as_mut_slice(), format.visible(n, size).0));
        let mut result = PictureMut::new(format, size, planes).expect("the planes were made for the format and size");
        converter.resize_passthrough_planes(&source, &mut result, scratch);
        if device_conversion {
            converter.to_device_tensors(&source, region, tensors);
            session.run_converting(tensors).expect("it runs");
            converter.from_device_tensors(&tensors.outputs, region, scratch, &mut result);
        } else {
            converter.to_tensor(&source, region, scratch, input);
            session.run(input, region.tensor, output).expect("it runs");
            converter.from_tensor(output, region, scratch, &mut result);
        }
    }

    /// Bytes copied as integer samples, and as float32 values.
    fn crossing(&mut self, channels: Channels) -> (usize, u64) {
        let format = self.converter.format();
        let planes: Vec<_> =
            self.source.iter().enumerate().map(|(n, p)| (p.as_slice(), format.visible(n, SIZE).0)).collect();
        let source = PictureRef::new(format, SIZE, &planes).expect("the planes were made for the format and size");
        self.converter.to_device_tensors(&source, &self.region, &mut self.tensors);
        let floats = SIZE.pixels() * u64::from(1 + SCALE * SCALE) * channels.count() as u64 * size_of::<f32>() as u64;
        (self.tensors.bytes(), floats)
    }
}

fn conversion(criterion: &mut Criterion) {
    for channels in [Channels::Luma, Channels::Rgb] {
        for format in FORMATS {
            let (codes, floats) = Frame::new(format, channels).crossing(channels);
            println!("{} {channels:?}: {codes} bytes copied as samples, or {floats} as floats", format.name());
        }
    }
    let options = LoadOptions { provider: Provider::Cpu, intra_threads: 1, ..LoadOptions::default() };
    let model = model::load(&Source::parse("fast2x"), options).expect("it is built in, and there is an ONNX Runtime");
    for format in FORMATS {
        let mut frame = Frame::new(format, Channels::Luma);
        let mut group = criterion.benchmark_group(format!("{} fast2x", format.name()));
        group.sample_size(20);
        let mut session = model.open_session().expect("it was loaded");
        group.bench_function("processor", |bench| bench.iter(|| frame.upscale(&mut *session, false)));
        let mut session = model.open_converting(&frame.converter.encoding(), 1).expect("it can be extended");
        group.bench_function("device", |bench| bench.iter(|| frame.upscale(&mut *session, true)));
        group.finish();
    }
}

criterion_group!(benches, conversion);
criterion_main!(benches);

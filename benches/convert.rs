//! Conversion between pixels and tensors, in bytes touched (read and written) per second.
//!
//! `cargo bench --bench convert` prints a line for each step at 640x360, upscaled to 1280x720.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gstupscale::picture::convert::{Converter, Scratch};
use gstupscale::picture::format::{ChromaSite, Colour, Matrix, PictureMut, PictureRef, PixelFormat, Range};
use gstupscale::picture::region::{Limits, Region, cover};
use gstupscale::types::Channels;
use gstupscale::types::Size;

const INPUT: Size = Size { width: 640, height: 360 };
const SCALE: u32 = 2;

/// A picture in memory, tightly packed.
struct Picture {
    format: PixelFormat,
    size: Size,
    planes: Vec<Vec<u8>>,
}

impl Picture {
    fn new(format: PixelFormat, size: Size) -> Self {
        let plane = |plane| {
            let (row_bytes, rows) = format.visible(plane, size);
            (0..row_bytes * rows).map(|at| (at * 37 % 251) as u8).collect()
        };
        Self { format, size, planes: (0..format.planes()).map(plane).collect() }
    }

    fn stride(&self, plane: usize) -> usize {
        self.format.visible(plane, self.size).0
    }

    fn bytes(&self) -> usize {
        self.planes.iter().map(Vec::len).sum()
    }

    fn view(&self) -> PictureRef<'_> {
        let planes: Vec<_> = self.planes.iter().enumerate().map(|(i, p)| (p.as_slice(), self.stride(i))).collect();
        PictureRef::new(self.format, self.size, &planes).expect("the planes were made for the format and size")
    }

    fn view_mut(&mut self) -> PictureMut<'_> {
        let (format, size) = (self.format, self.size);
        let planes = self.planes.iter_mut().enumerate().map(|(i, p)| (p.as_mut_slice(), format.visible(i, size).0));
        PictureMut::new(format, size, planes).expect("the planes were made for the format and size")
    }
}

/// A frame with its buffers.
struct Frame {
    converter: Converter,
    src: Picture,
    dst: Picture,
    region: Region,
    scratch: Scratch,
    tensor: Vec<f32>,
    result: Vec<f32>,
}

impl Frame {
    fn new(format: PixelFormat, channels: Channels) -> Self {
        let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site: ChromaSite::MPEG2 };
        let converter = Converter::new(format, colour, INPUT, channels, SCALE);
        let values = channels.count() * (INPUT.width * INPUT.height * SCALE * SCALE) as usize;
        let mut frame = Self {
            src: Picture::new(format, INPUT),
            dst: Picture::new(format, converter.output_size()),
            converter,
            region: cover(INPUT, Limits::default())[0],
            scratch: Scratch::default(),
            tensor: Vec::new(),
            result: (0..values).map(|at| (at % 1009) as f32 / 1008.0).collect(),
        };
        frame.begin();
        frame.write_tensor();
        frame
    }

    fn begin(&mut self) {
        self.converter.resize_passthrough_planes(&self.src.view(), &mut self.dst.view_mut(), &mut self.scratch);
    }

    fn write_tensor(&mut self) {
        self.converter.to_tensor(&self.src.view(), &self.region, &mut self.scratch, &mut self.tensor);
    }

    fn read_tensor(&mut self) {
        self.converter.from_tensor(&self.result, &self.region, &mut self.scratch, &mut self.dst.view_mut());
    }
}

/// Bytes of the planes that a network with `channels` processes.
fn part(picture: &Picture, channels: Channels) -> usize {
    let yuv = !picture.format.name().contains("RGB");
    if channels == Channels::Luma && yuv { picture.planes[0].len() } else { picture.bytes() }
}

fn convert(criterion: &mut Criterion) {
    let luma = [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::P01010Le, PixelFormat::Rgba, PixelFormat::Rgb];
    let rgb = [PixelFormat::I420, PixelFormat::P01010Le, PixelFormat::Rgba, PixelFormat::Rgb];
    let cases = luma.map(|format| (format, Channels::Luma)).into_iter();
    for (format, channels) in cases.chain(rgb.map(|format| (format, Channels::Rgb))) {
        let mut frame = Frame::new(format, channels);
        let mut group = criterion.benchmark_group(format!("{} {channels:?}", format.name()));
        let tensor_bytes = size_of_val(frame.tensor.as_slice());
        group.throughput(Throughput::Bytes((part(&frame.src, channels) + tensor_bytes) as u64));
        group.bench_function("gather", |bench| bench.iter(|| frame.write_tensor()));
        let result_bytes = size_of_val(frame.result.as_slice());
        group.throughput(Throughput::Bytes((part(&frame.dst, channels) + result_bytes) as u64));
        group.bench_function("scatter", |bench| bench.iter(|| frame.read_tensor()));
        if channels == Channels::Luma || format == PixelFormat::Rgba {
            let rest = |picture: &Picture| picture.bytes() - part(picture, channels);
            let bytes = match rest(&frame.src) + rest(&frame.dst) {
                0 => frame.src.bytes() + frame.dst.bytes(),
                chroma => chroma,
            };
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function("begin", |bench| bench.iter(|| frame.begin()));
        }
        group.throughput(Throughput::Bytes((frame.src.bytes() + frame.dst.bytes()) as u64));
        group.bench_function("all", |bench| {
            bench.iter(|| {
                frame.begin();
                frame.write_tensor();
                frame.read_tensor();
            });
        });
        group.finish();
    }
}

criterion_group!(benches, convert);
criterion_main!(benches);

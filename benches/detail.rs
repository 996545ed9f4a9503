//! Measures the detail of a frame's blocks, in bytes of luma per second, and resizes a whole frame.
//!
//! `cargo bench --bench detail` prints a line for each case. The goal for detail is 8 GB/s: 0.11 ms for 1280x720.

mod pictures;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gstupscale::picture::convert::{Converter, Scratch};
use gstupscale::picture::detail::DetailMeter;
use gstupscale::picture::format::{ChromaSite, Colour, Matrix, PictureMut, PictureRef, PixelFormat, Range};
use gstupscale::reuse::BLOCK_SIZE;
use gstupscale::types::{Channels, Rect, Size};

use pictures::{FORMAT, PADDING, planes};

const SIZE: Size = Size { width: 1280, height: 720 };

/// A picture of `format` with the bytes of one of [`FORMAT`].
fn memory(format: PixelFormat) -> Vec<(Vec<u8>, usize)> {
    let (luma, _) = planes(SIZE, PADDING).swap_remove(0);
    let plane = |plane| {
        let (row_bytes, rows) = format.visible(plane, SIZE);
        (luma.iter().copied().cycle().take(row_bytes * rows).collect(), row_bytes)
    };
    (0..format.planes()).map(plane).collect()
}

fn picture(format: PixelFormat, planes: &[(Vec<u8>, usize)]) -> PictureRef<'_> {
    let planes: Vec<_> = planes.iter().map(|(bytes, stride)| (bytes.as_slice(), *stride)).collect();
    PictureRef::new(format, SIZE, &planes).expect("the planes were made for the format and size")
}

fn detail(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("detail {}x{}", SIZE.width, SIZE.height));
    for format in [FORMAT, PixelFormat::P01010Le, PixelFormat::Rgba] {
        let planes = memory(format);
        let (mut meter, mut detail) = (DetailMeter::default(), Vec::new());
        group.throughput(Throughput::Bytes(planes[0].0.len() as u64));
        group.bench_function(format.name(), |bench| {
            bench.iter(|| meter.measure(&picture(format, &planes), Channels::Luma, BLOCK_SIZE, &mut detail));
        });
    }
    group.finish();
}

fn resize(criterion: &mut Criterion) {
    let chroma_site = ChromaSite { h_cosited: false, v_cosited: false };
    let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site };
    let converter = Converter::new(FORMAT, colour, SIZE, Channels::Luma, 2);
    let (planes, output) = (memory(FORMAT), converter.output_size());
    let mut result: Vec<_> = (0..FORMAT.planes())
        .map(|plane| {
            let (row_bytes, rows) = FORMAT.visible(plane, output);
            (vec![0; row_bytes * rows], row_bytes)
        })
        .collect();
    let mut scratch = Scratch::default();
    let strips = |side: u32| -> Vec<Rect> {
        let cells =
            (0..SIZE.height).step_by(8).flat_map(|y| (0..SIZE.width).step_by(2 * side as usize).map(move |x| (x, y)));
        cells.map(|(x, y)| Rect { x, y, width: side.min(SIZE.width - x), height: 8 }).collect()
    };
    let whole = vec![Rect { x: 0, y: 0, width: SIZE.width, height: SIZE.height }];
    let mut group = criterion.benchmark_group(format!("resize {}x{}", SIZE.width, SIZE.height));
    for (name, rects) in [("all", whole), ("every other block", strips(8)), ("every other 64 pixels", strips(64))] {
        group.throughput(Throughput::Elements(4 * rects.iter().map(Rect::pixels).sum::<u64>()));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let views = result.iter_mut().map(|(bytes, stride)| (bytes.as_mut_slice(), *stride));
                let mut target = PictureMut::new(FORMAT, output, views).expect("the planes have the output's size");
                converter.resize_smooth(&picture(FORMAT, &planes), &rects, &mut scratch, &mut target);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, detail, resize);
criterion_main!(benches);

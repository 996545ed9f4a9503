//! Compares a frame with what was upscaled before, in bytes of pixels per second, and finds the dirty rectangles.
//!
//! `cargo bench --bench changed` prints a line for each case. The goals: 10 GB/s if nothing has changed (0.04 ms for
//! 640x360); dirty rectangles of a 1920x1080 frame within 0.2 ms for scattered changes, and within 1 ms for any
//! changes.

mod pictures;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gstupscale::picture::format::PictureRef;
use gstupscale::picture::region::Limits;
use gstupscale::reuse::{BLOCK_SIZE, BlockMap, Compare, Cost, History, dirty_area};
use gstupscale::types::Size;

use pictures::{FORMAT, PADDING, planes};

const SMALL: Size = Size { width: 640, height: 360 };
const LARGE: Size = Size { width: 1920, height: 1080 };
/// Radius of the receptive field, in input pixels: that of a network with a few 3x3 layers.
const REACH: u32 = 10;
/// Fixed cost of a run, in pixels.
const FIXED: u64 = 4000;

fn picture(size: Size, planes: &[(Vec<u8>, usize)]) -> PictureRef<'_> {
    let planes: Vec<_> = planes.iter().map(|(bytes, stride)| (bytes.as_slice(), *stride)).collect();
    PictureRef::new(FORMAT, size, &planes).expect("the planes were made for the format and size")
}

/// Changes luma in squares of 80 pixels, a tenth of the frame in total.
fn change_a_tenth(size: Size, planes: &mut [(Vec<u8>, usize)]) {
    let (luma, stride) = &mut planes[0];
    for y in 0..size.height {
        for x in (0..size.width).filter(|x| (x / 80 + y / 80 * 3) % 10 == 0) {
            luma[y as usize * *stride + x as usize] ^= 0x55;
        }
    }
}

fn compare(criterion: &mut Criterion) {
    for size in [SMALL, LARGE] {
        let visible = |plane| {
            let (row_bytes, rows) = FORMAT.visible(plane, size);
            row_bytes * rows
        };
        let bytes: usize = (0..FORMAT.planes()).map(visible).sum();
        let mut group = criterion.benchmark_group(format!("{} {}x{}", FORMAT.name(), size.width, size.height));
        group.throughput(Throughput::Bytes(bytes as u64));
        for (stride, padding) in [("tight", 0), ("padded", PADDING)] {
            let mut planes = planes(size, padding);
            let mut history = History::new(FORMAT, size);
            history.keep_all(&picture(size, &planes));
            for changed in ["unchanged", "a tenth changed"] {
                for (name, mode) in [("exact", Compare::Exact), ("similar", Compare::Similar { tolerance: 2 })] {
                    let picture = picture(size, &planes);
                    group.bench_function(format!("{name}, {stride}, {changed}"), |bench| {
                        bench.iter(|| history.compare(&picture, mode));
                    });
                }
                change_a_tenth(size, &mut planes);
            }
        }
        group.finish();
    }
}

/// Sets one block in `rarity`, pseudo-randomly (Knuth's MMIX generator).
fn noise(rarity: u64) -> BlockMap {
    let mut map = BlockMap::new(LARGE);
    let mut state = 1u64;
    for row in 0..map.rows() {
        for column in 0..map.columns() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (state >> 33).is_multiple_of(rarity) {
                map.set(column, row);
            }
        }
    }
    map
}

/// A grid of discs with a diameter of `cells` blocks.
fn discs(cells: u32, every: u32) -> BlockMap {
    let mut map = BlockMap::new(LARGE);
    let middle = |cell: u32| (2 * (cell % every)).abs_diff(every).pow(2);
    for row in 0..map.rows() {
        for column in 0..map.columns() {
            if middle(column) + middle(row) < cells.pow(2) {
                map.set(column, row);
            }
        }
    }
    map
}

fn covers(criterion: &mut Criterion) {
    let cost = Cost { fixed_pixels: FIXED, limits: Limits { halo: REACH, ..Limits::default() } };
    let mut group = criterion.benchmark_group(format!("cover {}x{} in {BLOCK_SIZE}s", LARGE.width, LARGE.height));
    let maps = [
        ("64 blocks", noise(500)),
        ("1 block in 100", noise(100)),
        ("1 block in 30", noise(30)),
        ("1 block in 10", noise(10)),
        ("1 block in 2", noise(2)),
        ("a disc", discs(90, 135)),
        ("discs", discs(8, 40)),
    ];
    for (name, map) in &maps {
        group.bench_function(*name, |bench| bench.iter(|| dirty_area(map, LARGE, REACH, |rect| cost.of(rect, LARGE))));
    }
    group.finish();
}

criterion_group!(benches, compare, covers);
criterion_main!(benches);

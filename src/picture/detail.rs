//! How much detail a picture has, block by block.
//!
//! The detail of a sample is `|9 c - s|`, where `s` is the sum over the 3x3 samples around it: an 8-neighbour Laplacian.
//! A block counts the samples around it as well, because an interpolation looks beyond the block's edge.

use std::ops::AddAssign;

use super::format::{Kind, PictureRef};
use super::samples::simd;
use crate::types::Channels;

/// Samples around a block that count as part of it.
const MARGIN: usize = 1;

/// Measures pictures; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct DetailMeter {
    bytes: Buffers<i16>,
    words: Buffers<i32>,
}

#[derive(Debug, Default)]
struct Buffers<S> {
    /// Sums down three rows, with the first and last sample repeated.
    sums: Vec<S>,
    /// For each sample of a row, the most detail in any row of a block.
    most: Vec<S>,
}

/// A plane of a picture, and how it divides into blocks.
struct Plane<'a> {
    picture: &'a PictureRef<'a>,
    index: usize,
    rows: usize,
    /// Samples in a row, of all components.
    samples: usize,
    /// Samples from one pixel to the next.
    step: usize,
    /// Samples in a row of a block, and rows.
    block: (usize, usize),
    /// How far samples are shifted to the right for 8-bit code values.
    shift: u32,
}

impl DetailMeter {
    /// The most detail in each block of `side` by `side` luma pixels (a multiple of 2), in row-major order and in 8-bit
    /// code values. Looks at what a network of `channels` sees of the picture; alpha beside R, G and B counts, too.
    pub fn measure(&mut self, picture: &PictureRef, channels: Channels, side: u32, detail: &mut Vec<u16>) {
        let (layout, size) = (picture.format().layout(), picture.size());
        detail.clear();
        detail.resize(size.width.div_ceil(side) as usize * size.height.div_ceil(side) as usize, 0);
        let luma_alone = channels == Channels::Luma && layout.kind == Kind::Yuv;
        for index in 0..if luma_alone { 1 } else { layout.planes } {
            let halved = |sub: bool| usize::from(sub && index > 0 && layout.kind == Kind::Yuv) + 1;
            let (columns, rows) = layout.plane_size(index, size);
            let step = layout.plane_step(index).expect("the plane is one of the format's") / layout.bytes;
            let side = side as usize;
            let plane = Plane {
                picture,
                index,
                rows,
                samples: columns * step,
                step,
                block: (side / halved(layout.h_sub) * step, side / halved(layout.v_sub)),
                shift: layout.depth - 8 + layout.shift,
            };
            let blocks_per_row = size.width.div_ceil(side as u32) as usize;
            if layout.bytes == 1 {
                self.bytes.add(&plane, blocks_per_row, detail);
            } else {
                self.words.add(&plane, blocks_per_row, detail);
            }
        }
    }
}

/// The type in which a sample's detail is calculated.
trait Sum: Copy + Default + Ord + AddAssign {
    /// Bytes of a sample in memory.
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    /// `|9 middle - sum|`.
    fn detail(middle: Self, sum: [Self; 3]) -> Self;
    fn code(self, shift: u32) -> u16;
}

macro_rules! sum {
    ($type:ty, $sample:ty, $bytes:literal) => {
        impl Sum for $type {
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut sample = [0; $bytes];
                sample.copy_from_slice(&bytes[..$bytes]);
                <$sample>::from_le_bytes(sample) as $type
            }
            #[inline(always)]
            fn detail(middle: Self, sum: [Self; 3]) -> Self {
                (9 * middle - sum[0] - sum[1] - sum[2]).abs()
            }
            #[inline(always)]
            fn code(self, shift: u32) -> u16 {
                (self >> shift) as u16
            }
        }
    };
}

// 9 times the largest sample fits.
sum!(i16, u8, 1);
sum!(i32, u16, 2);

impl<S: Sum> Buffers<S> {
    /// Raises the blocks in `detail` to what the plane has.
    fn add(&mut self, plane: &Plane, blocks_per_row: usize, detail: &mut [u16]) {
        let Plane { samples, step, block: (width, height), .. } = *plane;
        self.sums.resize(samples + 2 * step, S::default());
        for (row, detail) in detail.chunks_exact_mut(blocks_per_row).enumerate() {
            let begin = row * height;
            if begin >= plane.rows {
                break;
            }
            self.most.clear();
            self.most.resize(samples, S::default());
            for y in begin.saturating_sub(MARGIN)..(begin + height + MARGIN).min(plane.rows) {
                self.add_row(plane, y);
            }
            for (index, detail) in detail.iter_mut().enumerate() {
                let begin = (index * width).saturating_sub(MARGIN * step);
                let end = ((index + 1) * width + MARGIN * step).min(samples);
                let most = self.most.get(begin..end).unwrap_or_default();
                let most = most.iter().fold(S::default(), |most, &sample| most.max(sample));
                *detail = most.code(plane.shift).max(*detail);
            }
        }
    }

    /// Raises `most` to the detail of a row.
    fn add_row(&mut self, plane: &Plane, y: usize) {
        let Plane { samples, step, .. } = *plane;
        let row = |y: usize| &plane.picture.row(plane.index, y)[..samples * S::BYTES];
        let rows = [row(y.saturating_sub(1)), row(y), row((y + 1).min(plane.rows - 1))];
        let (sums, most) = (&mut self.sums[..], &mut self.most[..]);
        simd(
            #[inline(always)]
            || add_columns(rows, &mut sums[step..samples + step]),
        );
        sums.copy_within(step..2 * step, 0);
        sums.copy_within(samples..samples + step, samples + step);
        simd(
            #[inline(always)]
            || raise(rows[1], [&sums[..samples], &sums[step..][..samples], &sums[2 * step..][..samples]], most),
        );
    }
}

#[inline(always)]
fn add_columns<S: Sum>(rows: [&[u8]; 3], sums: &mut [S]) {
    let [above, here, below] = rows.map(|row| row.chunks_exact(S::BYTES));
    for (sum, ((above, here), below)) in sums.iter_mut().zip(above.zip(here).zip(below)) {
        let mut column = S::read(above);
        column += S::read(here);
        column += S::read(below);
        *sum = column;
    }
}

#[inline(always)]
fn raise<S: Sum>(here: &[u8], [left, middle, right]: [&[S]; 3], most: &mut [S]) {
    let sums = left.iter().zip(middle).zip(right);
    for ((most, sample), ((&left, &middle), &right)) in most.iter_mut().zip(here.chunks_exact(S::BYTES)).zip(sums) {
        *most = S::detail(S::read(sample), [left, middle, right]).max(*most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::picture::format::PixelFormat;
    use crate::types::Size;

    /// Bytes and stride of each plane.
    type Planes = Vec<(Vec<u8>, usize)>;

    fn planes(format: PixelFormat, size: Size, fill: impl Fn(usize, usize, usize) -> u16) -> Planes {
        let layout = format.layout();
        (0..layout.planes)
            .map(|plane| {
                let (row_bytes, rows) = format.visible(plane, size);
                let samples = row_bytes / layout.bytes;
                let values = (0..rows).flat_map(|y| (0..samples).map(move |x| (x, y)));
                let bytes = values.flat_map(|(x, y)| fill(plane, x, y).to_le_bytes()[..layout.bytes].to_vec());
                (bytes.collect(), row_bytes)
            })
            .collect()
    }

    fn measure(format: PixelFormat, size: Size, channels: Channels, planes: &Planes) -> Vec<u16> {
        let views: Vec<_> = planes.iter().map(|(bytes, stride)| (bytes.as_slice(), *stride)).collect();
        let picture = PictureRef::new(format, size, &views).unwrap();
        let mut detail = Vec::new();
        DetailMeter::default().measure(&picture, channels, 8, &mut detail);
        detail
    }

    #[test]
    fn a_flat_picture_has_no_detail_and_one_sample_touches_its_neighbours() {
        let size = Size { width: 30, height: 18 };
        for format in PixelFormat::ALL {
            let layout = format.layout();
            let unit = 1 << (layout.depth - 8 + layout.shift);
            let flat = planes(*format, size, |_, _, _| 7 * unit);
            assert_eq!(measure(*format, size, Channels::Rgb, &flat), [0; 12], "{}", format.name());
            let step = layout.components[0].step / layout.bytes;
            let dot = planes(
                *format,
                size,
                |plane, x, y| {
                    if (plane, x, y) == (0, 7 * step, 4) { 9 * unit } else { 7 * unit }
                },
            );
            let detail = measure(*format, size, Channels::Luma, &dot);
            assert_eq!(detail, [16, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "{}", format.name());
        }
    }

    #[test]
    fn chroma_counts_for_a_network_that_sees_it() {
        let size = Size { width: 16, height: 16 };
        for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Y444] {
            let dot = planes(format, size, |plane, x, y| u16::from((plane, x, y) == (1, 4, 2)));
            let sees = |channels| measure(format, size, channels, &dot).iter().any(|&detail| detail > 0);
            assert!(sees(Channels::Rgb) && !sees(Channels::Luma), "{}", format.name());
        }
    }

    proptest! {
        #[test]
        fn it_is_the_largest_laplacian_in_and_around_a_block(
            (width, height) in (1u32..40, 1u32..40), values in prop::collection::vec(any::<u16>(), 1600), deep in any::<bool>(),
        ) {
            let size = Size { width, height };
            let format = if deep { PixelFormat::Gray16Le } else { PixelFormat::Gray8 };
            let value = |x: i64, y: i64| {
                let (x, y) = (x.clamp(0, i64::from(width) - 1), y.clamp(0, i64::from(height) - 1));
                let value = values[(y * 40 + x) as usize];
                i64::from(if deep { value } else { value & 0xff })
            };
            let planes = planes(format, size, |_, x, y| value(x as i64, y as i64) as u16);
            let detail = measure(format, size, Channels::Luma, &planes);
            for (index, detail) in detail.iter().enumerate() {
                let (column, row) = (index as i64 % i64::from(width.div_ceil(8)), index as i64 / i64::from(width.div_ceil(8)));
                let within = |begin: i64, length: u32| (8 * begin - 1).max(0)..(8 * begin + 9).min(i64::from(length));
                let laplacian = |x: i64, y: i64| {
                    let around: i64 = (-1..=1).flat_map(|v| (-1..=1).map(move |u| value(x + u, y + v))).sum();
                    (9 * value(x, y) - around).abs()
                };
                let most = within(row, height).flat_map(|y| within(column, width).map(move |x| (x, y)));
                let most = most.map(|(x, y)| laplacian(x, y)).max().unwrap();
                prop_assert_eq!(i64::from(*detail), if deep { most >> 8 } else { most });
            }
        }
    }
}

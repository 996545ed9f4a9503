//! Detects where a frame differs from what was upscaled before.

use std::ops::{AddAssign, Range};

use super::block_map::{BLOCK_SIZE, BlockMap};
use crate::picture::format::{Kind, PictureRef, PixelFormat};
use crate::picture::samples::simd;
use crate::types::{Rect, Size};

/// When a block counts as changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// When any of its bytes differs.
    Exact,
    /// When a sample differs by more than `tolerance`, or the mean of a component over 16x16 pixels differs by more
    /// than half a code value, so that slow fades are followed. Noise triggers neither. Over 8x8 pixels, the mean would
    /// react to what an encoder does to a still picture: on a static camera, that would triple the area to upscale.
    ///
    /// In 8-bit code values; at a depth of 10 bits, one of them is worth 4.
    Similar { tolerance: u32 },
}

/// Width and height, in blocks, of the groups whose means are compared.
const MEAN_BLOCKS: u32 = 2;

/// The blocks in which a frame differs from the history. May contain unchanged blocks, but never misses a changed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Blocks that differ in luma, or in R, G, B or alpha.
    pub luma: BlockMap,
    /// Blocks that differ in the chroma-only planes. Empty if there are none.
    pub chroma: BlockMap,
}

impl Changes {
    /// Everything has changed.
    pub fn all(frame: Size) -> Self {
        let mut all = BlockMap::new(frame);
        all.fill();
        Changes { luma: all.clone(), chroma: all }
    }
}

/// What was upscaled last at each place of a frame. Not the previous frame: small changes that were tolerated must add
/// up.
#[derive(Debug)]
pub struct History {
    format: PixelFormat,
    size: Size,
    planes: Vec<Plane>,
    /// Whether a first frame has been kept.
    known: bool,
}

/// Samples of one plane without padding, and the layout of its blocks.
#[derive(Debug)]
struct Plane {
    bytes: Vec<u8>,
    row_bytes: usize,
    rows: usize,
    /// Bytes per pixel.
    step: usize,
    /// Bytes per row of a block.
    block_bytes: usize,
    block_rows: usize,
    /// Subsampling: luma pixels per sample of this plane, horizontally and vertically.
    sub: (u32, u32),
}

impl Plane {
    fn new(format: PixelFormat, index: usize, size: Size) -> Self {
        let layout = format.layout();
        let (row_bytes, rows) = format.visible(index, size);
        let step = layout.plane_step(index).expect("the plane is one of the format's");
        let halved = |sub: bool| if sub && layout.kind == Kind::Yuv && index > 0 { 2 } else { 1 };
        let sub = (halved(layout.h_sub), halved(layout.v_sub));
        Plane {
            bytes: vec![0; row_bytes * rows],
            row_bytes,
            rows,
            step,
            block_bytes: (BLOCK_SIZE / sub.0) as usize * step,
            block_rows: (BLOCK_SIZE / sub.1) as usize,
            sub,
        }
    }

    /// The sample rows of a row of blocks.
    fn band(&self, row: u32) -> Range<usize> {
        let first = row as usize * self.block_rows;
        first..(first + self.block_rows).min(self.rows)
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.bytes[y * self.row_bytes..][..self.row_bytes]
    }

    /// Copies the picture's samples in `rect`.
    fn keep(&mut self, picture: &PictureRef, index: usize, rect: Rect) {
        // A chroma sample belongs to the first luma pixel that it covers.
        let samples = |begin: u32, length: u32, sub: u32| {
            begin.div_ceil(sub) as usize..begin.saturating_add(length).div_ceil(sub) as usize
        };
        let columns = samples(rect.x, rect.width, self.sub.0);
        let rows = samples(rect.y, rect.height, self.sub.1);
        let bytes = (columns.start * self.step).min(self.row_bytes)..(columns.end * self.step).min(self.row_bytes);
        for y in rows.start..rows.end.min(self.rows) {
            let to = &mut self.bytes[y * self.row_bytes..][..self.row_bytes];
            to[bytes.clone()].copy_from_slice(&picture.row(index, y)[bytes.clone()]);
        }
    }
}

impl History {
    /// A history without a frame: everything counts as changed until [`keep_all`](Self::keep_all).
    pub fn new(format: PixelFormat, size: Size) -> Self {
        let planes = (0..format.planes()).map(|index| Plane::new(format, index, size)).collect();
        History { format, size, planes, known: false }
    }

    /// Returns the blocks in which `picture` differs. Where nearly all blocks do, the rest are set without a
    /// comparison.
    ///
    /// Padding bytes, such as the fourth byte of RGBx, count as well.
    ///
    /// # Panics
    /// If the picture has another format or size.
    pub fn compare(&self, picture: &PictureRef, mode: Compare) -> Changes {
        self.check(picture);
        let longest = self.planes.iter().map(|plane| plane.row_bytes).max().unwrap_or(0);
        let layout = self.format.layout();
        let code = 1 << (layout.depth - 8 + layout.shift);
        match mode {
            Compare::Exact => self.compare_by(picture, &mut Exact { differ: vec![0; longest] }),
            Compare::Similar { tolerance } if layout.bytes == 1 => {
                let tolerance = tolerance.min(0xff) as u8;
                self.compare_by(picture, &mut Similar::new(longest, tolerance, code))
            }
            Compare::Similar { tolerance } => {
                let tolerance = tolerance.saturating_mul(code as u32).min(0xffff) as u16;
                self.compare_by(picture, &mut Similar::new(longest / 2, tolerance, code))
            }
        }
    }

    /// Copies the samples of `picture` in `rect`, in luma pixels, because that region has been upscaled. A subsampled
    /// chroma sample belongs to its first pixel. The rectangle may extend beyond the frame.
    ///
    /// # Panics
    /// If the picture has another format or size.
    pub fn keep(&mut self, picture: &PictureRef, rect: Rect) {
        self.check(picture);
        for (index, plane) in self.planes.iter_mut().enumerate() {
            plane.keep(picture, index, rect);
        }
    }

    /// Copies the chroma-only planes.
    ///
    /// # Panics
    /// If the picture has another format or size.
    pub fn keep_chroma(&mut self, picture: &PictureRef) {
        self.check(picture);
        let whole = self.whole();
        for index in self.chroma() {
            self.planes[index].keep(picture, index, whole);
        }
    }

    /// Copies the whole picture.
    ///
    /// # Panics
    /// If the picture has another format or size.
    pub fn keep_all(&mut self, picture: &PictureRef) {
        self.keep(picture, self.whole());
        self.known = true;
    }

    /// Forgets the frame that was kept.
    pub fn forget(&mut self) {
        self.known = false;
    }

    fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.size.width, height: self.size.height }
    }

    /// The chroma-only planes; those before hold everything else.
    fn chroma(&self) -> Range<usize> {
        let first = if self.format.layout().kind == Kind::Yuv { 1 } else { self.planes.len() };
        first..self.planes.len()
    }

    fn check(&self, picture: &PictureRef) {
        assert_eq!((picture.format(), picture.size()), (self.format, self.size), "pictures of one format and size");
    }

    fn compare_by(&self, picture: &PictureRef, tally: &mut impl Tally) -> Changes {
        let mut changes = Changes { luma: BlockMap::new(self.size), chroma: BlockMap::new(self.size) };
        let chroma = self.chroma();
        let mut all = !self.known;
        for (map, planes) in [(&mut changes.luma, 0..chroma.start), (&mut changes.chroma, chroma)] {
            if planes.is_empty() {
                continue;
            }
            // Where nearly all of luma has changed, chroma does not matter.
            all = all || self.mark(picture, planes, tally, map);
            if all {
                map.fill();
            }
        }
        changes
    }

    /// Sets the blocks in which `planes` differ. Returns true, early, if nearly all of them do.
    fn mark<T: Tally>(&self, picture: &PictureRef, planes: Range<usize>, tally: &mut T, map: &mut BlockMap) -> bool {
        /// One band in this many is compared first, spread over the frame: the top alone might be a video in a window.
        const EVERY: u32 = 4;
        /// With fewer bands, stopping early saves nothing.
        const MIN_BANDS: u32 = 8;
        let bands = map.rows().div_ceil(T::BAND);
        let mut mark_band = |band: u32, map: &mut BlockMap| {
            for index in planes.clone() {
                tally.mark(&Pair { new: picture, old: &self.planes[index], index }, band, map);
            }
        };
        let first = (0..bands).step_by(EVERY as usize);
        first.clone().for_each(|band| mark_band(band, map));
        let rows: u32 = first.map(|band| T::BAND.min(map.rows() - band * T::BAND)).sum();
        let seen = rows as usize * map.columns() as usize;
        if bands >= MIN_BANDS && map.count() * 10 > seen * 9 {
            return true;
        }
        (0..bands).filter(|band| !band.is_multiple_of(EVERY)).for_each(|band| mark_band(band, map));
        false
    }
}

/// A plane of a picture and the same plane of the history.
struct Pair<'a> {
    new: &'a PictureRef<'a>,
    old: &'a Plane,
    index: usize,
}

impl<'a> Pair<'a> {
    /// The sample rows of a row of blocks; `None` if they are equal, which is the fast path for what encoders skip.
    fn differing(&self, row: u32) -> Option<impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + use<'a>> {
        let (new, old, index) = (self.new, self.old, self.index);
        let rows = old.band(row).map(move |y| (new.row(index, y), old.row(y)));
        let same = rows.clone().all(|(new, old)| new == old);
        (!same).then_some(rows)
    }
}

/// Finds the changed blocks in rows of samples.
trait Tally {
    /// Rows of blocks that are compared together.
    const BAND: u32;
    /// Sets the blocks of a band in which the plane differs from the history.
    fn mark(&mut self, pair: &Pair, band: u32, map: &mut BlockMap);
}

struct Exact {
    /// For each byte of a row, the bits that differ in any of the rows.
    differ: Vec<u8>,
}

impl Tally for Exact {
    const BAND: u32 = 1;

    fn mark(&mut self, pair: &Pair, band: u32, map: &mut BlockMap) {
        let Some(rows) = pair.differing(band) else { return };
        let blocks = map.row_mut(band);
        let differ = &mut self.differ[..pair.old.row_bytes];
        differ.fill(0);
        for (new, old) in rows {
            simd(
                #[inline(always)]
                || add_differing(differ, new, old),
            );
        }
        match pair.old.block_bytes {
            4 => mark_differing::<4>(differ, blocks),
            8 => mark_differing::<8>(differ, blocks),
            16 => mark_differing::<16>(differ, blocks),
            bytes => {
                let any = differ.chunks(bytes).map(|block| block.iter().any(|bits| *bits != 0));
                blocks.iter_mut().zip(any).for_each(|(block, any)| *block |= any);
            }
        }
    }
}

#[inline(always)]
fn add_differing(differ: &mut [u8], new: &[u8], old: &[u8]) {
    for ((differ, new), old) in differ.iter_mut().zip(new).zip(old) {
        *differ |= new ^ old;
    }
}

fn mark_differing<const BYTES: usize>(differ: &[u8], blocks: &mut [bool]) {
    let any = |block: &[u8]| block.iter().fold(0, |all, bits| all | bits) != 0;
    let (whole, rest) = differ.as_chunks::<BYTES>();
    for (block, bits) in blocks.iter_mut().zip(whole) {
        *block |= any(bits);
    }
    if let Some(block) = blocks.get_mut(whole.len()) {
        *block |= any(rest);
    }
}

/// A sample as stored in memory.
trait Sample: Copy + Default + Ord {
    /// Type for the sum of differences down a column of a band.
    type Sum: Copy + Default + AddAssign + Into<i32>;
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    fn distance(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self::Sum;
}

macro_rules! sample {
    ($type:ty, $sum:ty, $bytes:literal) => {
        impl Sample for $type {
            type Sum = $sum;
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut sample = [0; $bytes];
                sample.copy_from_slice(&bytes[..$bytes]);
                <$type>::from_le_bytes(sample)
            }
            #[inline(always)]
            fn distance(self, other: Self) -> Self {
                self.abs_diff(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> $sum {
                <$sum>::from(self) - <$sum>::from(other)
            }
        }
    };
}

sample!(u8, i16, 1);
sample!(u16, i32, 2);

struct Similar<S: Sample> {
    /// For each sample of a row, the largest difference in any of the rows.
    most: Vec<S>,
    /// For each sample of a row, the sum of the differences over all rows.
    sum: Vec<S::Sum>,
    tolerance: S,
    /// The value of one 8-bit code step.
    code: i32,
}

impl<S: Sample> Similar<S> {
    fn new(longest: usize, tolerance: S, code: i32) -> Self {
        Similar { most: vec![S::default(); longest], sum: vec![S::Sum::default(); longest], tolerance, code }
    }

    /// Sets the blocks, `width` samples wide, in which a sample differs by more than the tolerance.
    fn mark_far(&self, width: usize, samples: usize, blocks: &mut [bool]) {
        for (block, most) in blocks.iter_mut().zip(self.most[..samples].chunks(width)) {
            let far = most.iter().fold(S::default(), |far, &most| far.max(most));
            *block |= far > self.tolerance;
        }
    }

    /// The groups, `width` samples wide and `rows` high, whose mean differs too much; a row interleaves `COMPONENTS`
    /// components.
    #[inline(always)]
    fn drifted<const COMPONENTS: usize>(
        &self,
        width: usize,
        samples: usize,
        rows: usize,
    ) -> impl Iterator<Item = usize> {
        self.sum[..samples].chunks(width).enumerate().filter_map(move |(group, sum)| {
            let mut sums = [0; COMPONENTS];
            for pixel in sum.chunks_exact(COMPONENTS) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &difference)| *sum += difference.into());
            }
            // Half a code value on average: compare twice the sum with one code value per sample.
            let count = (sum.len() / COMPONENTS * rows) as i32;
            sums.iter().any(|sum| 2 * sum.abs() > count * self.code).then_some(group)
        })
    }
}

impl<S: Sample> Tally for Similar<S> {
    const BAND: u32 = MEAN_BLOCKS;

    fn mark(&mut self, pair: &Pair, band: u32, map: &mut BlockMap) {
        let plane = pair.old;
        let (samples, width) = (plane.row_bytes / S::BYTES, plane.block_bytes / S::BYTES);
        self.sum[..samples].fill(S::Sum::default());
        let band = band * MEAN_BLOCKS..((band + 1) * MEAN_BLOCKS).min(map.rows());
        let mut differs = false;
        for row in band.clone() {
            let Some(rows) = pair.differing(row) else { continue };
            differs = true;
            let (most, sum) = (&mut self.most[..samples], &mut self.sum[..samples]);
            most.fill(S::default());
            for (new, old) in rows {
                simd(
                    #[inline(always)]
                    || add_distances(most, sum, new, old),
                );
            }
            self.mark_far(width, samples, map.row_mut(row));
        }
        if !differs {
            return;
        }
        let rows = band.clone().map(|row| plane.band(row).len()).sum();
        let width = width * MEAN_BLOCKS as usize;
        let mut set = |group: usize| {
            for row in band.clone() {
                let blocks = map.row_mut(row);
                let begin = group * MEAN_BLOCKS as usize;
                let end = (begin + MEAN_BLOCKS as usize).min(blocks.len());
                blocks[begin..end].fill(true);
            }
        };
        match plane.step / S::BYTES {
            1 => self.drifted::<1>(width, samples, rows).for_each(&mut set),
            2 => self.drifted::<2>(width, samples, rows).for_each(&mut set),
            3 => self.drifted::<3>(width, samples, rows).for_each(&mut set),
            _ => self.drifted::<4>(width, samples, rows).for_each(&mut set),
        }
    }
}

#[inline(always)]
fn add_distances<S: Sample>(most: &mut [S], sum: &mut [S::Sum], new: &[u8], old: &[u8]) {
    let samples = new.chunks_exact(S::BYTES).zip(old.chunks_exact(S::BYTES));
    for ((most, sum), (new, old)) in most.iter_mut().zip(sum).zip(samples) {
        let (new, old) = (S::read(new), S::read(old));
        *most = (*most).max(new.distance(old));
        *sum += new.minus(old);
    }
}

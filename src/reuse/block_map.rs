//! The grid of blocks on which changes are detected and covered.

use crate::types::{Rect, Size};

/// Side of a block, in luma pixels.
///
/// Video codecs change blocks of 16x16 or 4x4 pixels, and their deblocking filters change three more pixels around
/// them: with 8-pixel blocks those three pixels cost a block of 8, not one of 16. Smaller blocks would gain little
/// precision and take longer to cover.
pub const BLOCK_SIZE: u32 = 8;

/// A set of blocks of a frame. The frame's edge may cut the last column and row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMap {
    columns: u32,
    rows: u32,
    /// In row-major order.
    blocks: Vec<bool>,
}

impl BlockMap {
    /// An empty map for a frame of `frame` pixels.
    pub fn new(frame: Size) -> Self {
        Self::of(frame.width.div_ceil(BLOCK_SIZE), frame.height.div_ceil(BLOCK_SIZE))
    }

    pub(super) fn of(columns: u32, rows: u32) -> Self {
        BlockMap { columns, rows, blocks: vec![false; columns as usize * rows as usize] }
    }

    pub fn columns(&self) -> u32 {
        self.columns
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether no block is set.
    pub fn is_empty(&self) -> bool {
        !self.blocks.contains(&true)
    }

    /// Whether all blocks are set.
    pub fn is_full(&self) -> bool {
        !self.blocks.contains(&false)
    }

    /// Number of blocks set.
    pub fn count(&self) -> usize {
        self.blocks.iter().map(|&block| usize::from(block)).sum()
    }

    /// Fraction of the blocks that are set, from 0 to 1; 0 for a map without blocks.
    pub fn share(&self) -> f64 {
        self.count() as f64 / self.blocks.len().max(1) as f64
    }

    /// # Panics
    /// If the block does not exist.
    pub fn get(&self, column: u32, row: u32) -> bool {
        self.row(row)[column as usize]
    }

    /// # Panics
    /// If the block does not exist.
    pub fn set(&mut self, column: u32, row: u32) {
        self.row_mut(row)[column as usize] = true;
    }

    /// Sets all blocks.
    pub fn fill(&mut self) {
        self.blocks.fill(true);
    }

    /// Sets the fewest blocks that cover `rect`, in pixels, when grown by `dilation` pixels on all sides. With a
    /// dilation of 0, these are the blocks it touches, otherwise those around its centre:
    /// [`dirty_area`](super::dirty_area()) adds the rest anyway.
    pub fn set_within(&mut self, rect: Rect, dilation: u32) {
        let blocks = |begin: u32, length: u32, count: u32| {
            let first = ((begin + dilation) / BLOCK_SIZE).min(count.saturating_sub(1));
            let end =
                (begin + length).saturating_sub(dilation).div_ceil(BLOCK_SIZE).clamp(first + 1, count.max(first + 1));
            first as usize..end as usize
        };
        if rect.width == 0 || rect.height == 0 || self.blocks.is_empty() {
            return;
        }
        let columns = blocks(rect.x, rect.width, self.columns);
        for row in blocks(rect.y, rect.height, self.rows) {
            self.row_mut(row as u32)[columns.clone()].fill(true);
        }
    }

    /// Sets every block that is set in `other`, a map of the same frame.
    ///
    /// # Panics
    /// If the maps have different sizes.
    pub fn add(&mut self, other: &BlockMap) {
        assert_eq!((self.columns, self.rows), (other.columns, other.rows), "maps of one frame");
        or(&mut self.blocks, &other.blocks);
    }

    /// Clears every block that is not set in `other`, a map of the same frame.
    pub(super) fn keep(&mut self, other: &BlockMap) {
        self.blocks.iter_mut().zip(&other.blocks).for_each(|(block, other)| *block &= *other);
    }

    /// Clears every block that is set in `other`, a map of the same frame.
    pub(super) fn remove(&mut self, other: &BlockMap) {
        self.blocks.iter_mut().zip(&other.blocks).for_each(|(block, other)| *block &= !*other);
    }

    /// Column and row of each block that is set, in row-major order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.rows).flat_map(|row| {
            let set = self.row(row).iter().enumerate().filter(|(_, block)| **block);
            set.map(move |(column, _)| (column as u32, row))
        })
    }

    /// The blocks of a row.
    pub(super) fn row(&self, row: u32) -> &[bool] {
        &self.blocks[row as usize * self.columns as usize..][..self.columns as usize]
    }

    pub(super) fn row_mut(&mut self, row: u32) -> &mut [bool] {
        &mut self.blocks[row as usize * self.columns as usize..][..self.columns as usize]
    }

    /// Fills the gaps that close when all blocks are grown by `radius` blocks. Growing the result by `radius` yields the
    /// same map as growing the original.
    pub(super) fn close(&self, radius: u32) -> BlockMap {
        if radius == 0 {
            return self.clone();
        }
        // Eroding is growing the complement. Nothing grows in from outside the frame, so the edge never counts as a
        // gap.
        let mut map = self.grow(radius);
        map.invert();
        let mut map = map.grow(radius);
        map.invert();
        map
    }

    fn invert(&mut self) {
        self.blocks.iter_mut().for_each(|block| *block = !*block);
    }

    /// Also sets the blocks at most `radius` blocks from one that is set, diagonals included.
    pub(super) fn grow(&self, radius: u32) -> BlockMap {
        let (columns, rows) = (self.columns as usize, self.rows);
        let mut wide = self.clone();
        for row in 0..rows {
            let (from, to) = (self.row(row), wide.row_mut(row));
            for shift in 1..columns.min(radius as usize + 1) {
                or(&mut to[shift..], &from[..columns - shift]);
                or(&mut to[..columns - shift], &from[shift..]);
            }
        }
        let mut map = wide.clone();
        for row in 0..rows {
            for other in row.saturating_sub(radius)..rows.min(row.saturating_add(radius).saturating_add(1)) {
                or(map.row_mut(row), wide.row(other));
            }
        }
        map
    }

    /// A map with half the columns and rows: a block is set if any of its four was.
    pub(super) fn halve(&self) -> BlockMap {
        let mut half = BlockMap::of(self.columns.div_ceil(2), self.rows.div_ceil(2));
        for row in 0..self.rows {
            for (block, pair) in half.row_mut(row / 2).iter_mut().zip(self.row(row).chunks(2)) {
                *block |= pair.contains(&true);
            }
        }
        half
    }
}

fn or(to: &mut [bool], from: &[bool]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(columns: u32, rows: u32, set: &[(u32, u32)]) -> BlockMap {
        let mut map = BlockMap::of(columns, rows);
        set.iter().for_each(|&(column, row)| map.set(column, row));
        map
    }

    #[test]
    fn a_block_cut_by_the_edge_counts() {
        let map = BlockMap::new(Size { width: 17, height: 8 });
        assert_eq!((map.columns(), map.rows()), (3, 1));
    }

    #[test]
    fn set_blocks_are_counted_and_listed() {
        let mut map = map(4, 2, &[(3, 1), (0, 0)]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0, 0), (3, 1)]);
        assert_eq!((map.count(), map.share(), map.is_empty()), (2, 0.25, false));
        map.fill();
        assert_eq!(map.share(), 1.0);
        assert!(BlockMap::of(4, 2).is_empty());
    }

    #[test]
    fn closing_fills_narrow_gaps_only() {
        let blocks = map(9, 1, &[(1, 0), (3, 0), (7, 0)]);
        assert_eq!(blocks.close(1), map(9, 1, &[(0, 0), (1, 0), (2, 0), (3, 0), (7, 0), (8, 0)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn closing_preserves_the_grown_map(
            (columns, rows) in (1u32..20, 1u32..20), seed in any::<u64>(), radius in 0u32..4,
        ) {
            let mut blocks = BlockMap::of(columns, rows);
            let mut state = seed;
            for block in &mut blocks.blocks {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *block = state >> 61 == 0;
            }
            let closed = blocks.close(radius);
            prop_assert!(blocks.iter().all(|(column, row)| closed.get(column, row)));
            prop_assert_eq!(closed.grow(radius), blocks.grow(radius));
        }

        #[test]
        fn blocks_within_a_rectangle_cover_it_when_grown(
            (x, y) in (0u32..60, 0u32..60), (width, height) in (1u32..60, 1u32..60), dilation in 0u32..40,
        ) {
            let frame = Size { width: 70, height: 66 };
            let rect = Rect { x, y, width: width.min(frame.width - x), height: height.min(frame.height - y) };
            let mut map = BlockMap::new(frame);
            map.set_within(rect, dilation);
            let near = |pixel: u32, block: u32| pixel + dilation >= block * BLOCK_SIZE && pixel < (block + 1) * BLOCK_SIZE + dilation;
            for y in rect.y..rect.y + rect.height {
                for x in rect.x..rect.x + rect.width {
                    prop_assert!(map.iter().any(|(column, row)| near(x, column) && near(y, row)), "{} {}", x, y);
                }
            }
        }
    }
}

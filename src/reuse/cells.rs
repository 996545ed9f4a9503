//! The grid on which changes are told and covered.

use crate::types::{Rect, Size};

/// Side of a cell, in pixels of luma.
///
/// A video codec changes blocks of 16x16 or 4x4 pixels, and its deblocking filter three more beyond them: with cells of 8 those
/// three cost a cell of 8, not one of 16. Smaller ones would tell little more and take longer to cover.
pub const CELL: u32 = 8;

/// Some of a frame's cells. The last column and row may be cut by the frame's edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellMap {
    columns: u32,
    rows: u32,
    /// Row by row.
    cells: Vec<bool>,
}

impl CellMap {
    /// No cell of a frame of `frame` pixels.
    pub fn new(frame: Size) -> Self {
        Self::of(frame.width.div_ceil(CELL), frame.height.div_ceil(CELL))
    }

    pub(super) fn of(columns: u32, rows: u32) -> Self {
        CellMap { columns, rows, cells: vec![false; columns as usize * rows as usize] }
    }

    pub fn columns(&self) -> u32 {
        self.columns
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether no cell is set.
    pub fn is_empty(&self) -> bool {
        !self.cells.contains(&true)
    }

    /// How many cells are set.
    pub fn count(&self) -> usize {
        self.cells.iter().map(|&cell| usize::from(cell)).sum()
    }

    /// What part of the cells is set, from 0 to 1; 0 if there are none.
    pub fn share(&self) -> f64 {
        self.count() as f64 / self.cells.len().max(1) as f64
    }

    /// # Panics
    /// If there is no such cell.
    pub fn get(&self, column: u32, row: u32) -> bool {
        self.row(row)[column as usize]
    }

    /// # Panics
    /// If there is no such cell.
    pub fn set(&mut self, column: u32, row: u32) {
        self.row_mut(row)[column as usize] = true;
    }

    /// Sets all cells.
    pub fn fill(&mut self) {
        self.cells.fill(true);
    }

    /// Sets as few cells as cover `rect`, in pixels, when they are grown by `spread` pixels on all sides: with a spread of 0 those
    /// that it touches, else those of its middle. The rest of `rect` is what [`cover`](super::cover()) adds anyway.
    pub fn set_within(&mut self, rect: Rect, spread: u32) {
        let cells = |begin: u32, length: u32, count: u32| {
            let first = ((begin + spread) / CELL).min(count.saturating_sub(1));
            let end = (begin + length).saturating_sub(spread).div_ceil(CELL).clamp(first + 1, count.max(first + 1));
            first as usize..end as usize
        };
        if rect.width == 0 || rect.height == 0 || self.cells.is_empty() {
            return;
        }
        let columns = cells(rect.x, rect.width, self.columns);
        for row in cells(rect.y, rect.height, self.rows) {
            self.row_mut(row as u32)[columns.clone()].fill(true);
        }
    }

    /// Sets what is set in `other`, a map of the same frame.
    ///
    /// # Panics
    /// If it is of another size.
    pub fn add(&mut self, other: &CellMap) {
        assert_eq!((self.columns, self.rows), (other.columns, other.rows), "maps of one frame");
        or(&mut self.cells, &other.cells);
    }

    /// Column and row of each cell that is set, row by row.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.rows).flat_map(|row| {
            let set = self.row(row).iter().enumerate().filter(|(_, cell)| **cell);
            set.map(move |(column, _)| (column as u32, row))
        })
    }

    /// The cells of a row.
    pub(super) fn row(&self, row: u32) -> &[bool] {
        &self.cells[row as usize * self.columns as usize..][..self.columns as usize]
    }

    pub(super) fn row_mut(&mut self, row: u32) -> &mut [bool] {
        &mut self.cells[row as usize * self.columns as usize..][..self.columns as usize]
    }

    /// Fills the gaps that close when all cells are grown by `radius` cells: grown by that, the map stays what it was.
    pub(super) fn close(&self, radius: u32) -> CellMap {
        if radius == 0 {
            return self.clone();
        }
        // Shrinking is growing what is not set. Nothing grows from beyond the frame: what lies there is never in the way.
        let mut map = self.grow(radius);
        map.invert();
        let mut map = map.grow(radius);
        map.invert();
        map
    }

    fn invert(&mut self) {
        self.cells.iter_mut().for_each(|cell| *cell = !*cell);
    }

    fn grow(&self, radius: u32) -> CellMap {
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

    /// A map with half the columns and rows: a cell is set where one of its four is.
    pub(super) fn halve(&self) -> CellMap {
        let mut half = CellMap::of(self.columns.div_ceil(2), self.rows.div_ceil(2));
        for row in 0..self.rows {
            for (cell, pair) in half.row_mut(row / 2).iter_mut().zip(self.row(row).chunks(2)) {
                *cell |= pair.contains(&true);
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

    fn map(columns: u32, rows: u32, set: &[(u32, u32)]) -> CellMap {
        let mut map = CellMap::of(columns, rows);
        set.iter().for_each(|&(column, row)| map.set(column, row));
        map
    }

    #[test]
    fn a_cell_that_the_edge_cuts_is_one() {
        let map = CellMap::new(Size { width: 17, height: 8 });
        assert_eq!((map.columns(), map.rows()), (3, 1));
    }

    #[test]
    fn set_cells_are_counted_and_told() {
        let mut map = map(4, 2, &[(3, 1), (0, 0)]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0, 0), (3, 1)]);
        assert_eq!((map.count(), map.share(), map.is_empty()), (2, 0.25, false));
        map.fill();
        assert_eq!(map.share(), 1.0);
        assert!(CellMap::of(4, 2).is_empty());
    }

    #[test]
    fn closing_fills_narrow_gaps_only() {
        let cells = map(9, 1, &[(1, 0), (3, 0), (7, 0)]);
        assert_eq!(cells.close(1), map(9, 1, &[(0, 0), (1, 0), (2, 0), (3, 0), (7, 0), (8, 0)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn closing_changes_nothing_of_the_grown_map(
            (columns, rows) in (1u32..20, 1u32..20), seed in any::<u64>(), radius in 0u32..4,
        ) {
            let mut cells = CellMap::of(columns, rows);
            let mut state = seed;
            for cell in &mut cells.cells {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *cell = state >> 61 == 0;
            }
            let closed = cells.close(radius);
            prop_assert!(cells.iter().all(|(column, row)| closed.get(column, row)));
            prop_assert_eq!(closed.grow(radius), cells.grow(radius));
        }

        #[test]
        fn cells_within_a_rectangle_cover_it_when_grown(
            (x, y) in (0u32..60, 0u32..60), (width, height) in (1u32..60, 1u32..60), spread in 0u32..40,
        ) {
            let frame = Size { width: 70, height: 66 };
            let rect = Rect { x, y, width: width.min(frame.width - x), height: height.min(frame.height - y) };
            let mut map = CellMap::new(frame);
            map.set_within(rect, spread);
            let near = |pixel: u32, cell: u32| pixel + spread >= cell * CELL && pixel < (cell + 1) * CELL + spread;
            for y in rect.y..rect.y + rect.height {
                for x in rect.x..rect.x + rect.width {
                    prop_assert!(map.iter().any(|(column, row)| near(x, column) && near(y, row)), "{} {}", x, y);
                }
            }
        }
    }
}

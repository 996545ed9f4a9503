//! Which rectangles to recompute.

use super::cells::{CELL, CellMap};
use crate::picture::region::{Limits, Region};
use crate::types::{Rect, Size};

/// What of a frame is to be recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    Nothing,
    Whole,
    /// Rectangles in pixels of luma, which begin and end on even pixels or at the frame's edge. They may overlap.
    Parts(Vec<Rect>),
}

/// What it costs to recompute a rectangle by a run of its own, in pixels of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// What a run costs beside its pixels: in how many pixels a large run spends that time.
    pub fixed_pixels: u64,
    /// What [`Region::around`] goes by.
    pub limits: Limits,
}

impl Cost {
    /// The cost of a run that keeps `rect`, a part of `frame` that is not empty.
    pub fn of(&self, rect: Rect, frame: Size) -> u64 {
        self.fixed_pixels + Region::around(rect, frame, self.limits).tensor.pixels()
    }
}

/// Most rectangles to begin with. Every pair is looked at, which with so many takes less than a millisecond; more of them are put
/// together in a coarser grid, which covers single cells less tightly.
const MOST: usize = 320;

/// Finds rectangles that cover each cell of `changed`, grown by `spread` pixels on all sides, for little.
///
/// `cost` tells what it costs to recompute a rectangle by itself, in pixels: no less than it has, and no less than a smaller one
/// within it. The whole frame is taken where nothing found costs less.
///
/// It begins with rectangles of changed cells, as many as there are runs of them, and merges the two that gain most until no
/// merger gains any more.
pub fn cover(changed: &CellMap, frame: Size, spread: u32, cost: impl Fn(Rect) -> u64) -> Cover {
    if changed.is_empty() {
        return Cover::Nothing;
    }
    let whole = Rect { x: 0, y: 0, width: frame.width, height: frame.height };
    let limit = cost(whole);
    let mut merge = Merge { cost: &cost, pieces: Vec::new() };
    // Gaps that close are covered in any case.
    for block in blocks(changed, &changed.close(spread / CELL)) {
        merge.add(grown(block, frame, spread));
    }
    merge.run();
    let parts = trimmed(merge.pieces.iter().map(|piece| piece.block.rect()).collect());
    if parts.iter().map(|part| cost(*part)).sum::<u64>() >= limit { Cover::Whole } else { Cover::Parts(parts) }
}

/// A rectangle, of cells or of pixels: from the first column and row up to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Block {
    fn union(self, other: Block) -> Block {
        Block {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    fn rect(self) -> Rect {
        Rect { x: self.left, y: self.top, width: self.right - self.left, height: self.bottom - self.top }
    }
}

/// Blocks that hold all cells of `changed`, at most [`MOST`]: runs of `closed` with those of equal columns below them, in as coarse
/// a grid as need be, cut down to the cells in them that have changed.
fn blocks(changed: &CellMap, closed: &CellMap) -> Vec<Block> {
    let mut unit = 1;
    let mut map = closed.clone();
    let mut blocks = runs(&map);
    while blocks.len() > MOST {
        unit *= 2;
        map = map.halve();
        blocks = runs(&map);
    }
    blocks.into_iter().filter_map(|block| tight(changed, block, unit)).collect()
}

/// The runs of cells that are set, each together with those of the same columns right below.
fn runs(map: &CellMap) -> Vec<Block> {
    let mut done = Vec::new();
    // Blocks that end at the row above, by columns.
    let mut open: Vec<Block> = Vec::new();
    let mut next = Vec::new();
    for row in 0..map.rows() {
        let cells = map.row(row);
        let mut above = open.iter().copied().peekable();
        let mut at = 0;
        while let Some(skip) = cells[at..].iter().position(|cell| *cell) {
            let left = at + skip;
            at = cells[left..].iter().position(|cell| !*cell).map_or(cells.len(), |length| left + length);
            let mut block = Block { left: left as u32, top: row, right: at as u32, bottom: row + 1 };
            while let Some(other) = above.next_if(|other| other.left <= block.left) {
                if (other.left, other.right) == (block.left, block.right) {
                    block.top = other.top;
                } else {
                    done.push(other);
                }
            }
            next.push(block);
        }
        done.extend(above);
        std::mem::swap(&mut open, &mut next);
        next.clear();
    }
    done.extend(open);
    done
}

/// The least block that holds the cells set in a block of cells `unit` times as large.
fn tight(map: &CellMap, block: Block, unit: u32) -> Option<Block> {
    let columns = (block.left * unit) as usize..((block.right * unit).min(map.columns())) as usize;
    let mut found: Option<Block> = None;
    for row in block.top * unit..(block.bottom * unit).min(map.rows()) {
        let cells = &map.row(row)[columns.clone()];
        let Some(first) = cells.iter().position(|cell| *cell) else { continue };
        let last = cells.iter().rposition(|cell| *cell).unwrap_or(first);
        let (left, right) = ((columns.start + first) as u32, (columns.start + last + 1) as u32);
        let run = Block { left, top: row, right, bottom: row + 1 };
        found = Some(found.map_or(run, |block| block.union(run)));
    }
    found
}

/// The pixels of a block of cells and `spread` pixels around it, up to even ones or the frame's edge.
///
/// What two blocks have around them is what their union has.
fn grown(block: Block, frame: Size, spread: u32) -> Block {
    let begin = |cell: u32| (cell * CELL).saturating_sub(spread) / 2 * 2;
    let end = |cell: u32, length: u32| (cell * CELL).saturating_add(spread).min(length).next_multiple_of(2).min(length);
    Block {
        left: begin(block.left),
        top: begin(block.top),
        right: end(block.right, frame.width),
        bottom: end(block.bottom, frame.height),
    }
}

/// Pieces that become fewer.
struct Merge<'a, F> {
    cost: &'a F,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// In pixels.
    block: Block,
    cost: u64,
    best: Option<Merger>,
}

/// With which of the pieces before it a piece is best merged.
#[derive(Clone, Copy, Debug)]
struct Merger {
    gain: u64,
    with: usize,
}

impl<F: Fn(Rect) -> u64> Merge<'_, F> {
    fn add(&mut self, block: Block) {
        let cost = (self.cost)(block.rect());
        self.pieces.push(Piece { block, cost, best: None });
        let last = self.pieces.len() - 1;
        self.pieces[last].best = self.best(last);
    }

    /// What one piece costs less than two, and which it would be. `None` if it costs more.
    fn gain(&self, piece: &Piece, other: &Piece) -> Option<u64> {
        let rect = piece.block.union(other.block).rect();
        let apart = piece.cost + other.cost;
        // Most pairs are so far apart that the cost need not be known.
        if u64::from(rect.width) * u64::from(rect.height) > apart {
            return None;
        }
        apart.checked_sub((self.cost)(rect))
    }

    fn best(&self, at: usize) -> Option<Merger> {
        let piece = &self.pieces[at];
        let mergers = self.pieces[..at].iter().enumerate();
        let mergers = mergers.filter_map(|(with, other)| Some(Merger { gain: self.gain(piece, other)?, with }));
        mergers.max_by_key(|merger| merger.gain)
    }

    /// Merges until nothing is gained any more.
    fn run(&mut self) {
        loop {
            let gains = self.pieces.iter().enumerate().filter_map(|(at, piece)| Some((piece.best?.gain, at)));
            let Some((_, at)) = gains.max() else { return };
            let Some(Merger { with, .. }) = self.pieces[at].best else { return };
            self.merge(with, at);
        }
    }

    /// Puts piece `second` into `first`, which comes before it.
    fn merge(&mut self, first: usize, second: usize) {
        let block = self.pieces[first].block.union(self.pieces[second].block);
        self.pieces[first].block = block;
        self.pieces[first].cost = (self.cost)(block.rect());
        self.pieces.remove(second);
        for at in first..self.pieces.len() {
            let piece = &mut self.pieces[at];
            let stale = at == first || piece.best.is_some_and(|best| best.with == first || best.with == second);
            if stale {
                self.pieces[at].best = self.best(at);
                continue;
            }
            match &mut piece.best {
                Some(best) if best.with > second => best.with -= 1,
                _ => (),
            }
            let piece = self.pieces[at];
            let gain = self.gain(&piece, &self.pieces[first]);
            let better = gain.filter(|gain| piece.best.is_none_or(|best| *gain > best.gain));
            if let Some(gain) = better {
                self.pieces[at].best = Some(Merger { gain, with: first });
            }
        }
    }
}

/// Takes from each rectangle what another one holds of it all along one of its sides.
fn trimmed(mut parts: Vec<Rect>) -> Vec<Rect> {
    for at in 0..parts.len() {
        for other in 0..parts.len() {
            if other != at {
                parts[at] = without(parts[at], parts[other]);
            }
        }
    }
    parts.retain(|part| part.width > 0 && part.height > 0);
    parts
}

/// `rect` without what lies in `other`, as far as the rest is a rectangle.
fn without(rect: Rect, other: Rect) -> Rect {
    let rest = |begin: u32, length: u32, from: u32, other: u32| {
        let (end, to) = (begin + length, from + other);
        if from <= begin && to > begin {
            let begin = to.min(end);
            (begin, end - begin)
        } else if to >= end && from < end {
            (begin, from.max(begin) - begin)
        } else {
            (begin, length)
        }
    };
    let holds = |begin: u32, length: u32, from: u32, other: u32| from <= begin && begin + length <= from + other;
    let mut rect = rect;
    if holds(rect.x, rect.width, other.x, other.width) {
        (rect.y, rect.height) = rest(rect.y, rect.height, other.y, other.height);
    } else if holds(rect.y, rect.height, other.y, other.height) {
        (rect.x, rect.width) = rest(rect.x, rect.width, other.x, other.width);
    }
    rect
}

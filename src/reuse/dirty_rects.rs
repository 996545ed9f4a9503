//! Which rectangles to recompute.

use super::block_map::{BLOCK_SIZE, BlockMap};
use crate::picture::region::{Limits, Region};
use crate::types::{Rect, Size};

/// What of a frame is to be recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirtyArea {
    Nothing,
    Whole,
    /// Rectangles in pixels of luma, which begin and end on even pixels or at the frame's edge. They may overlap.
    Rects(Vec<Rect>),
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
/// together in a coarser grid, which covers single blocks less tightly.
const MOST: usize = 320;

/// Finds rectangles that cover each block of `changed`, grown by `dilation` pixels on all sides, for little.
///
/// `cost` tells what it costs to recompute a rectangle by itself, in pixels: no less than it has, and no less than a smaller one
/// within it. The whole frame is taken where nothing found costs less.
///
/// It begins with rectangles of changed blocks, as many as there are runs of them, and merges the two that gain most until no
/// merger gains any more.
pub fn dirty_area(changed: &BlockMap, frame: Size, dilation: u32, cost: impl Fn(Rect) -> u64) -> DirtyArea {
    if changed.is_empty() {
        return DirtyArea::Nothing;
    }
    let whole = Rect { x: 0, y: 0, width: frame.width, height: frame.height };
    let limit = cost(whole);
    let mut merge = Merge { cost: &cost, pieces: Vec::new() };
    // Gaps that close are covered in any case.
    for group in groups(changed, &changed.close(dilation / BLOCK_SIZE)) {
        merge.add(grown(group, frame, dilation));
    }
    merge.run();
    let parts = trimmed(merge.pieces.iter().map(|piece| piece.group.rect()).collect());
    if parts.iter().map(|part| cost(*part)).sum::<u64>() >= limit { DirtyArea::Whole } else { DirtyArea::Rects(parts) }
}

/// A rectangle, of blocks or of pixels: from the first column and row up to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockGroup {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl BlockGroup {
    fn union(self, other: BlockGroup) -> BlockGroup {
        BlockGroup {
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

/// Groups that hold all blocks of `changed`, at most [`MOST`]: runs of `closed` with those of equal columns below them, in as coarse
/// a grid as need be, cut down to the blocks in them that have changed.
fn groups(changed: &BlockMap, closed: &BlockMap) -> Vec<BlockGroup> {
    let mut unit = 1;
    let mut map = closed.clone();
    let mut groups = runs(&map);
    while groups.len() > MOST {
        unit *= 2;
        map = map.halve();
        groups = runs(&map);
    }
    groups.into_iter().filter_map(|group| tight(changed, group, unit)).collect()
}

/// The runs of blocks that are set, each together with those of the same columns right below.
fn runs(map: &BlockMap) -> Vec<BlockGroup> {
    let mut done = Vec::new();
    // Groups that end at the row above, by columns.
    let mut open: Vec<BlockGroup> = Vec::new();
    let mut next = Vec::new();
    for row in 0..map.rows() {
        let blocks = map.row(row);
        let mut above = open.iter().copied().peekable();
        let mut at = 0;
        while let Some(skip) = blocks[at..].iter().position(|block| *block) {
            let left = at + skip;
            at = blocks[left..].iter().position(|block| !*block).map_or(blocks.len(), |length| left + length);
            let mut group = BlockGroup { left: left as u32, top: row, right: at as u32, bottom: row + 1 };
            while let Some(other) = above.next_if(|other| other.left <= group.left) {
                if (other.left, other.right) == (group.left, group.right) {
                    group.top = other.top;
                } else {
                    done.push(other);
                }
            }
            next.push(group);
        }
        done.extend(above);
        std::mem::swap(&mut open, &mut next);
        next.clear();
    }
    done.extend(open);
    done
}

/// The least group that holds the blocks set in a group of blocks `unit` times as large.
fn tight(map: &BlockMap, group: BlockGroup, unit: u32) -> Option<BlockGroup> {
    let columns = (group.left * unit) as usize..((group.right * unit).min(map.columns())) as usize;
    let mut found: Option<BlockGroup> = None;
    for row in group.top * unit..(group.bottom * unit).min(map.rows()) {
        let blocks = &map.row(row)[columns.clone()];
        let Some(first) = blocks.iter().position(|block| *block) else { continue };
        let last = blocks.iter().rposition(|block| *block).unwrap_or(first);
        let (left, right) = ((columns.start + first) as u32, (columns.start + last + 1) as u32);
        let run = BlockGroup { left, top: row, right, bottom: row + 1 };
        found = Some(found.map_or(run, |group| group.union(run)));
    }
    found
}

/// The pixels of a group of blocks and `dilation` pixels around it, up to even ones or the frame's edge.
///
/// What two groups have around them is what their union has.
fn grown(group: BlockGroup, frame: Size, dilation: u32) -> BlockGroup {
    let begin = |block: u32| (block * BLOCK_SIZE).saturating_sub(dilation) / 2 * 2;
    let end = |block: u32, length: u32| {
        (block * BLOCK_SIZE).saturating_add(dilation).min(length).next_multiple_of(2).min(length)
    };
    BlockGroup {
        left: begin(group.left),
        top: begin(group.top),
        right: end(group.right, frame.width),
        bottom: end(group.bottom, frame.height),
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
    group: BlockGroup,
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
    fn add(&mut self, group: BlockGroup) {
        let cost = (self.cost)(group.rect());
        self.pieces.push(Piece { group, cost, best: None });
        let last = self.pieces.len() - 1;
        self.pieces[last].best = self.best(last);
    }

    /// What one piece costs less than two, and which it would be. `None` if it costs more.
    fn gain(&self, piece: &Piece, other: &Piece) -> Option<u64> {
        let rect = piece.group.union(other.group).rect();
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
        let group = self.pieces[first].group.union(self.pieces[second].group);
        self.pieces[first].group = group;
        self.pieces[first].cost = (self.cost)(group.rect());
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

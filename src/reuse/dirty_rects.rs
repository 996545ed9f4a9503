//! Finds the rectangles to recompute.

use super::block_map::{BLOCK_SIZE, BlockMap};
use crate::picture::region::{Limits, Region};
use crate::types::{Rect, Size};

/// Which area of a frame to recompute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirtyArea {
    Nothing,
    Whole,
    /// Rectangles in luma pixels, whose edges are even or at the frame's edge. They may overlap.
    Rects(Vec<Rect>),
}

/// The cost of recomputing a rectangle in a run of its own, in tensor pixels.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The fixed cost of a run, as the number of pixels that a large run processes in that time.
    pub fixed_pixels: u64,
    /// Limits for [`Region::around`].
    pub limits: Limits,
}

impl Cost {
    /// The cost of a run that produces `rect`, a non-empty part of `frame`.
    pub fn of(&self, rect: Rect, frame: Size) -> u64 {
        self.fixed_pixels + Region::around(rect, frame, self.limits).tensor.pixels()
    }
}

/// Maximum number of rectangles to start with. Comparing every pair takes less than a millisecond for that many. Beyond
/// that, the rectangles are formed on a coarser grid, which covers single blocks less tightly.
const MAX_RECTS: usize = 320;

/// Finds cheap rectangles that cover each block of `changed`, grown by `dilation` pixels on all sides.
///
/// `cost` returns the cost of recomputing a rectangle on its own, in pixels. It must be at least the rectangle's area,
/// and must not be less than the cost of a smaller rectangle within it. Returns the whole frame if the rectangles found
/// do not cost less.
///
/// The search is greedy: it starts with one rectangle per run of changed blocks, and merges the pair with the largest
/// gain until no merge gains anything.
pub fn dirty_area(changed: &BlockMap, frame: Size, dilation: u32, cost: impl Fn(Rect) -> u64) -> DirtyArea {
    if changed.is_empty() {
        return DirtyArea::Nothing;
    }
    let whole = Rect { x: 0, y: 0, width: frame.width, height: frame.height };
    let limit = cost(whole);
    let mut merge = Merge { cost: &cost, candidates: Vec::new() };
    // Gaps that the dilation closes are covered in any case.
    for group in groups(changed, &changed.close(dilation / BLOCK_SIZE)) {
        merge.add(grown(group, frame, dilation));
    }
    merge.run();
    let rects = trimmed(merge.candidates.iter().map(|candidate| candidate.group.rect()).collect());
    if rects.iter().map(|rect| cost(*rect)).sum::<u64>() >= limit { DirtyArea::Whole } else { DirtyArea::Rects(rects) }
}

/// Rectangles that cover exactly the blocks of `map`, without overlaps.
pub(super) fn rects_of(map: &BlockMap, frame: Size) -> Vec<Rect> {
    runs(map).into_iter().map(|group| grown(group, frame, 0).rect()).collect()
}

/// A rectangle in blocks or pixels; `right` and `bottom` are exclusive.
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

/// At most [`MAX_RECTS`] groups that contain all blocks of `changed`: runs of `closed`, joined with runs of equal
/// columns below them, on as coarse a grid as necessary, then shrunk to the changed blocks in them.
fn groups(changed: &BlockMap, closed: &BlockMap) -> Vec<BlockGroup> {
    let mut unit = 1;
    let mut map = closed.clone();
    let mut groups = runs(&map);
    while groups.len() > MAX_RECTS {
        unit *= 2;
        map = map.halve();
        groups = runs(&map);
    }
    groups.into_iter().filter_map(|group| tight(changed, group, unit)).collect()
}

/// The horizontal runs of set blocks, each joined with the runs of the same columns directly below.
fn runs(map: &BlockMap) -> Vec<BlockGroup> {
    let mut done = Vec::new();
    // Groups that end at the previous row, by column.
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

/// The smallest group that contains the set blocks in a group of blocks `unit` times as large.
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

/// The pixels of a group of blocks plus `dilation` pixels around it, extended to even coordinates or the frame's edge.
///
/// Growing commutes with union: the union of two grown groups is the grown union.
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

/// The candidate rectangles while they are merged.
struct Merge<'a, F> {
    cost: &'a F,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// In pixels.
    group: BlockGroup,
    cost: u64,
    best: Option<Merger>,
}

/// The best merge partner of a candidate among those before it.
#[derive(Clone, Copy, Debug)]
struct Merger {
    gain: u64,
    with: usize,
}

impl<F: Fn(Rect) -> u64> Merge<'_, F> {
    fn add(&mut self, group: BlockGroup) {
        let cost = (self.cost)(group.rect());
        self.candidates.push(Candidate { group, cost, best: None });
        let last = self.candidates.len() - 1;
        self.candidates[last].best = self.best(last);
    }

    /// How much cheaper one merged rectangle is than two separate ones. `None` if it costs more.
    fn gain(&self, candidate: &Candidate, other: &Candidate) -> Option<u64> {
        let rect = candidate.group.union(other.group).rect();
        let apart = candidate.cost + other.cost;
        // Most pairs are so far apart that the area alone rules them out.
        if u64::from(rect.width) * u64::from(rect.height) > apart {
            return None;
        }
        apart.checked_sub((self.cost)(rect))
    }

    fn best(&self, at: usize) -> Option<Merger> {
        let candidate = &self.candidates[at];
        let mergers = self.candidates[..at].iter().enumerate();
        let mergers = mergers.filter_map(|(with, other)| Some(Merger { gain: self.gain(candidate, other)?, with }));
        mergers.max_by_key(|merger| merger.gain)
    }

    /// Merges until no merge gains anything.
    fn run(&mut self) {
        loop {
            let gains =
                self.candidates.iter().enumerate().filter_map(|(at, candidate)| Some((candidate.best?.gain, at)));
            let Some((_, at)) = gains.max() else { return };
            let Some(Merger { with, .. }) = self.candidates[at].best else { return };
            self.merge(with, at);
        }
    }

    /// Merges candidate `second` into `first`, which comes before it.
    fn merge(&mut self, first: usize, second: usize) {
        let group = self.candidates[first].group.union(self.candidates[second].group);
        self.candidates[first].group = group;
        self.candidates[first].cost = (self.cost)(group.rect());
        self.candidates.remove(second);
        for at in first..self.candidates.len() {
            let candidate = &mut self.candidates[at];
            let stale = at == first || candidate.best.is_some_and(|best| best.with == first || best.with == second);
            if stale {
                self.candidates[at].best = self.best(at);
                continue;
            }
            match &mut candidate.best {
                Some(best) if best.with > second => best.with -= 1,
                _ => (),
            }
            let candidate = self.candidates[at];
            let gain = self.gain(&candidate, &self.candidates[first]);
            let better = gain.filter(|gain| candidate.best.is_none_or(|best| *gain > best.gain));
            if let Some(gain) = better {
                self.candidates[at].best = Some(Merger { gain, with: first });
            }
        }
    }
}

/// Removes from each rectangle the overlap with another one that spans a full side of it.
fn trimmed(mut rects: Vec<Rect>) -> Vec<Rect> {
    for at in 0..rects.len() {
        for other in 0..rects.len() {
            if other != at {
                rects[at] = without(rects[at], rects[other]);
            }
        }
    }
    rects.retain(|rect| rect.width > 0 && rect.height > 0);
    rects
}

/// `rect` without its overlap with `other`, if the rest is a rectangle.
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

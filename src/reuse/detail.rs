//! Decides, block by block, what goes through the network and what is resized, because the network would hardly change
//! it.
//!
//! A block goes through the network if it has more detail than the network's threshold. The output of a block is the
//! network's result or the interpolation, never both: that a rectangle covers a smooth block, too, does not change it.
//! So what is shown depends on the pictures alone.

use super::block_map::{BLOCK_SIZE, BlockMap};
use super::dirty_rects::{DirtyArea, dirty_area, rects_of};
use super::rules::Rules;
use super::sensitivity::Threshold;
use super::work::Mixed;
use crate::picture::detail::DetailMeter;
use crate::picture::format::PictureRef;
use crate::picture::region::Region;
use crate::types::{Channels, Rect, Size};

/// How far an interpolated pixel depends on others, in input pixels; with the samples that a block's detail counts.
const RESIZE_RADIUS: u32 = 5;
/// The part of a frame's area that audits may take.
const AUDITED: u64 = 100;
/// Frames go through the network as a whole if their parts would cost more than this share of it: parts take longer
/// than their pixels say, and resizing scattered blocks takes time as well.
const GO_WHOLE: (u64, u64) = (17, 20);
/// The same after a frame that did.
const STAY_WHOLE: (u64, u64) = (15, 20);
/// Blocks audited in a frame at most.
const MAX_AUDITS: usize = 4;

/// Chooses the blocks for the network, from frame to frame.
#[derive(Debug)]
pub(super) struct DetailFilter {
    frame: Size,
    channels: Channels,
    threshold: Threshold,
    /// The region rules with the network's whole receptive field.
    exact: Rules,
    meter: DetailMeter,
    detail: Vec<u16>,
    /// The blocks that show the network's result.
    network: BlockMap,
    /// The same after the frame that was measured last.
    next: BlockMap,
    /// Tensor pixels that audits may still take.
    credit: u64,
    /// Number of frames measured.
    frames: u64,
}

/// Rectangles for the network, and their cost.
struct Cover {
    rects: Vec<Rect>,
    cost: u64,
}

impl DetailFilter {
    pub fn new(frame: Size, channels: Channels, threshold: Threshold, exact: Rules) -> Self {
        let none = BlockMap::new(frame);
        DetailFilter {
            frame,
            channels,
            threshold,
            exact,
            meter: DetailMeter::default(),
            detail: Vec::new(),
            network: none.clone(),
            next: none,
            credit: 0,
            frames: 0,
        }
    }

    /// The work for `picture`, which differs from what is shown in the blocks `changed`, at least one. `None` if the
    /// network is needed everywhere.
    pub fn work(&mut self, picture: &PictureRef, changed: &BlockMap, rules: &Rules) -> Option<Mixed> {
        self.meter.measure(picture, self.channels, BLOCK_SIZE, &mut self.detail);
        let affected = changed.grow(rules.dilation.max(RESIZE_RADIUS).div_ceil(BLOCK_SIZE));
        self.decide(&affected);
        let is_all = affected.is_full();
        if is_all && self.next.is_full() {
            return None;
        }
        let cover = self.cover(changed, &affected, rules, is_all);
        if is_all && self.is_hardly_worth_it(&cover, rules) {
            self.next.fill();
            return None;
        }
        let mut covered = BlockMap::new(self.frame);
        cover.rects.iter().for_each(|rect| covered.set_within(*rect, 0));
        let mut resized = affected;
        resized.add(&covered);
        resized.remove(&self.next);
        let mut skipped = resized.clone();
        skipped.remove(&covered);
        Some(Mixed {
            network: cover.rects.into(),
            resized: rects_of(&resized, self.frame).into(),
            skipped_pixels: rects_of(&skipped, self.frame).iter().map(Rect::pixels).sum(),
            audited: self.audits(&skipped).into(),
            needs_previous: !is_all,
        })
    }

    /// Records that what [`work`](Self::work) returned last is done, or that something else is shown that was made of
    /// the same picture.
    pub fn note(&mut self) {
        self.network.clone_from(&self.next);
    }

    /// Chooses anew for the blocks in `affected`; the others keep what they show.
    fn decide(&mut self, affected: &BlockMap) {
        self.next.clone_from(&self.network);
        for row in 0..affected.rows() {
            let detail = &self.detail[(row * affected.columns()) as usize..];
            let shown = self.network.row(row);
            let blocks = self.next.row_mut(row).iter_mut().zip(affected.row(row)).zip(shown.iter().zip(detail));
            for ((next, _), (shown, detail)) in blocks.filter(|((_, affected), _)| **affected) {
                *next = *detail > if *shown { self.threshold.leave } else { self.threshold.enter };
            }
        }
    }

    /// The cheaper of two covers: the blocks for the network that a change may reach as a whole, or the surroundings of
    /// the changes.
    fn cover(&self, changed: &BlockMap, affected: &BlockMap, rules: &Rules, is_all: bool) -> Cover {
        let mut reached = self.next.clone();
        reached.keep(affected);
        let blocks = self.priced(&reached, rules, 0);
        if is_all || blocks.rects.is_empty() {
            return blocks;
        }
        // Blocks that show something else now count as changed, wherever the change is.
        let mut near = self.next.grow(1);
        near.keep(changed);
        let mut newly = self.next.clone();
        newly.remove(&self.network);
        near.add(&newly);
        let around = self.priced(&near, rules, rules.dilation);
        if around.cost < blocks.cost { around } else { blocks }
    }

    /// Whether a frame takes about as long in parts as it does whole. Once it went whole, it needs to be clearly cheaper.
    fn is_hardly_worth_it(&self, cover: &Cover, rules: &Rules) -> bool {
        let whole = Rect { x: 0, y: 0, width: self.frame.width, height: self.frame.height };
        let (part, of) = if self.network.is_full() { STAY_WHOLE } else { GO_WHOLE };
        cover.cost * of > rules.nominal_price(whole, self.frame) * part
    }

    fn priced(&self, blocks: &BlockMap, rules: &Rules, dilation: u32) -> Cover {
        let price = |rect: Rect| rules.nominal_price(rect, self.frame);
        let rects = match dirty_area(blocks, self.frame, dilation, price) {
            DirtyArea::Nothing => Vec::new(),
            DirtyArea::Rects(rects) => rects.into_iter().map(|rect| rules.bucketed(rect, self.frame)).collect(),
            DirtyArea::Whole => vec![Rect { x: 0, y: 0, width: self.frame.width, height: self.frame.height }],
        };
        let cost = rects.iter().map(|rect| price(*rect)).sum();
        Cover { rects, cost }
    }

    /// Some of the blocks that the network skips, by the number of the frame.
    fn audits(&mut self, skipped: &BlockMap) -> Vec<Rect> {
        self.frames += 1;
        self.credit = (self.credit + self.frame.pixels() / AUDITED).min(self.frame.pixels());
        let count = skipped.count() as u64;
        let mut audits: Vec<Rect> = Vec::new();
        while count > 0 && audits.len() < MAX_AUDITS {
            // Multiplying by an odd number scatters consecutive frames (Knuth).
            let number = (self.frames * MAX_AUDITS as u64 + audits.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let block = skipped.iter().nth(((number >> 32) % count) as usize);
            let Some((column, row)) = block else { break };
            let (x, y) = (column * BLOCK_SIZE, row * BLOCK_SIZE);
            let rect = Rect {
                x,
                y,
                width: BLOCK_SIZE.min(self.frame.width - x),
                height: BLOCK_SIZE.min(self.frame.height - y),
            };
            let cost = Region::around(rect, self.frame, self.exact.limits).tensor.pixels() + self.exact.nominal_pixels;
            if cost > self.credit || audits.contains(&rect) {
                break;
            }
            self.credit -= cost;
            audits.push(rect);
        }
        audits
    }
}

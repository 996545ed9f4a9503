//! From one frame to the next: what of it has to be upscaled anew.

use super::block_map::{BLOCK_SIZE, BlockMap};
use super::changed::{Changes, Compare, History};
use super::dirty_rects::{Cost, DirtyArea, dirty_area};
use super::refresh::Refresher;
use super::rules::Rules;
use super::work::FrameWork;
use crate::picture::format::{PictureRef, PixelFormat};
use crate::types::{Rect, Size};

/// When parts are taken for unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All bytes are the same: the output is that of the whole frame.
    Exact,
    /// They are within a tolerance of what was upscaled (see [`Compare::Similar`]), and that is at most `max_age` frames old (0: of
    /// any age).
    Similar { tolerance: u32, max_age: u32 },
}

/// Code values. What an encoder leaves of a still camera's noise is mostly within it, and the output within 59 dB.
pub const DEFAULT_TOLERANCE: u32 = 2;
/// Ten seconds of film, which is also how often encoders send a whole frame by default.
pub const DEFAULT_MAX_AGE: u32 = 250;

/// Compares each frame with what is known to have been upscaled before it.
///
/// A frame is [compared](Self::compare), then [noted](Self::note) as what was in fact done with it.
#[derive(Debug)]
pub struct Tracker {
    frame: Size,
    rules: Rules,
    mode: Mode,
    history: History,
    refresher: Option<Refresher>,
    /// Blocks that the last picture looked at is to be upscaled for.
    changed: BlockMap,
}

impl Tracker {
    /// For frames of one format and size.
    pub fn new(format: PixelFormat, frame: Size, rules: Rules, mode: Mode) -> Self {
        let max_age = match mode {
            Mode::Exact | Mode::Similar { max_age: 0, .. } => None,
            Mode::Similar { max_age, .. } => Some(max_age),
        };
        Tracker {
            frame,
            rules,
            mode,
            history: History::new(format, frame),
            refresher: max_age.map(|max_age| Refresher::new(frame, max_age)),
            changed: BlockMap::new(frame),
        }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What has to be done for `picture`, given the output of the frame before.
    pub fn compare(&mut self, picture: &PictureRef) -> FrameWork {
        let compare = match self.mode {
            Mode::Exact => Compare::Exact,
            Mode::Similar { tolerance, .. } => Compare::Similar { tolerance },
        };
        let Changes { mut luma, chroma } = self.history.compare(picture, compare);
        let apart = self.rules.chroma_apart && !chroma.is_empty();
        if !self.rules.chroma_apart {
            luma.add(&chroma);
        }
        let due = self.refresher.as_mut().map_or_else(Vec::new, Refresher::due);
        due.into_iter().for_each(|patch| luma.set_within(patch, self.rules.dilation));
        let cost = Cost {
            fixed_pixels: match self.mode {
                Mode::Exact => self.rules.fixed_pixels,
                Mode::Similar { .. } => self.rules.nominal_pixels,
            },
            limits: self.rules.limits,
        };
        let price = |rect| cost.of(self.rules.bucketed(rect, self.frame), self.frame);
        self.changed = luma;
        match dirty_area(&self.changed, self.frame, self.rules.dilation, price) {
            DirtyArea::Nothing if apart => FrameWork::ChromaOnly,
            DirtyArea::Nothing => FrameWork::Nothing,
            DirtyArea::Rects(parts) => {
                FrameWork::DirtyRects(parts.iter().map(|part| self.rules.bucketed(*part, self.frame)).collect())
            }
            DirtyArea::Whole => FrameWork::Whole,
        }
    }

    /// `work` is done for `picture`, which was looked at last: what is found next is found against that.
    pub fn note(&mut self, picture: &PictureRef, work: &FrameWork) {
        match work {
            FrameWork::Nothing | FrameWork::ChromaOnly => {}
            FrameWork::DirtyRects(rects) => self.parts(picture, rects),
            FrameWork::Whole => self.whole(picture),
        }
        if self.rules.chroma_apart && work.builds_on_the_frame_before() {
            // It is made anew for the whole frame.
            self.history.keep_chroma(picture);
        }
    }

    fn whole(&mut self, picture: &PictureRef) {
        self.history.keep_all(picture);
        if let Some(refresher) = &mut self.refresher {
            refresher.all_refreshed();
        }
    }

    /// Of parts, only what lies a dilation within them is as if the whole frame had been upscaled: the blocks that they were made for. Around
    /// these the output still shows what was there before; were that kept as it is now, it could go on changing a little each time,
    /// and the output would never follow.
    fn parts(&mut self, picture: &PictureRef, parts: &[Rect]) {
        for row in 0..self.changed.rows() {
            let blocks = self.changed.row(row);
            let mut at = 0;
            while let Some(skip) = blocks[at..].iter().position(|block| *block) {
                let begin = at + skip;
                at = blocks[begin..].iter().position(|block| !*block).map_or(blocks.len(), |length| begin + length);
                let rect = Rect {
                    x: begin as u32 * BLOCK_SIZE,
                    y: row * BLOCK_SIZE,
                    width: (at - begin) as u32 * BLOCK_SIZE,
                    height: BLOCK_SIZE,
                };
                self.history.keep(picture, rect);
            }
        }
        if let Some(refresher) = &mut self.refresher {
            refresher.due_refreshed();
            parts.iter().for_each(|part| refresher.refreshed(*part));
        }
    }
}

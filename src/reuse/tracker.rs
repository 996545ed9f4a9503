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
    /// What parts have to obey; `None` where the network only runs on whole frames.
    rules: Option<Rules>,
    /// The network does not see chroma: where that alone has changed there is nothing for it to do.
    chroma_apart: bool,
    mode: Mode,
    history: History,
    refresher: Option<Refresher>,
    /// Blocks that the last picture looked at is to be upscaled for.
    changed: BlockMap,
}

impl Tracker {
    /// For frames of one format and size. `rules` are those of parts, if the network can be run on parts at all; `chroma_apart` is whether it
    /// does [without chroma](crate::picture::convert::Converter::chroma_is_apart). `None` where every frame that differs is upscaled whole.
    pub fn new(format: PixelFormat, frame: Size, rules: Option<Rules>, chroma_apart: bool, mode: Mode) -> Option<Self> {
        // What promises the same bytes keeps that promise.
        let rules = rules.filter(|rules| rules.exact || mode != Mode::Exact);
        let max_age = match mode {
            Mode::Similar { max_age, .. } if max_age > 0 && rules.is_some() => Some(max_age),
            Mode::Exact | Mode::Similar { .. } => None,
        };
        (rules.is_some() || chroma_apart).then(|| Tracker {
            frame,
            rules,
            chroma_apart,
            mode,
            history: History::new(format, frame),
            refresher: max_age.map(|max_age| Refresher::new(frame, max_age)),
            changed: BlockMap::new(frame),
        })
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What has to be done for `picture`, given the output of the frame before.
    pub fn compare(&mut self, picture: &PictureRef) -> FrameWork {
        let compare = match self.mode {
            // Differences within a tolerance could not be followed without parts.
            Mode::Similar { tolerance, .. } if self.rules.is_some() => Compare::Similar { tolerance },
            Mode::Exact | Mode::Similar { .. } => Compare::Exact,
        };
        let Changes { mut luma, chroma } = self.history.compare(picture, compare);
        if !self.chroma_apart {
            luma.add(&chroma);
        }
        let dirty = match &self.rules {
            None if luma.is_empty() => DirtyArea::Nothing,
            None => DirtyArea::Whole,
            Some(rules) => {
                let due = self.refresher.as_mut().map_or_else(Vec::new, Refresher::due);
                due.into_iter().for_each(|patch| luma.set_within(patch, rules.dilation));
                dirty_area_by(rules, self.mode, &luma, self.frame)
            }
        };
        self.changed = luma;
        match dirty {
            DirtyArea::Nothing if self.chroma_apart && !chroma.is_empty() => FrameWork::ChromaOnly,
            DirtyArea::Nothing => FrameWork::Nothing,
            DirtyArea::Rects(rects) => FrameWork::DirtyRects(rects.into()),
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
        if self.chroma_apart && work.builds_on_the_frame_before() {
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

/// Rectangles that cover what has changed, as the rules want them.
fn dirty_area_by(rules: &Rules, mode: Mode, changed: &BlockMap, frame: Size) -> DirtyArea {
    let cost = Cost {
        fixed_pixels: match mode {
            Mode::Exact => rules.fixed_pixels,
            Mode::Similar { .. } => rules.nominal_pixels,
        },
        limits: rules.limits,
    };
    let price = |rect| cost.of(rules.bucketed(rect, frame), frame);
    let mut dirty = dirty_area(changed, frame, rules.dilation, price);
    if let DirtyArea::Rects(rects) = &mut dirty {
        rects.iter_mut().for_each(|rect| *rect = rules.bucketed(*rect, frame));
    }
    dirty
}

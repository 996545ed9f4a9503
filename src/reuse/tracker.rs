//! From one frame to the next: what of it has to be upscaled anew.

use super::changed::{Changes, Compare, History};
use super::cover::{Cost, Cover, cover};
use super::refresh::Refresher;
use super::rules::Rules;
use crate::picture::format::{PictureRef, PixelFormat};
use crate::picture::{Rect, Size};

/// When parts are taken for unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All bytes are the same: the output is that of the whole frame.
    Exact,
    /// They are within a tolerance of what was upscaled (see [`Compare::Similar`]), and that is at most `max_age` frames old (0: of
    /// any age).
    Similar { tolerance: u32, max_age: u32 },
}

/// What a run is taken to cost beside its pixels where what is recomputed shows: the same everywhere, so that the output is.
const NOMINAL_FIXED_PIXELS: u64 = 128;

/// Compares each frame with what is known to have been upscaled before it.
///
/// A frame is [found](Self::find) out about, then [noted](Self::note) as what was in fact done with it.
#[derive(Debug)]
pub struct Tracker {
    frame: Size,
    rules: Rules,
    mode: Mode,
    history: History,
    refresher: Option<Refresher>,
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
        }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What of `picture` has to be upscaled, given the output of the frame before. [`Cover::Nothing`]: that output can be shown again.
    /// Parts that are none mean that only chroma has changed, which no network sees.
    pub fn find(&mut self, picture: &PictureRef) -> Cover {
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
        due.into_iter().for_each(|patch| luma.set_within(patch, self.rules.spread));
        let cost = Cost {
            fixed_pixels: match self.mode {
                Mode::Exact => self.rules.fixed_pixels,
                Mode::Similar { .. } => NOMINAL_FIXED_PIXELS,
            },
            limits: self.rules.limits,
        };
        let price = |rect| cost.of(self.rules.bucketed(rect, self.frame), self.frame);
        match cover(&luma, self.frame, self.rules.spread, price) {
            Cover::Nothing if apart => Cover::Parts(Vec::new()),
            Cover::Parts(mut parts) => {
                parts.iter_mut().for_each(|part| *part = self.rules.bucketed(*part, self.frame));
                Cover::Parts(parts)
            }
            cover => cover,
        }
    }

    /// `cover` of `picture` is upscaled: what is found next is found against that.
    pub fn note(&mut self, picture: &PictureRef, cover: &Cover) {
        match cover {
            Cover::Nothing => {}
            Cover::Whole => self.whole(picture),
            Cover::Parts(parts) => parts.iter().for_each(|part| self.part(picture, *part)),
        }
        if self.rules.chroma_apart && matches!(cover, Cover::Parts(_)) {
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

    fn part(&mut self, picture: &PictureRef, part: Rect) {
        // Of what lies at its border the output around it is still that of before: were it kept as it is now, it could go on changing
        // a little each time, and what lies beyond it would never follow.
        self.history.keep(picture, self.inner(part));
        if let Some(refresher) = &mut self.refresher {
            refresher.refreshed(part);
        }
    }

    /// A part without what another part's spread could have covered, but up to the frame's edges.
    fn inner(&self, part: Rect) -> Rect {
        let side = |begin: u32, length: u32, frame: u32| {
            let spread = self.rules.spread.next_multiple_of(2);
            let end = begin + length;
            let from = if begin == 0 { 0 } else { begin + spread };
            let to = if end >= frame { end } else { end.saturating_sub(spread) };
            (from, to.saturating_sub(from))
        };
        let (x, width) = side(part.x, part.width, self.frame.width);
        let (y, height) = side(part.y, part.height, self.frame.height);
        Rect { x, y, width, height }
    }
}

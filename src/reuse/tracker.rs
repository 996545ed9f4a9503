//! Tracks, from frame to frame, what has to be upscaled again.

use super::block_map::{BLOCK_SIZE, BlockMap};
use super::changed::{Changes, Compare, History};
use super::detail::DetailFilter;
use super::dirty_rects::{Cost, DirtyArea, dirty_area};
use super::refresh::Refresher;
use super::rules::Rules;
use super::work::{FrameWork, Mixed};
use crate::picture::format::{PictureRef, PixelFormat};
use crate::types::{Rect, Size};

/// When regions count as unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All bytes are equal: the output is the same as for the whole frame.
    Exact,
    /// They are within a tolerance of what was upscaled (see [`Compare::Similar`]), and that is at most `max_age`
    /// frames old (0: any age).
    Similar { tolerance: u32, max_age: u32 },
}

/// In code values. What an encoder leaves of a still camera's noise is mostly within it, and the output stays within 59
/// dB.
pub const DEFAULT_TOLERANCE: u32 = 2;
/// Ten seconds of film, which is also how often encoders insert a keyframe by default.
pub const DEFAULT_MAX_AGE: u32 = 250;

/// Compares each frame with what was upscaled before it.
///
/// Call [`compare`](Self::compare) for each frame, then [`note`](Self::note) with the work actually done.
#[derive(Debug)]
pub struct Tracker {
    frame: Size,
    /// Constraints on regions; `None` if the network runs only on whole frames.
    rules: Option<Rules>,
    /// Whether chroma bypasses the network: then a change in chroma alone needs no run.
    chroma_apart: bool,
    mode: Option<Mode>,
    /// `None` if frames are not compared: then every block counts as changed.
    history: Option<History>,
    /// `None` if all that has changed goes through the network.
    detail: Option<DetailFilter>,
    refresher: Option<Refresher>,
    /// The changed blocks of the picture compared last.
    changed: BlockMap,
}

impl Tracker {
    /// For frames of one format and size. `rules` are the constraints on regions, if the network can run on regions at
    /// all; `chroma_apart` says whether it runs [without chroma](crate::picture::convert::Converter::chroma_is_apart).
    /// Without a `mode`, frames are not compared with earlier ones; with `detail`, smooth blocks are resized. Returns
    /// `None` if every frame that differs is upscaled as a whole.
    pub(super) fn new(
        format: PixelFormat,
        frame: Size,
        rules: Option<Rules>,
        chroma_apart: bool,
        mode: Option<Mode>,
        detail: Option<DetailFilter>,
    ) -> Option<Self> {
        // `exact` promises identical bytes, so regions must be exact, unless blocks are resized anyway.
        let rules = rules.filter(|rules| rules.exact || mode != Some(Mode::Exact) || detail.is_some());
        let detail = detail.filter(|_| rules.is_some());
        let max_age = match mode {
            Some(Mode::Similar { max_age, .. }) if max_age > 0 && rules.is_some() => Some(max_age),
            Some(Mode::Exact | Mode::Similar { .. }) | None => None,
        };
        let tracks = detail.is_some() || mode.is_some() && (rules.is_some() || chroma_apart);
        tracks.then(|| Tracker {
            frame,
            rules,
            chroma_apart,
            mode,
            history: mode.map(|_| History::new(format, frame)),
            detail,
            refresher: max_age.map(|max_age| Refresher::new(frame, max_age)),
            changed: BlockMap::new(frame),
        })
    }

    /// Forgets the previous frame, whose output is gone.
    pub fn forget(&mut self) {
        if let Some(history) = &mut self.history {
            history.forget();
        }
    }

    /// Returns the work for `picture`, given the output of the previous frame.
    pub fn compare(&mut self, picture: &PictureRef) -> FrameWork {
        let Changes { mut luma, chroma } = self.changes(picture);
        if !self.chroma_apart {
            luma.add(&chroma);
        }
        let dirty = match &self.rules {
            None if luma.is_empty() => DirtyArea::Nothing,
            None => DirtyArea::Whole,
            Some(rules) => {
                let due = self.refresher.as_mut().map_or_else(Vec::new, Refresher::due);
                due.into_iter().for_each(|patch| luma.set_within(patch, rules.dilation));
                if let Some(detail) = self.detail.as_mut().filter(|_| !luma.is_empty()) {
                    let work = detail.work(picture, &luma, rules).map_or(FrameWork::Whole, FrameWork::Mixed);
                    self.changed = luma;
                    return work;
                }
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

    fn changes(&self, picture: &PictureRef) -> Changes {
        let compare = match self.mode {
            // Without regions, differences within the tolerance could not be followed.
            Some(Mode::Similar { tolerance, .. }) if self.rules.is_some() => Compare::Similar { tolerance },
            Some(Mode::Exact | Mode::Similar { .. }) | None => Compare::Exact,
        };
        self.history.as_ref().map_or_else(|| Changes::all(self.frame), |history| history.compare(picture, compare))
    }

    /// Records that `work` is done for `picture`, the one compared last; later frames are compared with the result.
    pub fn note(&mut self, picture: &PictureRef, work: &FrameWork) {
        match work {
            FrameWork::Nothing | FrameWork::ChromaOnly => {}
            FrameWork::DirtyRects(rects) => self.keep_changed(picture, rects),
            FrameWork::Mixed(Mixed { needs_previous: true, network, resized, .. }) => {
                self.keep_changed(picture, &[&**network, &**resized].concat());
            }
            FrameWork::Mixed(_) | FrameWork::Whole => self.whole(picture),
        }
        if let Some(detail) = &mut self.detail {
            detail.note();
        }
        if let Some(history) = self.history.as_mut().filter(|_| self.chroma_apart && work.needs_previous_frame()) {
            // Chroma is resized for the whole frame.
            history.keep_chroma(picture);
        }
    }

    fn whole(&mut self, picture: &PictureRef) {
        if let Some(history) = &mut self.history {
            history.keep_all(picture);
        }
        if let Some(refresher) = &mut self.refresher {
            refresher.all_refreshed();
        }
    }

    /// Keeps only the changed blocks, not all of `rects`. A rectangle is exact only at least one dilation inside its
    /// edge, which is where its changed blocks are. Around them, the output still holds the earlier content: if the
    /// history recorded the new content there, it could keep changing a little each time, and the output would never
    /// follow.
    fn keep_changed(&mut self, picture: &PictureRef, rects: &[Rect]) {
        let Some(history) = &mut self.history else { return };
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
                history.keep(picture, rect);
            }
        }
        if let Some(refresher) = &mut self.refresher {
            refresher.due_refreshed();
            rects.iter().for_each(|rect| refresher.refreshed(*rect));
        }
    }
}

/// Finds the rectangles that cover the changes, extended to the bucket grid.
fn dirty_area_by(rules: &Rules, mode: Option<Mode>, changed: &BlockMap, frame: Size) -> DirtyArea {
    let cost = Cost {
        fixed_pixels: match mode {
            Some(Mode::Exact) | None => rules.fixed_pixels,
            Some(Mode::Similar { .. }) => rules.nominal_pixels,
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

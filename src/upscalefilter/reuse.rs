//! Frames that were seen before, and the parts of a frame that are as they were: what the sink pad finds before a worker is asked.

use std::sync::Arc;

use crate::picture::format::PictureRef;
use crate::reuse::{Fingerprint, FrameWork, Mode, Tracker};

use super::imp::UpscaleFilter;
use super::input::MappedFrame;
use super::slot::Slot;
use super::state::State;
use super::stream::{StreamConfig, picture};

/// The frame before, by which the next one is judged. It belongs to the streaming thread.
pub(super) struct Before {
    config: Arc<StreamConfig>,
    tracker: Tracker,
    slot: Option<Arc<Slot>>,
}

/// What was found out about a frame that has come in.
pub(super) struct Look {
    pub fingerprint: Option<Fingerprint>,
    /// What there is to do, if the output of the frame before can be built upon.
    pub work: FrameWork,
}

/// Where a frame's result comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A frame of this run looks the same.
    Duplicate,
    /// It was upscaled before a flush; in this run it is the first that looks like that.
    Kept,
    /// It has to be made, by this.
    New(FrameWork),
}

impl Found {
    /// What there is to do.
    pub fn work(&self) -> &FrameWork {
        match self {
            Found::Duplicate | Found::Kept => &FrameWork::Nothing,
            Found::New(work) => work,
        }
    }
}

impl UpscaleFilter {
    /// What is known of the frame before, if that serves for frames of `config` in this mode. To be [kept](Self::keep_before) again.
    pub(super) fn take_before(&self, config: &Arc<StreamConfig>, mode: Option<Mode>) -> Option<Before> {
        let before = self.before.lock().take();
        let mode = mode?;
        let serves = |before: &Before| Arc::ptr_eq(&before.config, config) && before.tracker.mode() == mode;
        if let Some(before) = before.filter(serves) {
            return Some(before);
        }
        let size = config.cuts.frame();
        // What promises the same bytes keeps that promise.
        let rules = config.rules.filter(|rules| rules.exact || mode != Mode::Exact)?;
        let tracker = Tracker::new(config.format, size, rules, mode);
        Some(Before { config: Arc::clone(config), tracker, slot: None })
    }

    /// Keeps it for the next frame.
    pub(super) fn keep_before(&self, before: Option<Before>) {
        *self.before.lock() = before;
    }

    /// Looks at a frame. With duplicates off there is nothing to see.
    pub(super) fn look(
        &self,
        config: &StreamConfig,
        frame: &MappedFrame,
        mode: Option<Mode>,
        before: Option<&mut Before>,
    ) -> Look {
        if mode.is_none() {
            return Look { fingerprint: None, work: FrameWork::Whole };
        }
        with_picture(config, frame, |picture| Look {
            fingerprint: Some(self.fingerprinter.fingerprint(picture)),
            work: before.map_or(FrameWork::Whole, |before| before.tracker.find(picture)),
        })
    }
}

impl Before {
    /// Notes that a frame shows `slot`, which was `found` so, where `needed` was what there was to do.
    pub fn note(&mut self, frame: &MappedFrame, slot: Arc<Slot>, found: &Found, needed: &FrameWork) {
        let same = self.slot.as_ref().is_some_and(|before| Arc::ptr_eq(before, &slot));
        let upscaled = match found {
            Found::New(work) => work,
            // Where nothing differs at all there is nothing to note, whichever frame it shows.
            Found::Duplicate if *needed == FrameWork::Nothing && (same || self.tracker.mode() == Mode::Exact) => needed,
            Found::Duplicate | Found::Kept => &FrameWork::Whole,
        };
        let config = Arc::clone(&self.config);
        with_picture(&config, frame, |picture| self.tracker.note(picture, upscaled));
        self.slot = Some(slot);
    }
}

fn with_picture<R>(config: &StreamConfig, frame: &MappedFrame, look: impl FnOnce(&PictureRef) -> R) -> R {
    let frame = frame.as_video_frame_ref();
    look(&picture(config.format, &frame).expect("it was looked at when it was mapped"))
}

/// Where a frame's result comes from, and the slots that this speaks of.
pub(super) struct Find {
    pub found: Found,
    /// What it shows, or was kept.
    known: Option<Arc<Slot>>,
    /// What its parts are put upon.
    base: Option<Arc<Slot>>,
}

/// Where the result of a frame that has come in comes from.
pub(super) fn find(state: &mut State, look: &Look, before: Option<&Before>) -> Find {
    let generation = state.generation;
    let known = look.fingerprint.and_then(|fingerprint| state.cache.get(&fingerprint));
    // What was before a flush may never have been finished.
    let base = before.and_then(|before| before.slot.clone()).filter(|slot| slot.generation == generation);
    let (found, known) = match (known, &look.work, &base) {
        (Some(slot), ..) if slot.generation == generation => (Found::Duplicate, Some(slot)),
        (Some(slot), ..) => (Found::Kept, Some(slot)),
        (None, FrameWork::Nothing, Some(base)) => (Found::Duplicate, Some(Arc::clone(base))),
        (None, work, Some(_)) => (Found::New(work.clone()), None),
        (None, _, None) => (Found::New(FrameWork::Whole), None),
    };
    Find { found, known, base }
}

/// The slot that the frame of this index shows; one that is new has to be filled. Also returns what left the cache for it.
pub(super) fn slot_of(
    find: Find,
    state: &mut State,
    (look, before): (&Look, Option<&Before>),
    index: u64,
    config: &Arc<StreamConfig>,
) -> (Arc<Slot>, Vec<Arc<Slot>>) {
    let Find { found, known, base } = find;
    let generation = state.generation;
    let slot = match (&found, known, base) {
        (Found::Duplicate, Some(slot), _) => return (slot, Vec::new()),
        (Found::Kept, Some(slot), _) => slot.renewed(index, generation),
        (Found::New(work), _, Some(base)) if work.builds_on_the_frame_before() => {
            Slot::on_base(base, Arc::clone(config), work.rects(config.whole()), index, generation)
        }
        _ => Slot::new(index, generation),
    };
    // What is only similar must not be taken for what this frame would give: differences would add up.
    let similar = before.is_some_and(|before| matches!(before.tracker.mode(), Mode::Similar { .. }));
    let dropped = match look.fingerprint {
        Some(fingerprint) if !(similar && found.work().builds_on_the_frame_before()) => {
            state.cache.insert(fingerprint, Arc::clone(&slot), config.kept_bytes())
        }
        _ => Vec::new(),
    };
    (slot, dropped)
}

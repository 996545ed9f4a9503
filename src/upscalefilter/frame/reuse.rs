//! Frames that were seen before, and the parts of a frame that are as they were: what the sink pad finds before a worker is asked.

use std::sync::Arc;

use crate::picture::format::PictureRef;
use crate::reuse::{Fingerprint, FrameWork, Mode, Tracker};

use crate::upscalefilter::frame::input::MappedFrame;
use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::config::{StreamConfig, picture};
use crate::upscalefilter::state::State;

/// The frame before, by which the next one is judged. It belongs to the streaming thread.
pub(in crate::upscalefilter) struct PreviousFrame {
    config: Arc<StreamConfig>,
    tracker: Tracker,
    pending: Option<Arc<PendingResult>>,
}

/// What was found out about a frame that has come in.
pub(in crate::upscalefilter) struct Comparison {
    pub fingerprint: Option<Fingerprint>,
    /// What there is to do, if the output of the frame before can be built upon.
    pub work: FrameWork,
}

/// Where a frame's result comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upscalefilter) enum ResultSource {
    /// A frame of this run looks the same.
    Duplicate,
    /// It was upscaled before a flush; in this run it is the first that looks like that.
    Kept,
    /// It has to be made, by this.
    New(FrameWork),
}

impl ResultSource {
    /// What there is to do.
    pub fn work(&self) -> &FrameWork {
        match self {
            ResultSource::Duplicate | ResultSource::Kept => &FrameWork::Nothing,
            ResultSource::New(work) => work,
        }
    }
}

impl UpscaleFilter {
    /// What is known of the frame before, if that serves for frames of `config` in this mode. To be [kept](Self::keep_previous) again.
    pub(in crate::upscalefilter) fn take_previous(
        &self,
        config: &Arc<StreamConfig>,
        mode: Option<Mode>,
    ) -> Option<PreviousFrame> {
        let previous = self.previous.lock().take();
        let mode = mode?;
        let serves =
            |previous: &PreviousFrame| Arc::ptr_eq(&previous.config, config) && previous.tracker.mode() == mode;
        if let Some(previous) = previous.filter(serves) {
            return Some(previous);
        }
        let chroma_apart = config.converter.chroma_is_apart();
        let tracker = Tracker::new(config.format, config.cuts.frame(), config.rules, chroma_apart, mode)?;
        Some(PreviousFrame { config: Arc::clone(config), tracker, pending: None })
    }

    /// Keeps it for the next frame.
    pub(in crate::upscalefilter) fn keep_previous(&self, previous: Option<PreviousFrame>) {
        *self.previous.lock() = previous;
    }

    /// Looks at a frame. With duplicates off there is nothing to see.
    pub(in crate::upscalefilter) fn compare(
        &self,
        config: &StreamConfig,
        frame: &MappedFrame,
        mode: Option<Mode>,
        previous: Option<&mut PreviousFrame>,
    ) -> Comparison {
        if mode.is_none() {
            return Comparison { fingerprint: None, work: FrameWork::Whole };
        }
        with_picture(config, frame, |picture| Comparison {
            fingerprint: Some(self.fingerprinter.fingerprint(picture)),
            work: previous.map_or(FrameWork::Whole, |previous| previous.tracker.compare(picture)),
        })
    }
}

impl PreviousFrame {
    /// Notes that a frame shows `pending`, which was `found` so, where `needed` was what there was to do.
    pub fn note(
        &mut self,
        frame: &MappedFrame,
        pending: Arc<PendingResult>,
        source: &ResultSource,
        needed: &FrameWork,
    ) {
        let same = self.pending.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, &pending));
        let upscaled = match source {
            ResultSource::New(work) => work,
            // Where nothing differs at all there is nothing to note, whichever frame it shows.
            ResultSource::Duplicate
                if *needed == FrameWork::Nothing && (same || self.tracker.mode() == Mode::Exact) =>
            {
                needed
            }
            ResultSource::Duplicate | ResultSource::Kept => &FrameWork::Whole,
        };
        let config = Arc::clone(&self.config);
        with_picture(&config, frame, |picture| self.tracker.note(picture, upscaled));
        self.pending = Some(pending);
    }
}

fn with_picture<R>(config: &StreamConfig, frame: &MappedFrame, read: impl FnOnce(&PictureRef) -> R) -> R {
    let frame = frame.as_video_frame_ref();
    read(&picture(config.format, &frame).expect("it was looked at when it was mapped"))
}

/// Where a frame's result comes from, and the results that this speaks of.
pub(in crate::upscalefilter) struct Lookup {
    pub source: ResultSource,
    /// What it shows, or was kept.
    known: Option<Arc<PendingResult>>,
    /// What its parts are put upon.
    base: Option<Arc<PendingResult>>,
}

/// Where the result of a frame that has come in comes from.
pub(in crate::upscalefilter) fn look_up(
    state: &mut State,
    comparison: &Comparison,
    previous: Option<&PreviousFrame>,
) -> Lookup {
    let generation = state.generation;
    let known = comparison.fingerprint.and_then(|fingerprint| state.cache.get(&fingerprint));
    // What was before a flush may never have been finished.
    let base =
        previous.and_then(|previous| previous.pending.clone()).filter(|pending| pending.generation == generation);
    let (source, known) = match (known, &comparison.work, &base) {
        (Some(pending), ..) if pending.generation == generation => (ResultSource::Duplicate, Some(pending)),
        (Some(pending), ..) => (ResultSource::Kept, Some(pending)),
        (None, FrameWork::Nothing, Some(base)) => (ResultSource::Duplicate, Some(Arc::clone(base))),
        (None, work, Some(_)) => (ResultSource::New(work.clone()), None),
        (None, _, None) => (ResultSource::New(FrameWork::Whole), None),
    };
    Lookup { source, known, base }
}

/// The pending that the frame of this index shows; one that is new has to be filled. Also returns what left the cache for it.
pub(in crate::upscalefilter) fn result_of(
    lookup: Lookup,
    state: &mut State,
    (comparison, previous): (&Comparison, Option<&PreviousFrame>),
    index: u64,
    config: &Arc<StreamConfig>,
) -> (Arc<PendingResult>, Vec<Arc<PendingResult>>) {
    let Lookup { source, known, base } = lookup;
    let generation = state.generation;
    let pending = match (&source, known, base) {
        (ResultSource::Duplicate, Some(pending), _) => return (pending, Vec::new()),
        (ResultSource::Kept, Some(pending), _) => pending.renewed(index, generation),
        (ResultSource::New(work), _, Some(base)) if work.builds_on_the_frame_before() => {
            PendingResult::on_base(base, Arc::clone(config), work.rects(config.whole()), index, generation)
        }
        _ => PendingResult::new(index, generation),
    };
    // What is only similar must not be taken for what this frame would give: differences would add up.
    let similar = previous.is_some_and(|previous| matches!(previous.tracker.mode(), Mode::Similar { .. }));
    let dropped = match comparison.fingerprint {
        Some(fingerprint) if !(similar && source.work().builds_on_the_frame_before()) => {
            state.cache.insert(fingerprint, Arc::clone(&pending), config.kept_bytes())
        }
        _ => Vec::new(),
    };
    (pending, dropped)
}

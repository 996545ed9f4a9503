//! Finds frames and regions that were seen before; runs on the sink pad, before a worker is involved.

use std::sync::Arc;

use gst::subclass::prelude::*;

use crate::picture::format::PictureRef;
use crate::picture::region::Limits;
pub(in crate::upscalefilter) use crate::reuse::ResultSource;
use crate::reuse::{Classifier, Fingerprint, FrameWork, Known, Mode, Policy};

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::frame::input::MappedFrame;
use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::config::{StreamConfig, picture};
use crate::upscalefilter::state::State;

/// The properties that say which parts of a frame are upscaled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::upscalefilter) struct Wanted {
    pub mode: Option<Mode>,
    pub detail_tolerance: u32,
}

/// The previous frame, with which the next one is compared. Used by the streaming thread.
pub(in crate::upscalefilter) struct PreviousFrame {
    config: Arc<StreamConfig>,
    wanted: Wanted,
    classifier: Classifier,
    /// `None` if frames are not compared.
    pending: Option<Arc<PendingResult>>,
}

/// What comparing an incoming frame has shown.
pub(in crate::upscalefilter) struct Comparison {
    pub fingerprint: Option<Fingerprint>,
    /// The work required, provided that the output of the previous frame can be reused.
    pub work: FrameWork,
}

impl UpscaleFilter {
    /// Takes the previous frame, if it is usable for frames of `config` with these properties. Call
    /// [`keep_previous`](Self::keep_previous) afterwards.
    pub(in crate::upscalefilter) fn take_previous(
        &self,
        config: &Arc<StreamConfig>,
        engine: &Engine,
        wanted: Wanted,
    ) -> Option<PreviousFrame> {
        let previous = self.previous.lock().take();
        let is_usable = |previous: &PreviousFrame| Arc::ptr_eq(&previous.config, config) && previous.wanted == wanted;
        if let Some(mut previous) = previous.filter(is_usable) {
            // The output of a frame before a flush may never have been completed.
            let generation = self.state.lock().generation;
            if previous.pending.as_ref().is_some_and(|pending| pending.generation != generation) {
                previous.classifier.forget();
            }
            return Some(previous);
        }
        if wanted.mode.is_none() && wanted.detail_tolerance == 0 {
            return None;
        }
        let policy = self.policy(config, engine, wanted);
        let classifier = Classifier::new(&config.converter, config.cuts.frame(), config.rules, policy);
        classifier.compares().then(|| PreviousFrame { config: Arc::clone(config), wanted, classifier, pending: None })
    }

    /// The policy for frames of `config`. Says once for each stream and tolerance what `detail-tolerance` does, and
    /// drops results that were made with another policy.
    fn policy(&self, config: &StreamConfig, engine: &Engine, wanted: Wanted) -> Policy {
        let policy = engine.policy(wanted.mode, wanted.detail_tolerance);
        let threshold = policy.threshold.filter(|_| config.rules.is_some());
        let policy = Policy { threshold, ..policy };
        let found = threshold.map(|threshold| u32::from(threshold.enter));
        let (before, stale) = {
            let mut state = self.state.lock();
            let before = state.policy.replace((wanted.detail_tolerance, found));
            // Another tolerance: what is cached may have been resized.
            let stale = if before.is_some_and(|(tolerance, _)| tolerance != wanted.detail_tolerance) {
                state.cache.retain(|_| false)
            } else {
                Vec::new()
            };
            (before, stale)
        };
        drop(stale);
        if wanted.detail_tolerance > 0 && before != Some((wanted.detail_tolerance, found)) {
            match found {
                Some(found) => gst::info!(CAT, imp = self, "Blocks with at most {found} codes of detail are resized"),
                None => gst::info!(CAT, imp = self, "detail-tolerance has no effect: {}", no_threshold(config, engine)),
            }
        }
        policy
    }

    /// Stores the frame for comparison with the next one.
    pub(in crate::upscalefilter) fn keep_previous(&self, previous: Option<PreviousFrame>) {
        *self.previous.lock() = previous;
    }

    /// Compares a frame with earlier ones. Does nothing if duplicates are off.
    pub(in crate::upscalefilter) fn compare(
        &self,
        config: &StreamConfig,
        frame: &MappedFrame,
        mode: Option<Mode>,
        previous: Option<&mut PreviousFrame>,
    ) -> Comparison {
        if mode.is_none() && previous.is_none() {
            return Comparison { fingerprint: None, work: FrameWork::Whole };
        }
        with_picture(config, frame, |picture| Comparison {
            fingerprint: mode.map(|_| self.fingerprinter.fingerprint(picture)),
            work: previous.map_or(FrameWork::Whole, |previous| previous.classifier.work(picture)),
        })
    }
}

impl PreviousFrame {
    /// Whether the next frame may use this one's result. If not, the frame is its only owner.
    pub fn keeps_results(&self) -> bool {
        self.wanted.mode.is_some()
    }

    /// Constraints on the regions of the work for a frame.
    pub fn limits(&self) -> Option<Limits> {
        self.classifier.rules().map(|rules| rules.limits)
    }

    /// Records that the result of `frame` is `pending`, found in `source`, where the comparison called for `work`.
    pub fn note(
        &mut self,
        frame: &MappedFrame,
        pending: Option<Arc<PendingResult>>,
        source: &ResultSource,
        work: &FrameWork,
    ) {
        let same = self.pending.as_ref().zip(pending.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other));
        let config = Arc::clone(&self.config);
        with_picture(&config, frame, |picture| self.classifier.note(picture, source, work, same));
        self.pending = pending;
    }
}

/// Why the network runs everywhere, for the log.
fn no_threshold(config: &StreamConfig, engine: &Engine) -> String {
    let name = &engine.info().name;
    if config.rules.is_none() {
        format!("{name} does not run on parts of these frames")
    } else {
        format!("{name} changes flat areas, too")
    }
}

fn with_picture<R>(config: &StreamConfig, frame: &MappedFrame, read: impl FnOnce(&PictureRef) -> R) -> R {
    let frame = frame.as_video_frame_ref();
    read(&picture(config.format, &frame).expect("the frame was checked when it was mapped"))
}

/// Where a frame's result comes from, with the results involved.
pub(in crate::upscalefilter) struct Lookup {
    pub source: ResultSource,
    /// The result to share, or the one kept from before a flush.
    known: Option<Arc<PendingResult>>,
    /// The result to build upon.
    base: Option<Arc<PendingResult>>,
}

/// Finds where the result of an incoming frame comes from.
pub(in crate::upscalefilter) fn look_up(
    state: &mut State,
    comparison: &Comparison,
    previous: Option<&PreviousFrame>,
) -> Lookup {
    let generation = state.generation;
    let known = comparison.fingerprint.and_then(|fingerprint| state.cache.get(&fingerprint));
    // A result from before a flush may never have been completed.
    let base =
        previous.and_then(|previous| previous.pending.clone()).filter(|pending| pending.generation == generation);
    let state_of = |pending: &Arc<PendingResult>| {
        if pending.generation == generation { Known::Shown } else { Known::Kept }
    };
    let source = Classifier::classify(known.as_ref().map_or(Known::No, state_of), &comparison.work, base.is_some());
    let known = known.or_else(|| base.clone().filter(|_| source == ResultSource::Duplicate));
    Lookup { source, known, base }
}

/// The pending result of the frame with this index; a new one has yet to be computed. Also returns what the cache
/// evicted for it.
pub(in crate::upscalefilter) fn result_of(
    lookup: Lookup,
    state: &mut State,
    comparison: &Comparison,
    previous: Option<&PreviousFrame>,
    index: u64,
    config: &Arc<StreamConfig>,
) -> (Arc<PendingResult>, Vec<Arc<PendingResult>>) {
    let Lookup { source, known, base } = lookup;
    let generation = state.generation;
    let pending = match (&source, known, base) {
        (ResultSource::Duplicate, Some(pending), _) => return (pending, Vec::new()),
        (ResultSource::Kept, Some(pending), _) => pending.renewed(index, generation),
        (ResultSource::New(work), _, Some(base)) if work.needs_previous_frame() => {
            PendingResult::on_base(base, Arc::clone(config), work.written(config.whole()), index, generation)
        }
        _ => PendingResult::new(index, generation),
    };
    let is_kept = previous.is_none_or(|previous| previous.classifier.is_kept(&source));
    let dropped = match comparison.fingerprint {
        Some(fingerprint) if is_kept => state.cache.insert(fingerprint, Arc::clone(&pending), config.kept_bytes()),
        _ => Vec::new(),
    };
    (pending, dropped)
}

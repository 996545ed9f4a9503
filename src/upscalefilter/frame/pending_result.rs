//! The result of an upscaling job, which may not exist yet.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::types::Rect;

use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::fit::Fit;

/// The result of one upscaling job, for all frames that share it.
///
/// If a frame differs from the previous one in some regions only, just these are upscaled. Once they and the previous
/// frame's result exist, the source pad's task [assembles](PendingResult::assemble) them; meanwhile the workers
/// continue with other frames.
#[derive(Debug)]
pub(in crate::upscalefilter) struct PendingResult {
    result: OnceLock<Result<gst::Buffer, FrameError>>,
    patch: Mutex<Option<Patch>>,
    /// The result in the size that is pushed, if that differs.
    shown: OnceLock<Result<gst::Buffer, FrameError>>,
    /// Index of the upscaled frame since the stream started or was last flushed.
    pub index: u64,
    /// The generation that `index` belongs to.
    pub generation: u64,
}

/// The regions of a frame that are upscaled, and the source of the rest.
#[derive(Debug)]
struct Patch {
    /// The previous frame, which provides the rest.
    base: Arc<PendingResult>,
    config: Arc<StreamConfig>,
    /// In input pixels.
    rects: Arc<[Rect]>,
    /// The worker's output buffer, once it is done: only the rectangles are valid, and planes that are resized as a
    /// whole.
    fresh: Option<gst::Buffer>,
}

/// What a pending result no longer needs. May own buffers, whose release can call into other elements: drop it without
/// a lock.
#[must_use]
pub(in crate::upscalefilter) struct Unused {
    _patch: Option<Patch>,
    _result: Option<Result<gst::Buffer, FrameError>>,
}

impl PendingResult {
    /// For a frame that is upscaled as a whole.
    pub fn new(index: u64, generation: u64) -> Arc<Self> {
        Self::with(index, generation, None)
    }

    /// For a frame of which `rects` are upscaled, while the rest comes from `base`, which has the same configuration.
    pub fn on_base(
        base: Arc<PendingResult>,
        config: Arc<StreamConfig>,
        rects: Arc<[Rect]>,
        index: u64,
        generation: u64,
    ) -> Arc<Self> {
        Self::with(index, generation, Some(Patch { base, config, rects, fresh: None }))
    }

    fn with(index: u64, generation: u64, patch: Option<Patch>) -> Arc<Self> {
        Arc::new(PendingResult {
            result: OnceLock::new(),
            patch: Mutex::new(patch),
            shown: OnceLock::new(),
            index,
            generation,
        })
    }

    /// For a frame that is pushed as it is, and that no later frame builds upon.
    pub fn resized(buffer: gst::Buffer, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (OnceLock::new(), OnceLock::from(Ok(buffer)));
        Arc::new(PendingResult { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// The same result for a frame of a later generation.
    pub fn renewed(&self, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (self.result.clone(), self.shown.clone());
        Arc::new(PendingResult { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// Stores the result of the job. Returns what is no longer needed, to be dropped without a lock.
    pub fn set(&self, result: Result<gst::Buffer, FrameError>) -> Unused {
        let mut patch = self.patch.lock();
        match (&mut *patch, result) {
            (Some(patch), Ok(buffer)) => {
                debug_assert!(patch.fresh.is_none(), "a pending result has one job, and a job one result");
                Unused { _patch: None, _result: patch.fresh.replace(buffer).map(Ok) }
            }
            // After a failure there is nothing to assemble.
            (_, result) => Unused { _patch: patch.take(), _result: self.result.set(result).err() },
        }
    }

    /// The complete result, if it exists.
    pub fn get(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.result.get()
    }

    /// The buffer to push, if [`PendingResult::assemble`] has been called.
    pub fn shown(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.shown.get().or_else(|| self.result.get())
    }

    /// Whether [`PendingResult::assemble`] would produce a result.
    pub fn is_ready(&self) -> bool {
        if self.shown().is_some() {
            return true;
        }
        let patch = self.patch.lock();
        patch.as_ref().is_some_and(|patch| patch.fresh.is_some() && patch.base.is_ready())
    }

    /// Assembles the result, after those of the previous frames that it builds upon, and resizes it to the size that is
    /// pushed. Only the source pad's task calls this, without holding a lock.
    pub fn assemble(self: &Arc<Self>, fit: Option<&Fit>) {
        if self.shown.get().is_some() {
            return;
        }
        let mut chain = vec![Arc::clone(self)];
        while let Some(base) = chain.last().and_then(|pending| pending.unfinished_base()) {
            chain.push(base);
        }
        while let Some(pending) = chain.pop() {
            pending.assemble_on_base();
        }
        if let Some((fit, Ok(result))) = fit.zip(self.result.get()) {
            self.shown.get_or_init(|| fit.apply(result));
        }
    }

    fn unfinished_base(&self) -> Option<Arc<PendingResult>> {
        if self.result.get().is_some() {
            return None;
        }
        let patch = self.patch.lock();
        patch.as_ref().map(|patch| Arc::clone(&patch.base)).filter(|base| base.result.get().is_none())
    }

    fn assemble_on_base(&self) {
        if self.result.get().is_some() {
            return;
        }
        let ready = self.patch.lock().take_if(|patch| patch.fresh.is_some());
        let Some(Patch { base, config, rects, fresh: Some(fresh) }) = ready else {
            debug_assert!(false, "only ready results are assembled");
            return;
        };
        let result = match base.get() {
            Some(Ok(previous)) => config.complete(previous, &rects, fresh),
            Some(Err(error)) => Err(error.clone()),
            None => Err(FrameError::Output("the previous frame has no result".into())),
        };
        let first = self.result.set(result).is_ok();
        debug_assert!(first, "a result is assembled once");
    }

    /// The buffer itself, if the result is not shared.
    pub fn into_buffer(self: Arc<Self>) -> Result<gst::Buffer, Arc<Self>> {
        match Arc::try_unwrap(self) {
            Ok(PendingResult { result, patch, shown, index, generation }) => {
                match shown.into_inner().or(result.into_inner()) {
                    Some(Ok(buffer)) => Ok(buffer),
                    other => {
                        let result = other.map_or_else(OnceLock::new, OnceLock::from);
                        Err(Arc::new(PendingResult { result, patch, shown: OnceLock::new(), index, generation }))
                    }
                }
            }
            Err(shared) => Err(shared),
        }
    }
}

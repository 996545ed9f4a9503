//! Where the result of one upscaling appears.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::types::Rect;

use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::fit::Fit;

/// The result of one upscaling, for all frames that show it.
///
/// Of a frame that differs from the one before in some parts only these are upscaled. When they are there, and the frame before is,
/// the source pad's task [puts them together](PendingResult::assemble); until then the workers go on with other frames.
#[derive(Debug)]
pub(in crate::upscalefilter) struct PendingResult {
    result: OnceLock<Result<gst::Buffer, FrameError>>,
    patch: Mutex<Option<Patch>>,
    /// The same in the size that is pushed, where that is another.
    shown: OnceLock<Result<gst::Buffer, FrameError>>,
    /// Index of the frame that was upscaled, from the stream's begin or the last flush.
    pub index: u64,
    /// The generation that `index` counts in.
    pub generation: u64,
}

/// What of a frame is upscaled, and where the rest comes from.
#[derive(Debug)]
struct Patch {
    /// The frame that shows the rest.
    base: Arc<PendingResult>,
    config: Arc<StreamConfig>,
    /// In pixels of the input.
    parts: Arc<[Rect]>,
    /// The output buffer in which only the parts are valid (and planes that are made whole), when the worker is done.
    fresh: Option<gst::Buffer>,
}

/// What a pending does not need any more. It may own buffers, whose release may call into other elements.
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

    /// For a frame of which `parts` are upscaled, and the rest is that of `base`, of the same configuration.
    pub fn on_base(
        base: Arc<PendingResult>,
        config: Arc<StreamConfig>,
        parts: Arc<[Rect]>,
        index: u64,
        generation: u64,
    ) -> Arc<Self> {
        Self::with(index, generation, Some(Patch { base, config, parts, fresh: None }))
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

    /// For a frame that is to be pushed like that, and built upon by none.
    pub fn resized(buffer: gst::Buffer, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (OnceLock::new(), OnceLock::from(Ok(buffer)));
        Arc::new(PendingResult { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// The same result under the index of a frame of a later generation.
    pub fn renewed(&self, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (self.result.clone(), self.shown.clone());
        Arc::new(PendingResult { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// Takes what its job made. Gives what is not needed any more, to be dropped without a lock.
    pub fn set(&self, result: Result<gst::Buffer, FrameError>) -> Unused {
        let mut patch = self.patch.lock();
        match (&mut *patch, result) {
            (Some(patch), Ok(buffer)) => {
                debug_assert!(patch.fresh.is_none(), "a pending has one job, and a job one result");
                Unused { _patch: None, _result: patch.fresh.replace(buffer).map(Ok) }
            }
            // After a failure there is nothing to put together.
            (_, result) => Unused { _patch: patch.take(), _result: self.result.set(result).err() },
        }
    }

    /// The result, if it is there and whole.
    pub fn get(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.result.get()
    }

    /// What is pushed, if [`PendingResult::assemble`] has been called.
    pub fn shown(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.shown.get().or_else(|| self.result.get())
    }

    /// Whether [`PendingResult::assemble`] would give a result.
    pub fn is_ready(&self) -> bool {
        if self.shown().is_some() {
            return true;
        }
        let patch = self.patch.lock();
        patch.as_ref().is_some_and(|patch| patch.fresh.is_some() && patch.base.is_ready())
    }

    /// Makes the result whole, and first those of the frames before that it builds upon, and of the size that is pushed. Only the source
    /// pad's task does so; call it without a lock.
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
        let Some(Patch { base, config, parts, fresh: Some(fresh) }) = ready else {
            debug_assert!(false, "only what is ready is assembled");
            return;
        };
        let result = match base.get() {
            Some(Ok(before)) => config.complete(before, &parts, fresh),
            Some(Err(error)) => Err(error.clone()),
            None => Err(FrameError::Output("the frame before it is not there".into())),
        };
        let first = self.result.set(result).is_ok();
        debug_assert!(first, "it is assembled once");
    }

    /// The buffer itself, if nobody else shows it.
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

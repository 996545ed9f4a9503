//! Where the result of one upscaling appears.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::types::Rect;

use super::errors::FrameError;
use super::fit::Fit;
use super::stream::StreamConfig;

/// The result of one upscaling, for all frames that show it.
///
/// Of a frame that differs from the one before in some parts only these are upscaled. When they are there, and the frame before is,
/// the source pad's task [puts them together](Slot::assemble); until then the workers go on with other frames.
#[derive(Debug)]
pub(super) struct Slot {
    result: OnceLock<Result<gst::Buffer, FrameError>>,
    patch: Mutex<Option<Patch>>,
    /// The same in the size that is pushed, where that is another.
    shown: OnceLock<Result<gst::Buffer, FrameError>>,
    /// Index of the frame that was upscaled, from the stream's begin or the last flush.
    pub index: u64,
    /// The generation that `index` counts in.
    pub generation: u64,
}

/// What of a frame is upscaled by whom, and where the rest comes from.
#[derive(Debug)]
struct Patch {
    /// The frame that shows the rest, if the pieces are not all of it.
    base: Option<Arc<Slot>>,
    config: Arc<StreamConfig>,
    pieces: Vec<Piece>,
}

/// What one job does.
#[derive(Debug)]
struct Piece {
    /// In pixels of the input.
    parts: Arc<[Rect]>,
    /// The output buffer in which only the parts are valid (and, in the first piece's, planes that are made whole), when the worker is
    /// done.
    fresh: Option<gst::Buffer>,
}

impl Patch {
    fn is_there(&self) -> bool {
        self.pieces.iter().all(|piece| piece.fresh.is_some())
    }
}

impl Slot {
    /// For a frame that is upscaled as a whole, by one job.
    pub fn new(index: u64, generation: u64) -> Arc<Self> {
        Self::with(index, generation, None)
    }

    /// For a frame that is put together from `pieces` and, outside of these, the frame of `base`, of the same configuration.
    pub fn in_pieces(
        base: Option<Arc<Slot>>,
        config: Arc<StreamConfig>,
        pieces: &[Arc<[Rect]>],
        index: u64,
        generation: u64,
    ) -> Arc<Self> {
        let pieces = pieces.iter().map(|parts| Piece { parts: Arc::clone(parts), fresh: None }).collect();
        Self::with(index, generation, Some(Patch { base, config, pieces }))
    }

    fn with(index: u64, generation: u64, patch: Option<Patch>) -> Arc<Self> {
        Arc::new(Slot { result: OnceLock::new(), patch: Mutex::new(patch), shown: OnceLock::new(), index, generation })
    }

    /// For a frame that is to be pushed like that, and built upon by none.
    pub fn resized(buffer: gst::Buffer, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (OnceLock::new(), OnceLock::from(Ok(buffer)));
        Arc::new(Slot { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// The same result under the index of a frame of a later generation.
    pub fn renewed(&self, index: u64, generation: u64) -> Arc<Self> {
        let (result, shown) = (self.result.clone(), self.shown.clone());
        Arc::new(Slot { result, patch: Mutex::new(None), shown, index, generation })
    }

    /// Takes what the job of this piece made (0 for a whole frame). The first failure is the frame's.
    pub fn set(&self, piece: usize, result: Result<gst::Buffer, FrameError>) {
        let mut patch = self.patch.lock();
        let of_no_use = match (&mut *patch, result) {
            (Some(patch), Ok(buffer)) => {
                let fresh = patch.pieces.get_mut(piece).map(|piece| &mut piece.fresh);
                debug_assert!(matches!(fresh, Some(None)), "a piece has one job, and a job one result");
                (None, fresh.and_then(|fresh| fresh.replace(buffer)).map(Ok))
            }
            // After a failure there is nothing to put together.
            (_, result) => (patch.take(), self.result.set(result).err()),
        };
        drop(patch);
        drop(of_no_use);
    }

    /// The result, if it is there and whole.
    pub fn get(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.result.get()
    }

    /// What is pushed, if [`Slot::assemble`] has been called.
    pub fn shown(&self) -> Option<&Result<gst::Buffer, FrameError>> {
        self.shown.get().or_else(|| self.result.get())
    }

    /// Whether [`Slot::assemble`] would give a result.
    pub fn is_ready(&self) -> bool {
        if self.shown().is_some() {
            return true;
        }
        let patch = self.patch.lock();
        let built_upon = |patch: &Patch| patch.base.as_ref().is_none_or(|base| base.is_ready());
        patch.as_ref().is_some_and(|patch| patch.is_there() && built_upon(patch))
    }

    /// Makes the result whole, and first those of the frames before that it builds upon, and of the size that is pushed. Only the source
    /// pad's task does so; call it without a lock.
    pub fn assemble(self: &Arc<Self>, fit: Option<&Fit>) {
        if self.shown.get().is_some() {
            return;
        }
        let mut chain = vec![Arc::clone(self)];
        while let Some(base) = chain.last().and_then(|slot| slot.unfinished_base()) {
            chain.push(base);
        }
        while let Some(slot) = chain.pop() {
            slot.assemble_on_base();
        }
        if let Some((fit, Ok(result))) = fit.zip(self.result.get()) {
            self.shown.get_or_init(|| fit.apply(result));
        }
    }

    fn unfinished_base(&self) -> Option<Arc<Slot>> {
        if self.result.get().is_some() {
            return None;
        }
        let patch = self.patch.lock();
        patch.as_ref().and_then(|patch| patch.base.clone()).filter(|base| base.result.get().is_none())
    }

    fn assemble_on_base(&self) {
        if self.result.get().is_some() {
            return;
        }
        let ready = self.patch.lock().take_if(|patch| patch.is_there());
        let Some(Patch { base, config, pieces }) = ready else {
            debug_assert!(false, "only what is ready is assembled");
            return;
        };
        let result = match base.as_ref().map(|base| base.get()) {
            None => put_together(&config, pieces, None),
            Some(Some(Ok(before))) => put_together(&config, pieces, Some(before)),
            Some(Some(Err(error))) => Err(error.clone()),
            Some(None) => Err(FrameError::Output("the frame before it is not there".into())),
        };
        let first = self.result.set(result).is_ok();
        debug_assert!(first, "it is assembled once");
    }

    /// The buffer itself, if nobody else shows it.
    pub fn into_buffer(self: Arc<Self>) -> Result<gst::Buffer, Arc<Self>> {
        match Arc::try_unwrap(self) {
            Ok(Slot { result, patch, shown, index, generation }) => match shown.into_inner().or(result.into_inner()) {
                Some(Ok(buffer)) => Ok(buffer),
                other => {
                    let result = other.map_or_else(OnceLock::new, OnceLock::from);
                    Err(Arc::new(Slot { result, patch, shown: OnceLock::new(), index, generation }))
                }
            },
            Err(shared) => Err(shared),
        }
    }
}

/// The first piece's buffer with what the others made, and the rest from `before`.
fn put_together(
    config: &StreamConfig,
    pieces: Vec<Piece>,
    before: Option<&gst::Buffer>,
) -> Result<gst::Buffer, FrameError> {
    let mut pieces = pieces.into_iter();
    let nothing = || FrameError::Output("the frame has no pieces".into());
    let Some(Piece { parts, fresh: Some(mut result) }) = pieces.next() else { return Err(nothing()) };
    let mut done = parts.to_vec();
    // Each brings its own parts, and at places that are not done yet what the next one overwrites.
    for Piece { parts, fresh } in pieces {
        result = config.complete(&fresh.ok_or_else(nothing)?, &done, result)?;
        done.extend_from_slice(&parts);
    }
    match before {
        Some(before) => config.complete(before, &done, result),
        None => Ok(result),
    }
}

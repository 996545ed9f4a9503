//! Sessions of the network for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::device::Taken;
use super::gate::Waiting;
use super::{Failure, Shared};
use crate::model::{Interrupt, ModelInfo, RunError, Upscaler};
use crate::types::Size;

/// A session of a [`DummyModel`](super::DummyModel).
pub(super) struct DummyUpscaler {
    pub info: ModelInfo,
    pub shared: Arc<Shared>,
    /// Whether runs are interrupted. Changed only under the lock of `shared`.
    pub raised: Arc<AtomicBool>,
    /// Bytes of the largest run so far.
    pub largest: u64,
    pub threads: usize,
    /// The device memory of the open session.
    pub taken: Taken,
}

/// Counts a run as finished, however it ends.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.finished += 1);
    }
}

impl DummyUpscaler {
    /// Waits at the gate; returns the failure requested for this run.
    fn pass(&self, mark: f32) -> Result<Option<Failure>, RunError> {
        let mut state = self.shared.state.lock();
        let run = state.arrived;
        state.arrived += 1;
        state.threads.push(self.threads);
        state.waiting.push(Waiting { run, mark });
        state.most_waiting = state.most_waiting.max(state.waiting.len());
        self.shared.changed.notify_all();
        let result = loop {
            if self.raised.load(Ordering::Relaxed) {
                state.interrupted += 1;
                break Err(RunError::Interrupted);
            }
            if !state.held || state.released.remove(&run) {
                break Ok(());
            }
            if state.permits > 0 {
                state.permits -= 1;
                break Ok(());
            }
            self.shared.changed.wait(&mut state);
        };
        state.waiting.retain(|waiting| waiting.run != run);
        self.shared.changed.notify_all();
        result.map(|()| state.run_failures.remove(&run))
    }

    /// Why the input is invalid, if it violates the model's properties.
    fn complaint(&self, values: usize, size: Size) -> Option<String> {
        let Size { width, height } = size;
        let ModelInfo { multiple, min_size, .. } = self.info;
        if values == 0 || values != self.info.channels.count() * width as usize * height as usize {
            return Some(format!("{values} values for {width}x{height}"));
        }
        if self.info.fixed_size.is_some_and(|fixed| fixed != size) {
            return Some(format!("{width}x{height} is not the fixed size"));
        }
        if width % multiple.width != 0 || height % multiple.height != 0 {
            return Some(format!("{width}x{height} is not a multiple"));
        }
        (width < min_size.width || height < min_size.height).then(|| format!("{width}x{height} is too small"))
    }
}

impl Upscaler for DummyUpscaler {
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError> {
        let _finish = Finish(&self.shared);
        let taken = Taken::take(&self.shared, |device| (device.curve)(size.pixels()));
        let failure = self.pass(input.first().copied().unwrap_or(f32::NAN))?;
        let taken = taken.map_err(RunError::OutOfMemory)?;
        let scale = self.info.scale as usize;
        let expected = input.len() * scale * scale;
        match failure {
            None => {}
            Some(Failure::Error(text)) => return Err(RunError::Failed(text)),
            Some(Failure::OutOfMemory) => return Err(RunError::OutOfMemory("as the test says".into())),
            Some(Failure::WrongSize) => return Err(RunError::WrongSize { expected, got: expected + 1 }),
            Some(Failure::Panic(text)) => panic!("{text}"),
            Some(Failure::Output(value)) => {
                output.clear();
                output.resize(expected, value);
                return Ok(());
            }
        }
        if let Some(complaint) = self.complaint(input.len(), size) {
            return Err(RunError::Failed(complaint));
        }
        output.clear();
        output.reserve(expected);
        for row in input.chunks_exact(size.width as usize) {
            for _ in 0..scale {
                output.extend(row.iter().flat_map(|&value| std::iter::repeat_n(value, scale)));
            }
        }
        self.shared.change(|state| {
            state.sizes.insert(size);
        });
        self.largest = self.largest.max(taken.bytes);
        Ok(())
    }

    fn held(&self) -> Option<u64> {
        self.shared.state.lock().device?;
        Some(self.taken.bytes + self.largest)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::new(DummyInterrupter { shared: self.shared.clone(), raised: self.raised.clone() })
    }
}

impl Drop for DummyUpscaler {
    fn drop(&mut self) {
        self.shared.change(|state| state.sessions_open -= 1);
    }
}

struct DummyInterrupter {
    shared: Arc<Shared>,
    raised: Arc<AtomicBool>,
}

impl Interrupt for DummyInterrupter {
    fn interrupt(&self) {
        self.shared.change(|_| self.raised.store(true, Ordering::Relaxed));
    }

    fn rearm(&self) {
        self.shared.change(|_| self.raised.store(false, Ordering::Relaxed));
    }
}

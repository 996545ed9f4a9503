//! A network for tests that enlarges by repeating pixels, controlled by the test.
//!
//! [`DummyModel::with_device`] gives it a device with limited memory, shared by its runs and simulated other programs.
//!
//! A [`Gate`] holds runs until the test releases them, in any order; the test can make chosen runs or sessions fail.
//! All waits use condition variables, so tests need no sleeps. A wait longer than [`PATIENCE`] panics, to show where a
//! test hangs.

mod device;
mod gate;
mod upscaler;

pub use gate::{Gate, Waiting};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use self::device::{Device, Taken};
use self::upscaler::DummyUpscaler;
use super::graph::{Local, Locality, ReceptiveField};
use super::{Channels, Element, Model, ModelError, ModelInfo, Provider, Upscaler};
use crate::device::{Id, Memory};
use crate::types::Size;

/// How long a test waits for an event before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a run fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// [`RunError::Failed`] with this text.
    Error(String),
    /// [`RunError::OutOfMemory`].
    OutOfMemory,
    /// [`RunError::WrongSize`].
    WrongSize,
    /// A panic with this text.
    Panic(String),
    /// No error, but an output filled with this value.
    Output(f32),
}

#[derive(Default)]
struct State {
    /// Whether runs wait at the gate.
    held: bool,
    /// How many waiting or later runs may pass.
    permits: usize,
    /// Runs that may pass in any case.
    released: HashSet<usize>,
    waiting: Vec<Waiting>,
    /// Largest number of runs at the gate at the same time.
    most_waiting: usize,
    arrived: usize,
    finished: usize,
    interrupted: usize,
    /// Failures by run number.
    run_failures: HashMap<usize, Failure>,
    /// Reasons by number of the session that cannot be opened.
    session_failures: HashMap<usize, String>,
    /// Sizes of all tensors that were run.
    sizes: HashSet<Size>,
    sessions_opened: usize,
    /// Threads of each run's session, in the order of arrival.
    threads: Vec<usize>,
    sessions_open: usize,
    device: Option<Device>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Waits until `done`; panics with `what` after [`PATIENCE`].
    fn wait_until(&self, what: &str, mut done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while !done(&state) {
            let late = self.changed.wait_until(&mut state, deadline).timed_out();
            assert!(
                !late || done(&state),
                "waited in vain for {what}: {} runs arrived, {} finished, waiting {:?}",
                state.arrived,
                state.finished,
                state.waiting
            );
        }
        state
    }
}

/// See the [module](self).
pub struct DummyModel {
    info: ModelInfo,
    shared: Arc<Shared>,
}

impl DummyModel {
    /// A model that accepts any size and enlarges by `scale`.
    pub fn new(channels: Channels, scale: u32) -> Self {
        let one = Size { width: 1, height: 1 };
        let info = ModelInfo {
            name: "dummy".into(),
            channels,
            scale,
            fixed_size: None,
            multiple: one,
            min_size: one,
            locality: Locality::Local(Local {
                receptive_field: ReceptiveField::default(),
                alignment: one,
                least: one,
                exact: true,
            }),
            live_elements: Some(0),
            input: Element::Float32,
            output: Element::Float32,
            provider: Provider::Cpu,
            precision: crate::types::Precision::Fp32,
            choice: "",
            fixed_pixels: 16,
            seconds_per_pixel: 0.0,
            threads: 1,
        };
        Self { info, shared: Arc::default() }
    }

    /// Changes the model's properties. A run that violates `fixed_size`, `multiple` or `min_size` fails.
    pub fn with_info(mut self, change: impl FnOnce(&mut ModelInfo)) -> Self {
        change(&mut self.info);
        self
    }

    /// Simulates a device with `total` bytes of memory. A run on a tensor of `pixels` takes `curve(pixels)` bytes, or
    /// fails with [`RunError::OutOfMemory`] if too little is free.
    pub fn with_device(self, total: u64, curve: fn(u64) -> u64) -> Self {
        let device = Device { total, curve, session: 0, used: 0, peak: 0, others: 0 };
        self.shared.change(|state| state.device = Some(device));
        self
    }

    /// Each open session takes `bytes` of device memory; opening fails if too little is free.
    pub fn with_session_bytes(self, bytes: u64) -> Self {
        self.shared.change(|state| {
            if let Some(device) = &mut state.device {
                device.session = bytes;
            }
        });
        self
    }

    /// From now on, other programs use `bytes` of device memory.
    pub fn others_take(&self, bytes: u64) {
        self.shared.change(|state| {
            if let Some(device) = &mut state.device {
                device.others = bytes;
            }
        });
    }

    /// Peak and current device memory of runs and sessions, in bytes.
    pub fn device_bytes(&self) -> (u64, u64) {
        self.shared.state.lock().device.map_or((0, 0), |device| (device.peak, device.used))
    }

    /// Makes run number `run` (from 0, in the order of arrival) fail after it has passed the gate.
    pub fn fail_run(&self, run: usize, failure: Failure) {
        self.shared.change(|state| {
            state.run_failures.insert(run, failure);
        });
    }

    /// Makes opening session number `session` (from 0) fail.
    pub fn fail_session(&self, session: usize, reason: &str) {
        self.shared.change(|state| {
            state.session_failures.insert(session, reason.into());
        });
    }

    /// The gate of all sessions.
    pub fn gate(&self) -> Gate {
        Gate(self.shared.clone())
    }

    /// Largest number of runs at the gate at the same time.
    pub fn most_waiting(&self) -> usize {
        self.shared.state.lock().most_waiting
    }

    /// Number of runs that have started.
    pub fn runs(&self) -> usize {
        self.shared.state.lock().arrived
    }

    /// The sizes of the tensors that were run.
    pub fn sizes(&self) -> HashSet<Size> {
        self.shared.state.lock().sizes.clone()
    }

    /// Threads of each run's session, in the order of arrival.
    pub fn threads(&self) -> Vec<usize> {
        self.shared.state.lock().threads.clone()
    }

    /// Number of runs that have ended, successfully or not.
    pub fn finished(&self) -> usize {
        self.shared.state.lock().finished
    }

    /// Number of runs that were interrupted.
    pub fn interrupted(&self) -> usize {
        self.shared.state.lock().interrupted
    }

    /// Number of attempts to open a session.
    pub fn sessions_opened(&self) -> usize {
        self.shared.state.lock().sessions_opened
    }

    /// Number of open sessions.
    pub fn sessions_open(&self) -> usize {
        self.shared.state.lock().sessions_open
    }
}

impl Model for DummyModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let refused = {
            let mut state = self.shared.state.lock();
            let session = state.sessions_opened;
            state.sessions_opened += 1;
            state.session_failures.remove(&session)
        };
        let taken = refused.map_or_else(|| Taken::take(&self.shared, |device| device.session), Err);
        let taken = taken.map_err(|reason| ModelError::Invalid { name: self.info.name.clone(), reason })?;
        self.shared.change(|state| state.sessions_open += 1);
        Ok(Box::new(DummyUpscaler {
            info: self.info.clone(),
            shared: self.shared.clone(),
            raised: Arc::default(),
            largest: 0,
            threads,
            taken,
        }))
    }

    fn memory(&self) -> Option<Memory> {
        self.shared.state.lock().device.map(|device| Memory { total: device.total, free: device.free() })
    }

    fn device(&self) -> Id {
        Id::Dummy(Arc::as_ptr(&self.shared) as usize)
    }

    fn key(&self) -> Option<u128> {
        None
    }
}

#[cfg(test)]
mod tests;

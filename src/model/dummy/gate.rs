//! The gate at which a [`DummyModel`](super::DummyModel)'s runs wait for the test.

use std::sync::Arc;

use super::Shared;

/// A run that stands at the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// How many runs had arrived before it.
    pub run: usize,
    /// The first value of its input, by which a test can tell which frame it is.
    pub mark: f32,
}

/// Holds the runs of a [`DummyModel`](super::DummyModel) and lets them go. A handle: clones are the same gate. Open at first.
#[derive(Clone)]
pub struct Gate(pub(super) Arc<Shared>);

impl Gate {
    /// Holds every run that arrives from now on.
    pub fn hold(&self) {
        self.0.change(|state| state.held = true);
    }

    /// Lets all runs pass, those that wait and those to come.
    pub fn open(&self) {
        self.0.change(|state| {
            state.held = false;
            state.permits = 0;
        });
    }

    /// Lets `count` runs pass, whichever come first of those that wait or are still to come.
    pub fn release(&self, count: usize) {
        self.0.change(|state| state.permits += count);
    }

    /// Lets run number `run` pass (counted from 0 in the order of arrival), also before it has arrived.
    pub fn release_run(&self, run: usize) {
        self.0.change(|state| {
            state.released.insert(run);
        });
    }

    /// Waits until `count` runs have arrived since the model was made.
    pub fn wait_arrived(&self, count: usize) {
        drop(self.0.wait_until("runs to arrive", |state| state.arrived >= count));
    }

    /// Waits until at least `count` runs stand at the gate, and tells which, in the order of arrival.
    pub fn wait_waiting(&self, count: usize) -> Vec<Waiting> {
        self.0.wait_until("runs at the gate", |state| state.waiting.len() >= count).waiting.clone()
    }

    /// Waits until `count` runs have ended, well or not, since the model was made.
    pub fn wait_finished(&self, count: usize) {
        drop(self.0.wait_until("runs to finish", |state| state.finished >= count));
    }

    /// The runs that stand at the gate now, in the order of arrival.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.0.state.lock().waiting.clone()
    }
}

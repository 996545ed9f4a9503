//! The gate at which runs of a [`DummyModel`](super::DummyModel) wait for the test.

use std::sync::Arc;

use super::Shared;

/// A run waiting at the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Its number: how many runs arrived before it.
    pub run: usize,
    /// The first value of its input, which identifies the frame.
    pub mark: f32,
}

/// Holds and releases the runs of a [`DummyModel`](super::DummyModel). A handle: clones share the gate. Initially open.
#[derive(Clone)]
pub struct Gate(pub(super) Arc<Shared>);

impl Gate {
    /// Holds every run that arrives from now on.
    pub fn hold(&self) {
        self.0.change(|state| state.held = true);
    }

    /// Lets all runs pass, waiting and future ones.
    pub fn open(&self) {
        self.0.change(|state| {
            state.held = false;
            state.permits = 0;
        });
    }

    /// Lets the next `count` runs pass, waiting or future ones.
    pub fn release(&self, count: usize) {
        self.0.change(|state| state.permits += count);
    }

    /// Lets run number `run` (from 0, in the order of arrival) pass, even before it has arrived.
    pub fn release_run(&self, run: usize) {
        self.0.change(|state| {
            state.released.insert(run);
        });
    }

    /// Waits until `count` runs have arrived since the model was created.
    pub fn wait_arrived(&self, count: usize) {
        drop(self.0.wait_until("runs to arrive", |state| state.arrived >= count));
    }

    /// Waits until at least `count` runs wait at the gate; returns them in the order of arrival.
    pub fn wait_waiting(&self, count: usize) -> Vec<Waiting> {
        self.0.wait_until("runs at the gate", |state| state.waiting.len() >= count).waiting.clone()
    }

    /// Waits until `count` runs have ended, successfully or not, since the model was created.
    pub fn wait_finished(&self, count: usize) {
        drop(self.0.wait_until("runs to finish", |state| state.finished >= count));
    }

    /// The runs waiting at the gate, in the order of arrival.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.0.state.lock().waiting.clone()
    }
}

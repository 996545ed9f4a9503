//! Serialized queries, which wait in the queue for the frames ahead of them.

use std::sync::Arc;

use gst::prelude::*;
use parking_lot::{Condvar, Mutex};

/// A serialized query on its way through the queue. The queue holds a copy, so the caller can stop waiting at any
/// moment.
#[derive(Debug)]
pub(in crate::upscalefilter) struct PendingQuery {
    step: Mutex<Step>,
    changed: Condvar,
}

#[derive(Debug)]
enum Step {
    Waiting(gst::Query),
    /// The task is asking downstream.
    Asked,
    Answered(Option<gst::Query>),
    Abandoned,
}

impl PendingQuery {
    pub fn new(query: gst::Query) -> Arc<Self> {
        Arc::new(PendingQuery { step: Mutex::new(Step::Waiting(query)), changed: Condvar::new() })
    }

    /// Blocks until the query is answered or abandoned. Copies the answer into `query`; `false` without one.
    pub fn wait(&self, query: &mut gst::QueryRef) -> bool {
        let mut step = self.step.lock();
        while matches!(*step, Step::Waiting(_) | Step::Asked) {
            self.changed.wait(&mut step);
        }
        let Step::Answered(Some(answer)) = std::mem::replace(&mut *step, Step::Abandoned) else { return false };
        let (Some(from), to) = (answer.structure(), query.structure_mut()) else { return true };
        for (field, value) in from.iter() {
            to.set_value(field, value.clone());
        }
        true
    }

    /// Ends the wait without an answer.
    pub fn abandon(&self) {
        *self.step.lock() = Step::Abandoned;
        self.changed.notify_all();
    }

    /// Sends the query to `pad`'s peer, unless it has been abandoned.
    pub fn ask(&self, pad: &gst::Pad) {
        let waiting = std::mem::replace(&mut *self.step.lock(), Step::Asked);
        let Step::Waiting(mut query) = waiting else { return self.abandon() };
        let answered = pad.peer_query(query.make_mut());
        let mut step = self.step.lock();
        if matches!(*step, Step::Asked) {
            *step = Step::Answered(answered.then_some(query));
            self.changed.notify_all();
        }
    }
}

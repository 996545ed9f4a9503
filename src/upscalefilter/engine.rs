//! The loaded model and its workers: made on the way to READY, gone on the way to NULL, untouched by flushes.

use std::sync::Arc;
use std::thread::available_parallelism;

use gst::glib;

use crate::model::{self, LoadOptions, Model, ModelError, Source};
use crate::schedule::{WorkerPool, budget};

use super::errors;
use super::job::{FrameJob, Worker};
use super::settings::Settings;

pub(super) struct Engine {
    pub model: Arc<dyn Model>,
    pub pool: WorkerPool<FrameJob>,
    /// Frames that may be between sink and source pad.
    pub max_in_flight: usize,
    /// What it was made from.
    settings: Settings,
}

impl Engine {
    /// Loads the model and opens a session for each worker. Slow; call it without a lock.
    pub fn open(settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let cores = cores();
        let workers = workers(settings, cores);
        let options = LoadOptions {
            provider: settings.execution_provider.into(),
            device_id: settings.device_id,
            intra_threads: budget::threads_per_worker(cores, workers),
        };
        let model =
            model::load(&Source::parse(&settings.model), options).map_err(|error| errors::model_error(&error))?;
        Self::with_model(model, settings)
    }

    /// Whether this is what `settings` ask for.
    pub fn serves(&self, settings: &Settings) -> bool {
        let key = |s: &Settings| (s.model.clone(), s.execution_provider, s.device_id, s.workers, s.max_in_flight);
        key(&self.settings) == key(settings)
    }

    /// The same with a model that is loaded already.
    pub fn with_model(model: Arc<dyn Model>, settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let workers = workers(settings, cores());
        let sessions: Result<Vec<_>, ModelError> = (0..workers).map(|_| model.open_session()).collect();
        let sessions = sessions.map_err(|error| errors::model_error(&error))?;
        let pool = WorkerPool::new(sessions.into_iter().map(Worker::new).collect())
            .map_err(|error| gst::error_msg!(gst::CoreError::Thread, ("Cannot start a worker thread: {error}")))?;
        let max_in_flight = match settings.max_in_flight {
            0 => budget::max_in_flight(workers),
            set => set as usize,
        };
        Ok(Engine { model, pool, max_in_flight, settings: settings.clone() })
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

/// Only the CPU provider is there yet, so "automatic" is the CPU's rule.
fn workers(settings: &Settings, cores: usize) -> usize {
    match settings.workers {
        0 => budget::workers_for_cpu(cores, budget::available_memory()),
        set => set as usize,
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", self.model.info()).field("workers", &self.pool.workers()).finish()
    }
}

/// So that a message can name the thread count without the pool's insides.
pub(super) fn describe(engine: &Engine) -> glib::GString {
    let info = engine.model.info();
    glib::gformat!(
        "model {}: {:?}, x{}, {:?}; {} workers, {} frames in flight",
        info.name,
        info.channels,
        info.scale,
        info.provider,
        engine.pool.workers(),
        engine.max_in_flight
    )
}

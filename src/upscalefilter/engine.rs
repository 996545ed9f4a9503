//! The loaded model, its workers and their memory: made on the way to READY, gone on the way to NULL, untouched by flushes.

use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Instant;

use gst::glib;
use parking_lot::Mutex;

use crate::device::{self, Memory};
use crate::model::{self, LoadOptions, Model, ModelError, ModelInfo, Provider, Source};
use crate::schedule::footprint::Footprints;
use crate::schedule::governor::{Bounds, Governor, Rung, Verdict};
use crate::schedule::{WorkerPool, budget};

use super::errors;
use super::job::{FrameJob, Worker};
use super::settings::Settings;
use super::stream::StreamConfig;

pub(super) struct Engine {
    pub model: Arc<dyn Model>,
    pub pool: WorkerPool<FrameJob>,
    /// Frames that may be between sink and source pad.
    pub max_in_flight: usize,
    pub governor: Mutex<Governor>,
    /// The network on the CPU, loaded when it is first needed.
    fallback: OnceLock<Result<Arc<dyn Model>, String>>,
    /// What it was made from.
    settings: Settings,
}

impl Engine {
    /// Loads the model and opens a session. Slow; call it without a lock.
    pub fn open(settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let provider = settings.execution_provider.into();
        let (workers, _) = workers(settings, provider, device::memory(provider, settings.device_id));
        let model = load(settings, provider, workers).map_err(|error| errors::model_error(&error))?;
        Self::with_model(model, settings)
    }

    /// Whether this is what `settings` ask for.
    pub fn serves(&self, settings: &Settings) -> bool {
        let key = |s: &Settings| {
            let model = (s.model.clone(), s.execution_provider, s.device_id, s.precision);
            let memory = (s.vram_limit, s.tile_size, s.tile_overlap, s.fallback);
            (model, memory, s.workers, s.max_in_flight)
        };
        key(&self.settings) == key(settings)
    }

    /// The same with a model that is loaded already.
    pub fn with_model(model: Arc<dyn Model>, settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let memory = model.memory();
        let limit = limit(settings, memory);
        let info = model.info();
        let (workers, most) = workers(settings, info.provider, memory);
        let footprints = Footprints::remembered(model.key(), info.reckoned_bytes());
        let bounds = bounds(settings, info, (workers, most), 0);
        let governor = Governor::new(bounds, footprints, info.reckoned_bytes(), limit);

        // The first session shows that the model runs. The others are opened by their workers when there is work for them: if the
        // device has no room for one by then, that is a step of the ladder.
        let mut first = Some(model.open_session().map_err(|error| errors::model_error(&error))?);
        let permits: Arc<[_]> = governor.all_permits().into();
        let pool = WorkerPool::new((0..most).map(|_| Worker::new(first.take(), &permits)).collect())
            .map_err(|error| gst::error_msg!(gst::CoreError::Thread, ("Cannot start a worker thread: {error}")))?;
        pool.set_active(workers);
        let max_in_flight = match settings.max_in_flight {
            0 => budget::max_in_flight(workers),
            set => set as usize,
        };
        Ok(Engine {
            model,
            pool,
            max_in_flight,
            governor: Mutex::new(governor),
            fallback: OnceLock::new(),
            settings: settings.clone(),
        })
    }

    /// All that follows from the sink pad's caps; the error's text is for people.
    pub fn config(&self, caps: &gst::CapsRef) -> Result<Arc<StreamConfig>, String> {
        StreamConfig::new(caps, self.model.info(), self.settings.tile_overlap)
    }

    /// Frames of this kind come from now on.
    pub fn set_stream(&self, config: &StreamConfig) {
        let most = self.pool.workers();
        // How many of them begin was decided when the engine was opened, and is the governor's matter since.
        let bounds = bounds(&self.settings, self.model.info(), (most, most), config.cuts.least_tile());
        let (cuts, side) = (config.cuts, config.in_info.width().max(config.in_info.height()));
        let mut governor = self.governor.lock();
        governor.set_frame(side, Box::new(move |tile| cuts.largest(tile)), bounds);
        self.pool.set_active(governor.rung().0.workers);
    }

    /// A frame has succeeded; `pixels` are those of its tensors, if it was a whole one. Gives the step up the ladder, if it was time for
    /// one.
    pub fn succeeded(&self, pixels: Option<u64>) -> Option<(Rung, Rung)> {
        let saturated = self.pool.waiting() > 0;
        {
            let mut governor = self.governor.lock();
            if pixels.is_some_and(|pixels| governor.ran(Instant::now(), pixels, saturated)) {
                self.pool.set_active(governor.rung().0.workers);
            }
            if !governor.succeeded() {
                return None;
            }
        }
        let free = self.model.memory().map(|memory| memory.free);
        let mut governor = self.governor.lock();
        let climbed = governor.climb(free);
        if let Some((_, to)) = climbed {
            self.pool.set_active(to.workers);
        }
        climbed
    }

    /// A run on a tensor of `pixels` was found to take `bytes`. Gives the rung, if that has changed for it.
    pub fn measured(&self, pixels: u64, bytes: u64) -> Option<Rung> {
        let mut governor = self.governor.lock();
        governor.measured(pixels, bytes).then(|| {
            let rung = governor.rung().0;
            self.pool.set_active(rung.workers);
            rung
        })
    }

    /// A run that began in `epoch` has failed. The pool follows before anybody else can change the rung.
    pub fn failed(&self, epoch: u64) -> Verdict {
        let mut governor = self.governor.lock();
        let verdict = governor.failed(epoch);
        if let Verdict::Down { to, .. } = verdict {
            self.pool.set_active(to.workers);
        }
        verdict
    }

    /// The network on the CPU. Slow at first; call it without a lock.
    pub fn fallback(&self) -> Result<&Arc<dyn Model>, &str> {
        let load = || load(&self.settings, Provider::Cpu, self.pool.workers()).map_err(|error| error.to_string());
        self.fallback.get_or_init(load).as_ref().map_err(String::as_str)
    }
}

fn load(settings: &Settings, provider: Provider, workers: usize) -> Result<Arc<dyn Model>, ModelError> {
    let options = LoadOptions {
        provider,
        device_id: settings.device_id,
        intra_threads: budget::threads_per_worker(cores(), workers),
        precision: settings.precision.into(),
    };
    model::load(&Source::parse(&settings.model), options)
}

/// Bytes that runs may take together.
fn limit(settings: &Settings, memory: Option<Memory>) -> u64 {
    match settings.vram_limit {
        0 => free(memory),
        set => set,
    }
}

/// Bytes that are free, less a reserve.
fn free(memory: Option<Memory>) -> u64 {
    memory.map_or(u64::MAX, |memory| memory.free.saturating_sub(device::reserve(memory.free)))
}

/// How far up and down the ladder goes. `least_tile` is the smallest tile that halo and network allow.
fn bounds(settings: &Settings, info: &ModelInfo, workers: (usize, usize), least_tile: u32) -> Bounds {
    // The size of a fixed-size network's tensors is not ours to choose.
    let (tile, smallest_tile) = match info.fixed_size {
        Some(fixed) => (Some(fixed.width.max(fixed.height)), u32::MAX),
        // Twice the least, so that a tile keeps more than a few of the pixels that it reads.
        None => (Some(settings.tile_size).filter(|size| *size > 0), least_tile.saturating_mul(2).max(SMALLEST_TILE)),
    };
    // A halo of a quarter on each side makes the work four times as much, one of an eighth less than twice.
    let efficient_tile = if info.provider == Provider::Cpu { EFFICIENT_TILE } else { EFFICIENT_TILE_OF_GPU };
    let efficient_tile = least_tile.saturating_mul(4).max(efficient_tile);
    // On the CPU already there is nothing to fall back to.
    let fallback =
        (settings.fallback && info.provider != Provider::Cpu).then(|| free(device::memory(Provider::Cpu, 0)));
    Bounds { workers: workers.0, most_workers: workers.1, tile, efficient_tile, smallest_tile, fallback }
}

/// Below this side, what a run costs by itself is seen beside its pixels; on the CPU it is that of a hundred pixels.
const EFFICIENT_TILE: u32 = 96;
const EFFICIENT_TILE_OF_GPU: u32 = 192;
const SMALLEST_TILE: u32 = 32;

fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

/// Workers to begin with, and the most that are tried: on the CPU more than cores gain nothing; a GPU's are found out by trial.
fn workers(settings: &Settings, provider: Provider, memory: Option<Memory>) -> (usize, usize) {
    let by_table = |bytes| {
        let begin = budget::workers_for_device(bytes);
        (begin, budget::most_workers(begin))
    };
    match (settings.workers, provider, memory) {
        (0, Provider::Cpu | Provider::Auto | Provider::OpenVino | Provider::CoreMl, _) => (cores(), cores()),
        (0, _, memory) => by_table(memory.map_or(0, |memory| memory.total)),
        (set, ..) => (set as usize, set as usize),
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
        "model {}: {:?}, x{}, {:?}; {} workers, {} frames in flight, {} for runs",
        info.name,
        info.channels,
        info.scale,
        info.provider,
        engine.pool.active(),
        engine.max_in_flight,
        bytes(engine.governor.lock().permits().limit())
    )
}

/// For people: "512 MiB"; an unlimited amount as such.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes == u64::MAX { "unlimited memory".into() } else { format!("{} MiB", bytes >> 20) }
}

/// For people: "2 workers, tiles of 256".
pub(super) fn describe_rung(rung: Rung) -> String {
    let tiles = rung.tile.map_or("whole frames".into(), |side| format!("tiles of {side}"));
    let place = if rung.fallback { " on the CPU" } else { "" };
    let plural = if rung.workers == 1 { "" } else { "s" };
    format!("{} worker{plural}, {tiles}{place}", rung.workers)
}

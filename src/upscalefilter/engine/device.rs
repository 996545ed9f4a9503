//! One device of an engine: the network loaded on it, and its share of the memory and of the processor.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

use parking_lot::Mutex;

use crate::device::{self, Memory};
use crate::model::{self, LoadOptions, Model, ModelError, ModelInfo, Source, Upscaler};
use crate::schedule::degradation_controller::{Bounds, DegradationController, DegradationLevel};
use crate::schedule::footprint::Footprints;
use crate::schedule::holding::Holdings;
use crate::schedule::permits::{Permit, Permits, Refusal};
use crate::schedule::shares::{Budget, Claim, Share};
use crate::schedule::worker_counts::{WorkerCounts, max_workers, threads_per_worker, workers_for_device};
use crate::types::{Precision, Provider};

use crate::upscalefilter::errors::OpenError;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::properties::{LatencyMode, Settings};

/// Tiles with a shorter side are inefficient: the fixed cost of a run, a hundred pixels on the CPU, becomes noticeable.
const EFFICIENT_TILE: u32 = 96;
const EFFICIENT_TILE_OF_GPU: u32 = 192;
const MIN_TILE: u32 = 32;

/// See [`automatic_tile`]. Halos of both sides add (1 - 2/80)^-2 - 1 = 5 % to a tile of 80 radii.
const AUTOMATIC_TILE: u32 = 640;
const AUTOMATIC_TILE_BY_RADIUS: u32 = 80;

/// One of the devices that share the frames. Each has its own memory and degradation level.
pub(in crate::upscalefilter) struct Device {
    pub model: Arc<dyn Model>,
    pub controller: Mutex<DegradationController>,
    /// The element's share of the device.
    share: Arc<Share>,
    /// The element's share of the processor, if the fallback may run there.
    fallback_share: Option<Arc<Share>>,
    /// The memory that its sessions hold.
    pub holdings: Arc<Holdings>,
    /// The network on the CPU, loaded on first use.
    fallback: OnceLock<Result<Arc<dyn Model>, String>>,
    pub workers: WorkerCounts,
    settings: Settings,
}

/// A session that is open already.
pub(in crate::upscalefilter) struct FirstSession {
    pub upscaler: Box<dyn Upscaler>,
    /// Processor threads inside the session.
    pub threads: usize,
}

/// Loads the model for each device in `settings`. Slow; call it without a lock.
pub(in crate::upscalefilter) fn load_models(settings: &Settings) -> Result<Vec<Arc<dyn Model>>, OpenError> {
    let devices = settings.devices().map_err(OpenError::Settings)?;
    let mut provider = settings.execution_provider;
    let mut models: Vec<Arc<dyn Model>> = Vec::with_capacity(devices.len());
    for device in devices {
        let workers = worker_counts(settings, provider, device::memory(provider, device)).initial;
        let model = load(settings, provider, device, at_a_time(settings, workers))?;
        // Device numbers are those of one provider, so the first device decides which.
        provider = model.info().provider;
        models.push(model);
    }
    Ok(models)
}

impl Device {
    /// Joins the budgets of the device that `model` was loaded for, as `member`.
    pub fn new(model: Arc<dyn Model>, settings: &Settings, member: u64) -> Self {
        let info = model.info();
        let workers = worker_counts(settings, info.provider, model.memory());
        let footprints = Footprints::remembered(model.key(), info.estimated_bytes());
        let bounds = bounds(settings, info, workers, 0);
        let share = join(settings, &*model, member, workers.max);
        let fallback_share = join_as_fallback(settings, info, member);
        let fallback = fallback_share.as_ref().map(|share| (Arc::clone(share.permits()), info.estimated_bytes()));
        let controller =
            Mutex::new(DegradationController::new(bounds, footprints, Arc::clone(share.permits()), fallback));
        Device {
            model,
            controller,
            share,
            fallback_share,
            holdings: Arc::default(),
            fallback: OnceLock::new(),
            workers,
            settings: settings.clone(),
        }
    }

    /// Opens the first session, which proves that the model runs. The workers open the others when there is work for
    /// them: a device without room for one then steps down.
    pub fn open_first_session(&self) -> Result<FirstSession, ModelError> {
        let threads = session_threads(self.model.info(), at_a_time(&self.settings, self.workers.initial));
        Ok(FirstSession { upscaler: self.model.open_session_with(threads)?, threads })
    }

    /// All permits that a worker may have to wait for.
    pub fn permits(&self) -> Arc<[Arc<Permits>]> {
        let mut permits = self.controller.lock().all_permits();
        permits.extend(self.shares().map(|share| Arc::clone(share.runs())));
        permits.into()
    }

    pub fn shares(&self) -> impl Iterator<Item = &Arc<Share>> {
        [Some(&self.share), self.fallback_share.as_ref()].into_iter().flatten()
    }

    /// Waits until the device has room for one more run on `level`, next to those of other elements.
    pub fn turn(&self, level: DegradationLevel, cancelled: &AtomicBool) -> Result<Permit, Refusal> {
        let share = self.fallback_share.as_ref().filter(|_| level.fallback).unwrap_or(&self.share);
        let runs = share.runs();
        // This element's workers together fill a processor. How busy one run keeps a GPU is unknown.
        let on_processor = level.fallback || runs_on_processor(self.model.info().provider);
        let units = if on_processor { runs.limit() / level.workers.max(1) as u64 } else { 1 };
        runs.acquire(units.max(1), cancelled)
    }

    /// Processor threads in each session on `level`.
    pub fn threads(&self, level: DegradationLevel) -> usize {
        if level.fallback {
            return threads_per_worker(cores(), level.workers);
        }
        session_threads(self.model.info(), level.workers)
    }

    /// Prepares the controller for frames of `config`.
    pub fn set_stream(&self, controller: &mut DegradationController, config: &StreamConfig) {
        let cuts = config.largest_cuts();
        let side = cuts.frame().width.max(cuts.frame().height);
        // The initial number of workers counts only when the engine is opened; from then on the controller decides.
        let workers = WorkerCounts { initial: self.workers.max, ..self.workers };
        let mut bounds = bounds(&self.settings, self.model.info(), workers, cuts.min_tile());
        let is_smaller = |tile: &u32| cuts.largest(Some(*tile)) < cuts.largest(None);
        bounds.tile = bounds.tile.or_else(|| automatic_tile(self.model.info()).filter(is_smaller));
        controller.set_frame(side, Box::new(move |tile| cuts.largest(tile)), bounds);
    }

    /// The network on the CPU, shared by `workers` workers. Slow on first use; call it without a lock.
    pub fn fallback(&self, workers: usize) -> Result<&Arc<dyn Model>, &str> {
        // Not every number type of another device is possible on the CPU.
        let settings = || Settings { precision: Precision::Auto, ..self.settings.clone() };
        let load = || load(&settings(), Provider::Cpu, 0, workers.max(1)).map_err(|error| error.to_string());
        self.fallback.get_or_init(load).as_ref().map_err(String::as_str)
    }
}

fn load(settings: &Settings, provider: Provider, device_id: u32, workers: usize) -> Result<Arc<dyn Model>, ModelError> {
    let options = LoadOptions {
        provider,
        device_id,
        intra_threads: threads_per_worker(cores(), workers),
        precision: settings.precision,
        conversion: settings.conversion,
    };
    model::load(&Source::parse(&settings.model), options)
}

/// The element's share of the device that a model runs on, for at most `workers` workers.
fn join(settings: &Settings, model: &dyn Model, member: u64, workers: usize) -> Arc<Share> {
    let memory = model.memory();
    let runs = match memory {
        _ if runs_on_processor(model.info().provider) => cores(),
        memory => max_workers(workers_for_device(memory.map_or(0, |memory| memory.total))),
    };
    let limit = Some(settings.vram_limit).filter(|limit| *limit > 0);
    Budget::of(model.device(), free(memory), runs).join(2 * member, Claim { limit, runs: workers })
}

/// The element's share of the processor for a model that may fall back to it; `None` if it already runs there.
fn join_as_fallback(settings: &Settings, info: &ModelInfo, member: u64) -> Option<Arc<Share>> {
    if !settings.fallback || info.provider == Provider::Cpu {
        return None;
    }
    let memory = device::memory(Provider::Cpu, 0);
    // A model that runs on the processor through another library is a separate member.
    let claim = Claim { limit: None, runs: cores() };
    Some(Budget::of(device::Id::Processor, free(memory), cores()).join(2 * member + 1, claim))
}

fn worker_counts(settings: &Settings, provider: Provider, memory: Option<Memory>) -> WorkerCounts {
    // `Auto` without a GPU is the processor; the workers are counted again when the provider is known.
    let on_processor = provider == Provider::Auto || runs_on_processor(provider);
    let counts = WorkerCounts::choose(settings.workers, on_processor.then(cores), memory.map(|memory| memory.total));
    // Its sessions take turns, so a second worker is only good for converting meanwhile.
    let most = if provider == Provider::WebGpu && settings.workers == 0 { 2 } else { usize::MAX };
    WorkerCounts { initial: counts.initial.min(most), max: counts.max.min(most) }
}

/// Whether a run's work is done by the processor.
fn runs_on_processor(provider: Provider) -> bool {
    matches!(provider, Provider::Cpu | Provider::OpenVino)
}

/// How many frames a device with `workers` workers starts with at a time.
fn at_a_time(settings: &Settings, workers: usize) -> usize {
    if settings.latency_mode == LatencyMode::Low { 1 } else { workers }
}

/// Processor threads in each session if there are `workers` of them. Other devices keep their sessions when there are fewer
/// workers: reopening them takes longer, and the processor does little of the work.
fn session_threads(info: &ModelInfo, workers: usize) -> usize {
    if runs_on_processor(info.provider) { threads_per_worker(cores(), workers) } else { info.threads }
}

/// Free bytes less a reserve.
fn free(memory: Option<Memory>) -> u64 {
    memory.map_or(u64::MAX, |memory| memory.free.saturating_sub(device::reserve(memory.free)))
}

/// The tile for whole frames where it costs little and gives the same bytes. On a processor, runs on whole frames are
/// hardly faster, and take memory in proportion to the frame.
fn automatic_tile(info: &ModelInfo) -> Option<u32> {
    let local = info.local().filter(|local| local.exact && runs_on_processor(info.provider))?;
    Some(AUTOMATIC_TILE.max(AUTOMATIC_TILE_BY_RADIUS.saturating_mul(local.receptive_field.radius())))
}

/// The highest and the lowest degradation level. `min_tile` is the smallest tile that halo and network allow.
fn bounds(settings: &Settings, info: &ModelInfo, workers: WorkerCounts, min_tile: u32) -> Bounds {
    // A network of a fixed size determines the size of its tensors.
    let (tile, min_tile_size) = match info.fixed_size {
        Some(fixed) => (Some(fixed.width.max(fixed.height)), u32::MAX),
        // Twice the smallest, so that a tile keeps more than a few of the pixels that it reads.
        None => (Some(settings.tile_size).filter(|size| *size > 0), min_tile.saturating_mul(2).max(MIN_TILE)),
    };
    // A halo of a quarter on each side multiplies the work by four, one of an eighth by less than two.
    let efficient_tile = if runs_on_processor(info.provider) { EFFICIENT_TILE } else { EFFICIENT_TILE_OF_GPU };
    let efficient_tile = min_tile.saturating_mul(4).max(efficient_tile);
    Bounds { workers: workers.initial, max_workers: workers.max, tile, efficient_tile, min_tile_size }
}

fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

//! The loaded model, its workers and their memory, on each of the devices: made on the way to READY, gone on the way to NULL, untouched
//! by flushes.

pub(in crate::upscalefilter) mod swap;
pub(in crate::upscalefilter) mod worker;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::available_parallelism;
use std::time::Instant;

use gst::glib;
use parking_lot::Mutex;

use crate::device::{self, Memory};
use crate::model::{self, LoadOptions, Model, ModelError, ModelInfo, RunError, Source};
use crate::schedule::footprint::Footprints;
use crate::schedule::holding::Holdings;
use crate::schedule::load_controller::{Bounds, DegradationLevel, LoadController, Verdict};
use crate::schedule::permits::{Permit, Refusal};
use crate::schedule::shares::{Budget, Claim, Share, Watch};
use crate::schedule::{WorkerPool, budget};
use crate::types::Provider;

use crate::upscalefilter::engine::worker::Worker;
use crate::upscalefilter::frame::job::FrameJob;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::conversion;
use crate::upscalefilter::properties::{LatencyMode, Settings};

pub(in crate::upscalefilter) struct Engine {
    /// At least one. Their places are the groups of the pool.
    pub devices: Vec<Device>,
    pub pool: WorkerPool<FrameJob>,
    /// Workers that there was room for when the stream's frames were known, on all devices.
    planned: AtomicUsize,
    /// Each device runs one frame at a time.
    low_latency: AtomicBool,
    /// What it was made from.
    settings: Settings,
}

/// One of the devices that share the frames. Each has a memory and a degradation levels of its own.
pub(in crate::upscalefilter) struct Device {
    pub model: Arc<dyn Model>,
    pub controller: Mutex<LoadController>,
    /// The element's part of it.
    share: Arc<Share>,
    /// The element's part of the processor, if the fallback may run there.
    fallback_share: Option<Arc<Share>>,
    /// What its sessions hold.
    pub holdings: Arc<Holdings>,
    /// The network on the CPU, loaded when it is first needed.
    fallback: OnceLock<Result<Arc<dyn Model>, String>>,
}

/// Why an engine cannot be had.
#[derive(Debug, thiserror::Error)]
pub(in crate::upscalefilter) enum OpenError {
    #[error("{0}")]
    Settings(String),
    #[error("{0}")]
    Model(#[from] ModelError),
    /// What a library builds for the stream's frames.
    #[error("the model cannot be made ready for these frames: {0}")]
    Build(#[from] RunError),
    #[error("cannot start a worker thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Loads the model for each device and opens a session, for the member of this number of the devices' budgets. Slow; call it without
    /// a lock.
    pub fn open(settings: &Settings, member: u64) -> Result<Arc<Self>, OpenError> {
        let devices = settings.devices().map_err(OpenError::Settings)?;
        let mut provider = settings.execution_provider;
        let mut models: Vec<Arc<dyn Model>> = Vec::with_capacity(devices.len());
        for device in devices {
            let (workers, _) = workers(settings, provider, device::memory(provider, device));
            let model = load(settings, provider, device, at_a_time(settings, workers))?;
            // The numbers are those of one provider.
            provider = model.info().provider;
            models.push(model);
        }
        Self::with_models(models, settings, member)
    }

    /// Whether this is what `settings` ask for.
    pub fn serves(&self, settings: &Settings) -> bool {
        self.settings.same_engine(settings)
    }

    /// Whether it is what takes the frames until an engine for `settings` has been built.
    pub fn stands_in_for(&self, settings: &Settings) -> bool {
        settings.stand_in().is_some_and(|stand_in| self.serves(&stand_in))
    }

    /// The same with models that are loaded already, one for each device.
    pub fn with_models(models: Vec<Arc<dyn Model>>, settings: &Settings, member: u64) -> Result<Arc<Self>, OpenError> {
        let mut devices = Vec::with_capacity(models.len());
        let (mut contexts, mut begin) = (Vec::new(), Vec::new());
        for (number, model) in models.into_iter().enumerate() {
            let memory = model.memory();
            let info = model.info();
            let (workers, most) = workers(settings, info.provider, memory);
            let footprints = Footprints::remembered(model.key(), info.estimated_bytes());
            let bounds = bounds(settings, info, (workers, most), 0);
            let share = join(settings, &*model, member, most);
            let fallback_share = join_as_fallback(settings, info, member);
            let fallback = fallback_share.as_ref().map(|share| (Arc::clone(share.permits()), info.estimated_bytes()));
            let controller = LoadController::new(bounds, footprints, Arc::clone(share.permits()), fallback);
            // The first session shows that the model runs. The others are opened by their workers when there is work for them: if
            // the device has no room for one by then, that is a step of the degradation levels.
            let threads = threads(info, at_a_time(settings, workers));
            let mut first = Some((model.open_session_with(threads)?, threads));
            let mut permits = controller.all_permits();
            permits.push(Arc::clone(share.runs()));
            permits.extend(fallback_share.iter().map(|share| Arc::clone(share.runs())));
            let permits: Arc<[_]> = permits.into();
            let holdings = Arc::default();
            contexts.push((0..most).map(|_| Worker::new(number, first.take(), &permits, &holdings)).collect());
            begin.push(workers);
            let controller = Mutex::new(controller);
            devices.push(Device { model, controller, share, fallback_share, holdings, fallback: OnceLock::new() });
        }
        let pool = WorkerPool::new(contexts)?;
        begin.iter().enumerate().for_each(|(number, workers)| pool.set_active(number, *workers));
        let planned = AtomicUsize::new(begin.iter().sum());
        let low_latency = AtomicBool::new(false);
        let engine = Arc::new(Engine { devices, pool, planned, low_latency, settings: settings.clone() });
        for share in engine.devices.iter().flat_map(Device::shares) {
            share.watch(Arc::downgrade(&engine) as Weak<dyn Watch>);
        }
        Ok(engine)
    }

    /// Waits until a device has room for one more run on a level, beside those of other elements.
    pub fn turn(&self, number: usize, level: DegradationLevel, cancelled: &AtomicBool) -> Result<Permit, Refusal> {
        let device = &self.devices[number];
        let share = device.fallback_share.as_ref().filter(|_| level.fallback).unwrap_or(&device.share);
        let runs = share.runs();
        // What all of this element's workers do together is all of a processor; how much of a GPU a run keeps busy, nobody tells.
        let on_processor = level.fallback || runs_on_processor(device.model.info().provider);
        let units = if on_processor { runs.limit() / level.workers.max(1) as u64 } else { 1 };
        runs.acquire(units.max(1), cancelled)
    }

    /// Frames that may be between sink and source pad. It does not follow each change of the workers, as upstream's buffers and the
    /// latency do not either, but none of them is without a frame.
    pub fn in_flight(&self) -> usize {
        match self.settings.max_in_flight {
            0 => budget::max_in_flight(self.planned.load(Ordering::Relaxed)).max(self.pool.active() + 2),
            set => set as usize,
        }
    }

    /// Whether somebody has asked for that number.
    pub fn in_flight_is_set(&self) -> bool {
        self.settings.max_in_flight > 0
    }

    /// What holds of the network wherever it runs.
    pub fn info(&self) -> &ModelInfo {
        self.devices[0].model.info()
    }

    /// All that follows from the sink pad's caps and what `choose` makes of the network's output caps; the error's text is for people. Slow
    /// where the device is to convert; call it without a lock.
    pub fn config(
        &self,
        caps: &gst::CapsRef,
        choose: impl FnOnce(&gst::Caps, &gst_video::VideoInfo) -> gst::Caps,
    ) -> Result<Arc<StreamConfig>, String> {
        let mut config = StreamConfig::new(caps, self.info(), self.settings.tile_overlap, choose)?;
        let models = self.devices.iter().map(|device| &*device.model);
        config.set_codes(conversion::codes(self.settings.conversion, models, &config)?);
        Ok(Arc::new(config))
    }

    /// Whether its devices convert, if they can.
    pub fn may_convert(&self) -> bool {
        self.settings.conversion.on_device(self.info().provider)
    }

    /// Has the libraries of each device build what they build for frames of this kind, which may take minutes; it is kept on disk.
    pub fn build_for(&self, config: &StreamConfig) -> Result<(), OpenError> {
        let tensors: HashSet<_> = config.regions(None).iter().map(|region| region.tensor).collect();
        for device in &self.devices {
            let mut session = device.model.open_session()?;
            let mut result = Vec::new();
            for size in &tensors {
                let count = device.model.info().channels.count() * size.pixels() as usize;
                session.run(&vec![0.5; count], *size, &mut result)?;
            }
        }
        Ok(())
    }

    /// Frames of this kind come from now on.
    pub fn set_stream(&self, config: &StreamConfig) {
        let cuts = config.largest_cuts();
        let side = cuts.frame().width.max(cuts.frame().height);
        for (number, device) in self.devices.iter().enumerate() {
            let info = device.model.info();
            // How many of them begin was decided when the engine was opened, and is the controller's matter since.
            let (_, most) = workers(&self.settings, info.provider, device.model.memory());
            let bounds = bounds(&self.settings, info, (most, most), cuts.min_tile());
            let mut controller = device.controller.lock();
            controller.set_frame(side, Box::new(move |tile| cuts.largest(tile)), bounds);
            self.set_active(number, &controller);
        }
        self.planned.store(self.pool.active(), Ordering::Relaxed);
    }

    /// Has each device run one frame at a time, with all cores, or as many as there are workers again. Gives what a pixel takes from then
    /// on, in seconds, if that is a change.
    pub fn set_low_latency(&self, low: bool) -> Option<f64> {
        if self.low_latency.swap(low, Ordering::Relaxed) == low {
            return None;
        }
        for (number, device) in self.devices.iter().enumerate() {
            let mut controller = device.controller.lock();
            controller.set_one_at_a_time(low);
            self.set_active(number, &controller);
        }
        Some(self.seconds_per_pixel())
    }

    /// What a pixel takes a worker, by what was measured when the model was loaded; 0 where that is not known.
    pub fn seconds_per_pixel(&self) -> f64 {
        let info = self.info();
        let level = self.devices[0].controller.lock().level().0;
        info.seconds_per_pixel * info.threads as f64 / self.threads(0, level) as f64
    }

    /// Threads of the processor in each session on a level.
    pub fn threads(&self, number: usize, level: DegradationLevel) -> usize {
        if level.fallback {
            return budget::threads_per_worker(cores(), level.workers);
        }
        threads(self.devices[number].model.info(), level.workers)
    }

    /// Lets the pool follow the controller.
    fn set_active(&self, number: usize, controller: &LoadController) {
        self.pool.set_active(number, controller.level().0.workers);
    }

    /// A frame has succeeded on a device; `pixels` are those of its tensors, if it was a whole one. Gives the step up the degradation levels, if it was
    /// time for one.
    pub fn succeeded(&self, number: usize, pixels: Option<u64>) -> Option<(DegradationLevel, DegradationLevel)> {
        let saturated = self.pool.waiting() > 0;
        let device = &self.devices[number];
        {
            let mut controller = device.controller.lock();
            if pixels.is_some_and(|pixels| controller.ran(Instant::now(), pixels, saturated)) {
                self.set_active(number, &controller);
            }
            if !controller.succeeded() {
                return None;
            }
        }
        let free = device.model.memory().map(|memory| memory.free);
        let mut controller = device.controller.lock();
        let climbed = controller.climb(free);
        if climbed.is_some() {
            self.set_active(number, &controller);
        }
        climbed
    }

    /// A run on a tensor of `pixels` was found to take `bytes`. Gives the level, if that has changed for it.
    pub fn measured(&self, number: usize, pixels: u64, bytes: u64) -> Option<DegradationLevel> {
        let mut controller = self.devices[number].controller.lock();
        controller.measured(pixels, bytes).then(|| {
            self.set_active(number, &controller);
            controller.level().0
        })
    }

    /// A run that began in `epoch` has failed. The pool follows before anybody else can change the level.
    pub fn failed(&self, number: usize, epoch: u64) -> Verdict {
        let alone = self.pool.is_alone(number);
        let mut controller = self.devices[number].controller.lock();
        let verdict = controller.failed(epoch, alone);
        if let Verdict::Down { .. } = verdict {
            self.set_active(number, &controller);
        }
        verdict
    }

    /// A device's network on the CPU. Slow at first; call it without a lock.
    pub fn fallback(&self, number: usize) -> Result<&Arc<dyn Model>, &str> {
        let workers = self.pool.active_in(number).max(1);
        let load = || load(&self.settings, Provider::Cpu, 0, workers).map_err(|error| error.to_string());
        self.devices[number].fallback.get_or_init(load).as_ref().map_err(String::as_str)
    }
}

fn load(settings: &Settings, provider: Provider, device_id: u32, workers: usize) -> Result<Arc<dyn Model>, ModelError> {
    let options = LoadOptions {
        provider,
        device_id,
        intra_threads: budget::threads_per_worker(cores(), workers),
        precision: settings.precision,
        conversion: settings.conversion,
    };
    model::load(&Source::parse(&settings.model), options)
}

impl Device {
    fn shares(&self) -> impl Iterator<Item = &Arc<Share>> {
        [Some(&self.share), self.fallback_share.as_ref()].into_iter().flatten()
    }
}

impl Watch for Engine {
    fn share_changed(&self) {
        for (number, device) in self.devices.iter().enumerate() {
            let mut controller = device.controller.lock();
            let (_, before) = controller.share(controller.level().0);
            if controller.limit_changed() {
                self.set_active(number, &controller);
                // Sessions keep what their largest tensor took, whether they run again or not.
                if controller.share(controller.level().0).1 < before {
                    self.pool.trim(number);
                }
            }
        }
    }
}

/// The element's share of the device that a model runs on, for up to so many workers.
fn join(settings: &Settings, model: &dyn Model, member: u64, workers: usize) -> Arc<Share> {
    let memory = model.memory();
    let runs = match memory {
        _ if runs_on_processor(model.info().provider) => cores(),
        memory => budget::max_workers(budget::workers_for_device(memory.map_or(0, |memory| memory.total))),
    };
    let limit = Some(settings.vram_limit).filter(|limit| *limit > 0);
    Budget::of(model.device(), free(memory), runs).join(2 * member, Claim { limit, runs: workers })
}

/// The element's share of the processor for what may fall back to it; none where it is there already.
fn join_as_fallback(settings: &Settings, info: &ModelInfo, member: u64) -> Option<Arc<Share>> {
    if !settings.fallback || info.provider == Provider::Cpu {
        return None;
    }
    let memory = device::memory(Provider::Cpu, 0);
    // It may be on the processor with another library: that is another member.
    let claim = Claim { limit: None, runs: cores() };
    Some(Budget::of(device::Id::Processor, free(memory), cores()).join(2 * member + 1, claim))
}

/// Whether the work of a run is the processor's.
fn runs_on_processor(provider: Provider) -> bool {
    matches!(provider, Provider::Cpu | Provider::OpenVino)
}

/// Frames that a device with so many `workers` begins with at a time.
fn at_a_time(settings: &Settings, workers: usize) -> usize {
    if settings.latency_mode == LatencyMode::Low { 1 } else { workers }
}

/// Threads of the processor in each of the sessions of so many `workers`. On other devices sessions are not opened anew where the
/// workers become fewer: that takes longer, and most of the work is not the processor's.
fn threads(info: &ModelInfo, workers: usize) -> usize {
    if runs_on_processor(info.provider) { budget::threads_per_worker(cores(), workers) } else { info.threads }
}

/// Bytes that are free, less a reserve.
fn free(memory: Option<Memory>) -> u64 {
    memory.map_or(u64::MAX, |memory| memory.free.saturating_sub(device::reserve(memory.free)))
}

/// How far up and down the degradation levels goes. `min_tile` is the smallest tile that halo and network allow.
fn bounds(settings: &Settings, info: &ModelInfo, workers: (usize, usize), min_tile: u32) -> Bounds {
    // The size of a fixed-size network's tensors is not ours to choose.
    let (tile, min_tile_size) = match info.fixed_size {
        Some(fixed) => (Some(fixed.width.max(fixed.height)), u32::MAX),
        // Twice the least, so that a tile keeps more than a few of the pixels that it reads.
        None => (Some(settings.tile_size).filter(|size| *size > 0), min_tile.saturating_mul(2).max(MIN_TILE)),
    };
    // A halo of a quarter on each side makes the work four times as much, one of an eighth less than twice.
    let efficient_tile = if info.provider == Provider::Cpu { EFFICIENT_TILE } else { EFFICIENT_TILE_OF_GPU };
    let efficient_tile = min_tile.saturating_mul(4).max(efficient_tile);
    Bounds { workers: workers.0, max_workers: workers.1, tile, efficient_tile, min_tile_size }
}

/// Below this side, what a run costs by itself is seen beside its pixels; on the CPU it is that of a hundred pixels.
const EFFICIENT_TILE: u32 = 96;
const EFFICIENT_TILE_OF_GPU: u32 = 192;
const MIN_TILE: u32 = 32;

fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

/// Workers to begin with, and the most that are tried: on the CPU more than cores gain nothing; a GPU's are found out by tuner.
fn workers(settings: &Settings, provider: Provider, memory: Option<Memory>) -> (usize, usize) {
    let by_table = |bytes| {
        let begin = budget::workers_for_device(bytes);
        (begin, budget::max_workers(begin))
    };
    match (settings.workers, provider, memory) {
        (0, Provider::Cpu | Provider::Auto | Provider::OpenVino, _) => (cores(), cores()),
        (0, _, memory) => by_table(memory.map_or(0, |memory| memory.total)),
        (set, ..) => (set as usize, set as usize),
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", self.info()).field("workers", &self.pool.workers()).finish()
    }
}

/// So that a message can name the thread count without the pool's insides.
pub(in crate::upscalefilter) fn describe(engine: &Engine) -> glib::GString {
    let info = engine.info();
    let limit = |device: &Device| bytes(device.controller.lock().permits().limit());
    let limits: Vec<_> = engine.devices.iter().map(limit).collect();
    glib::gformat!(
        "model {}: {:?}, x{}, {:?}; {} workers, {} frames in flight, {} for runs",
        info.name,
        info.channels,
        info.scale,
        info.provider,
        engine.pool.active(),
        engine.in_flight(),
        limits.join(" and ")
    )
}

/// For people: "512 MiB"; an unlimited amount as such.
pub(in crate::upscalefilter) fn bytes(bytes: u64) -> String {
    if bytes == u64::MAX { "unlimited memory".into() } else { format!("{} MiB", bytes >> 20) }
}

/// For people: "2 workers, tiles of 256".
pub(in crate::upscalefilter) fn describe_level(level: DegradationLevel) -> String {
    let tiles = level.tile.map_or("whole frames".into(), |side| format!("tiles of {side}"));
    let place = if level.fallback { " on the CPU" } else { "" };
    let plural = if level.workers == 1 { "" } else { "s" };
    format!("{} worker{plural}, {tiles}{place}", level.workers)
}

//! The engine: the model loaded on each device, the workers and their memory. It is opened on the way to READY, dropped
//! on the way to NULL, and not affected by flushes.

pub(in crate::upscalefilter) mod device;
pub(in crate::upscalefilter) mod swap;
pub(in crate::upscalefilter) mod worker;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use gst::glib;

use crate::model::{Model, ModelError, ModelInfo, Upscaler};
use crate::reuse::{Mode, Policy, Sensitivity};
use crate::schedule::degradation_controller::{DegradationController, DegradationLevel, Verdict};
use crate::schedule::shares::Watch;
use crate::schedule::{Job, WorkerPool, worker_counts};

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::device::Device;
use crate::upscalefilter::engine::worker::Worker;
use crate::upscalefilter::errors::OpenError;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::conversion;
use crate::upscalefilter::properties::Settings;
use crate::upscalefilter::text::mebibytes;

pub(in crate::upscalefilter) struct Engine {
    /// At least one. Their indices are the groups of the pool.
    pub devices: Vec<Device>,
    pub pool: WorkerPool<Box<dyn Job<Context = Worker>>>,
    /// Workers on all devices that fitted when the stream's caps became known.
    planned: AtomicUsize,
    /// Each device runs one frame at a time.
    low_latency: AtomicBool,
    /// What the network makes of pictures of known detail, once it has been asked for. `None` if that is not known.
    sensitivity: OnceLock<Option<Arc<Sensitivity>>>,
    /// The settings it was opened with.
    settings: Settings,
}

impl Engine {
    /// Loads the model for each device and opens a session; joins the devices' budgets as `member`. Slow; call it
    /// without a lock.
    pub fn open(settings: &Settings, member: u64) -> Result<Arc<Self>, OpenError> {
        Self::with_models(device::load_models(settings)?, settings, member)
    }

    /// Whether it is the engine for `settings`.
    pub fn matches(&self, settings: &Settings) -> bool {
        self.settings.same_engine(settings)
    }

    /// Whether it upscales frames until the engine for `settings` has been built.
    pub fn stands_in_for(&self, settings: &Settings) -> bool {
        settings.stand_in().is_some_and(|stand_in| self.matches(&stand_in))
    }

    /// The same with loaded models, one for each device.
    pub fn with_models(models: Vec<Arc<dyn Model>>, settings: &Settings, member: u64) -> Result<Arc<Self>, OpenError> {
        let devices: Vec<_> = models.into_iter().map(|model| Device::new(model, settings, member)).collect();
        let mut contexts = Vec::with_capacity(devices.len());
        let sensitivity = OnceLock::new();
        for (number, device) in devices.iter().enumerate() {
            let mut first = device.open_first_session()?;
            if number == 0 && settings.needs_sensitivity(device.model.info()) {
                sensitivity.get_or_init(|| sensitivity_of(&*device.model, || Ok(&mut *first.upscaler)));
            }
            let mut first = Some(first);
            let permits = device.permits();
            let worker = |_| Worker::new(number, first.take(), &permits, &device.holdings);
            contexts.push((0..device.workers.max).map(worker).collect());
        }
        let pool = WorkerPool::new(contexts)?;
        for (number, device) in devices.iter().enumerate() {
            pool.set_active(number, device.workers.initial);
        }
        let planned = AtomicUsize::new(devices.iter().map(|device| device.workers.initial).sum());
        let low_latency = AtomicBool::new(false);
        let engine = Arc::new(Engine { devices, pool, planned, low_latency, sensitivity, settings: settings.clone() });
        for share in engine.devices.iter().flat_map(Device::shares) {
            share.watch(Arc::downgrade(&engine) as Weak<dyn Watch>);
        }
        Ok(engine)
    }

    /// The limit on frames between sink and source pad. It does not follow each change in the number of workers, as
    /// upstream's buffers and the latency do not either, but gives each worker a frame.
    pub fn in_flight(&self) -> usize {
        match self.settings.max_in_flight {
            0 => worker_counts::max_in_flight(self.planned.load(Ordering::Relaxed)).max(self.pool.active() + 2),
            set => set as usize,
        }
    }

    /// Whether the limit is set by the property.
    pub fn in_flight_is_set(&self) -> bool {
        self.settings.max_in_flight > 0
    }

    /// The network's description, the same on all devices.
    pub fn info(&self) -> &ModelInfo {
        self.devices[0].model.info()
    }

    /// The configuration for caps on the sink pad. `choose` turns the network's output caps into those that are pushed.
    /// The error's text is for people. Slow if the device converts; call it without a lock.
    pub fn config(
        &self,
        caps: &gst::CapsRef,
        choose: impl FnOnce(&gst::Caps, &gst_video::VideoInfo) -> gst::Caps,
    ) -> Result<Arc<StreamConfig>, String> {
        let mut config = StreamConfig::new(caps, self.info(), self.settings.tile_overlap, choose)?;
        let models = self.devices.iter().map(|device| &*device.model);
        config.set_encoding(conversion::device_encoding(self.settings.conversion, models, &config)?);
        Ok(Arc::new(config))
    }

    /// What frames go through the network, and how. May run the network, if none of the settings that the engine was
    /// opened with asked for it; call it without a lock.
    pub fn policy(&self, mode: Option<Mode>, detail_tolerance: u32) -> Policy {
        let similar = if let Some(Mode::Similar { tolerance, .. }) = mode { tolerance } else { 0 };
        // The whole receptive field where results have to be exact.
        let Some(tolerance) = [similar, detail_tolerance].into_iter().filter(|tolerance| *tolerance > 0).min() else {
            return Policy::new(mode);
        };
        // A network that sees single pixels needs no surroundings, whatever the tolerance.
        if detail_tolerance == 0 && self.info().locality.radius() == Some(0) {
            return Policy::new(mode);
        }
        let sensitivity = self.sensitivity.get_or_init(|| {
            let model = &*self.devices[0].model;
            let mut session = None;
            sensitivity_of(model, || Ok(&mut **session.insert(model.open_session()?)))
        });
        Policy {
            mode,
            threshold: sensitivity.as_ref().and_then(|sensitivity| sensitivity.threshold(detail_tolerance)),
            radius: sensitivity.as_ref().map(|sensitivity| sensitivity.radius(tolerance)),
        }
    }

    /// Whether its devices convert pixels if they can.
    pub fn may_convert(&self) -> bool {
        self.settings.conversion.on_device(self.info().provider)
    }

    /// Lets each device's library build its engines for these frames, which may take minutes; the library caches them
    /// on disk.
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

    /// Prepares the devices for frames of `config`.
    pub fn set_stream(&self, config: &StreamConfig) {
        for (number, device) in self.devices.iter().enumerate() {
            let mut controller = device.controller.lock();
            device.set_stream(&mut controller, config);
            self.set_active(number, &controller);
        }
        self.planned.store(self.pool.active(), Ordering::Relaxed);
    }

    /// Lets each device run one frame at a time on all cores, or again one for each worker. Returns the new seconds per
    /// pixel if that is a change.
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

    /// A worker's time for a pixel, in seconds, from the measurement when the model was loaded; 0 if unknown.
    pub fn seconds_per_pixel(&self) -> f64 {
        let info = self.info();
        let level = self.devices[0].controller.lock().level().0;
        info.seconds_per_pixel * info.threads as f64 / self.devices[0].threads(level) as f64
    }

    /// Gives the pool the controller's number of workers.
    fn set_active(&self, number: usize, controller: &DegradationController) {
        self.pool.set_active(number, controller.level().0.workers);
    }

    /// Notes that a frame has succeeded on a device; `pixels` are those of its tensors, if it was a whole frame.
    /// Returns the levels before and after a step up, if it was time for one.
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

    /// Notes that a run on a tensor of `pixels` took `bytes`. Returns the new level if that changes it.
    pub fn measured(&self, number: usize, pixels: u64, bytes: u64) -> Option<DegradationLevel> {
        let mut controller = self.devices[number].controller.lock();
        controller.measured(pixels, bytes).then(|| {
            self.set_active(number, &controller);
            controller.level().0
        })
    }

    /// Notes that a run that started in `epoch` has failed. The pool is updated before another thread can change the
    /// level.
    pub fn failed(&self, number: usize, epoch: u64) -> Verdict {
        let alone = self.pool.is_alone(number);
        let mut controller = self.devices[number].controller.lock();
        let verdict = controller.failed(epoch, alone);
        if let Verdict::Down { .. } = verdict {
            self.set_active(number, &controller);
        }
        verdict
    }
}

impl Watch for Engine {
    fn share_changed(&self) {
        for (number, device) in self.devices.iter().enumerate() {
            let mut controller = device.controller.lock();
            let (_, before) = controller.share(controller.level().0);
            if controller.limit_changed() {
                self.set_active(number, &controller);
                // Sessions keep the memory of their largest tensor, even idle ones.
                if controller.share(controller.level().0).1 < before {
                    self.pool.trim(number);
                }
            }
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", self.info()).field("workers", &self.pool.workers()).finish()
    }
}

/// What a network makes of pictures of known detail. `None` if it does not run on parts of frames, or if that failed.
fn sensitivity_of<'a>(
    model: &dyn Model,
    session: impl FnOnce() -> Result<&'a mut dyn Upscaler, ModelError>,
) -> Option<Arc<Sensitivity>> {
    let measure = || Sensitivity::measure(model.info(), session()?).map_err(OpenError::from);
    match Sensitivity::remembered(model.key(), model.info(), measure) {
        Ok(sensitivity) => sensitivity,
        Err(error) => {
            gst::warning!(CAT, "{} cannot be measured: {error}. All parts go through it", model.info().name);
            None
        }
    }
}

/// The engine in one line, for the log.
pub(in crate::upscalefilter) fn describe(engine: &Engine) -> glib::GString {
    let info = engine.info();
    let limit = |device: &Device| mebibytes(device.controller.lock().permits().limit());
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

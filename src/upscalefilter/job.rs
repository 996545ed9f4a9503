//! What a worker does with a frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::Mutex;

use crate::model::exchange::Exchange;
use crate::model::extend::Codes;
use crate::model::{Interrupt, Model, Upscaler};
use crate::picture::convert::Scratch;
use crate::picture::samples;
use crate::reuse::FrameWork;
use crate::schedule::governor::{Rung, Verdict};
use crate::schedule::holding::{Holding, Holdings};
use crate::schedule::permits::{Permit, Permits};
use crate::schedule::{Interruptible, Job, Outcome};
use crate::types::Size;

use super::engine::{Engine, bytes as mebibytes, describe_rung};
use super::errors::FrameError;
use super::input::MappedFrame;
use super::slot::Slot;
use super::stream::{StreamConfig, picture};
use super::{CAT, UpscaleFilter};

/// More tries than the ladder has rungs, so that a frame ends even if others make the ladder climb meanwhile.
const MOST_TRIES: u32 = 40;
/// A frame begins anew so often to keep to the limit; then it takes what it takes.
const MOST_REFITS: u32 = 3;

/// Runs of one size after which what a session holds has settled.
const TIMES_MEASURED: u32 = 3;

/// What one worker thread owns: a session, and buffers that it keeps from frame to frame.
pub(super) struct Worker {
    /// The place of its device in the engine.
    device: usize,
    /// Absent while parked, and after a failure: a session in which a run failed may be broken, and holds memory.
    session: Option<Session>,
    handle: Arc<Handle>,
    scratch: Scratch,
    input: Vec<f32>,
    output: Vec<f32>,
    /// In place of both where the device converts.
    exchange: Exchange,
}

struct Session {
    upscaler: Box<dyn Upscaler>,
    /// Of the fallback's model.
    fallback: bool,
    /// Of the processor, inside the session.
    threads: usize,
    /// What it converts on its device; `None` where it takes and gives floats.
    codes: Option<Codes>,
    /// Pixels of the largest tensor that it ran, and how often.
    largest: (u64, u32),
    /// Bytes that it held when that was last asked.
    held: u64,
    holding: Holding,
}

impl Session {
    fn new(
        upscaler: Box<dyn Upscaler>,
        fallback: bool,
        threads: usize,
        codes: Option<Codes>,
        holdings: &Arc<Holdings>,
    ) -> Self {
        Session { upscaler, fallback, threads, codes, largest: (0, 0), held: 0, holding: Holding::new(holdings) }
    }

    /// What the run just done on a tensor of `pixels` takes, if that shows: not after a larger one. Asked a few times for each size, as
    /// the allocator takes its last blocks in the second run.
    fn footprint(&mut self, pixels: u64) -> Option<u64> {
        let (largest, times) = &mut self.largest;
        if pixels < *largest || pixels == *largest && *times >= TIMES_MEASURED {
            return None;
        }
        *times = if pixels == *largest { *times + 1 } else { 1 };
        *largest = pixels;
        let held = self.upscaler.held()?;
        self.held = held;
        self.holding.set(held);
        Some(held)
    }

    /// Whether what it holds is more than its `share` because of larger tensors than it has to run now.
    fn is_bloated(&self, share: u64, largest: u64) -> bool {
        self.held > share && self.largest.0 > largest
    }

    /// Whether a much larger tensor than any before comes now, so that what it holds of those would be missed.
    fn is_outgrown(&self, share: u64, largest: u64) -> bool {
        self.largest.0 > 0 && 2 * self.largest.0 <= largest && self.held > share / 8
    }
}

impl Worker {
    /// `permits` are those that it may have to wait for; `first` is a session that is open already, and its threads.
    pub fn new(
        device: usize,
        first: Option<(Box<dyn Upscaler>, usize)>,
        permits: &Arc<[Arc<Permits>]>,
        holdings: &Arc<Holdings>,
    ) -> Self {
        let handle = Arc::new(Handle {
            raised: AtomicBool::new(false),
            session: Mutex::new(first.as_ref().map(|(upscaler, _)| upscaler.interrupter())),
            permits: Arc::clone(permits),
        });
        Worker {
            device,
            session: first.map(|(upscaler, threads)| Session::new(upscaler, false, threads, None, holdings)),
            handle,
            scratch: Scratch::default(),
            input: Vec::new(),
            output: Vec::new(),
            exchange: Exchange::default(),
        }
    }

    /// Opens a session of the right model, for tensors of up to `largest` pixels and frames of `config`, if there is none. Blocking.
    fn prepare(&mut self, engine: &Engine, config: &StreamConfig, rung: Rung, largest: u64) -> Result<(), FrameError> {
        let fallback = rung.fallback;
        // The CPU that takes over is no faster for converting.
        let codes = config.codes.filter(|_| !fallback);
        let device = &engine.devices[self.device];
        let (share, frames) = device.governor.lock().share(rung);
        let fits =
            |session: &Session| !session.is_bloated(share, frames.max(largest)) && !session.is_outgrown(share, largest);
        let threads = engine.threads(self.device, rung);
        let serves = |session: &Session| {
            (session.fallback, session.threads, session.codes) == (fallback, threads, codes) && fits(session)
        };
        if self.session.as_ref().is_some_and(serves) {
            return Ok(());
        }
        self.let_go();
        let model: &Arc<dyn Model> = if fallback {
            engine
                .fallback(self.device)
                .map_err(|error| FrameError::Run(format!("cannot fall back to the CPU: {error}")))?
        } else {
            &device.model
        };
        let opened = match &codes {
            Some(codes) => model.open_converting(codes, threads),
            None => model.open_session_with(threads),
        };
        let upscaler = opened.map_err(|error| FrameError::Run(error.to_string()))?;
        self.handle.set_session(Some(upscaler.interrupter()));
        self.session = Some(Session::new(upscaler, fallback, threads, codes, &device.holdings));
        Ok(())
    }

    fn let_go(&mut self) {
        self.handle.set_session(None);
        self.session = None;
    }
}

/// By which other threads cut a worker's run short, whichever session it is in, or its wait for a permit.
pub(super) struct Handle {
    raised: AtomicBool,
    session: Mutex<Option<Arc<dyn Interrupt>>>,
    permits: Arc<[Arc<Permits>]>,
}

impl Handle {
    fn set_session(&self, session: Option<Arc<dyn Interrupt>>) {
        let mut current = self.session.lock();
        // Under the lock: who interrupts has either seen the new session or is seen here.
        if self.raised.load(Ordering::Acquire)
            && let Some(session) = &session
        {
            session.interrupt();
        }
        *current = session;
    }
}

impl Interruptible for Worker {
    type Handle = Arc<Handle>;

    fn handle(&self) -> Self::Handle {
        Arc::clone(&self.handle)
    }

    fn interrupt(handle: &Self::Handle) {
        let session = handle.session.lock();
        handle.raised.store(true, Ordering::Release);
        if let Some(session) = &*session {
            session.interrupt();
        }
        drop(session);
        handle.permits.iter().for_each(|permits| permits.wake());
    }

    fn rearm(handle: &Self::Handle) {
        let session = handle.session.lock();
        handle.raised.store(false, Ordering::Release);
        if let Some(session) = &*session {
            session.rearm();
        }
    }

    fn park(&mut self) {
        self.let_go();
        self.input = Vec::new();
        self.output = Vec::new();
        self.exchange = Exchange::default();
    }
}

/// One frame to upscale, or parts of one.
pub(super) struct FrameJob {
    /// Weak, so that a worker never keeps the element alive.
    pub element: glib::WeakRef<UpscaleFilter>,
    /// Of the frame: the element may have another one by the time this is run.
    pub engine: Arc<Engine>,
    pub config: Arc<StreamConfig>,
    /// Let go as soon as the result is there: upstream may have few of them.
    pub input: Option<Arc<MappedFrame>>,
    /// Let go with the result, so that a frame that nobody else shows owns its memory.
    pub slot: Option<Arc<Slot>>,
    /// What of it there is to do.
    pub work: FrameWork,
    /// How much that is, for the forecast.
    pub pixels: u64,
    /// How often it was tried.
    pub tries: u32,
    /// How often it began anew because a run was found to take more than was reckoned.
    pub refits: u32,
    /// It has failed at the bottom of the ladder once: what was wrong with the session is gone with it, so it gets one more try.
    pub last_try: bool,
}

impl Job for FrameJob {
    type Context = Worker;

    fn run(&mut self, worker: &mut Worker) -> Outcome {
        let (Some(element), Some(slot)) = (self.element.upgrade(), &self.slot) else { return Outcome::Done };
        let generation = slot.generation;
        if element.imp().is_stale(generation) {
            return Outcome::Done;
        }
        let engine = Arc::clone(&self.engine);
        let device = &engine.devices[worker.device];
        let (mut rung, epoch) = device.governor.lock().rung();
        if !element.imp().is_current(&self.config) {
            let cuts = self.config.largest_cuts();
            rung.tile = device.governor.lock().tile_for(|tile| cuts.largest(tile));
        }
        self.tries += 1;
        gst::trace!(CAT, obj = element, "Frame {}, try {}, {}", slot.index, self.tries, describe_rung(rung));
        let begin = Instant::now();
        let result = match engine.turn(worker.device, rung, &worker.handle.raised) {
            Ok(_turn) => self.upscale(&element, &engine, rung, worker),
            Err(refusal) => Err(refusal.into()),
        };
        match &result {
            Ok(done) if done.pixels > 0 => self.succeeded(&element, worker.device, done.pixels),
            Ok(_) => {}
            Err(FrameError::Refit) => {
                self.refits += 1;
                worker.let_go();
                return Outcome::Again;
            }
            // Nobody waits for a stale one any more.
            Err(error) if error.may_pass() && !element.imp().is_stale(generation) => {
                if !matches!(error, FrameError::TooLarge(_)) {
                    worker.let_go();
                }
                if self.tries < MOST_TRIES && self.step_down(&element, worker.device, epoch, error) {
                    return Outcome::Again;
                }
            }
            Err(_) => {}
        }
        self.finish(&element, result, Some(begin.elapsed()));
        Outcome::Done
    }

    fn panicked(&mut self, message: &str) {
        if let Some(element) = self.element.upgrade() {
            self.finish(&element, Err(FrameError::Panicked(message.to_owned())), None);
        }
    }
}

impl FrameJob {
    /// `spent` is the worker's time for it.
    fn finish(&mut self, element: &UpscaleFilter, result: Result<Done, FrameError>, spent: Option<Duration>) {
        self.input = None;
        if let Some(slot) = self.slot.take() {
            let spent = spent.filter(|_| result.is_ok());
            element.imp().complete(slot, result, (self.pixels, spent));
        }
    }

    fn name(&self) -> String {
        let index = self.slot.as_ref().map_or(0, |slot| slot.index);
        let pts = self.input.as_ref().and_then(|input| input.buffer().pts());
        format!("Frame {index} (PTS {})", pts.display())
    }

    /// Whether the frame is to be tried again.
    fn step_down(&mut self, element: &UpscaleFilter, device: usize, epoch: u64, error: &FrameError) -> bool {
        match self.engine.failed(device, epoch) {
            Verdict::Again => true,
            Verdict::GiveUp if !std::mem::replace(&mut self.last_try, true) => true,
            Verdict::GiveUp => self.leave_out(element, device, error),
            Verdict::Down { from, to } => {
                self.last_try = false;
                let engine = &self.engine.devices[device];
                let limit = mebibytes(engine.governor.lock().permits().limit());
                let free = engine
                    .model
                    .memory()
                    .map_or_else(String::new, |memory| format!(", {} free", mebibytes(memory.free)));
                let (from, to) = (describe_rung(from), describe_rung(to));
                gst::element_warning!(
                    element,
                    gst::ResourceError::Busy,
                    ("{} failed with {from}: {error}. Retrying with {to} (limit {limit}{free})", self.name())
                );
                true
            }
        }
    }

    /// Lets the other devices do it, if there are any.
    fn leave_out(&mut self, element: &UpscaleFilter, device: usize, error: &FrameError) -> bool {
        let others = self.engine.pool.leave_out(device);
        if others {
            self.last_try = false;
            gst::element_warning!(
                element,
                gst::ResourceError::Failed,
                (
                    "{} failed on device {device} of the list: {error}. The other devices continue without it",
                    self.name()
                )
            );
        }
        others
    }

    /// Climbs back when it is time to.
    fn succeeded(&self, element: &UpscaleFilter, device: usize, pixels: u64) {
        // Rates of parts and of whole frames do not compare.
        let whole = (self.work == FrameWork::Whole).then_some(pixels);
        if let Some((from, to)) = self.engine.succeeded(device, whole) {
            gst::info!(CAT, obj = element, "From {} back to {}", describe_rung(from), describe_rung(to));
        }
    }

    /// Upscales in as many passes as it takes.
    fn upscale(
        &self,
        element: &UpscaleFilter,
        engine: &Engine,
        rung: Rung,
        worker: &mut Worker,
    ) -> Result<Done, FrameError> {
        let input = self.input.as_ref().expect("a job that is not done has its input");
        let first = self.pass(element, engine, rung, worker, (&self.config, input.as_video_frame_ref()))?;
        let Some(second) = &self.config.second else { return Ok(first) };
        let input = gst_video::VideoFrameRef::from_buffer_ref_readable(first.buffer.as_ref(), &second.in_info)
            .map_err(|error| FrameError::Output(error.to_string()))?;
        let mut done = self.pass(element, engine, rung, worker, (second, input))?;
        done.took += first.took;
        done.pixels += first.pixels;
        done.kept += first.kept;
        done.non_finite += first.non_finite;
        Ok(done)
    }

    /// Upscales region by region into a new buffer.
    fn pass(
        &self,
        element: &UpscaleFilter,
        engine: &Engine,
        rung: Rung,
        worker: &mut Worker,
        (config, input): (&StreamConfig, gst_video::VideoFrameRef<&gst::BufferRef>),
    ) -> Result<Done, FrameError> {
        let regions = match &self.work {
            FrameWork::Nothing | FrameWork::ChromaOnly => Arc::default(),
            FrameWork::DirtyRects(rects) => config.regions_of(rects, rung.tile),
            FrameWork::Whole => config.regions(rung.tile),
        };
        let largest = regions.iter().map(|region| region.tensor.pixels()).max();
        if let Some(largest) = largest {
            worker.prepare(engine, config, rung, largest)?;
        }
        let source = picture(config.format, &input).map_err(|error| FrameError::Input(error.to_string()))?;
        let mut buffer = config.acquire()?;
        let kept = regions.iter().map(|region| u64::from(region.keep.width) * u64::from(region.keep.height)).sum();
        let (mut took, mut pixels, mut non_finite) = (Duration::ZERO, 0, 0);
        config.write(&mut buffer, |target| {
            config.converter.begin(&source, target, &mut worker.scratch);
            let mut feather = config.feather(&regions);
            for region in regions.iter() {
                // Before anything of the tensor's size is allocated.
                let permit = worker.permit(engine, rung, region.tensor)?;
                let converts = worker.session.as_ref().is_some_and(|session| session.codes.is_some());
                if converts {
                    config.converter.gather_codes(&source, region, &mut worker.exchange);
                } else {
                    let room = config.converter.try_reserve(region, &mut worker.input);
                    room.map_err(|error| FrameError::OutOfMemory(error.to_string()))?;
                    config.converter.gather(&source, region, &mut worker.scratch, &mut worker.input);
                }
                let may_refit = largest.filter(|_| self.refits < MOST_REFITS);
                took += worker.run(element, engine, rung, (region.tensor, permit), may_refit)?;
                pixels += region.tensor.pixels();
                if converts {
                    let outputs = &worker.exchange.outputs;
                    config.converter.scatter_codes(outputs, region, &mut worker.scratch, target);
                    continue;
                }
                non_finite += samples::non_finite(&worker.output);
                if let Some(feather) = &mut feather {
                    feather.blend(&mut worker.output, region);
                }
                config.converter.scatter(&worker.output, region, &mut worker.scratch, target);
            }
            Ok::<_, FrameError>(())
        })??;
        Ok(Done { buffer, took, pixels, kept, non_finite })
    }
}

/// What a job made.
pub(super) struct Done {
    pub buffer: gst::Buffer,
    /// The network's time alone.
    pub took: Duration,
    /// Of all the tensors.
    pub pixels: u64,
    /// Of these, what was kept.
    pub kept: u64,
    /// Values of the network that were no numbers, or infinite; not known where the device converts.
    pub non_finite: u64,
}

impl Worker {
    /// Waits for the memory of a run.
    fn permit(&self, engine: &Engine, rung: Rung, tensor: Size) -> Result<Permit, FrameError> {
        let (permits, footprint) = engine.devices[self.device].governor.lock().footprint(rung, tensor.pixels());
        Ok(permits.acquire(footprint, &self.handle.raised)?)
    }

    /// One run, from `input` to `output` or within `exchange`, with a permit for the memory it takes; tells its time. Fails with
    /// [`FrameError::Refit`] where it took more than its share and the job, of whose tensors the largest is `may_refit`, would now be cut
    /// smaller.
    fn run(
        &mut self,
        element: &UpscaleFilter,
        engine: &Engine,
        rung: Rung,
        (tensor, permit): (Size, Permit),
        may_refit: Option<u64>,
    ) -> Result<Duration, FrameError> {
        let pixels = tensor.pixels();
        let session = self.session.as_mut().expect("it was prepared");
        let governor = &engine.devices[self.device].governor;
        let begin = Instant::now();
        match session.codes {
            Some(_) => session.upscaler.run_codes(&mut self.exchange)?,
            None => session.upscaler.run(&self.input, tensor, &mut self.output)?,
        }
        let took = begin.elapsed();
        let measured = session.footprint(pixels);
        if session.held == 0 {
            session.holding.at_least(permit.bytes());
        }
        if !rung.fallback
            && let Some(bytes) = measured
        {
            gst::debug!(
                CAT,
                obj = element,
                "A tensor of {}x{} takes {}",
                tensor.width,
                tensor.height,
                mebibytes(bytes)
            );
            if let Some(rung) = engine.measured(self.device, pixels, bytes) {
                gst::info!(CAT, obj = element, "As measured, what fits is {}", describe_rung(rung));
            }
        }
        if let Some(largest) = may_refit {
            let governor = governor.lock();
            let (share, frames) = governor.share(governor.rung().0);
            // Parts of a frame are no larger for being cut anew.
            if largest > frames && session.is_bloated(share, frames) {
                return Err(FrameError::Refit);
            }
        }
        Ok(took)
    }
}

//! What a worker does with a frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::Mutex;

use crate::model::{Interrupt, Model, Upscaler};
use crate::picture::Size;
use crate::picture::convert::Scratch;
use crate::schedule::governor::{Rung, Verdict};
use crate::schedule::permits::Permits;
use crate::schedule::{Interruptible, Job, Outcome};

use super::engine::{Engine, bytes, describe_rung};
use super::errors::FrameError;
use super::state::Slot;
use super::stream::{StreamConfig, picture, picture_mut};
use super::{CAT, UpscaleFilter};

/// More tries than the ladder has rungs, so that a frame ends even if others make the ladder climb meanwhile.
const MOST_TRIES: u32 = 40;

/// What one worker thread owns: a session, and buffers that it keeps from frame to frame.
pub(super) struct Worker {
    /// Absent while parked, and after a failure: a session in which a run failed may be broken, and holds memory.
    session: Option<Session>,
    handle: Arc<Handle>,
    scratch: Scratch,
    input: Vec<f32>,
    output: Vec<f32>,
}

struct Session {
    upscaler: Box<dyn Upscaler>,
    /// Of the fallback's model.
    fallback: bool,
}

impl Worker {
    pub fn new(upscaler: Box<dyn Upscaler>, permits: &Arc<Permits>) -> Self {
        let handle = Arc::new(Handle {
            raised: AtomicBool::new(false),
            session: Mutex::new(Some(upscaler.interrupter())),
            permits: Arc::clone(permits),
        });
        Worker {
            session: Some(Session { upscaler, fallback: false }),
            handle,
            scratch: Scratch::default(),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Opens a session of the right model, if there is none. Blocking.
    fn prepare(&mut self, engine: &Engine, fallback: bool) -> Result<(), FrameError> {
        if self.session.as_ref().is_some_and(|session| session.fallback == fallback) {
            return Ok(());
        }
        self.let_go();
        let model: &Arc<dyn Model> = if fallback {
            engine.fallback().map_err(|error| FrameError::Run(format!("the CPU cannot take over: {error}")))?
        } else {
            &engine.model
        };
        let upscaler = model.open_session().map_err(|error| FrameError::Run(error.to_string()))?;
        self.handle.set_session(Some(upscaler.interrupter()));
        self.session = Some(Session { upscaler, fallback });
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
    permits: Arc<Permits>,
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
        handle.permits.wake();
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
    }
}

/// One frame to upscale.
pub(super) struct FrameJob {
    /// Weak, so that a worker never keeps the element alive.
    pub element: glib::WeakRef<UpscaleFilter>,
    pub config: Arc<StreamConfig>,
    /// Let go as soon as the result is there: upstream may have few of them.
    pub input: Option<gst::Buffer>,
    /// Let go with the result, so that a frame that nobody else shows owns its memory.
    pub slot: Option<Arc<Slot>>,
    /// How often it was tried.
    pub tries: u32,
    /// It has failed at the bottom of the ladder once: what was wrong with the session is gone with it, so it gets one more try.
    pub last_try: bool,
}

impl Job for FrameJob {
    type Context = Worker;

    fn run(&mut self, worker: &mut Worker) -> Outcome {
        let (Some(element), Some(slot)) = (self.element.upgrade(), &self.slot) else { return Outcome::Done };
        let generation = slot.generation;
        let Some(engine) = element.imp().engine() else { return Outcome::Done };
        if element.imp().is_stale(generation) {
            return Outcome::Done;
        }
        let (mut rung, epoch) = engine.governor.lock().rung();
        if !element.imp().is_current(&self.config) {
            let cuts = self.config.cuts;
            rung.tile = engine.governor.lock().tile_for(|tile| cuts.largest(tile));
        }
        self.tries += 1;
        gst::trace!(CAT, obj = element, "Frame {}: upscaling, try {}, {}", slot.index, self.tries, describe_rung(rung));
        let mut took = Duration::ZERO;
        let result = self.upscale(&engine, rung, worker, &mut took);
        match &result {
            Ok(_) => self.succeeded(&element, &engine),
            // Nobody waits for a stale one any more.
            Err(error) if error.may_pass() && !element.imp().is_stale(generation) => {
                if !matches!(error, FrameError::TooLarge(_)) {
                    worker.let_go();
                }
                if self.tries < MOST_TRIES && self.step_down(&element, &engine, epoch, error) {
                    return Outcome::Again;
                }
            }
            Err(_) => {}
        }
        self.finish(&element, result, took);
        Outcome::Done
    }

    fn panicked(&mut self, message: &str) {
        if let Some(element) = self.element.upgrade() {
            self.finish(&element, Err(FrameError::Panicked(message.to_owned())), Duration::ZERO);
        }
    }
}

impl FrameJob {
    fn finish(&mut self, element: &UpscaleFilter, result: Result<gst::Buffer, FrameError>, took: Duration) {
        self.input = None;
        if let Some(slot) = self.slot.take() {
            element.imp().complete(slot, result, took);
        }
    }

    fn name(&self) -> String {
        let index = self.slot.as_ref().map_or(0, |slot| slot.index);
        let pts = self.input.as_ref().and_then(|input| input.pts());
        format!("Frame {index} (PTS {})", pts.display())
    }

    /// Whether the frame is to be tried again.
    fn step_down(&mut self, element: &UpscaleFilter, engine: &Engine, epoch: u64, error: &FrameError) -> bool {
        match engine.failed(epoch) {
            Verdict::Again => true,
            Verdict::GiveUp => !std::mem::replace(&mut self.last_try, true),
            Verdict::Down { from, to } => {
                self.last_try = false;
                let limit = bytes(engine.governor.lock().permits().limit());
                let free =
                    engine.model.memory().map_or_else(String::new, |memory| format!(", {} free", bytes(memory.free)));
                let (from, to) = (describe_rung(from), describe_rung(to));
                gst::element_warning!(
                    element,
                    gst::ResourceError::Busy,
                    ("{} failed with {from}: {error}. It is tried again with {to} (limit {limit}{free})", self.name())
                );
                true
            }
        }
    }

    /// Climbs back when it is time to.
    fn succeeded(&self, element: &UpscaleFilter, engine: &Engine) {
        if let Some((from, to)) = engine.succeeded() {
            gst::info!(CAT, obj = element, "From {} back to {}", describe_rung(from), describe_rung(to));
        }
    }

    /// Upscales region by region into a new buffer. `took` counts the network's time alone.
    fn upscale(
        &self,
        engine: &Engine,
        rung: Rung,
        worker: &mut Worker,
        took: &mut Duration,
    ) -> Result<gst::Buffer, FrameError> {
        let config = &*self.config;
        worker.prepare(engine, rung.fallback)?;
        let input = self.input.as_ref().expect("a job that is not done has its input");
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(input, &config.in_info)
            .map_err(|error| FrameError::Input(error.to_string()))?;
        let source = picture(config.format, &source).map_err(|error| FrameError::Input(error.to_string()))?;
        let mut buffer = config.acquire().map_err(|error| FrameError::Output(error.to_string()))?;
        {
            let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &config.out_info)
                .map_err(|error| FrameError::Output(error.to_string()))?;
            let mut target =
                picture_mut(config.format, &mut target).map_err(|error| FrameError::Output(error.to_string()))?;
            config.converter.begin(&source, &mut target, &mut worker.scratch);
            let regions = config.regions(rung.tile);
            let mut feather = config.feather(&regions);
            for region in regions.iter() {
                config.converter.gather(&source, region, &mut worker.scratch, &mut worker.input);
                *took += worker.run(engine, region.tensor)?;
                if let Some(feather) = &mut feather {
                    feather.blend(&mut worker.output, region);
                }
                config.converter.scatter(&worker.output, region, &mut worker.scratch, &mut target);
            }
        }
        Ok(buffer)
    }
}

impl Worker {
    /// One run, from `input` to `output`, with a permit for the memory it takes; tells its time.
    fn run(&mut self, engine: &Engine, tensor: Size) -> Result<Duration, FrameError> {
        let pixels = tensor.pixels();
        let session = self.session.as_mut().expect("it was prepared");
        let (permits, footprint) = {
            let governor = engine.governor.lock();
            (Arc::clone(governor.permits()), governor.footprint(pixels))
        };
        let _permit = permits.acquire(footprint, &self.handle.raised)?;
        let begin = Instant::now();
        session.upscaler.run(&self.input, tensor, &mut self.output)?;
        Ok(begin.elapsed())
    }
}

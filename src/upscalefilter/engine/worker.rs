//! What a worker thread owns, and how it runs the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Interrupt, Model, Upscaler};
use crate::picture::codes::Codes;
use crate::picture::convert::Scratch;
use crate::picture::exchange::Exchange;
use crate::schedule::Interruptible;
use crate::schedule::holding::{Holding, Holdings};
use crate::schedule::load_controller::DegradationLevel;
use crate::schedule::permits::{Permit, Permits};
use crate::types::Size;

use crate::upscalefilter::engine::device::{Device, FirstSession};
use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::config::StreamConfig;

/// Runs of one size after which what a session holds has settled.
const TIMES_MEASURED: u32 = 3;

/// What one worker thread owns: a session, and buffers that it keeps from frame to frame.
pub(in crate::upscalefilter) struct Worker {
    /// The place of its device in the engine.
    pub device: usize,
    /// Absent while parked, and after a failure: a session in which a run failed may be broken, and holds memory.
    session: Option<Session>,
    handle: Arc<Handle>,
    pub scratch: Scratch,
    pub input: Vec<f32>,
    pub output: Vec<f32>,
    /// In place of both where the device converts.
    pub exchange: Exchange,
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

/// One run of the network.
pub(in crate::upscalefilter) struct Run {
    pub took: Duration,
    /// Bytes that the session was measured to hold for it, if that is news for the device.
    pub measured: Option<u64>,
}

impl Worker {
    /// `permits` are those that it may have to wait for; `first` is a session that is open already, and its threads.
    pub fn new(
        device: usize,
        first: Option<FirstSession>,
        permits: &Arc<[Arc<Permits>]>,
        holdings: &Arc<Holdings>,
    ) -> Self {
        let handle = Arc::new(Handle {
            raised: AtomicBool::new(false),
            session: Mutex::new(first.as_ref().map(|first| first.upscaler.interrupter())),
            permits: Arc::clone(permits),
        });
        Worker {
            device,
            session: first.map(|first| Session::new(first.upscaler, false, first.threads, None, holdings)),
            handle,
            scratch: Scratch::default(),
            input: Vec::new(),
            output: Vec::new(),
            exchange: Exchange::default(),
        }
    }

    /// Opens a session of the right model, for tensors of up to `largest` pixels and frames of `config`, if there is none. Blocking.
    pub fn prepare(
        &mut self,
        device: &Device,
        config: &StreamConfig,
        level: DegradationLevel,
        largest: u64,
    ) -> Result<(), FrameError> {
        let fallback = level.fallback;
        // The CPU that takes over is no faster for converting.
        let codes = config.codes.filter(|_| !fallback);
        let (share, frames) = device.controller.lock().share(level);
        let fits =
            |session: &Session| !session.is_bloated(share, frames.max(largest)) && !session.is_outgrown(share, largest);
        let threads = device.threads(level);
        let serves = |session: &Session| {
            (session.fallback, session.threads, session.codes) == (fallback, threads, codes) && fits(session)
        };
        if self.session.as_ref().is_some_and(serves) {
            return Ok(());
        }
        self.let_go();
        let model: &Arc<dyn Model> = if fallback {
            device
                .fallback(level.workers)
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

    /// Whether the session that was prepared converts.
    pub fn converts(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.codes.is_some())
    }

    /// Waits for a turn on the device.
    pub fn turn(&self, device: &Device, level: DegradationLevel) -> Result<Permit, FrameError> {
        Ok(device.turn(level, &self.handle.raised)?)
    }

    /// Waits for the memory of a run.
    pub fn permit(&self, device: &Device, level: DegradationLevel, tensor: Size) -> Result<Permit, FrameError> {
        let (permits, footprint) = device.controller.lock().footprint(level, tensor.pixels());
        Ok(permits.acquire(footprint, &self.handle.raised)?)
    }

    /// Runs the network once, from `input` to `output` or within `exchange`. `permit` is the one for the run's memory.
    pub fn run(&mut self, tensor: Size, permit: &Permit) -> Result<Run, FrameError> {
        let session = self.session.as_mut().expect("it was prepared");
        let start = Instant::now();
        match session.codes {
            Some(_) => session.upscaler.run_codes(&mut self.exchange)?,
            None => session.upscaler.run(&self.input, tensor, &mut self.output)?,
        }
        let took = start.elapsed();
        let measured = session.footprint(tensor.pixels());
        if session.held == 0 {
            session.holding.at_least(permit.bytes());
        }
        Ok(Run { took, measured: measured.filter(|_| !session.fallback) })
    }

    /// Whether the session holds more than its share of the device's memory, and a frame whose largest tensor has `largest` pixels
    /// would now be cut into smaller regions.
    pub fn exceeds_share(&self, device: &Device, largest: u64) -> bool {
        let controller = device.controller.lock();
        let (share, frames) = controller.share(controller.level().0);
        // The regions of dirty rectangles may already be small enough.
        largest > frames && self.session.as_ref().is_some_and(|session| session.is_bloated(share, frames))
    }

    /// Closes the session.
    pub fn let_go(&mut self) {
        self.handle.set_session(None);
        self.session = None;
    }
}

/// By which other threads cut a worker's run short, whichever session it is in, or its wait for a permit.
pub(in crate::upscalefilter) struct Handle {
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

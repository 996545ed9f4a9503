//! The context of a worker thread: its session and its buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Interrupt, Model, Upscaler};
use crate::picture::convert::Scratch;
use crate::picture::device_tensors::DeviceTensors;
use crate::picture::device_tensors::PixelEncoding;
use crate::schedule::Interruptible;
use crate::schedule::degradation_controller::DegradationLevel;
use crate::schedule::holding::{Holding, Holdings};
use crate::schedule::permits::{Permit, Permits};
use crate::types::Size;

use crate::upscalefilter::engine::device::{Device, FirstSession};
use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::config::StreamConfig;

/// After this many runs of one size, a session's memory no longer grows.
const TIMES_MEASURED: u32 = 3;

/// A worker thread's session, and buffers that it keeps from frame to frame.
pub(in crate::upscalefilter) struct Worker {
    /// Index of its device in the engine.
    pub device: usize,
    /// Absent while parked, and after a failure: a session in which a run failed may be broken, and holds memory.
    session: Option<Session>,
    handle: Arc<Handle>,
    pub scratch: Scratch,
    pub input: Vec<f32>,
    pub output: Vec<f32>,
    /// Replaces both if the device converts.
    pub tensors: DeviceTensors,
}

struct Session {
    upscaler: Box<dyn Upscaler>,
    /// It is one of the fallback model.
    fallback: bool,
    /// Processor threads inside the session.
    threads: usize,
    /// The pixels that it converts on its device; `None` if it takes and returns floats.
    encoding: Option<PixelEncoding>,
    /// Pixels of the largest tensor that it ran, and the number of those runs.
    largest: (u64, u32),
    /// Bytes that it held when last measured.
    held: u64,
    holding: Holding,
}

impl Session {
    fn new(
        upscaler: Box<dyn Upscaler>,
        fallback: bool,
        threads: usize,
        encoding: Option<PixelEncoding>,
        holdings: &Arc<Holdings>,
    ) -> Self {
        Session { upscaler, fallback, threads, encoding, largest: (0, 0), held: 0, holding: Holding::new(holdings) }
    }

    /// Bytes taken by the run just done on a tensor of `pixels`; `None` if a larger tensor hides it. Measured a few
    /// times for each size, because the allocator takes its last blocks in the second run.
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

    /// Whether it holds more than its `share`, due to larger tensors than it has to run now.
    fn is_bloated(&self, share: u64, largest: u64) -> bool {
        self.held > share && self.largest.0 > largest
    }

    /// Whether the next tensor is much larger than any before, so the memory held for those would be missing.
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
    /// `permits` are those that it may have to wait for; `first` is a session that is already open.
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
            tensors: DeviceTensors::default(),
        }
    }

    /// Opens a session of the right model for tensors of up to `largest` pixels and frames of `config`, unless the
    /// current one will do. Blocks.
    pub fn prepare(
        &mut self,
        device: &Device,
        config: &StreamConfig,
        level: DegradationLevel,
        largest: u64,
    ) -> Result<(), FrameError> {
        let fallback = level.fallback;
        // Converting in the network is no faster on the fallback CPU.
        let encoding = config.encoding.filter(|_| !fallback);
        let (share, frames) = device.controller.lock().share(level);
        let fits =
            |session: &Session| !session.is_bloated(share, frames.max(largest)) && !session.is_outgrown(share, largest);
        let threads = device.threads(level);
        let is_right = |session: &Session| {
            (session.fallback, session.threads, session.encoding) == (fallback, threads, encoding) && fits(session)
        };
        if self.session.as_ref().is_some_and(is_right) {
            return Ok(());
        }
        self.close();
        let model: &Arc<dyn Model> = if fallback {
            device
                .fallback(level.workers)
                .map_err(|error| FrameError::Run(format!("cannot fall back to the CPU: {error}")))?
        } else {
            &device.model
        };
        let opened = match &encoding {
            Some(encoding) => model.open_converting(encoding, threads),
            None => model.open_session_with(threads),
        };
        let upscaler = opened.map_err(|error| FrameError::Run(error.to_string()))?;
        self.handle.set_session(Some(upscaler.interrupter()));
        self.session = Some(Session::new(upscaler, fallback, threads, encoding, &device.holdings));
        Ok(())
    }

    /// Whether the prepared session converts.
    pub fn converts(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.encoding.is_some())
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

    /// Runs the network once, from `input` to `output` or within `tensors`. `permit` is the one for the run's memory.
    pub fn run(&mut self, tensor: Size, permit: &Permit) -> Result<Run, FrameError> {
        let session = self.session.as_mut().expect("it was prepared");
        let start = Instant::now();
        match session.encoding {
            Some(_) => session.upscaler.run_converting(&mut self.tensors)?,
            None => session.upscaler.run(&self.input, tensor, &mut self.output)?,
        }
        let took = start.elapsed();
        let measured = session.footprint(tensor.pixels());
        if session.held == 0 {
            session.holding.at_least(permit.bytes());
        }
        Ok(Run { took, measured: measured.filter(|_| !session.fallback) })
    }

    /// Whether the session holds more than its share of the device's memory, and a frame whose largest tensor has
    /// `largest` pixels would now be cut into smaller regions.
    pub fn exceeds_share(&self, device: &Device, largest: u64) -> bool {
        let controller = device.controller.lock();
        let (share, frames) = controller.share(controller.level().0);
        // The regions of dirty rectangles may already be small enough.
        largest > frames && self.session.as_ref().is_some_and(|session| session.is_bloated(share, frames))
    }

    /// Closes the session.
    pub fn close(&mut self) {
        self.handle.set_session(None);
        self.session = None;
    }
}

/// Lets other threads interrupt a worker's run, in whichever session, or its wait for a permit.
pub(in crate::upscalefilter) struct Handle {
    raised: AtomicBool,
    session: Mutex<Option<Arc<dyn Interrupt>>>,
    permits: Arc<[Arc<Permits>]>,
}

impl Handle {
    fn set_session(&self, session: Option<Arc<dyn Interrupt>>) {
        let mut current = self.session.lock();
        // Under the lock: an interrupting thread either sees the new session or is seen here.
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
        self.close();
        self.input = Vec::new();
        self.output = Vec::new();
        self.tensors = DeviceTensors::default();
    }
}

//! The work on a frame that runs on a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::picture::region::{Limits, Region};
use crate::picture::samples;
use crate::picture::smooth::{Differences, Snapshot};
use crate::reuse::{FrameWork, Mixed};
use crate::schedule::degradation_controller::{DegradationLevel, Verdict};
use crate::schedule::permits::Permit;
use crate::schedule::{Job, Outcome};
use crate::types::Size;

use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::engine::device::Device;
use crate::upscalefilter::engine::worker::Worker;
use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::frame::input::MappedFrame;
use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::negotiation::config::{StreamConfig, picture};
use crate::upscalefilter::text::{describe_level, mebibytes};
use crate::upscalefilter::{CAT, UpscaleFilter};

/// More tries than there are degradation levels, so that a frame ends even if other frames cause steps up in between.
const MAX_TRIES: u32 = 40;
/// How often a frame restarts to keep to the memory limit; after that it may exceed it.
const MAX_REFITS: u32 = 3;

/// One frame to upscale, or regions of one.
pub(in crate::upscalefilter) struct FrameJob {
    /// Weak, so that a worker never keeps the element alive.
    pub element: glib::WeakRef<UpscaleFilter>,
    /// The engine chosen for the frame: the element may have replaced it by the time the job runs.
    pub engine: Arc<Engine>,
    pub config: Arc<StreamConfig>,
    /// Released as soon as the result exists, because upstream may have few buffers.
    pub input: Option<Arc<MappedFrame>>,
    /// Released with the result, so that a frame that is not shared owns its memory.
    pub pending: Option<Arc<PendingResult>>,
    /// Which regions to compute.
    pub work: FrameWork,
    /// Constraints on these regions.
    pub limits: Limits,
    /// The amount of work, for the completion estimate.
    pub pixels: u64,
    /// Number of tries so far.
    pub tries: u32,
    /// Number of restarts because a run took more memory than estimated.
    pub refits: u32,
    /// Whether it has failed at the bottom level once. The failed session is gone, so the frame gets one more try with
    /// a new one.
    pub last_try: bool,
}

impl Job for FrameJob {
    type Context = Worker;

    fn run(&mut self, worker: &mut Worker) -> Outcome {
        let (Some(element), Some(pending)) = (self.element.upgrade(), &self.pending) else { return Outcome::Done };
        let generation = pending.generation;
        if element.imp().is_stale(generation) {
            return Outcome::Done;
        }
        let engine = Arc::clone(&self.engine);
        let device = &engine.devices[worker.device];
        let (mut level, epoch) = device.controller.lock().level();
        if !element.imp().is_current(&self.config) {
            let cuts = self.config.largest_cuts();
            level.tile = device.controller.lock().tile_for(|tile| cuts.largest(tile));
        }
        self.tries += 1;
        gst::trace!(CAT, obj = element, "Frame {}, try {}, {}", pending.index, self.tries, describe_level(level));
        let start = Instant::now();
        let result = match worker.turn(device, level) {
            Ok(_turn) => self.upscale(&Attempt { element: &element, engine: &engine, device, level }, worker),
            Err(error) => Err(error),
        };
        match &result {
            Ok(done) if done.pixels > 0 => self.succeeded(&element, worker.device, done.pixels),
            Ok(_) => {}
            Err(FrameError::Refit) => {
                self.refits += 1;
                worker.close();
                return Outcome::Again;
            }
            // Nobody waits for the result of a stale frame.
            Err(error) if error.is_retryable() && !element.imp().is_stale(generation) => {
                if !matches!(error, FrameError::TooLarge(_)) {
                    worker.close();
                }
                if self.tries < MAX_TRIES && self.step_down(&element, worker.device, epoch, error) {
                    return Outcome::Again;
                }
            }
            Err(_) => {}
        }
        self.finish(&element, result, Some(start.elapsed()));
        Outcome::Done
    }

    fn panicked(&mut self, message: &str) {
        if let Some(element) = self.element.upgrade() {
            self.finish(&element, Err(FrameError::Panicked(message.to_owned())), None);
        }
    }
}

impl FrameJob {
    /// `spent` is the worker's time for the frame.
    fn finish(&mut self, element: &UpscaleFilter, result: Result<Done, FrameError>, spent: Option<Duration>) {
        self.input = None;
        if let Some(pending) = self.pending.take() {
            let spent = spent.filter(|_| result.is_ok());
            element.imp().complete(pending, result, self.pixels, spent);
        }
    }

    fn name(&self) -> String {
        let index = self.pending.as_ref().map_or(0, |pending| pending.index);
        let pts = self.input.as_ref().and_then(|input| input.buffer().pts());
        format!("Frame {index} (PTS {})", pts.display())
    }

    /// Whether to try the frame again.
    fn step_down(&mut self, element: &UpscaleFilter, device: usize, epoch: u64, error: &FrameError) -> bool {
        match self.engine.failed(device, epoch) {
            Verdict::Again => true,
            Verdict::GiveUp if !std::mem::replace(&mut self.last_try, true) => true,
            Verdict::GiveUp => self.leave_out(element, device, error),
            Verdict::Down { from, to } => {
                self.last_try = false;
                let engine = &self.engine.devices[device];
                let limit = mebibytes(engine.controller.lock().permits().limit());
                let free = engine
                    .model
                    .memory()
                    .map_or_else(String::new, |memory| format!(", {} free", mebibytes(memory.free)));
                let (from, to) = (describe_level(from), describe_level(to));
                gst::element_warning!(
                    element,
                    gst::ResourceError::Busy,
                    ("{} failed with {from}: {error}. Retrying with {to} (limit {limit}{free})", self.name())
                );
                true
            }
        }
    }

    /// Leaves it to the other devices, if there are any.
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

    /// Steps up again when that is due.
    fn succeeded(&self, element: &UpscaleFilter, device: usize, pixels: u64) {
        // The throughput of regions and that of whole frames are not comparable.
        let whole = (self.work == FrameWork::Whole).then_some(pixels);
        if let Some((from, to)) = self.engine.succeeded(device, whole) {
            gst::info!(CAT, obj = element, "From {} back to {}", describe_level(from), describe_level(to));
        }
    }

    /// Upscales in as many passes as necessary.
    fn upscale(&self, attempt: &Attempt, worker: &mut Worker) -> Result<Done, FrameError> {
        let input = self.input.as_ref().expect("a job that is not done has its input");
        let first = self.pass(attempt, worker, &self.config, input.as_video_frame_ref())?;
        let Some(second) = &self.config.second else { return Ok(first) };
        let input = gst_video::VideoFrameRef::from_buffer_ref_readable(first.buffer.as_ref(), &second.in_info)
            .map_err(|error| FrameError::Output(error.to_string()))?;
        let mut done = self.pass(attempt, worker, second, input)?;
        done.took += first.took;
        done.pixels += first.pixels;
        done.kept += first.kept;
        done.non_finite += first.non_finite;
        done.audit = first.audit;
        Ok(done)
    }

    /// Upscales region by region into a new buffer.
    fn pass(
        &self,
        attempt: &Attempt,
        worker: &mut Worker,
        config: &StreamConfig,
        input: gst_video::VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Done, FrameError> {
        let Attempt { device, level, .. } = *attempt;
        let regions = self.regions(config, level.tile);
        let smooth = if let FrameWork::Mixed(mixed) = &self.work { Some(mixed) } else { None };
        let largest = regions.iter().map(|region| region.tensor.pixels()).max();
        if let Some(largest) = largest {
            worker.prepare(device, config, level, largest)?;
        }
        let source = picture(config.format, &input).map_err(|error| FrameError::Input(error.to_string()))?;
        let mut buffer = config.acquire()?;
        let kept = regions.iter().map(|region| u64::from(region.keep.width) * u64::from(region.keep.height)).sum();
        let (mut took, mut pixels, mut non_finite) = (Duration::ZERO, 0, 0);
        let audit = config.write(&mut buffer, |target| {
            config.converter.resize_passthrough_planes(&source, target, &mut worker.scratch);
            let mut feather = config.feather(&regions);
            for region in regions.iter() {
                // Acquire the permit before allocating anything of the tensor's size.
                let permit = worker.permit(device, level, region.tensor)?;
                let converts = worker.converts();
                if converts {
                    config.converter.to_device_tensors(&source, region, &mut worker.tensors);
                } else {
                    let room = config.converter.try_reserve(region, &mut worker.input);
                    room.map_err(|error| FrameError::OutOfMemory(error.to_string()))?;
                    config.converter.to_tensor(&source, region, &mut worker.scratch, &mut worker.input);
                }
                let may_refit = largest.filter(|_| self.refits < MAX_REFITS);
                took += attempt.run(worker, region.tensor, permit, may_refit)?;
                pixels += region.tensor.pixels();
                if converts {
                    let outputs = &worker.tensors.outputs;
                    config.converter.from_device_tensors(outputs, region, &mut worker.scratch, target);
                    continue;
                }
                non_finite += samples::non_finite(&worker.output);
                if let Some(feather) = &mut feather {
                    feather.blend(&mut worker.output, region);
                }
                config.converter.from_tensor(&worker.output, region, &mut worker.scratch, target);
            }
            let mut audit = Differences::default();
            if let Some(Mixed { resized, audited, .. }) = smooth {
                let seen: Vec<_> = audited.iter().map(|rect| Snapshot::new(target, config.in_output(*rect))).collect();
                config.converter.resize_smooth(&source, resized, &mut worker.scratch, target);
                seen.iter().for_each(|seen| audit.add(seen.compare(target)));
            }
            Ok::<_, FrameError>(audit)
        })??;
        Ok(Done { buffer, took, pixels, kept, non_finite, audit })
    }

    /// The regions for the network, with tensors of at most `tile` width and height.
    fn regions(&self, config: &StreamConfig, tile: Option<u32>) -> Arc<[Region]> {
        match &self.work {
            FrameWork::Nothing | FrameWork::ChromaOnly => Arc::default(),
            FrameWork::DirtyRects(rects) => config.regions_of(rects, self.limits, tile),
            FrameWork::Mixed(Mixed { network, audited, .. }) => {
                let regions = config.regions_of(network, self.limits, tile);
                // What is audited is compared with the network everywhere.
                let audited = config.regions_of(audited, config.limits(), tile);
                regions.iter().chain(&*audited).copied().collect()
            }
            FrameWork::Whole => config.regions(tile),
        }
    }
}

/// One try of a frame on a device.
struct Attempt<'a> {
    element: &'a UpscaleFilter,
    engine: &'a Engine,
    device: &'a Device,
    level: DegradationLevel,
}

impl Attempt<'_> {
    /// Runs the network once and reports the memory that it took to the engine; returns the time it took. Fails with
    /// [`FrameError::Refit`] if the session outgrew its share, and the job, whose largest tensor has `may_refit` pixels, would now be
    /// cut smaller.
    fn run(
        &self,
        worker: &mut Worker,
        tensor: Size,
        permit: Permit,
        may_refit: Option<u64>,
    ) -> Result<Duration, FrameError> {
        let run = worker.run(tensor, &permit)?;
        if let Some(bytes) = run.measured {
            let Size { width, height } = tensor;
            gst::debug!(CAT, obj = self.element, "A tensor of {width}x{height} takes {}", mebibytes(bytes));
            if let Some(level) = self.engine.measured(worker.device, tensor.pixels(), bytes) {
                gst::info!(CAT, obj = self.element, "As measured, what fits is {}", describe_level(level));
            }
        }
        match may_refit {
            Some(largest) if worker.exceeds_share(self.device, largest) => Err(FrameError::Refit),
            _ => Ok(run.took),
        }
    }
}

/// The result of a job.
pub(in crate::upscalefilter) struct Done {
    pub buffer: gst::Buffer,
    /// The inference time alone.
    pub took: Duration,
    /// Pixels of all tensors.
    pub pixels: u64,
    /// How many of them ended up in the output.
    pub kept: u64,
    /// NaN or infinite values in the network's output; 0 if the device converts, which does not count them.
    pub non_finite: u64,
    /// How far blocks that were resized are from what the network makes of them.
    pub audit: Differences,
}

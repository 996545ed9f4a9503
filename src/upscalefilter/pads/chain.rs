//! Frames on the sink pad, on the streaming thread: how each is handled, and its place in the queue.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::MutexGuard;

use crate::reuse::FrameWork;
use crate::schedule::Placed;
use crate::types::Rect;

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::frame::input;
use crate::upscalefilter::frame::input::MappedFrame;
use crate::upscalefilter::frame::job::FrameJob;
use crate::upscalefilter::frame::lookup::{self, Comparison, Lookup, PreviousFrame, ResultSource, Wanted};
use crate::upscalefilter::frame::metadata;
use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::properties::{LateFrames, LatencyMode};
use crate::upscalefilter::state::{QueuedFrame, State};
use crate::upscalefilter::timing::late::{LateAction, mark_fallback};
use crate::upscalefilter::timing::latency;

/// The property values when a frame arrives.
struct FrameSettings {
    wanted: Wanted,
    late_frames: LateFrames,
    latency_mode: LatencyMode,
    show_updates: bool,
}

/// A frame that has arrived.
struct Incoming<'a> {
    frame: &'a Arc<MappedFrame>,
    /// The output buffer without memory.
    header: gst::Buffer,
    config: &'a Arc<StreamConfig>,
    engine: &'a Arc<Engine>,
    comparison: &'a Comparison,
    previous: Option<&'a PreviousFrame>,
    frame_settings: &'a FrameSettings,
}

/// Where a frame's result comes from, and the result for the next frame to build on; `None` if the frame has to be its
/// only owner. Nothing if it is not tracked.
type TrackedResult = Option<(Option<Arc<PendingResult>>, ResultSource)>;

impl UpscaleFilter {
    pub(in crate::upscalefilter) fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let config = {
            let state = self.state.lock();
            state.refusal()?;
            state.config.clone().ok_or(gst::FlowError::NotNegotiated)?
        };
        let config = self.take_over(config)?;
        let config = self.renegotiate_size(config)?;
        let pts = buffer.pts();
        let frame = match input::map(buffer, &config) {
            Ok(frame) => Arc::new(frame),
            Err(FrameError::Input(reason)) => return Ok(self.leave_out(&reason, pts)),
            Err(error) => return Err(self.refuse(error, pts)),
        };
        let engine = self.engine().ok_or(gst::FlowError::Flushing)?;
        let frame_settings = {
            let settings = self.settings.lock();
            let (mode, late_frames) = (settings.reuse(), settings.late_frames);
            let wanted = Wanted { mode, detail_tolerance: settings.detail_tolerance };
            let (latency_mode, show_updates) = (settings.latency_mode, settings.show_updates);
            FrameSettings { wanted, late_frames, latency_mode, show_updates }
        };
        let mut previous = self.take_previous(&config, &engine, frame_settings.wanted);
        let comparison = self.compare(&config, &frame, frame_settings.wanted.mode, previous.as_mut());
        let header = metadata::header(frame.buffer(), &config);
        let incoming = Incoming {
            frame: &frame,
            header,
            config: &config,
            engine: &engine,
            comparison: &comparison,
            previous: previous.as_ref(),
            frame_settings: &frame_settings,
        };
        let result = self.take_frame(incoming)?;
        if let Some((previous, (pending, source))) = previous.as_mut().zip(result) {
            previous.note(&frame, pending, &source, &comparison.work);
        }
        self.keep_previous(previous);
        Ok(gst::FlowSuccess::Ok)
    }

    /// Backpressure: waits until there are fewer frames in flight than the limit. Returns whether the limit has changed
    /// since the last frame.
    fn wait_for_room(&self, engine: &Engine, mode: LatencyMode) -> Result<bool, gst::FlowError> {
        let mut state = self.state.lock();
        loop {
            state.refusal()?;
            let in_flight = latency::in_flight(engine, mode, state.timing.is_live());
            if state.queue.frames() < in_flight {
                let previous = state.in_flight.replace(in_flight);
                return Ok(previous.is_some_and(|previous| previous != in_flight));
            }
            self.room.wait(&mut state);
        }
    }

    /// Accepts a frame as soon as there is room, and decides how to handle it.
    fn take_frame(&self, incoming: Incoming) -> Result<TrackedResult, gst::FlowError> {
        let Incoming { config, engine, .. } = incoming;
        let pts = incoming.frame.buffer().pts();
        let FrameSettings { latency_mode: mode, late_frames, .. } = *incoming.frame_settings;
        if self.wait_for_room(engine, mode)? {
            self.post_latency();
        }
        // Without the lock, as the clock may call into other elements. There is still room: no other thread adds
        // frames.
        let now = if late_frames == LateFrames::Upscale { None } else { self.running_time_now() };
        let mut state = self.state.lock();
        state.refusal()?;
        let lookup = lookup::look_up(&mut state, incoming.comparison, incoming.previous);
        if let Some(pace) = engine.set_low_latency(latency::is_low(mode, state.timing.is_live())) {
            state.completion.relearn(pace);
        }
        let work = lookup.source.work();
        let pixels = work.cost(config.pixels(), engine.info().fixed_pixels);
        let action = if *work == FrameWork::Nothing {
            LateAction::Upscale
        } else {
            self.late_action(&state, late_frames, pts, pixels, engine.pool.active(), now)
        };
        match action {
            LateAction::Upscale => {
                let (result, dropped) = self.enqueue(state, incoming, lookup, pixels);
                drop(dropped);
                Ok(result)
            }
            LateAction::Fallback => {
                state.completion.given_up();
                drop(state);
                self.enqueue_resized(incoming)?;
                Ok(None)
            }
            LateAction::Drop => {
                state.completion.given_up();
                state.stats.frame_in(Instant::now(), false);
                state.stats.dropped += 1;
                state.discont = true;
                drop(state);
                self.post_dropped(pts, incoming.frame.buffer().duration());
                Ok(None)
            }
        }
    }

    /// Queues the frame, and submits a job of `pixels` pixels unless the result exists or is pending. Also returns
    /// results to drop without the lock.
    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        incoming: Incoming,
        lookup: Lookup,
        pixels: u64,
    ) -> (TrackedResult, Vec<Arc<PendingResult>>) {
        let Incoming { frame, header, config, engine, comparison, previous, frame_settings } = incoming;
        let index = state.next_index;
        let source = lookup.source.clone();
        let (pending, dropped) = lookup::result_of(lookup, &mut state, comparison, previous, index, config);
        state.stats.frame_in(Instant::now(), source == ResultSource::Duplicate);
        let work = source.work();
        state.stats.area(config.pixels(), work.pixels(config.pixels()), work.skipped_pixels());
        let updates = frame_settings.show_updates.then(|| source.work().rects(config.whole()));
        gst::trace!(
            CAT,
            imp = self,
            "Frame {index} in, PTS {}, {}",
            header.pts().display(),
            match &source {
                ResultSource::Duplicate => format!("shows frame {}", pending.index),
                ResultSource::Kept => "shows one from before the flush".into(),
                ResultSource::New(work) => format!("needs {work:?}"),
            },
        );
        self.queue_frame(&mut state, header, config, Arc::clone(&pending), updates);
        if let ResultSource::New(work) = &source {
            state.completion.begun(pixels);
            engine.pool.submit(Box::new(FrameJob {
                element: self.obj().downgrade(),
                engine: Arc::clone(engine),
                config: Arc::clone(config),
                input: Some(Arc::clone(frame)),
                pending: Some(Arc::clone(&pending)),
                work: work.clone(),
                limits: previous.and_then(PreviousFrame::limits).unwrap_or_else(|| config.limits()),
                pixels,
                tries: 0,
                refits: 0,
                last_try: false,
            }));
        }
        let tracked = previous.map(|previous| (previous.keeps_results().then_some(pending), source));
        (tracked, dropped)
    }

    /// Queues a late frame, resized by GStreamer. No other frame is based on it.
    fn enqueue_resized(&self, incoming: Incoming) -> Result<(), gst::FlowError> {
        let Incoming { frame, mut header, config, .. } = incoming;
        let resized = config.resize(&frame.as_video_frame_ref()).map_err(|error| self.refuse(error, header.pts()))?;
        mark_fallback(header.make_mut());
        let mut state = self.state.lock();
        // A flush may have come in the meantime.
        state.refusal()?;
        let pending = PendingResult::resized(resized, state.next_index, state.generation);
        state.stats.frame_in(Instant::now(), false);
        state.stats.fallback += 1;
        gst::trace!(CAT, imp = self, "Frame {} in, PTS {}, resized", pending.index, header.pts().display());
        self.queue_frame(&mut state, header, config, pending, None);
        Ok(())
    }

    /// Queues a frame.
    fn queue_frame(
        &self,
        state: &mut State,
        mut header: gst::Buffer,
        config: &Arc<StreamConfig>,
        pending: Arc<PendingResult>,
        updates: Option<Arc<[Rect]>>,
    ) {
        let (index, pts) = (state.next_index, header.pts());
        state.next_index += 1;
        state.timing.kept(pts);
        if std::mem::take(&mut state.discont) {
            header.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        if let Some(plan) = &mut state.plan {
            plan.recorder.record(pts.map(gst::ClockTime::nseconds), pending.index);
        }
        // Frames after a discontinuity never move before it.
        let discontinuous = gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC;
        let sorted = !state.reverse && !header.flags().intersects(discontinuous);
        // The other frames in flight span at most this many durations.
        let others = state.in_flight.map_or(0, |in_flight| in_flight as u64 - 1);
        let duration = header.duration().unwrap_or_default().max(config.frame_duration());
        let disorder = sorted.then(|| duration.nseconds().saturating_mul(others));
        let deadline = state.timing.deadline(pts);
        let frame = QueuedFrame { index, header, pending, config: Arc::clone(config), updates, deadline };
        let placed = state.queue.push_frame(pts.map(gst::ClockTime::nseconds), frame, disorder);
        self.note_place(state, placed, index, pts);
        // Its result may already be finished.
        self.ready.notify_all();
    }

    fn note_place(&self, state: &mut State, placed: Placed, index: u64, pts: Option<gst::ClockTime>) {
        match placed {
            Placed::Last => {}
            Placed::Reordered => {
                state.stats.reorders += 1;
                gst::debug!(
                    CAT,
                    imp = self,
                    "Frame {index}, PTS {}, is reordered before frames that arrived earlier",
                    pts.display()
                );
            }
            Placed::Late => {
                state.stats.reorders += 1;
                state.stats.reorders_failed += 1;
                gst::warning!(
                    CAT,
                    imp = self,
                    "Frame {index}, PTS {}, arrived after a later frame was pushed; pushing it at once",
                    pts.display()
                );
            }
        }
    }

    /// Skips a frame that cannot be read, as `videoscale` does.
    fn leave_out(&self, reason: &str, pts: Option<gst::ClockTime>) -> gst::FlowSuccess {
        let index = {
            let mut state = self.state.lock();
            state.stats.unreadable(Instant::now());
            state.discont = true;
            state.next_index
        };
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Read,
            ("Frame {index} (PTS {}): it cannot be read and is left out: {reason}", pts.display())
        );
        gst::FlowSuccess::Ok
    }

    /// Posts why a frame is refused.
    fn refuse(&self, error: FrameError, pts: Option<gst::ClockTime>) -> gst::FlowError {
        let index = {
            let mut state = self.state.lock();
            state.posted = true;
            state.next_index
        };
        error.post(&self.obj(), index, pts);
        gst::FlowError::Error
    }
}

//! Frames on the sink pad, on the streaming thread: what is known of one, what becomes of it, and its place in the queue.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::MutexGuard;

use crate::picture::share::share;
use crate::reuse::Mode;
use crate::schedule::Placed;
use crate::types::{Rect, Size};

use super::engine::Engine;
use super::errors::FrameError;
use super::imp::UpscaleFilter;
use super::job::FrameJob;
use super::late::{Fate, mark_fallback};
use super::reuse::{self, Before, Find, Found, Look};
use super::settings::{LateFrames, LatencyMode};
use super::slot::Slot;
use super::state::{QueuedFrame, State};
use super::stream::StreamConfig;
use super::{CAT, input, latency, metadata};

/// What the properties ask for, as they are when a frame comes in.
struct Wishes {
    mode: Option<Mode>,
    late_frames: LateFrames,
    latency_mode: LatencyMode,
    show_updates: bool,
}

/// A frame that has come in, and all that is known of it.
struct Incoming<'a> {
    buffer: &'a gst::Buffer,
    /// The output buffer less its memory.
    shell: gst::Buffer,
    config: &'a Arc<StreamConfig>,
    engine: &'a Arc<Engine>,
    look: &'a Look,
    before: Option<&'a Before>,
    wishes: &'a Wishes,
}

/// What the workers are to do for a frame.
struct Work {
    /// What is upscaled; pixels of the input.
    parts: Arc<[Rect]>,
    /// The same for each of the jobs; empty for a single one that does a whole frame.
    pieces: Vec<Arc<[Rect]>>,
    /// All of the frame.
    whole: bool,
}

/// What a frame shows and how that was found, for the next one to build upon; `None` where it is to be the only one that holds it.
type Shown = Option<(Arc<Slot>, Found)>;

/// Below so many pixels a piece costs more around it than another worker saves.
const LEAST_PIECE: u64 = 64 * 64;

impl Work {
    fn of(found: &Found, config: &StreamConfig, workers: usize) -> Self {
        let Size { width, height } = config.cuts.frame();
        let (parts, whole): (Arc<[Rect]>, _) = match found {
            Found::Duplicate | Found::Kept => (Arc::default(), false),
            Found::Parts(parts) => (Arc::clone(parts), false),
            Found::Nothing => (Arc::new([Rect { x: 0, y: 0, width, height }]), true),
        };
        let mut pieces = share(&parts, workers, LEAST_PIECE);
        if whole && pieces.len() == 1 {
            pieces.clear();
        }
        Work { parts, pieces, whole }
    }

    /// Pixels that the network gets, with what runs cost beside theirs.
    fn pixels(&self, config: &StreamConfig, fixed: u64) -> u64 {
        if self.whole { config.pixels() + fixed } else { pixels(&self.parts, fixed) }
    }
}

fn pixels(parts: &[Rect], fixed: u64) -> u64 {
    parts.iter().map(|part| part.pixels() + fixed).sum()
}

impl UpscaleFilter {
    pub(super) fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let config = {
            let state = self.state.lock();
            state.refusal()?;
            state.config.clone().ok_or(gst::FlowError::NotNegotiated)?
        };
        let config = self.take_over(config);
        let config = self.renegotiate_size(config);
        let pts = buffer.pts();
        let buffer = input::mappable(buffer, &config).map_err(|error| self.refuse(error, pts))?;
        let engine = self.engine().ok_or(gst::FlowError::Flushing)?;
        let wishes = {
            let settings = self.settings.lock();
            let (mode, late_frames) = (settings.reuse(), settings.late_frames);
            let (latency_mode, show_updates) = (settings.latency_mode, settings.show_updates);
            Wishes { mode, late_frames, latency_mode, show_updates }
        };
        let mut before = self.take_before(&config, wishes.mode);
        let look = self
            .look(&config, &buffer, wishes.mode, before.as_mut())
            .map_err(|error| self.refuse(error, buffer.pts()))?;
        let shell = metadata::shell(&buffer, &config);
        let incoming = Incoming {
            buffer: &buffer,
            shell,
            config: &config,
            engine: &engine,
            look: &look,
            before: before.as_ref(),
            wishes: &wishes,
        };
        let shown = self.take_frame(incoming)?;
        if let Some((before, (slot, found))) = before.as_mut().zip(shown) {
            before.note(&buffer, slot, &found, &look.cover);
        }
        self.keep_before(before);
        Ok(gst::FlowSuccess::Ok)
    }

    /// Backpressure: waits until fewer than `limit` frames are in flight.
    fn wait_for_room(&self, engine: &Engine, mode: LatencyMode) -> Result<MutexGuard<'_, State>, gst::FlowError> {
        let mut state = self.state.lock();
        loop {
            state.refusal()?;
            if state.queue.frames() < latency::in_flight(engine, mode, state.timing.is_live()) {
                return Ok(state);
            }
            self.room.wait(&mut state);
        }
    }

    /// Lets a frame in as soon as there is room, and decides what becomes of it.
    fn take_frame(&self, incoming: Incoming) -> Result<Shown, gst::FlowError> {
        let Incoming { config, engine, .. } = incoming;
        let pts = incoming.buffer.pts();
        let mode = incoming.wishes.latency_mode;
        let mut state = self.wait_for_room(engine, mode)?;
        let find = reuse::find(&mut state, incoming.look, incoming.before);
        let workers = engine.pool.active();
        let together = latency::is_low(mode, state.timing.is_live()) && config.allows_pieces(incoming.wishes.mode);
        let work = Work::of(&find.found, config, if together { workers } else { 1 });
        let pixels = work.pixels(config, engine.info().fixed_pixels);
        let fate = if pixels == 0 || incoming.wishes.late_frames == LateFrames::Upscale {
            Fate::Upscale
        } else {
            let share = (pixels, work.pieces.len().max(1), workers);
            self.fate(&state, incoming.wishes.late_frames, pts, share, self.running_time_now())
        };
        match fate {
            Fate::Upscale => {
                let (shown, dropped) = self.enqueue(state, incoming, find, work);
                drop(dropped);
                Ok(shown)
            }
            Fate::Fallback => {
                state.forecast.given_up();
                drop(state);
                self.enqueue_resized(incoming)?;
                Ok(None)
            }
            Fate::Drop => {
                state.forecast.given_up();
                state.stats.frame_in(Instant::now(), false);
                state.stats.dropped += 1;
                state.discont = true;
                drop(state);
                self.post_dropped(pts, incoming.buffer.duration());
                Ok(None)
            }
        }
    }

    /// Puts the frame in the queue, and submits jobs unless its result is there or on its way. Also returns what has to be dropped
    /// without the lock.
    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        incoming: Incoming,
        find: Find,
        work: Work,
    ) -> (Shown, Vec<Arc<Slot>>) {
        let Incoming { buffer, shell, config, engine, look, before, wishes } = incoming;
        let index = state.next_index;
        let found = find.found.clone();
        let (slot, dropped) = reuse::slot_of(find, &mut state, (look, before), index, config, &work.pieces);
        state.stats.frame_in(Instant::now(), found == Found::Duplicate);
        let upscaled =
            if found == Found::Nothing { config.pixels() } else { work.parts.iter().map(Rect::pixels).sum() };
        state.stats.area(config.pixels(), upscaled);
        let Work { parts, .. } = &work;
        let updates = wishes.show_updates.then(|| Arc::clone(parts));
        gst::trace!(
            CAT,
            imp = self,
            "Frame {index} in, PTS {}, {}",
            buffer.pts().display(),
            match &found {
                Found::Duplicate => format!("shows frame {}", slot.index),
                Found::Kept => "shows one from before the flush".into(),
                Found::Parts(parts) => format!("differs from the one before in {parts:?}"),
                Found::Nothing => "new".into(),
            },
        );
        self.queue_frame(&mut state, (shell, config), Arc::clone(&slot), updates);
        let jobs = self.jobs(&slot, &found, incoming_job(self, engine, config, buffer), work);
        let shown = before.map(|_| (slot, found));
        for job in jobs {
            state.forecast.begun(job.pixels);
            engine.pool.submit(job);
        }
        (shown, dropped)
    }

    /// One job, or one for each piece; none where the result is there or on its way.
    fn jobs(&self, slot: &Arc<Slot>, found: &Found, model: FrameJob, work: Work) -> Vec<FrameJob> {
        if matches!(found, Found::Duplicate | Found::Kept) {
            return Vec::new();
        }
        let fixed = model.engine.info().fixed_pixels;
        let job = |piece: usize, parts: Option<Arc<[Rect]>>, pixels: u64| FrameJob {
            slot: Some(Arc::clone(slot)),
            piece,
            parts,
            pixels,
            ..model.clone()
        };
        if work.pieces.is_empty() {
            return vec![job(0, None, work.pixels(&model.config, fixed))];
        }
        let each = |(piece, parts): (usize, &Arc<[Rect]>)| job(piece, Some(Arc::clone(parts)), pixels(parts, fixed));
        work.pieces.iter().enumerate().map(each).collect()
    }

    /// Puts a frame that would be late into the queue as GStreamer resizes it. Nothing is built upon it.
    fn enqueue_resized(&self, incoming: Incoming) -> Result<(), gst::FlowError> {
        let Incoming { buffer, mut shell, config, .. } = incoming;
        let resized = config.resize(buffer).map_err(|error| self.refuse(error, buffer.pts()))?;
        mark_fallback(shell.make_mut());
        let mut state = self.state.lock();
        // It may have been flushed meanwhile.
        state.refusal()?;
        let slot = Slot::resized(resized, state.next_index, state.generation);
        state.stats.frame_in(Instant::now(), false);
        state.stats.fallback += 1;
        gst::trace!(CAT, imp = self, "Frame {} in, PTS {}, resized", slot.index, buffer.pts().display());
        self.queue_frame(&mut state, (shell, config), slot, None);
        Ok(())
    }

    /// Puts a frame into the queue.
    fn queue_frame(
        &self,
        state: &mut State,
        (mut shell, config): (gst::Buffer, &Arc<StreamConfig>),
        slot: Arc<Slot>,
        updates: Option<Arc<[Rect]>>,
    ) {
        let (index, pts) = (state.next_index, shell.pts());
        state.next_index += 1;
        state.timing.kept(pts);
        if std::mem::take(&mut state.discont) {
            shell.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        if let Some(plan) = &mut state.plan {
            plan.recorder.record(pts.map(gst::ClockTime::nseconds), slot.index);
        }
        // After a discontinuity nothing belongs before what came before it.
        let discontinuous = gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC;
        let by_pts = !state.reverse && !shell.flags().intersects(discontinuous);
        let deadline = state.timing.deadline(pts);
        let frame = QueuedFrame { index, shell, slot, config: Arc::clone(config), updates, deadline };
        let placed = state.queue.push_frame(pts.map(gst::ClockTime::nseconds), frame, by_pts);
        self.note_place(state, placed, index, pts);
        // Its result may be there already.
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

    /// Posts why a frame cannot be taken.
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

/// What all jobs of a frame have in common.
fn incoming_job(
    imp: &UpscaleFilter,
    engine: &Arc<Engine>,
    config: &Arc<StreamConfig>,
    buffer: &gst::Buffer,
) -> FrameJob {
    FrameJob {
        element: imp.obj().downgrade(),
        engine: Arc::clone(engine),
        config: Arc::clone(config),
        input: Some(buffer.clone()),
        slot: None,
        piece: 0,
        parts: None,
        pixels: 0,
        tries: 0,
        refits: 0,
        last_try: false,
    }
}

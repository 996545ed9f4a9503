//! The source pad: its task pushes finished frames in order; events and queries from downstream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::schedule::Item;

use crate::picture::smooth::Differences;

use crate::upscalefilter::CAT;
use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::frame::job::Done;
use crate::upscalefilter::frame::metadata;
use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::allocation;
use crate::upscalefilter::negotiation::caps;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::progress;
use crate::upscalefilter::progress::Runs;
use crate::upscalefilter::properties::Duplicates;
use crate::upscalefilter::state::{Queued, QueuedFrame, Serialized};

impl UpscaleFilter {
    /// Starts the task, unless the pad has been deactivated in the meantime.
    pub(in crate::upscalefilter) fn start_src_task(&self) {
        let element = self.obj().downgrade();
        let started = self.srcpad.start_task(move || {
            if let Some(element) = element.upgrade() {
                element.imp().src_loop();
            }
        });
        if let Err(error) = started {
            gst::error!(CAT, imp = self, "Cannot start the source pad's task: {error}");
        }
        let active = self.state.lock().active;
        if !active && let Err(error) = self.srcpad.stop_task() {
            gst::debug!(CAT, imp = self, "No task to stop: {error}");
        }
    }

    pub(in crate::upscalefilter) fn src_activate(
        &self,
        pad: &gst::Pad,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        self.state.lock().active = active;
        if active {
            self.state.lock().flush_stop();
            self.start_src_task();
            Ok(())
        } else {
            drop(self.abandon_frames());
            pad.stop_task().map_err(Into::into)
        }
    }

    /// One iteration of the task: waits until the front of the queue is ready, and pushes it.
    fn src_loop(&self) {
        let Some(item) = self.next_item() else {
            if let Err(error) = self.srcpad.pause_task() {
                gst::debug!(CAT, imp = self, "The task has already stopped: {error}");
            }
            return;
        };
        let flow = match item {
            Item::Frame { frame, .. } => self.push_frame(frame),
            Item::Event(Serialized::Event(event)) => {
                self.push_event(event);
                Ok(gst::FlowSuccess::Ok)
            }
            Item::Event(Serialized::Caps(config, seqnum)) => {
                self.push_caps(&config, seqnum);
                Ok(gst::FlowSuccess::Ok)
            }
            Item::Event(Serialized::Query(query)) => {
                query.ask(&self.srcpad);
                Ok(gst::FlowSuccess::Ok)
            }
        };
        match flow {
            Ok(_) => {}
            Err(gst::FlowError::Eos) => self.skip_segment(),
            Err(flow) => self.stop_on(flow),
        }
    }

    /// Waits for the front item; `None` if the task has to pause.
    fn next_item(&self) -> Option<Queued> {
        let mut state = self.state.lock();
        loop {
            if state.flushing {
                return None;
            }
            // After an error the task waits and does not pause: the pause could come after the error has been cleared.
            if state.flow.is_ok()
                && let Some(item) = state.queue.pop_ready(|frame| frame.pending.is_ready())
            {
                self.room.notify_all();
                return Some(item);
            }
            self.ready.wait(&mut state);
        }
    }

    fn push_frame(&self, frame: QueuedFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let QueuedFrame { index, header, pending, config, updates, deadline } = frame;
        let pts = header.pts();
        pending.assemble(config.fit.as_ref());
        let finished = finished(header, pending).and_then(|buffer| match updates {
            Some(parts) => config.outline(&parts, &buffer),
            None => Ok(buffer),
        });
        let buffer = match finished {
            Ok(buffer) => buffer,
            Err(error) => {
                self.state.lock().posted = true;
                error.post(&self.obj(), index, pts);
                return Err(gst::FlowError::Error);
            }
        };
        if self.srcpad.check_reconfigure() {
            self.renegotiate();
        }
        gst::trace!(CAT, imp = self, "Frame {index} out, PTS {}", pts.display());
        let now = deadline.and_then(|_| self.running_time_now());
        let flow = self.srcpad.push(buffer)?;
        self.note_output(deadline.zip(now).is_some_and(|(deadline, now)| now > deadline));
        Ok(flow)
    }

    /// Counts a frame as pushed, and as late if it was `late`; posts a progress message when one is due.
    fn note_output(&self, late: bool) {
        let interval = self.settings.lock().progress_interval;
        let engine = self.engine();
        let figures = {
            let mut state = self.state.lock();
            let now = Instant::now();
            state.stats.frame_out(now);
            state.stats.late += u64::from(late);
            let due = interval.is_some_and(|interval| state.progress_is_due(interval.into(), now));
            due.then(|| progress::structure(&state, &Runs::of(engine.as_deref())))
        };
        if let Some(figures) = figures {
            progress::post(&self.obj(), figures);
        }
    }

    fn push_event(&self, event: gst::Event) {
        if event.type_() == gst::EventType::Eos {
            self.write_plan();
            let interval = self.settings.lock().progress_interval;
            if interval.is_some() {
                let runs = Runs::of(self.engine().as_deref());
                let figures = progress::structure(&self.state.lock(), &runs);
                progress::post(&self.obj(), figures);
            }
        }
        // Whether downstream handles an event does not affect the data flow.
        if !self.srcpad.push_event(event) {
            gst::debug!(CAT, imp = self, "Downstream did not handle the event");
        }
    }

    fn push_caps(&self, config: &StreamConfig, seqnum: Option<gst::Seqnum>) {
        gst::debug!(CAT, imp = self, "Pushing caps {}", config.shown_caps());
        let news = seqnum.is_some() || self.srcpad.current_caps().as_ref() != Some(config.shown_caps());
        if news && !self.srcpad.push_event(config.caps_event(seqnum)) {
            // Refused, not linked or flushing: the next push tries again and returns which.
            gst::debug!(CAT, imp = self, "Downstream did not accept {}", config.shown_caps());
            return;
        }
        // The allocation query that follows need not be repeated before the first frame.
        self.srcpad.check_reconfigure();
        config.use_pool(self.downstream_pool(config));
    }

    /// Downstream's pool, unless results are kept for later frames: that would withhold buffers from downstream, which
    /// may have few of them (file descriptors, shared memory).
    fn downstream_pool(&self, config: &StreamConfig) -> Option<gst::BufferPool> {
        let keeps = self.settings.lock().duplicates != Duplicates::Off;
        // Results that are upscaled again or resized use our own pool.
        if keeps || config.fit.is_some() || config.second.is_some() {
            return None;
        }
        allocation::downstream_pool(&self.srcpad, &config.out_caps, &config.out_info)
    }

    /// Downstream has changed: its pool may be a different one.
    fn renegotiate(&self) {
        let config = self.state.lock().config.clone();
        // While frames of earlier caps are still queued, the CAPS event behind them renegotiates.
        let Some(config) = config.filter(|config| self.srcpad.current_caps().as_ref() == Some(config.shown_caps()))
        else {
            return;
        };
        config.use_pool(None);
        config.use_pool(self.downstream_pool(&config));
    }

    /// Downstream needs no more of this segment, but may want the next one.
    fn skip_segment(&self) {
        let leftovers = {
            let mut state = self.state.lock();
            if state.flushing {
                return;
            }
            gst::debug!(CAT, imp = self, "Downstream needs no more of this segment");
            self.room.notify_all();
            state.skip_segment()
        };
        drop(leftovers);
    }

    /// Stores downstream's flow return, which upstream gets from its next push.
    fn stop_on(&self, flow: gst::FlowError) {
        let engines = self.engines();
        let (leftovers, jobs, upstream_done) = {
            let mut state = self.state.lock();
            if state.flushing {
                return;
            }
            gst::debug!(CAT, imp = self, "Stopping: {flow}");
            let leftovers = state.stop_on(flow);
            let jobs: Vec<_> = engines.iter().map(|engine| engine.pool.cancel()).collect();
            self.room.notify_all();
            (leftovers, jobs, state.eos)
        };
        drop((leftovers, jobs));
        // After EOS upstream pushes nothing more that could return it.
        if upstream_done && is_fatal(flow) {
            self.post_flow_error(flow);
            if !self.srcpad.push_event(gst::event::Eos::new()) {
                gst::debug!(CAT, imp = self, "Downstream did not handle EOS");
            }
        }
    }

    /// Posts that the stream stopped, unless its reason has already been posted.
    pub(in crate::upscalefilter) fn post_flow_error(&self, flow: gst::FlowError) {
        if std::mem::replace(&mut self.state.lock().posted, true) {
            return;
        }
        gst::element_imp_error!(
            self,
            gst::StreamError::Failed,
            ("Internal data stream error."),
            ["streaming stopped, reason {flow} ({flow:?})"]
        );
    }

    /// Stores the result of a job of `pixels` pixels, on which a worker spent the time `spent`.
    pub(in crate::upscalefilter) fn complete(
        &self,
        pending: Arc<PendingResult>,
        result: Result<Done, FrameError>,
        pixels: u64,
        spent: Option<Duration>,
    ) {
        let mut state = self.state.lock();
        if pending.generation != state.generation {
            drop(state);
            // Nobody waits for it any more.
            drop((pending, result));
            return;
        }
        let (mut first_bad, mut first_far) = (false, None);
        if let Ok(done) = &result {
            if done.pixels > 0 {
                state.stats.inference(done.took, done.pixels, done.kept);
            }
            first_bad = state.stats.non_finite == 0 && done.non_finite > 0;
            state.stats.non_finite += done.non_finite;
            let tolerance = state.policy.map_or(0, |(tolerance, _)| tolerance);
            let is_far = |audit: &Differences| tolerance > 0 && audit.largest > f64::from(2 * tolerance);
            first_far = Some(done.audit.largest).filter(|_| is_far(&done.audit) && !is_far(&state.stats.audit));
            state.stats.audit.add(done.audit);
        }
        let index = pending.index;
        state.completion.ended(pixels, spent);
        gst::trace!(
            CAT,
            imp = self,
            "Frame {index} {} after {:.1} ms",
            if result.is_ok() { "is upscaled" } else { "has failed" },
            spent.unwrap_or_default().as_secs_f64() * 1e3
        );
        let unused = pending.set(result.map(|done| done.buffer));
        // Before the task can see it: the queued frame may then be its only owner.
        let unwanted = Arc::into_inner(pending);
        self.ready.notify_all();
        drop(state);
        drop((unused, unwanted));
        if let Some(largest) = first_far {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("Frame {index}: the network changes a smooth block by {largest:.0} codes, more than twice \
                     detail-tolerance. Lower detail-tolerance, or set it to 0, if blocks look too soft")
            );
        }
        if first_bad {
            gst::warning!(CAT, imp = self, "Frame {index}: the network produced NaN or infinity; output was clamped");
        }
    }

    /// Whether this is the configuration of the frames that arrive now.
    pub(in crate::upscalefilter) fn is_current(&self, config: &Arc<StreamConfig>) -> bool {
        self.state.lock().config.as_ref().is_some_and(|current| Arc::ptr_eq(current, config))
    }

    pub(in crate::upscalefilter) fn is_stale(&self, generation: u64) -> bool {
        self.state.lock().generation != generation
    }

    pub(in crate::upscalefilter) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::debug!(CAT, obj = pad, "Event {event:?}");
        match event.view() {
            gst::EventView::Reconfigure(_) => {
                self.resume_if_linked();
                self.state.lock().reconfigure = true;
            }
            gst::EventView::Qos(qos) => self.state.lock().timing.qos(qos),
            _ => {}
        }
        let config = self.state.lock().config.clone();
        let event = match (event.type_(), config) {
            (gst::EventType::Navigation, Some(config)) => scale_pointer(event, &config),
            _ => event,
        };
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// Clears a NOT_LINKED error: the source pad may be linked now.
    fn resume_if_linked(&self) {
        let mut state = self.state.lock();
        if state.flow == Err(gst::FlowError::NotLinked) {
            state.flow = Ok(gst::FlowSuccess::Ok);
            self.ready.notify_all();
        }
    }

    pub(in crate::upscalefilter) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                query.set_result(&self.possible_caps(&self.sinkpad, query.filter_owned(), caps::Direction::Enlarge));
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                query.set_result(self.accepts(&self.sinkpad, query.caps(), caps::Direction::Enlarge));
                true
            }
            gst::QueryViewMut::Latency(query) => self.answer_latency(query),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// Whether a flow return is a failure, not a flush or an end.
pub(in crate::upscalefilter) fn is_fatal(flow: gst::FlowError) -> bool {
    !matches!(flow, gst::FlowError::Flushing | gst::FlowError::Eos)
}

/// The buffer to push. The frame is the only owner of its result, unless the cache or other frames share it.
fn finished(header: gst::Buffer, pending: Arc<PendingResult>) -> Result<gst::Buffer, FrameError> {
    match pending.into_buffer() {
        Ok(result) => Ok(metadata::attach_metadata(&header, result)),
        Err(pending) => match pending.shown().expect("the queue gives out frames that are ready") {
            Ok(result) => Ok(metadata::share(header, result)),
            Err(error) => Err(error.clone()),
        },
    }
}

/// Converts pointer coordinates from output to input pixels. Points in the bars become the nearest ones in the picture,
/// as in GStreamer's sinks.
fn scale_pointer(mut event: gst::Event, config: &StreamConfig) -> gst::Event {
    let (picture, input) = (config.shown_picture(), &config.in_info);
    let structure = event.make_mut().structure_mut();
    for (field, begin, length, input) in [
        ("pointer_x", picture.x, picture.width, input.width()),
        ("pointer_y", picture.y, picture.height, input.height()),
    ] {
        if let Ok(position) = structure.get::<f64>(field) {
            let length = f64::from(length);
            let within = (position - f64::from(begin)).clamp(0.0, length);
            structure.set(field, within * f64::from(input) / length);
        }
    }
    event
}

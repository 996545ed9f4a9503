//! The sink pad's events and queries, on the streaming thread. Frames are in `chain.rs`.

use std::sync::Arc;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::schedule::Item;

use crate::upscalefilter::CAT;
use crate::upscalefilter::errors::INTERLACED;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::allocation;
use crate::upscalefilter::negotiation::caps;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::install::NewConfig;
use crate::upscalefilter::pads::pending_query::PendingQuery;
use crate::upscalefilter::pads::src::is_fatal;
use crate::upscalefilter::state::{Leftovers, Serialized};

impl UpscaleFilter {
    /// The flow return is the reason for refusing an event; for a sticky event, upstream gets it from its next push.
    pub(in crate::upscalefilter) fn sink_event(
        &self,
        pad: &gst::Pad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::debug!(CAT, obj = pad, "Event {event:?}");
        match event.view() {
            gst::EventView::FlushStart(_) => self.flush_start(event),
            gst::EventView::FlushStop(_) => self.flush_stop(event),
            gst::EventView::Caps(caps) => self.sink_caps(caps),
            _ if !event.is_serialized() => forwarded(self.srcpad.push_event(event)),
            _ => self.enqueue_event(event),
        }
    }

    fn flush_start(&self, event: gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        let taken = self.srcpad.push_event(event);
        let leftovers = self.abandon_frames();
        // Items that the task has already taken from the queue precede those that were left there.
        if let Err(error) = self.srcpad.pause_task() {
            gst::debug!(CAT, imp = self, "No task to pause: {error}");
        }
        self.keep_sticky_events(leftovers);
        forwarded(taken)
    }

    fn flush_stop(&self, event: gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        let taken = self.srcpad.push_event(event);
        self.state.lock().flush_stop();
        self.start_src_task();
        forwarded(taken)
    }

    /// Removes everything in flight, wakes all waiting threads, and refuses data until FLUSH_STOP or activation.
    pub(in crate::upscalefilter) fn abandon_frames(&self) -> Leftovers {
        let engines = self.engines();
        let mut state = self.state.lock();
        let leftovers = state.flush_start();
        let jobs: Vec<_> = engines.iter().map(|engine| engine.pool.cancel()).collect();
        self.ready.notify_all();
        self.room.notify_all();
        drop(state);
        drop(jobs);
        leftovers
    }

    /// Upstream's pad considers its sticky events sent and does not repeat them after a flush, so they are stored on
    /// the source pad for the next push. A flush does end the segment and EOS.
    fn keep_sticky_events(&self, leftovers: Leftovers) {
        for item in leftovers.items {
            let event = match item {
                Item::Event(Serialized::Event(event)) if event.is_sticky() => event,
                Item::Event(Serialized::Caps(config, seqnum)) => config.caps_event(seqnum),
                _ => continue,
            };
            if !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
                && let Err(flow) = self.srcpad.store_sticky_event(&event)
            {
                gst::debug!(CAT, imp = self, "Cannot keep {event:?}: {flow}");
            }
        }
    }

    pub(in crate::upscalefilter) fn sink_activate(&self, active: bool) {
        if active {
            // The source pad was activated before, and may have been flushed by this pad since.
            self.state.lock().flush_stop();
        } else {
            drop(self.abandon_frames());
        }
    }

    /// Posts why interlaced caps are refused; negotiation itself gives no reason.
    pub(in crate::upscalefilter) fn advise(&self, event: &gst::EventRef) {
        if let gst::EventView::Caps(event) = event.view()
            && caps::is_interlaced(event.caps())
        {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ("{INTERLACED}"), ["caps {}", event.caps()]);
        }
    }

    fn sink_caps(&self, event: &gst::event::Caps) -> Result<gst::FlowSuccess, gst::FlowError> {
        let engine = self.engine().ok_or(gst::FlowError::Flushing)?;
        let config = {
            let state = self.state.lock();
            let same = |config: &&Arc<StreamConfig>| *config.in_caps == *event.caps() && !state.reconfigure;
            state.config.as_ref().filter(same).cloned()
        };
        let config = match config.map_or_else(|| self.configure(&engine, event.caps()), Ok) {
            Ok(config) => config,
            Err(reason) => {
                gst::element_imp_error!(self, gst::CoreError::Negotiation, ("{reason}"), ["caps {}", event.caps()]);
                return Err(gst::FlowError::NotNegotiated);
            }
        };
        gst::info!(CAT, imp = self, "From {} to {}", config.in_caps, config.shown_caps());
        let before = self.state.lock().config.clone();
        let latency_before = before.and_then(|before| self.own_latency(&engine, &before));
        self.install_config(&engine, &config, NewConfig::Caps(event.seqnum()))?;
        if self.own_latency(&engine, &config) != latency_before {
            self.post_latency();
        }
        if self.is_outdated() {
            // The engine is built for a size, which is known now.
            self.request_engine();
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Puts a serialized event behind the frames that came before it.
    fn enqueue_event(&self, event: gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        use gst::EventView;
        let starts = matches!(event.view(), EventView::StreamStart(_) | EventView::Segment(_));
        let mut state = self.state.lock();
        if state.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if starts {
            state.eos = false;
            state.unexpected = false;
        } else if state.eos {
            return Err(gst::FlowError::Eos);
        }
        match (event.view(), state.flow) {
            // Upstream sends nothing more that could return the error, so it is posted here.
            (EventView::Eos(_), Err(flow)) => {
                drop(state);
                if is_fatal(flow) {
                    self.post_flow_error(flow);
                }
                return Err(flow);
            }
            (EventView::Eos(_), Ok(_)) => state.eos = true,
            (EventView::Segment(segment), _) => {
                state.reverse = segment.segment().rate() < 0.0;
                state.timing.set_segment(segment.segment());
            }
            (_, Err(flow)) if !event.is_sticky() => return Err(flow),
            _ => {}
        }
        state.queue.push_event(Serialized::Event(event));
        self.ready.notify_all();
        Ok(gst::FlowSuccess::Ok)
    }

    pub(in crate::upscalefilter) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let serialized = query.is_serialized();
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                query.set_result(&self.possible_caps(&self.srcpad, query.filter_owned(), caps::Direction::Reduce));
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                query.set_result(self.accepts(&self.srcpad, query.caps(), caps::Direction::Reduce));
                true
            }
            gst::QueryViewMut::Allocation(query) => {
                self.engine().is_some_and(|engine| allocation::propose(query, self.held_buffers(&engine)))
            }
            _ if serialized => self.enqueue_query(query),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Queues a serialized query behind the frames, and waits for its answer.
    fn enqueue_query(&self, query: &mut gst::QueryRef) -> bool {
        let pending = PendingQuery::new(query.to_owned());
        {
            let mut state = self.state.lock();
            if state.refusal().is_err() {
                return false;
            }
            state.queue.push_event(Serialized::Query(Arc::clone(&pending)));
            self.ready.notify_all();
        }
        pending.wait(query)
    }

    /// Whether a pad accepts caps, by its [possible caps](Self::possible_caps).
    pub(in crate::upscalefilter) fn accepts(
        &self,
        across: &gst::Pad,
        caps: &gst::CapsRef,
        direction: caps::Direction,
    ) -> bool {
        let caps = caps::with_interlace_mode(caps);
        caps.is_subset(&self.possible_caps(across, Some(caps.clone()), direction))
    }

    /// The caps that one pad accepts, from the caps of the other pad's (`across`) peer, the template and the query's
    /// filter.
    pub(in crate::upscalefilter) fn possible_caps(
        &self,
        across: &gst::Pad,
        filter: Option<gst::Caps>,
        direction: caps::Direction,
    ) -> gst::Caps {
        let scale = self.engine().map(|engine| engine.info().scale);
        let fit = self.settings.lock().fit;
        let transform = |caps: &gst::CapsRef, direction| {
            if fit { caps::transform_to_fit(caps, scale, direction) } else { caps::transform(caps, scale, direction) }
        };
        let opposite = match direction {
            caps::Direction::Enlarge => caps::Direction::Reduce,
            caps::Direction::Reduce => caps::Direction::Enlarge,
        };
        let template = &*caps::TEMPLATE;
        let peer_filter = filter.as_ref().map(|filter| {
            let own = filter.intersect_with_mode(template, gst::CapsIntersectMode::First);
            transform(&own, opposite)
        });
        let peer = across.peer_query_caps(peer_filter.as_ref());
        let peer = peer.intersect_with_mode(template, gst::CapsIntersectMode::First);
        let own = transform(&peer, direction).intersect_with_mode(template, gst::CapsIntersectMode::First);
        match filter {
            Some(filter) => filter.intersect_with_mode(&own, gst::CapsIntersectMode::First),
            None => own,
        }
    }
}

/// The flow return for an event that was pushed downstream.
fn forwarded(taken: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
    if taken { Ok(gst::FlowSuccess::Ok) } else { Err(gst::FlowError::Error) }
}

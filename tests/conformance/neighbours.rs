//! Bare pads upstream and downstream of the element, and the events and queries that they receive.

use std::sync::mpsc::{Receiver, channel};

use gst::prelude::*;

use crate::common::{GRAY, PATIENCE, dummy_element, model};

/// The element between two bare pads, playing.
pub struct Neighbours {
    pub element: gst::Element,
    pub before: gst::Pad,
    pub behind: gst::Pad,
    events: Receiver<gst::Event>,
    queries: Receiver<gst::QueryType>,
}

impl Neighbours {
    /// A stream with the caps [`GRAY`] has started.
    pub fn new() -> Self {
        let element = dummy_element(&model(), &[("workers", "2")]);
        let ((event_sender, events), (query_sender, queries)) = (channel(), channel());
        let pad = |direction| {
            let (event_sender, query_sender) = (event_sender.clone(), query_sender.clone());
            let template =
                gst::PadTemplate::new("any", direction, gst::PadPresence::Always, &gst::Caps::new_any()).unwrap();
            let pad = gst::Pad::builder_from_template(&template)
                .event_function(move |_, _, event| event_sender.send(event).is_ok())
                .query_function(move |pad, parent, query| {
                    query_sender.send(query.type_()).ok();
                    answer(query) || gst::Pad::query_default(pad, parent, query)
                });
            if direction == gst::PadDirection::Sink {
                pad.chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok)).build()
            } else {
                pad.build()
            }
        };
        let (before, behind) = (pad(gst::PadDirection::Src), pad(gst::PadDirection::Sink));
        before.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&behind).unwrap();
        behind.set_active(true).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        before.set_active(true).unwrap();
        let neighbours = Neighbours { element, before, behind, events, queries };
        neighbours.start();
        neighbours
    }

    pub fn start(&self) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(self.before.push_event(gst::event::StreamStart::new("test")));
        assert!(self.before.push_event(gst::event::Caps::new(&GRAY.parse().unwrap())));
        assert!(self.before.push_event(gst::event::Segment::new(&segment)));
        self.drain();
    }

    /// Waits until everything pushed has left the element: a serialized query is answered after it.
    pub fn drain(&self) {
        let mut query = gst::query::Drain::new();
        self.before.peer_query(&mut query);
    }

    pub fn taken_events(&self) -> Vec<gst::Event> {
        self.events.try_iter().collect()
    }

    /// Waits for the next event.
    pub fn next_event(&self) -> gst::Event {
        self.events.recv_timeout(PATIENCE.into()).expect("an event arrives")
    }

    pub fn taken_queries(&self) -> Vec<gst::QueryType> {
        self.queries.try_iter().collect()
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.element.set_state(gst::State::Null).unwrap();
        for pad in [&self.before, &self.behind] {
            pad.set_active(false).unwrap();
        }
    }
}

/// An answer that no default produces.
pub const SECONDS: gst::ClockTime = gst::ClockTime::from_seconds(77);

fn answer(query: &mut gst::QueryRef) -> bool {
    use gst::QueryViewMut;
    match query.view_mut() {
        QueryViewMut::Position(query) => query.set(SECONDS),
        QueryViewMut::Duration(query) => query.set(SECONDS),
        QueryViewMut::Latency(query) => query.set(true, SECONDS, gst::ClockTime::NONE),
        QueryViewMut::Seeking(query) => query.set(true, gst::ClockTime::ZERO, SECONDS),
        QueryViewMut::Segment(query) => query.set(2.0, gst::ClockTime::ZERO, SECONDS),
        QueryViewMut::Uri(query) => query.set_uri(Some("test://77")),
        QueryViewMut::Bitrate(query) => query.set_bitrate(77),
        QueryViewMut::Convert(query) => {
            let (source, _) = query.get();
            query.set(source, SECONDS);
        }
        QueryViewMut::Drain(_) => {}
        QueryViewMut::Custom(query) => query.structure_mut().set("answer", 77),
        _ => return false,
    }
    true
}

//! Every kind of query is forwarded and gets the peer's answer, except those that the element answers itself.

use gst::prelude::*;

use crate::common::GRAY;
use crate::neighbours::{Neighbours, SECONDS};

/// Whether an answer came from the peer.
type IsAnswer = fn(&gst::QueryRef) -> bool;

/// Queries that the element forwards, each with a check that the peer has answered.
fn forwarded() -> Vec<(gst::Query, IsAnswer)> {
    use gst::QueryView::{Bitrate, Convert, Duration, Position, Seeking, Segment, Uri};
    vec![
        (
            gst::query::Position::new(gst::Format::Time).into(),
            |query| matches!(query.view(), Position(query) if query.result() == SECONDS.into()),
        ),
        (
            gst::query::Duration::new(gst::Format::Time).into(),
            |query| matches!(query.view(), Duration(query) if query.result() == SECONDS.into()),
        ),
        (
            gst::query::Seeking::new(gst::Format::Time).into(),
            |query| matches!(query.view(), Seeking(query) if query.result().2 == SECONDS.into()),
        ),
        (
            gst::query::Segment::new(gst::Format::Time).into(),
            |query| matches!(query.view(), Segment(query) if query.result().0 == 2.0),
        ),
        (
            gst::query::Convert::new(gst::ClockTime::SECOND, gst::Format::Time).into(),
            |query| matches!(query.view(), Convert(query) if query.result().1 == SECONDS.into()),
        ),
        (
            gst::query::Uri::new().into(),
            |query| matches!(query.view(), Uri(query) if query.uri().is_some_and(|uri| uri == "test://77")),
        ),
        (gst::query::Bitrate::new().into(), |query| matches!(query.view(), Bitrate(query) if query.bitrate() == 77)),
        (gst::query::Custom::new(gst::Structure::new_empty("test")).into(), |query| {
            query.structure().is_some_and(|structure| structure.get::<i32>("answer") == Ok(77))
        }),
    ]
}

#[test]
fn queries_are_forwarded_both_ways() {
    let neighbours = Neighbours::new();
    for pad in [&neighbours.before, &neighbours.behind] {
        for (mut query, is_answer) in forwarded() {
            if query.type_() == gst::QueryType::Bitrate && pad.direction() == gst::PadDirection::Sink {
                // GStreamer warns about a bitrate query to upstream.
                continue;
            }
            neighbours.taken_queries();
            assert!(pad.peer_query(query.get_mut().unwrap()), "{query:?} from {pad:?}");
            assert!(is_answer(&query), "{query:?} from {pad:?}");
            assert_eq!(neighbours.taken_queries(), [query.type_()]);
        }
    }
}

#[test]
fn a_serialized_query_reaches_downstream() {
    let neighbours = Neighbours::new();
    neighbours.taken_queries();
    let mut query = gst::query::Drain::new();
    assert!(neighbours.before.peer_query(&mut query));
    assert_eq!(neighbours.taken_queries(), [gst::QueryType::Drain]);
}

#[test]
fn the_latency_includes_that_of_upstream() {
    let neighbours = Neighbours::new();
    let mut query = gst::query::Latency::new();
    assert!(neighbours.behind.peer_query(&mut query));
    let (live, least, most) = query.result();
    assert!(live && least > SECONDS && most.is_none(), "{query:?}");
}

#[test]
fn the_element_answers_the_allocation_query_itself() {
    let neighbours = Neighbours::new();
    neighbours.taken_queries();
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    assert!(neighbours.before.peer_query(&mut query));
    // Downstream is not asked, because frame sizes differ. Whether upstream is live decides how many buffers the element holds.
    assert_eq!(neighbours.taken_queries(), [gst::QueryType::Latency]);
    // A query without caps is refused.
    let mut query = gst::query::Allocation::new(None, true);
    assert!(!neighbours.before.peer_query(&mut query));
    assert_eq!(query.allocation_pools().count(), 0);
}

#[test]
fn only_push_mode_is_offered() {
    let neighbours = Neighbours::new();
    let mut query = gst::query::Scheduling::new();
    assert!(!neighbours.behind.peer_query(&mut query) || !query.has_scheduling_mode(gst::PadMode::Pull));
    let pad = neighbours.element.static_pad("sink").unwrap();
    assert!(pad.activate_mode(gst::PadMode::Pull, true).is_err());
}

#[test]
fn without_peers_queries_are_not_answered() {
    let element = crate::common::dummy_element(&crate::common::model(), &[]);
    for state in [gst::State::Null, gst::State::Ready, gst::State::Playing] {
        element.set_state(state).unwrap();
        for pad in element.pads() {
            for (mut query, _) in forwarded() {
                if query.type_() == gst::QueryType::Bitrate && pad.direction() == gst::PadDirection::Src {
                    continue;
                }
                assert!(!pad.query(query.get_mut().unwrap()), "{query:?} in {state:?}");
            }
            let mut latency = gst::query::Latency::new();
            assert!(!pad.query(&mut latency) || pad.direction() == gst::PadDirection::Sink, "{latency:?} in {state:?}");
        }
    }
    element.set_state(gst::State::Null).unwrap();
}

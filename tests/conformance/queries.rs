//! Every kind of query gets the other side's answer, but for those that the element has to answer itself.

use gst::prelude::*;

use crate::common::GRAY;
use crate::neighbours::{Neighbours, SECONDS};

/// Whether an answer is the other side's.
type Tells = fn(&gst::QueryRef) -> bool;

/// Queries that have the same answer here as on the other side, with what tells that it is the other side's.
fn forwarded() -> Vec<(gst::Query, Tells)> {
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
fn both_ways_through_the_element() {
    let neighbours = Neighbours::new();
    for pad in [&neighbours.before, &neighbours.behind] {
        for (mut query, is_answer) in forwarded() {
            if query.type_() == gst::QueryType::Bitrate && pad.direction() == gst::PadDirection::Sink {
                // Only downstream knows at what rate it takes what is sent; to ask upstream is a warning.
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
fn the_end_of_the_queue_is_where_a_serialized_query_is_answered() {
    let neighbours = Neighbours::new();
    neighbours.taken_queries();
    let mut query = gst::query::Drain::new();
    assert!(neighbours.before.peer_query(&mut query));
    assert_eq!(neighbours.taken_queries(), [gst::QueryType::Drain]);
}

#[test]
fn latency_is_the_others_and_ours() {
    let neighbours = Neighbours::new();
    let mut query = gst::query::Latency::new();
    assert!(neighbours.behind.peer_query(&mut query));
    let (live, least, most) = query.result();
    assert!(live && least > SECONDS && most.is_none(), "{query:?}");
}

#[test]
fn buffers_are_the_elements_own_matter() {
    let neighbours = Neighbours::new();
    neighbours.taken_queries();
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    assert!(neighbours.before.peer_query(&mut query));
    // The sizes of the two sides differ. Whether upstream is live decides how many are held.
    assert_eq!(neighbours.taken_queries(), [gst::QueryType::Latency]);
    // Without caps there is nothing to say, and nothing to fall over.
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
fn nothing_is_answered_for_neighbours_that_are_not_there() {
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

//! The ordered queue: frames by PTS, events in their place of arrival.

use std::collections::{BTreeSet, VecDeque};

/// How many PTS to remember per sequence: more than the frames that can be in flight.
const MAX_REMEMBERED: usize = 1024;

/// One thing that waits to be pushed.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<F, E> {
    Frame {
        /// Presentation time in nanoseconds, if the frame has one.
        pts: Option<u64>,
        frame: F,
    },
    /// Anything serialized with the frames. No frame passes it.
    Event(E),
}

/// Where a frame was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// At the end, in arrival order.
    Last,
    /// Before frames that arrived earlier and have a later PTS.
    Reordered,
    /// In PTS order, but a frame with a later PTS has already left.
    Late,
}

/// Frames and events in output order. A plain data structure without a lock of its own.
///
/// Frames form sequences. Within a sequence, a frame is inserted before the waiting frames with a later PTS; no frame
/// passes one of another sequence. A sequence ends at an event, or at a frame that does not belong to it. Which frame
/// starts a new sequence depends only on what has arrived, never on what has left. Frames that arrive in PTS order,
/// including equal PTS, keep their order.
#[derive(Debug)]
pub struct PtsQueue<F, E> {
    items: VecDeque<Item<F, E>>,
    /// How many of `items` are frames.
    frames: usize,
    sequence: Sequence,
}

/// The latest frames, which may be sorted among each other.
#[derive(Debug, Default)]
struct Sequence {
    /// How many of them are waiting, at the end of `items`.
    waiting: usize,
    /// Their PTS, from the latest back by the longest step that counts as reordering.
    arrived: BTreeSet<u64>,
    /// The latest PTS of those that have left.
    left: Option<u64>,
}

impl Sequence {
    /// Whether a frame of this PTS belongs to the sequence. A step back of at most `disorder` counts as
    /// reordering. A step back to a PTS that has already occurred starts a new sequence.
    fn takes(&self, pts: u64, disorder: u64) -> bool {
        self.arrived
            .last()
            .is_none_or(|newest| pts >= *newest || newest - pts <= disorder && !self.arrived.contains(&pts))
    }

    /// Records a PTS, and forgets those that are too far back to matter.
    fn note(&mut self, pts: u64, disorder: u64) {
        self.arrived.insert(pts);
        let newest = self.arrived.last().copied().unwrap_or(pts);
        while self.arrived.len() > MAX_REMEMBERED || self.arrived.first().is_some_and(|first| newest - first > disorder)
        {
            self.arrived.pop_first();
        }
    }
}

impl<F, E> Default for PtsQueue<F, E> {
    fn default() -> Self {
        PtsQueue { items: VecDeque::new(), frames: 0, sequence: Sequence::default() }
    }
}

impl<F, E> PtsQueue<F, E> {
    /// Adds a frame. A step back in PTS of at most `disorder` nanoseconds counts as a frame out of order. A longer one
    /// starts a new sequence, as does a frame without a PTS, or `disorder` being `None` (after a discontinuity, in
    /// reverse playback).
    pub fn push_frame(&mut self, pts: Option<u64>, frame: F, disorder: Option<u64>) -> Placed {
        let sorted = pts.zip(disorder).filter(|(pts, disorder)| self.sequence.takes(*pts, *disorder));
        if sorted.is_none() {
            self.sequence = Sequence::default();
        }
        if let Some((pts, disorder)) = pts.zip(disorder) {
            self.sequence.note(pts, disorder);
        }
        let at = sorted.map_or(self.items.len(), |(pts, _)| self.place(pts));
        let reordered = at < self.items.len();
        let late = sorted.zip(self.sequence.left).is_some_and(|((pts, _), left)| pts < left);
        self.items.insert(at, Item::Frame { pts, frame });
        self.frames += 1;
        self.sequence.waiting += 1;
        match (late, reordered) {
            (true, _) => Placed::Late,
            (false, true) => Placed::Reordered,
            (false, false) => Placed::Last,
        }
    }

    /// Appends an event, which ends the sequence.
    pub fn push_event(&mut self, event: E) {
        self.items.push_back(Item::Event(event));
        self.sequence = Sequence::default();
    }

    /// Removes the front item, if it is an event or a frame that is `ready`.
    pub fn pop_ready(&mut self, ready: impl FnOnce(&F) -> bool) -> Option<Item<F, E>> {
        match self.items.front()? {
            Item::Frame { frame, .. } if !ready(frame) => return None,
            Item::Frame { pts, .. } => {
                if self.sequence.waiting == self.items.len() {
                    self.sequence.waiting -= 1;
                    self.sequence.left = self.sequence.left.max(*pts);
                }
                self.frames -= 1;
            }
            Item::Event(_) => {}
        }
        self.items.pop_front()
    }

    /// Number of waiting frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Removes all items that `keep` does not keep, from the front to the first event for which `stop` returns true, or
    /// to the end. Returns whether there was such an event, and the removed items.
    pub fn skip(&mut self, stop: impl Fn(&E) -> bool, keep: impl Fn(&E) -> bool) -> (bool, Vec<Item<F, E>>) {
        let end = self.items.iter().position(|item| matches!(item, Item::Event(event) if stop(event)));
        let tail = self.items.split_off(end.unwrap_or(self.items.len()));
        let (kept, skipped): (Vec<_>, Vec<_>) =
            self.items.drain(..).partition(|item| matches!(item, Item::Event(event) if keep(event)));
        self.items = kept.into_iter().chain(tail).collect();
        self.frames = self.items.iter().filter(|item| matches!(item, Item::Frame { .. })).count();
        let trailing = self.items.iter().rev().take_while(|item| matches!(item, Item::Frame { .. })).count();
        self.sequence.waiting = self.sequence.waiting.min(trailing);
        (end.is_some(), skipped)
    }

    /// Removes all items, in order, and resets the sequence.
    pub fn clear(&mut self) -> impl Iterator<Item = Item<F, E>> + use<F, E> {
        std::mem::take(self).items.into_iter()
    }

    /// The index at which a frame of this PTS belongs.
    fn place(&self, pts: u64) -> usize {
        let later = self.items.iter().rev().take(self.sequence.waiting).take_while(|item| match item {
            Item::Frame { pts: Some(waiting), .. } => pts < *waiting,
            Item::Frame { pts: None, .. } | Item::Event(_) => false,
        });
        self.items.len() - later.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As long as the longest step back in these tests that counts as reordering.
    const DISORDER: Option<u64> = Some(100);

    fn drain(queue: &mut PtsQueue<u32, char>) -> Vec<Item<u32, char>> {
        std::iter::from_fn(|| queue.pop_ready(|_| true)).collect()
    }

    fn frame(pts: u64, frame: u32) -> Item<u32, char> {
        Item::Frame { pts: Some(pts), frame }
    }

    #[test]
    fn a_frame_goes_before_waiting_frames_of_later_pts() {
        let mut queue = PtsQueue::default();
        assert_eq!(queue.push_frame(Some(10), 0, DISORDER), Placed::Last);
        assert_eq!(queue.push_frame(Some(30), 1, DISORDER), Placed::Last);
        assert_eq!(queue.push_frame(Some(20), 2, DISORDER), Placed::Reordered);
        assert_eq!(drain(&mut queue), [frame(10, 0), frame(20, 2), frame(30, 1)]);
    }

    #[test]
    fn equal_pts_keep_the_order_of_arrival() {
        let mut queue = PtsQueue::default();
        for n in 0..3 {
            assert_eq!(queue.push_frame(Some(10), n, DISORDER), Placed::Last);
        }
        assert_eq!(drain(&mut queue), [frame(10, 0), frame(10, 1), frame(10, 2)]);
    }

    #[test]
    fn no_frame_passes_an_event() {
        let mut queue = PtsQueue::default();
        queue.push_frame(Some(30), 0, DISORDER);
        queue.push_event('t');
        assert_eq!(queue.push_frame(Some(10), 1, DISORDER), Placed::Last);
        assert_eq!(drain(&mut queue), [frame(30, 0), Item::Event('t'), frame(10, 1)]);
    }

    #[test]
    fn reverse_playback_keeps_the_order_of_arrival() {
        let mut queue = PtsQueue::default();
        queue.push_frame(Some(30), 0, None);
        assert_eq!(queue.push_frame(Some(20), 1, None), Placed::Last);
        assert_eq!(drain(&mut queue), [frame(30, 0), frame(20, 1)]);
    }

    #[test]
    fn a_frame_behind_one_that_left_is_late_and_leaves_next() {
        let mut queue = PtsQueue::<_, char>::default();
        queue.push_frame(Some(20), 0, DISORDER);
        queue.push_frame(Some(30), 1, DISORDER);
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(10), 2, DISORDER), Placed::Late);
        assert_eq!(queue.pop_ready(|_| true), Some(frame(10, 2)));
    }

    #[test]
    fn an_event_ends_the_sequence_even_after_it_left() {
        let mut queue = PtsQueue::default();
        queue.push_frame(Some(20), 0, DISORDER);
        queue.push_event('s');
        assert_eq!(queue.push_frame(Some(5), 1, DISORDER), Placed::Last);
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(6), 2, DISORDER), Placed::Last, "the event is still before it");
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(7), 3, DISORDER), Placed::Last);
    }

    #[test]
    fn a_longer_step_back_starts_a_sequence_that_passes_nothing() {
        let mut queue = PtsQueue::default();
        queue.push_frame(Some(1000), 0, DISORDER);
        queue.push_frame(Some(900), 1, DISORDER);
        assert_eq!(queue.push_frame(Some(899), 2, DISORDER), Placed::Last);
        assert_eq!(queue.push_frame(Some(880), 3, DISORDER), Placed::Reordered, "within its own sequence");
        assert_eq!(drain(&mut queue), [frame(900, 1), frame(1000, 0), frame(880, 3), frame(899, 2)]);
        assert_eq!(queue.push_frame(Some(890), 4, DISORDER), Placed::Late, "what left of this sequence counts");
    }

    #[test]
    fn a_step_back_that_repeats_a_pts_starts_a_sequence() {
        let mut queue = PtsQueue::default();
        for (n, pts) in [0, 40, 80, 0, 40, 80].into_iter().enumerate() {
            assert_eq!(queue.push_frame(Some(pts), n as u32, DISORDER), Placed::Last);
        }
        let left = drain(&mut queue).into_iter().map(|item| match item {
            Item::Frame { frame, .. } => frame,
            Item::Event(_) => unreachable!(),
        });
        assert!(left.eq(0..6));
    }

    #[test]
    fn new_frames_are_not_sorted_among_skipped_ones() {
        let mut queue = PtsQueue::default();
        queue.push_frame(Some(10), 0, DISORDER);
        queue.push_frame(Some(20), 1, DISORDER);
        queue.skip(|_| false, |event| *event == 'k');
        queue.push_event('k');
        queue.push_frame(Some(10), 2, DISORDER);
        queue.skip(|_| false, |event| *event == 'k');
        assert_eq!(queue.push_frame(Some(9), 3, DISORDER), Placed::Last);
        assert_eq!(drain(&mut queue), [Item::Event('k'), frame(9, 3)]);
    }

    #[test]
    fn skipping_ends_at_the_stop_event() {
        let mut queue = PtsQueue::default();
        for (pts, event) in [(0, 'k'), (1, 'x'), (2, 's'), (3, 'k')] {
            queue.push_frame(Some(pts), pts as u32, DISORDER);
            queue.push_event(event);
        }
        let (stopped, skipped) = queue.skip(|event| *event == 's', |event| *event == 'k');
        assert!(stopped);
        assert_eq!(skipped, [frame(0, 0), frame(1, 1), Item::Event('x'), frame(2, 2)]);
        assert_eq!(queue.frames(), 1);
        assert_eq!(drain(&mut queue), [Item::Event('k'), Item::Event('s'), frame(3, 3), Item::Event('k')]);
        assert!(!queue.skip(|_| true, |_| true).0);
    }

    #[test]
    fn an_unready_frame_stays() {
        let mut queue = PtsQueue::<_, char>::default();
        queue.push_frame(Some(20), 0, DISORDER);
        assert_eq!(queue.pop_ready(|_| false), None);
        assert_eq!(queue.frames(), 1);
    }

    proptest! {
        /// For any arrival order: nothing is lost, events keep their places, and frames between two events are sorted.
        #[test]
        fn order_between_events_is_by_pts(
            pts in Just((0u64..80).collect::<Vec<_>>()).prop_shuffle(),
            events in proptest::collection::vec(any::<bool>(), 80),
        ) {
            let arrivals: Vec<_> = pts.into_iter().zip(events).map(|(pts, event)| (!event).then_some(pts)).collect();
            let mut queue = PtsQueue::default();
            let mut expected = Vec::new();
            let mut run: Vec<Item<u32, char>> = Vec::new();
            for (n, arrival) in arrivals.iter().enumerate() {
                match arrival {
                    Some(pts) => {
                        queue.push_frame(Some(*pts), n as u32, DISORDER);
                        run.push(frame(*pts, n as u32));
                    }
                    None => {
                        queue.push_event('e');
                        run.sort_by_key(|item| match item { Item::Frame { pts, .. } => *pts, Item::Event(_) => None });
                        expected.append(&mut run);
                        expected.push(Item::Event('e'));
                    }
                }
            }
            run.sort_by_key(|item| match item { Item::Frame { pts, .. } => *pts, Item::Event(_) => None });
            expected.append(&mut run);
            prop_assert_eq!(queue.frames(), arrivals.iter().flatten().count());
            prop_assert_eq!(drain(&mut queue), expected);
        }
    }
}

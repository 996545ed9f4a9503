//! The ordered queue: frames by PTS, events where they arrived.

use std::collections::VecDeque;

/// A PTS further back than this (nanoseconds) is no frame out of order but a new count: a looped source, a clock that was set, a
/// timestamp that wrapped. To sort such frames in would hold back the waiting ones until the new count has caught up.
const MAX_STEP_BACK: u64 = 1_000_000_000;

/// One thing that waits to be pushed.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<F, E> {
    Frame {
        /// Presentation time in nanoseconds, if the frame has one.
        pts: Option<u64>,
        frame: F,
    },
    /// Anything serialized with the frames. No frame ever passes it.
    Event(E),
}

/// Where a frame was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// At the end, as it arrived.
    Last,
    /// Before frames that arrived earlier and have a later PTS.
    Reordered,
    /// At its place, but a frame with a later PTS has left already.
    Late,
}

/// Frames and events in the order in which they are to leave. A plain data structure: whoever shares it locks it.
///
/// A frame goes before those waiting frames whose PTS is later than its own, back to the last event or the last frame without a
/// PTS at most. Frames in arrival order stay in arrival order, equal PTS included.
#[derive(Debug)]
pub struct OrderedQueue<F, E> {
    items: VecDeque<Item<F, E>>,
    /// How many of `items` are frames.
    frames: usize,
    /// The latest PTS that has left since the last event did.
    left: Option<u64>,
}

impl<F, E> Default for OrderedQueue<F, E> {
    fn default() -> Self {
        OrderedQueue { items: VecDeque::new(), frames: 0, left: None }
    }
}

impl<F, E> OrderedQueue<F, E> {
    /// Adds a frame. With `by_pts` false (reverse playback) it always goes last.
    pub fn push_frame(&mut self, pts: Option<u64>, frame: F, by_pts: bool) -> Placed {
        let pts_to_order_by = pts.filter(|_| by_pts);
        let at = match pts_to_order_by {
            Some(pts) => self.place(pts),
            None => self.items.len(),
        };
        let reordered = at < self.items.len();
        // An event between would separate it from what has left.
        let reaches_front = !self.items.range(..at).any(|item| matches!(item, Item::Event(_)));
        let late = reaches_front && pts_to_order_by.zip(self.left).is_some_and(|(pts, left)| is_before(pts, left));
        self.items.insert(at, Item::Frame { pts, frame });
        self.frames += 1;
        match (late, reordered) {
            (true, _) => Placed::Late,
            (false, true) => Placed::Reordered,
            (false, false) => Placed::Last,
        }
    }

    /// Adds an event behind all that is there.
    pub fn push_event(&mut self, event: E) {
        self.items.push_back(Item::Event(event));
    }

    /// Takes the front item, if it is an event or a frame that is `ready`.
    pub fn pop_ready(&mut self, ready: impl FnOnce(&F) -> bool) -> Option<Item<F, E>> {
        match self.items.front()? {
            Item::Frame { frame, .. } if !ready(frame) => return None,
            Item::Frame { pts, .. } => {
                // The latest of the count that goes on now.
                let same_count = self.left.zip(*pts).is_some_and(|(left, pts)| is_before(pts, left));
                self.left = if same_count { self.left } else { pts.or(self.left) };
                self.frames -= 1;
            }
            Item::Event(_) => self.left = None,
        }
        self.items.pop_front()
    }

    /// Number of frames waiting.
    pub fn frames(&self) -> usize {
        self.frames
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes out, from the front on, what is not to be kept, up to the first event at which to `stop` or to the end. Tells whether
    /// there was such an event.
    pub fn skip(&mut self, stop: impl Fn(&E) -> bool, keep: impl Fn(&E) -> bool) -> (bool, Vec<Item<F, E>>) {
        let end = self.items.iter().position(|item| matches!(item, Item::Event(event) if stop(event)));
        let tail = self.items.split_off(end.unwrap_or(self.items.len()));
        let (kept, skipped): (Vec<_>, Vec<_>) =
            self.items.drain(..).partition(|item| matches!(item, Item::Event(event) if keep(event)));
        self.items = kept.into_iter().chain(tail).collect();
        self.frames = self.items.iter().filter(|item| matches!(item, Item::Frame { .. })).count();
        (end.is_some(), skipped)
    }

    /// Takes everything out, in order, and forgets what has left.
    pub fn clear(&mut self) -> impl Iterator<Item = Item<F, E>> + use<F, E> {
        std::mem::take(self).items.into_iter()
    }

    /// The index at which a frame of this PTS belongs.
    fn place(&self, pts: u64) -> usize {
        let later = self.items.iter().rev().take_while(|item| match item {
            Item::Frame { pts: Some(waiting), .. } => is_before(pts, *waiting),
            Item::Frame { pts: None, .. } | Item::Event(_) => false,
        });
        self.items.len() - later.count()
    }
}

/// Whether a frame of this PTS belongs before one of the `other`, which arrived earlier.
fn is_before(pts: u64, other: u64) -> bool {
    other.checked_sub(pts).is_some_and(|step| step > 0 && step <= MAX_STEP_BACK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(queue: &mut OrderedQueue<u32, char>) -> Vec<Item<u32, char>> {
        std::iter::from_fn(|| queue.pop_ready(|_| true)).collect()
    }

    fn frame(pts: u64, frame: u32) -> Item<u32, char> {
        Item::Frame { pts: Some(pts), frame }
    }

    #[test]
    fn a_frame_goes_before_waiting_frames_of_later_pts() {
        let mut queue = OrderedQueue::default();
        assert_eq!(queue.push_frame(Some(10), 0, true), Placed::Last);
        assert_eq!(queue.push_frame(Some(30), 1, true), Placed::Last);
        assert_eq!(queue.push_frame(Some(20), 2, true), Placed::Reordered);
        assert_eq!(drain(&mut queue), [frame(10, 0), frame(20, 2), frame(30, 1)]);
    }

    #[test]
    fn equal_pts_keep_the_order_of_arrival() {
        let mut queue = OrderedQueue::default();
        for n in 0..3 {
            assert_eq!(queue.push_frame(Some(10), n, true), Placed::Last);
        }
        assert_eq!(drain(&mut queue), [frame(10, 0), frame(10, 1), frame(10, 2)]);
    }

    #[test]
    fn no_frame_passes_an_event() {
        let mut queue = OrderedQueue::default();
        queue.push_frame(Some(30), 0, true);
        queue.push_event('t');
        assert_eq!(queue.push_frame(Some(10), 1, true), Placed::Last);
        assert_eq!(drain(&mut queue), [frame(30, 0), Item::Event('t'), frame(10, 1)]);
    }

    #[test]
    fn reverse_playback_keeps_the_order_of_arrival() {
        let mut queue = OrderedQueue::default();
        queue.push_frame(Some(30), 0, false);
        assert_eq!(queue.push_frame(Some(20), 1, false), Placed::Last);
        assert_eq!(drain(&mut queue), [frame(30, 0), frame(20, 1)]);
    }

    #[test]
    fn a_frame_later_than_one_that_left_is_said_and_leaves_next() {
        let mut queue = OrderedQueue::<_, char>::default();
        queue.push_frame(Some(20), 0, true);
        queue.push_frame(Some(30), 1, true);
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(10), 2, true), Placed::Late);
        assert_eq!(queue.pop_ready(|_| true), Some(frame(10, 2)));
    }

    #[test]
    fn an_event_that_left_starts_afresh() {
        let mut queue = OrderedQueue::default();
        queue.push_frame(Some(20), 0, true);
        queue.push_event('s');
        assert_eq!(queue.push_frame(Some(5), 1, true), Placed::Last);
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(6), 2, true), Placed::Last, "the event still stands before it");
        queue.pop_ready(|_| true);
        assert_eq!(queue.push_frame(Some(7), 3, true), Placed::Last);
    }

    #[test]
    fn a_count_that_starts_again_passes_nothing() {
        let mut queue = OrderedQueue::default();
        queue.push_frame(Some(98 * MAX_STEP_BACK), 0, true);
        assert_eq!(queue.push_frame(Some(0), 1, true), Placed::Last);
        assert_eq!(queue.push_frame(Some(40), 2, true), Placed::Last);
        assert_eq!(drain(&mut queue), [frame(98 * MAX_STEP_BACK, 0), frame(0, 1), frame(40, 2)]);
        assert_eq!(queue.push_frame(Some(30), 3, true), Placed::Late, "it is measured against the count that goes on");
    }

    #[test]
    fn skipping_ends_at_the_event_to_stop_at() {
        let mut queue = OrderedQueue::default();
        for (pts, event) in [(0, 'k'), (1, 'x'), (2, 's'), (3, 'k')] {
            queue.push_frame(Some(pts), pts as u32, true);
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
    fn what_is_not_ready_stays() {
        let mut queue = OrderedQueue::<_, char>::default();
        queue.push_frame(Some(20), 0, true);
        assert_eq!(queue.pop_ready(|_| false), None);
        assert_eq!(queue.frames(), 1);
    }

    proptest! {
        /// Whatever arrives: nothing is lost, events keep their places, frames between two events come sorted (stably).
        #[test]
        fn order_between_events_is_by_pts(arrivals in proptest::collection::vec(proptest::option::of(0u64..50), 0..80)) {
            let mut queue = OrderedQueue::default();
            let mut expected = Vec::new();
            let mut run: Vec<Item<u32, char>> = Vec::new();
            for (n, arrival) in arrivals.iter().enumerate() {
                match arrival {
                    Some(pts) => {
                        queue.push_frame(Some(*pts), n as u32, true);
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

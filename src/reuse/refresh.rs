//! Recomputes every region of a frame periodically.

use std::cmp::Reverse;

use crate::types::{Rect, Size};

/// Side of a patch in pixels.
const PATCH: u32 = 64;

/// After skipped frames, a frame gets at most this many times the usual number of patches.
const CATCH_UP: usize = 2;

/// Selects the regions of a frame that are due because they have not been recomputed for too long.
///
/// The frame is a grid of patches of 64x64 pixels. A frame gets only as many due patches as necessary for the following
/// frames to keep up. So patches never come due all at once, and a patch that changes anyway is rarely forced. Patches
/// of the same age are scattered over the frame.
#[derive(Clone, Debug)]
pub struct Refresher {
    frame: Size,
    columns: u32,
    max_age: u32,
    /// Maximum number of patches due per frame, enough to recompute all of them within `max_age`.
    budget: usize,
    /// Frames since each patch was last recomputed completely, in row-major order.
    ages: Vec<u32>,
    /// The order of patches of the same age.
    ranks: Vec<usize>,
    /// The patches due in the current frame.
    due: Vec<usize>,
}

impl Refresher {
    /// For frames of `frame` pixels, the first of which is recomputed completely. If all due patches are recomputed,
    /// each patch is recomputed at least once in any `max_age` consecutive frames; 0 disables forced refresh.
    pub fn new(frame: Size, max_age: u32) -> Self {
        let (columns, rows) = (frame.width.div_ceil(PATCH), frame.height.div_ceil(PATCH));
        let patches = columns as usize * rows as usize;
        let budget = patches.div_ceil(max_age.max(1) as usize);
        Refresher {
            frame,
            columns,
            max_age,
            budget,
            ages: vec![0; patches],
            ranks: scattered(patches),
            due: Vec::new(),
        }
    }

    /// Starts a frame, and returns the patches to recompute with it.
    /// [`BlockMap::set_within`](super::BlockMap::set_within) adds them to the changed blocks. They stay due until
    /// [`due_refreshed`](Self::due_refreshed).
    pub fn due(&mut self) -> Vec<Rect> {
        self.due.clear();
        if self.max_age == 0 {
            return Vec::new();
        }
        self.ages.iter_mut().for_each(|age| *age = age.saturating_add(1));
        // Exceeds the budget only after frames that should have been recomputed were not; even then, not all at once.
        let forced = self.forced().min(CATCH_UP * self.budget);
        if forced == 0 {
            return Vec::new();
        }
        let mut patches: Vec<usize> = (0..self.ages.len()).collect();
        let key = |patch: &usize| (Reverse(self.ages[*patch]), self.ranks[*patch]);
        if forced < patches.len() {
            patches.select_nth_unstable_by_key(forced - 1, key);
            patches.truncate(forced);
        }
        patches.sort_unstable();
        self.due = patches;
        self.due.iter().map(|patch| self.rect(*patch)).collect()
    }

    /// Records that the patches due in the current frame are recomputed.
    pub fn due_refreshed(&mut self) {
        self.due.drain(..).for_each(|patch| self.ages[patch] = 0);
    }

    /// Records that `rect`, in pixels, is recomputed in the current frame.
    pub fn refreshed(&mut self, rect: Rect) {
        for patch in 0..self.ages.len() {
            let part = self.rect(patch);
            let within = |from: u32, length: u32, at: u32, part: u32| from <= at && at + part <= from + length;
            if within(rect.x, rect.width, part.x, part.width) && within(rect.y, rect.height, part.y, part.height) {
                self.ages[patch] = 0;
            }
        }
    }

    /// Records that the whole frame is recomputed.
    pub fn all_refreshed(&mut self) {
        self.due.clear();
        self.ages.fill(0);
    }

    /// Number of frames until a patch must be recomputed; 0 is the current frame.
    fn left(&self, age: u32) -> usize {
        self.max_age.saturating_sub(age) as usize
    }

    /// How many patches this frame must recompute so that the following frames can keep up: for each deadline, the
    /// patches due by then, minus the capacity of the frames before it.
    fn forced(&self) -> usize {
        let mut by_frame = vec![0; self.ages.len().div_ceil(self.budget.max(1))];
        for &age in &self.ages {
            // Patches with a later deadline always have enough time.
            if let Some(count) = by_frame.get_mut(self.left(age)) {
                *count += 1;
            }
        }
        let mut until = 0;
        let need = by_frame.iter().enumerate().map(|(frame, count)| {
            until += count;
            usize::saturating_sub(until, frame * self.budget)
        });
        need.max().unwrap_or(0)
    }

    fn rect(&self, patch: usize) -> Rect {
        let (x, y) = (patch as u32 % self.columns * PATCH, patch as u32 / self.columns * PATCH);
        Rect { x, y, width: PATCH.min(self.frame.width - x), height: PATCH.min(self.frame.height - y) }
    }
}

/// Assigns a rank to each of `count` places such that consecutive ranks are far apart: steps of about the golden
/// section of `count`, adjusted to be coprime with it, visit every place once.
fn scattered(count: usize) -> Vec<usize> {
    let prime_to_count = |step: usize| {
        let (mut a, mut b) = (step, count);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let step = (count * 618 / 1000..).find(|step| prime_to_count(*step)).expect("count + 1 has no divisor in common");
    let mut ranks = vec![0; count];
    (0..count).for_each(|rank| ranks[rank * step % count] = rank);
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Size = Size { width: 640, height: 360 };
    const PATCHES: usize = 60;

    /// The patches due in the next frame, which is recomputed.
    fn recomputed(refresher: &mut Refresher) -> Vec<Rect> {
        let due = refresher.due();
        refresher.due_refreshed();
        due
    }

    #[test]
    fn skipped_patches_stay_due_and_are_caught_up_gradually() {
        let mut refresher = Refresher::new(FRAME, 30);
        (0..30).for_each(|_| drop(recomputed(&mut refresher)));
        let lost = refresher.due();
        assert_eq!(lost.len(), 2);
        // The same patches again, and the next ones.
        let next = recomputed(&mut refresher);
        assert!(next.len() == 4 && lost.iter().all(|rect| next.contains(rect)), "{lost:?}, {next:?}");
        assert!(recomputed(&mut refresher).len() == 2);
        // After a hundred skipped frames all patches are due; they come four at a time, the oldest first.
        (0..100).for_each(|_| assert!(refresher.due().len() <= 4));
        let seen: std::collections::HashSet<Rect> = (0..15).flat_map(|_| recomputed(&mut refresher)).collect();
        assert_eq!(seen.len(), PATCHES);
    }

    #[test]
    fn nothing_is_forced_without_a_maximum_age() {
        let mut refresher = Refresher::new(FRAME, 0);
        assert!((0..1000).all(|_| recomputed(&mut refresher).is_empty()));
    }

    #[test]
    fn with_a_maximum_age_of_one_every_patch_is_always_due() {
        let mut refresher = Refresher::new(FRAME, 1);
        assert!((0..3).all(|_| recomputed(&mut refresher).len() == PATCHES));
    }

    #[test]
    fn patches_end_with_the_frame() {
        let due = Refresher::new(Size { width: 65, height: 3 }, 1).due();
        assert_eq!(due, [Rect { x: 0, y: 0, width: 64, height: 3 }, Rect { x: 64, y: 0, width: 1, height: 3 }]);
    }

    #[test]
    fn a_patch_recomputed_in_halves_keeps_its_age() {
        let mut refresher = Refresher::new(Size { width: 64, height: 64 }, 2);
        assert!(refresher.due().is_empty());
        refresher.refreshed(Rect { x: 0, y: 0, width: 32, height: 64 });
        refresher.refreshed(Rect { x: 32, y: 0, width: 32, height: 64 });
        assert_eq!(refresher.due().len(), 1);
        refresher.refreshed(Rect { x: 0, y: 0, width: 64, height: 64 });
        assert!(refresher.due().is_empty());
    }

    #[test]
    fn a_patch_that_always_changes_is_never_forced() {
        let mut refresher = Refresher::new(FRAME, 100);
        for _ in 0..500 {
            assert!(!recomputed(&mut refresher).contains(&Rect { x: 128, y: 64, width: 64, height: 64 }));
            refresher.refreshed(Rect { x: 120, y: 60, width: 80, height: 70 });
        }
    }

    #[test]
    fn patches_due_in_succession_are_not_neighbours() {
        let mut refresher = Refresher::new(FRAME, PATCHES as u32);
        let order: Vec<Rect> = (0..2 * PATCHES).flat_map(|_| recomputed(&mut refresher)).collect();
        for pair in order.windows(2) {
            assert!(pair[0].x.abs_diff(pair[1].x) > 64 || pair[0].y.abs_diff(pair[1].y) > 64, "{pair:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn each_patch_is_recomputed_in_time_and_few_at_once(
            max_age in 1u32..90,
            steps in proptest::collection::vec((0u32..640, 0u32..360, 1u32..640, 1u32..360, 0u32..40), 1..300),
        ) {
            let mut refresher = Refresher::new(FRAME, max_age);
            let mut last = [0; PATCHES];
            for (frame, (x, y, width, height, kind)) in (1..).zip(steps) {
                let due = recomputed(&mut refresher);
                prop_assert!(due.len() <= PATCHES.div_ceil(max_age as usize));
                let anyway = match kind {
                    0 => Some(Rect { x: 0, y: 0, width: 640, height: 360 }),
                    1..10 => Some(Rect { x, y, width, height }),
                    _ => None,
                };
                anyway.iter().for_each(|rect| refresher.refreshed(*rect));
                for (patch, last) in last.iter_mut().enumerate() {
                    let part = refresher.rect(patch);
                    let covers = |rect: &Rect| rect.x <= part.x && rect.y <= part.y
                        && rect.x + rect.width >= part.x + part.width && rect.y + rect.height >= part.y + part.height;
                    if due.iter().chain(&anyway).any(covers) {
                        *last = frame;
                    }
                    prop_assert!(frame - *last < max_age, "patch {} in frame {}", patch, frame);
                }
            }
        }
    }
}

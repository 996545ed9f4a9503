//! How many runs at a time and how large their tensors: set from the memory limit, lowered step by step when runs fail, raised again
//! when memory is free.
//!
//! The ladder, from the top: as many workers and as large regions as the limit allows; fewer workers; smaller tiles; the fallback, if
//! there is one. A frame whose run failed is tried again on the next rung; only at the bottom is it given up.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::footprint::Footprints;
use super::permits::Permits;
use super::trial::Trial;

/// Halvings of the tile that one start may lead to, and then some.
const LONGEST_LADDER: usize = 32;
/// Successful frames before a step up is tried; doubled each time a step up does not last as many.
const PATIENCE: u32 = 32;
const MOST_PATIENCE: u32 = 4096;

/// Where runs happen and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Runs at a time.
    pub workers: usize,
    /// The largest side of a tensor in pixels; `None`: whole frames.
    pub tile: Option<u32>,
    /// On the fallback (the CPU), no longer on the device that was asked for.
    pub fallback: bool,
}

/// What the ladder is made from.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs at a time to begin with, and the most that are tried.
    pub workers: usize,
    pub most_workers: usize,
    /// The tile size that the user set; `None` is automatic.
    pub tile: Option<u32>,
    /// Tiles below this side cost more for their halo than they save: workers are given up first.
    pub efficient_tile: u32,
    /// No tile is smaller than this.
    pub smallest_tile: u32,
    /// Bytes that runs on the fallback may take together, where there is one.
    pub fallback: Option<u64>,
}

/// What a failed run leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody else's failure has led to a change since this run began: try again as things are now.
    Again,
    /// Try again after this step down.
    Down { from: Rung, to: Rung },
    /// There is nothing left to try.
    GiveUp,
}

/// Pixels of the largest tensor that frames are cut into, for a tile size or whole frames.
pub type Tensors = Box<dyn Fn(Option<u32>) -> u64 + Send>;

/// See the [module](self).
pub struct Governor {
    permits: Arc<Permits>,
    footprints: Arc<Mutex<Footprints>>,
    /// The fallback's own memory, which is another, and what runs are reckoned to take there.
    fallback: Option<(Arc<Permits>, Footprints)>,
    bounds: Bounds,
    trial: Trial,
    /// The larger side of a frame.
    side: u32,
    tensors: Tensors,
    /// What `tensors` said last.
    counted: Cell<Option<(Option<u32>, u64)>>,
    /// The first is what the limit allows, the last where we are.
    rungs: Vec<Rung>,
    /// Counts changes, so that failures of runs that began before one are told from later ones.
    epoch: u64,
    /// Frames since the last change.
    successes: u32,
    patience: u32,
    /// The last change was a step up.
    climbed: bool,
    steps_down: u64,
    steps_up: u64,
}

impl std::fmt::Debug for Governor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governor").field("rungs", &self.rungs).field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl Governor {
    /// `limit` is in bytes; `reckoned` in bytes for each pixel of a run on the fallback.
    pub fn new(bounds: Bounds, footprints: Arc<Mutex<Footprints>>, reckoned: u64, limit: u64) -> Self {
        let top = Rung { workers: bounds.workers.max(1), tile: bounds.tile, fallback: false };
        Governor {
            permits: Permits::new(limit),
            footprints,
            fallback: bounds.fallback.map(|limit| (Permits::new(limit), Footprints::new(reckoned))),
            trial: Trial::new(bounds.workers.max(1), bounds.most_workers),
            bounds,
            side: 0,
            tensors: Box::new(|_| 0),
            counted: Cell::new(None),
            rungs: vec![top],
            epoch: 0,
            successes: 0,
            patience: PATIENCE,
            climbed: false,
            steps_down: 0,
            steps_up: 0,
        }
    }

    /// What the permits of runs come from now.
    pub fn permits(&self) -> &Arc<Permits> {
        self.permits_of(self.rung().0)
    }

    /// The device's permits, and the fallback's.
    pub fn all_permits(&self) -> Vec<Arc<Permits>> {
        [Some(&self.permits), self.fallback.as_ref().map(|(permits, _)| permits)]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn permits_of(&self, rung: Rung) -> &Arc<Permits> {
        self.fallback.as_ref().filter(|_| rung.fallback).map_or(&self.permits, |(permits, _)| permits)
    }

    /// Frames of another size come from now on, `side` being the larger of theirs: begins at the top for them.
    pub fn set_frame(&mut self, side: u32, tensors: Tensors, bounds: Bounds) {
        self.side = side;
        self.tensors = tensors;
        self.counted.set(None);
        self.bounds = Bounds { workers: self.trial.workers(), ..bounds };
        self.patience = PATIENCE;
        self.rungs = vec![self.fit(&*self.tensors)];
        self.change(false);
    }

    /// Where runs happen now, and the epoch for [`Governor::failed`].
    pub fn rung(&self) -> (Rung, u64) {
        (self.rungs[self.rungs.len() - 1], self.epoch)
    }

    /// The tile for a frame of an earlier size that is still under way: what the limit allows with the workers of now, and no larger than
    /// where the ladder stands.
    pub fn tile_for(&self, tensors: impl Fn(Option<u32>) -> u64) -> Option<u32> {
        [self.fit(&tensors).tile, self.rung().0.tile].into_iter().flatten().min()
    }

    /// Whether tiles of this rung are smaller than frames.
    pub fn tiles(&self, rung: Rung) -> Option<u32> {
        rung.tile.filter(|_| (self.tensors)(rung.tile) < (self.tensors)(None))
    }

    /// Where the permit of a run on a tensor of `pixels` comes from, and the bytes that it takes. These are never above the limit at
    /// the bottom of the ladder: a run that might fit is better tried than refused.
    pub fn footprint(&self, rung: Rung, pixels: u64) -> (Arc<Permits>, u64) {
        let permits = Arc::clone(self.permits_of(rung));
        let bytes = match &self.fallback {
            Some((_, footprints)) if rung.fallback => footprints.bytes(pixels),
            _ => self.bytes(pixels),
        };
        let tried = rung.fallback || self.is_lowest(self.rung().0);
        let bytes = if tried { bytes.min(permits.limit()) } else { bytes };
        (permits, bytes)
    }

    /// Bytes that each worker of `rung` may hold, and the pixels of the largest tensor that it has to run.
    pub fn share(&self, rung: Rung) -> (u64, u64) {
        (self.permits_of(rung).limit() / rung.workers.max(1) as u64, self.largest(rung.tile))
    }

    /// Pixels of the largest tensor for a tile size.
    fn largest(&self, tile: Option<u32>) -> u64 {
        // It is asked for the same one again and again, and counts tiles.
        if let Some((known, pixels)) = self.counted.get()
            && known == tile
        {
            return pixels;
        }
        let pixels = (self.tensors)(tile);
        self.counted.set(Some((tile, pixels)));
        pixels
    }

    /// A run on a tensor of `pixels` was found to take `bytes`. Whether the rung has changed for it: more or less fits than was thought.
    pub fn measured(&mut self, pixels: u64, bytes: u64) -> bool {
        // What a session holds for itself outweighs a small part of a frame.
        if pixels < self.largest(self.rung().0.tile) / 2 {
            return false;
        }
        let news = self.footprints.lock().note(pixels, bytes);
        news && self.refit()
    }

    /// A run of `pixels` has ended, at work or waiting (`saturated`) as many as can. Whether the rung has changed for it: one more worker
    /// is tried, or was not worth it.
    pub fn ran(&mut self, now: Instant, pixels: u64, saturated: bool) -> bool {
        let at_top = self.rungs.len() == 1 && self.rungs[0].workers == self.trial.workers();
        let Some(workers) = self.trial.ran(now, pixels, saturated && at_top) else { return false };
        let before = std::mem::replace(&mut self.bounds.workers, workers);
        let top = self.rungs[0];
        let fitting = self.fit(&*self.tensors);
        // More workers are not bought with smaller tiles.
        if workers > before && (fitting.workers < workers || fitting.tile != top.tile) {
            self.bounds.workers = before;
            self.trial.settle(before);
            return false;
        }
        self.refit()
    }

    /// Takes the top anew, if that is where we are.
    fn refit(&mut self) -> bool {
        let top = self.fit(&*self.tensors);
        if self.rungs.len() > 1 || self.side == 0 || self.rungs[0] == top {
            return false;
        }
        self.rungs[0] = top;
        self.change(false);
        true
    }

    /// A frame has failed in a run that began in `epoch`.
    pub fn failed(&mut self, epoch: u64) -> Verdict {
        if epoch != self.epoch {
            return Verdict::Again;
        }
        let from = self.rung().0;
        let Some(to) = self.below(from) else { return Verdict::GiveUp };
        if self.rungs.len() >= LONGEST_LADDER {
            return Verdict::GiveUp;
        }
        // What fails while one worker more is tried has shown what there is room for.
        self.trial.settle(self.trial.workers());
        // A step up that did not last is tried again later and later.
        if self.climbed && self.successes < self.patience {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        self.rungs.push(to);
        self.steps_down += 1;
        self.change(false);
        Verdict::Down { from, to }
    }

    /// A frame has succeeded. Whether [`Governor::climb`] is due.
    pub fn succeeded(&mut self) -> bool {
        self.successes = self.successes.saturating_add(1);
        if self.successes < self.patience {
            return false;
        }
        if self.rungs.len() > 1 {
            return true;
        }
        // It has lasted.
        self.patience = PATIENCE;
        false
    }

    /// Goes a step up, if `free` bytes (if that is known) are enough for it. Gives the step.
    pub fn climb(&mut self, free: Option<u64>) -> Option<(Rung, Rung)> {
        let [.., to, from] = self.rungs[..] else { return None };
        if self.successes < self.patience {
            return None;
        }
        self.successes = 0;
        let each = |rung: Rung| self.bytes((self.tensors)(rung.tile));
        let need = |rung: Rung| each(rung).saturating_mul(rung.workers as u64);
        // What the runs of now hold is theirs already.
        let more = if from.fallback { need(to) } else { need(to).saturating_sub(need(from)) };
        // A rung that never fits the limit was only ever a place to begin at.
        let fits = each(to) <= self.permits.limit() || self.is_lowest(to);
        if !fits || free.is_some_and(|free| free < more) {
            return None;
        }
        self.rungs.pop();
        self.steps_up += 1;
        self.change(true);
        Some((from, to))
    }

    /// Steps down and up so far.
    pub fn steps(&self) -> (u64, u64) {
        (self.steps_down, self.steps_up)
    }

    fn change(&mut self, climbed: bool) {
        self.epoch += 1;
        self.successes = 0;
        self.climbed = climbed;
    }

    fn bytes(&self, pixels: u64) -> u64 {
        self.footprints.lock().bytes(pixels)
    }

    /// The top of the ladder.
    fn fit(&self, tensors: &dyn Fn(Option<u32>) -> u64) -> Rung {
        Self::fit_to(&self.bounds, self.permits.limit(), &self.footprints.lock(), tensors)
    }

    /// What fits `limit`: all workers if tiles are not too small then, else fewer.
    fn fit_to(bounds: &Bounds, limit: u64, footprints: &Footprints, tensors: &dyn Fn(Option<u32>) -> u64) -> Rung {
        let Bounds { workers, tile, efficient_tile, smallest_tile, .. } = *bounds;
        let mut top = Rung { workers: workers.max(1), tile, fallback: false };
        loop {
            let each = limit / top.workers as u64;
            if footprints.bytes(tensors(top.tile)) <= each || smallest_tile == u32::MAX && top.workers == 1 {
                return top;
            }
            // Tensors are at most as large as the tile, unless the network asks for more.
            let side = footprints.pixels(each).isqrt().min(1 << 16) as u32 / 2 * 2;
            if smallest_tile < u32::MAX && (side >= efficient_tile || top.workers == 1) {
                let side = side.max(smallest_tile);
                return Rung { tile: Some(tile.map_or(side, |tile| tile.min(side))), ..top };
            }
            top.workers -= 1;
        }
    }

    fn below(&self, rung: Rung) -> Option<Rung> {
        if rung.fallback {
            return None;
        }
        if rung.workers > 1 {
            return Some(Rung { workers: rung.workers.div_ceil(2), ..rung });
        }
        if let Some(tile) = self.next_tile(rung) {
            return Some(Rung { tile: Some(tile), ..rung });
        }
        let (permits, footprints) = self.fallback.as_ref()?;
        let fitting = Self::fit_to(&self.bounds, permits.limit(), footprints, &*self.tensors);
        Some(Rung { fallback: true, ..fitting })
    }

    /// Whether only the fallback is below it: then it is tried whatever the limit.
    fn is_lowest(&self, rung: Rung) -> bool {
        rung.workers == 1 && self.next_tile(rung).is_none()
    }

    /// Half the tile, if that is not too small.
    fn next_tile(&self, rung: Rung) -> Option<u32> {
        let side = rung.tile.map_or(self.side, |tile| tile.min(self.side));
        let half = (side / 4 * 2).max(self.bounds.smallest_tile);
        (half < side).then_some(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const BOUNDS: Bounds =
        Bounds { workers: 4, most_workers: 4, tile: None, efficient_tile: 128, smallest_tile: 32, fallback: None };

    fn tensors(tile: Option<u32>) -> u64 {
        let side = |length: u32| u64::from(tile.map_or(length, |tile| tile.min(length)));
        side(640) * side(360)
    }

    /// For frames of 640x360 at 1 KiB a pixel: 225 MiB.
    fn governor(bounds: Bounds, limit: u64) -> Governor {
        let mut governor = Governor::new(bounds, Footprints::remembered(None, 1024), 1024, limit);
        governor.set_frame(640, Box::new(tensors), bounds);
        governor
    }

    fn rung(workers: usize, tile: impl Into<Option<u32>>) -> Rung {
        Rung { workers, tile: tile.into(), fallback: false }
    }

    /// One more frame succeeded, while `free` is free.
    fn succeed(governor: &mut Governor, free: Option<u64>) -> Option<(Rung, Rung)> {
        if governor.succeeded() { governor.climb(free) } else { None }
    }

    #[test]
    fn the_start_is_what_the_limit_allows() {
        for (limit, expected) in [
            (2048 * MIB, rung(4, None)),
            (900 * MIB, rung(4, None)),
            // 64 MiB each are 256x256.
            (256 * MIB, rung(4, 256)),
            (64 * MIB, rung(4, 128)),
            // With all four, tiles would be of 126: three, and larger ones.
            (63 * MIB, rung(3, 146)),
            // Not even the smallest tile: tried all the same.
            (MIB / 2, rung(1, 32)),
        ] {
            assert_eq!(governor(BOUNDS, limit).rung().0, expected, "{limit}");
        }
        let set = Bounds { tile: Some(256), ..BOUNDS };
        assert_eq!(governor(set, 2048 * MIB).rung().0, rung(4, 256));
        // A tile that is set is the largest.
        assert_eq!(governor(set, 100 * MIB).rung().0, rung(4, 160));
        assert_eq!(governor(set, 16 * MIB).rung().0, rung(1, 128));
        let fixed = Bounds { tile: Some(512), smallest_tile: u32::MAX, ..BOUNDS };
        assert_eq!(governor(fixed, 400 * MIB).rung().0, rung(2, 512));
        assert_eq!(governor(fixed, MIB).rung().0, rung(1, 512));
    }

    #[test]
    fn the_ladder_goes_to_fewer_workers_smaller_tiles_and_the_fallback() {
        let mut governor = governor(Bounds { fallback: Some(u64::MAX), smallest_tile: 100, ..BOUNDS }, u64::MAX);
        let mut seen = Vec::new();
        loop {
            let (at, epoch) = governor.rung();
            match governor.failed(epoch) {
                Verdict::Down { from, to } => {
                    assert_eq!(from, at);
                    seen.push(to);
                }
                Verdict::GiveUp => break,
                Verdict::Again => unreachable!("the epoch is of now"),
            }
        }
        let fallback = Rung { workers: 4, tile: None, fallback: true };
        assert_eq!(seen, [rung(2, None), rung(1, None), rung(1, 320), rung(1, 160), rung(1, 100), fallback]);
        assert_eq!(governor.steps(), (6, 0));
    }

    #[test]
    fn failures_of_runs_that_began_before_a_step_count_once() {
        let mut governor = governor(BOUNDS, u64::MAX);
        let (_, epoch) = governor.rung();
        assert_eq!(governor.failed(epoch), Verdict::Down { from: rung(4, None), to: rung(2, None) });
        assert_eq!(governor.failed(epoch), Verdict::Again);
        assert_eq!(governor.rung().0, rung(2, None));
    }

    #[test]
    fn it_climbs_when_memory_is_free_and_waits_longer_after_a_relapse() {
        let mut governor = governor(BOUNDS, u64::MAX);
        let fail = |governor: &mut Governor| {
            let (_, epoch) = governor.rung();
            governor.failed(epoch)
        };
        fail(&mut governor);
        fail(&mut governor);
        let wait = |governor: &mut Governor, frames: u32| {
            (1..frames).for_each(|_| assert_eq!(succeed(governor, None), None));
        };
        wait(&mut governor, PATIENCE);
        // 225 MiB more are needed.
        assert_eq!(succeed(&mut governor, Some(224 * MIB)), None);
        wait(&mut governor, PATIENCE);
        assert_eq!(succeed(&mut governor, Some(226 * MIB)), Some((rung(1, None), rung(2, None))));
        // It does not last.
        fail(&mut governor);
        wait(&mut governor, 2 * PATIENCE);
        assert_eq!(succeed(&mut governor, None), Some((rung(1, None), rung(2, None))));
        wait(&mut governor, 2 * PATIENCE);
        assert_eq!(succeed(&mut governor, None), Some((rung(2, None), rung(4, None))));
        // At the top, what has lasted is forgiven; steps of one incident count once.
        wait(&mut governor, 2 * PATIENCE + 1);
        assert_eq!(governor.patience, PATIENCE);
        fail(&mut governor);
        fail(&mut governor);
        assert_eq!(governor.patience, PATIENCE);
        assert_eq!(governor.steps(), (5, 3));
    }

    #[test]
    fn a_rung_that_cannot_fit_is_not_climbed_to() {
        let mut governor = governor(Bounds { workers: 1, most_workers: 1, ..BOUNDS }, 64 * MIB);
        assert_eq!(governor.rung().0, rung(1, 256));
        let (_, epoch) = governor.rung();
        governor.rungs[0].tile = Some(400);
        governor.failed(epoch);
        for _ in 0..10 * PATIENCE {
            assert_eq!(succeed(&mut governor, None), None);
        }
    }

    #[test]
    fn frames_of_an_earlier_size_get_tiles_of_their_own() {
        let governor = governor(BOUNDS, 1000 * MIB);
        assert_eq!(governor.rung().0.tile, None);
        let large = |tile: Option<u32>| u64::from(tile.map_or(4000, |tile| tile.min(4000))).pow(2);
        assert_eq!(governor.tile_for(large), Some(504));
    }

    #[test]
    fn at_the_bottom_a_run_is_tried_whatever_is_reckoned() {
        let governor = governor(BOUNDS, MIB / 2);
        assert_eq!(governor.footprint(governor.rung().0, 32 * 32).1, MIB / 2);
    }

    #[test]
    fn what_was_measured_decides_what_fits() {
        let mut governor = governor(BOUNDS, 256 * MIB);
        assert_eq!(governor.rung().0, rung(4, 256));
        // A quarter of what was reckoned: whole frames fit.
        assert!(governor.measured(256 * 256, 16 * MIB));
        assert_eq!(governor.rung().0, rung(4, None));
        // Whole frames take more than in proportion.
        assert!(governor.measured(640 * 360, 100 * MIB));
        let now = governor.rung().0;
        assert!(now.tile.is_some_and(|tile| tile < 400) && now.workers == 4, "{now:?}");
        assert!(!governor.measured(256 * 256, 15 * MIB));
        assert_eq!(governor.rung().0, now);
        // What a small part takes says nothing.
        assert!(!governor.measured(64 * 64, 90 * MIB));
        assert_eq!(governor.rung().0, now);
    }

    #[test]
    fn workers_are_added_while_that_pays_and_fits() {
        let bounds = Bounds { workers: 2, most_workers: 8, ..BOUNDS };
        for (limit, best, expected) in [(u64::MAX, 5, 5), (u64::MAX, 2, 2), (3 * 225 * MIB, 8, 3)] {
            let mut governor = governor(bounds, limit);
            let mut now = Instant::now();
            for _ in 0..2000 {
                now += std::time::Duration::from_secs(1) / 60 / governor.rung().0.workers.min(best) as u32;
                governor.ran(now, 640 * 360, true);
            }
            assert_eq!(governor.rung().0, rung(expected, None), "{limit} {best}");
        }
    }

    #[test]
    fn a_failure_ends_the_trial_of_more_workers() {
        let mut governor = governor(Bounds { workers: 1, most_workers: 8, ..BOUNDS }, u64::MAX);
        let (_, epoch) = governor.rung();
        governor.failed(epoch);
        let mut now = Instant::now();
        for _ in 0..2000 {
            now += std::time::Duration::from_millis(10);
            assert!(!governor.ran(now, 640 * 360, true));
        }
    }

    #[test]
    fn the_fallback_has_a_limit_of_its_own() {
        let bounds = Bounds { workers: 1, most_workers: 1, smallest_tile: 200, fallback: Some(100 * MIB), ..BOUNDS };
        let mut governor = governor(bounds, 10 * MIB);
        while !governor.rung().0.fallback {
            let epoch = governor.rung().1;
            assert_ne!(governor.failed(epoch), Verdict::GiveUp);
        }
        let rung = governor.rung().0;
        assert_eq!(rung.tile, Some(320));
        assert_eq!(governor.footprint(rung, 320 * 320).1, 100 * MIB);
        assert_eq!(governor.permits().limit(), 100 * MIB);
    }

    proptest! {
        /// Any order of failures and successes: it never loops, never leaves its bounds, and comes back to the top.
        #[test]
        fn any_script_ends_and_recovers(
            script in prop::collection::vec(any::<bool>(), 0..200),
            workers in 1usize..9,
            limit in (MIB / 4)..(4096 * MIB),
            fallback in any::<bool>(),
        ) {
            let bounds = Bounds { workers, most_workers: workers, fallback: fallback.then_some(limit), ..BOUNDS };
            let mut governor = governor(bounds, limit);
            let top = governor.rung().0;
            for fails in script {
                let (at, epoch) = governor.rung();
                prop_assert!(at.workers >= 1 && at.workers <= workers);
                prop_assert!(at.tile.is_none_or(|tile| tile >= BOUNDS.smallest_tile));
                if fails {
                    let verdict = governor.failed(epoch);
                    prop_assert_ne!(verdict, Verdict::Again);
                    if verdict == Verdict::GiveUp {
                        prop_assert!(at.fallback == fallback && (fallback || at.workers == 1));
                    }
                } else {
                    succeed(&mut governor, None);
                }
            }
            for _ in 0..MOST_PATIENCE * LONGEST_LADDER as u32 {
                if governor.rung().0 == top {
                    break;
                }
                succeed(&mut governor, None);
            }
            prop_assert_eq!(governor.rung().0, top);
        }
    }
}

//! How many runs at a time and how large their tensors: set from the memory limit, lowered step by step when runs fail, raised again
//! when memory is free.
//!
//! The ladder, from the top: as many workers and as large regions as the limit allows; fewer workers; smaller tiles; the fallback, if
//! there is one. A frame whose run failed is tried again on the next rung; only at the bottom is it given up.

use std::sync::Arc;

use super::permits::Permits;

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
    /// The most runs at a time.
    pub workers: usize,
    /// The tile size that the user set; `None` is automatic.
    pub tile: Option<u32>,
    /// Tiles below this side cost more for their halo than they save: workers are given up first.
    pub efficient_tile: u32,
    /// No tile is smaller than this.
    pub smallest_tile: u32,
    /// Whether there is a fallback.
    pub fallback: bool,
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
    /// Bytes that a run is reckoned to take for each pixel of its tensor.
    per_pixel: u64,
    bounds: Bounds,
    /// The larger side of a frame.
    side: u32,
    tensors: Tensors,
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
    /// `limit` is in bytes.
    pub fn new(bounds: Bounds, per_pixel: u64, limit: u64) -> Self {
        let top = Rung { workers: bounds.workers.max(1), tile: bounds.tile, fallback: false };
        Governor {
            permits: Permits::new(limit),
            per_pixel: per_pixel.max(1),
            bounds,
            side: 0,
            tensors: Box::new(|_| 0),
            rungs: vec![top],
            epoch: 0,
            successes: 0,
            patience: PATIENCE,
            climbed: false,
            steps_down: 0,
            steps_up: 0,
        }
    }

    /// What the runs' permits come from.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// Frames of another size come from now on, `side` being the larger of theirs: begins at the top for them.
    pub fn set_frame(&mut self, side: u32, tensors: Tensors, bounds: Bounds) {
        self.side = side;
        self.tensors = tensors;
        self.bounds = bounds;
        self.patience = PATIENCE;
        self.rungs = vec![self.top(&*self.tensors)];
        self.change(false);
    }

    /// Where runs happen now, and the epoch for [`Governor::failed`].
    pub fn rung(&self) -> (Rung, u64) {
        (self.rungs[self.rungs.len() - 1], self.epoch)
    }

    /// The tile for a frame of an earlier size that is still under way: what the limit allows with the workers of now.
    pub fn tile_for(&self, tensors: impl Fn(Option<u32>) -> u64) -> Option<u32> {
        self.top(&tensors).tile
    }

    /// Whether tiles of this rung are smaller than frames.
    pub fn tiles(&self, rung: Rung) -> Option<u32> {
        rung.tile.filter(|_| (self.tensors)(rung.tile) < (self.tensors)(None))
    }

    /// Bytes that a run on a tensor of `pixels` is reckoned to take, never above the limit at the bottom of the ladder: a run that
    /// might fit is better tried than refused.
    pub fn footprint(&self, pixels: u64) -> u64 {
        let (rung, _) = self.rung();
        let bytes = self.bytes(pixels);
        if self.is_lowest(rung) || rung.fallback { bytes.min(self.permits.limit()) } else { bytes }
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
        pixels.saturating_mul(self.per_pixel)
    }

    /// The top of the ladder: all workers if tiles are not too small then, else fewer.
    fn top(&self, tensors: &dyn Fn(Option<u32>) -> u64) -> Rung {
        let Bounds { workers, tile, efficient_tile, smallest_tile, .. } = self.bounds;
        let mut top = Rung { workers: workers.max(1), tile, fallback: false };
        loop {
            let each = self.permits.limit() / top.workers as u64;
            if self.bytes(tensors(top.tile)) <= each || smallest_tile == u32::MAX && top.workers == 1 {
                return top;
            }
            // Tensors are at most as large as the tile, unless the network asks for more.
            let side = (each / self.per_pixel).isqrt().min(1 << 16) as u32 / 2 * 2;
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
        let workers = self.bounds.workers.max(1);
        self.bounds.fallback.then_some(Rung { workers, tile: self.bounds.tile, fallback: true })
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
    const BOUNDS: Bounds = Bounds { workers: 4, tile: None, efficient_tile: 128, smallest_tile: 32, fallback: false };

    fn tensors(tile: Option<u32>) -> u64 {
        let side = |length: u32| u64::from(tile.map_or(length, |tile| tile.min(length)));
        side(640) * side(360)
    }

    /// For frames of 640x360 at 1 KiB a pixel: 225 MiB.
    fn governor(bounds: Bounds, limit: u64) -> Governor {
        let mut governor = Governor::new(bounds, 1024, limit);
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
        let mut governor = governor(Bounds { fallback: true, smallest_tile: 100, ..BOUNDS }, u64::MAX);
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
        let mut governor = governor(Bounds { workers: 1, ..BOUNDS }, 64 * MIB);
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
        assert_eq!(governor.footprint(32 * 32), MIB / 2);
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
            let bounds = Bounds { workers, fallback, ..BOUNDS };
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

//! How many runs at a time and how large their tensors: set from the memory limit, lowered step by step when runs fail, raised again
//! when memory is free.
//!
//! The ladder, from the top: as many workers and as large regions as the limit allows; fewer workers; smaller tiles; the fallback, if
//! there is one. A frame whose run failed is tried again on the next rung; only at the bottom is it given up.

use std::sync::Arc;

use super::footprint::Footprints;
use super::permits::Permits;

/// Halvings of the tile that one start may lead to, and then some.
const LONGEST_LADDER: usize = 32;
/// Successful frames before a step up is tried; doubled each time a step up fails at once.
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

/// See the [module](self).
#[derive(Debug)]
pub struct Governor {
    permits: Arc<Permits>,
    footprints: Footprints,
    bounds: Bounds,
    /// Pixels of a frame, and its larger side.
    frame: (u64, u32),
    /// The first is what the limit allows, the last where we are.
    rungs: Vec<Rung>,
    /// Counts changes, so that failures of runs that began before one are told from later ones.
    epoch: u64,
    successes: u32,
    patience: u32,
    steps_down: u64,
    steps_up: u64,
}

impl Governor {
    /// `limit` is in bytes.
    pub fn new(bounds: Bounds, footprints: Footprints, limit: u64) -> Self {
        let top = Rung { workers: bounds.workers.max(1), tile: bounds.tile, fallback: false };
        Governor {
            permits: Permits::new(limit),
            footprints,
            bounds,
            frame: (0, 0),
            rungs: vec![top],
            epoch: 0,
            successes: 0,
            patience: PATIENCE,
            steps_down: 0,
            steps_up: 0,
        }
    }

    /// What the runs' permits come from.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// Frames of another size come from now on: begins at the top for them. The tile sizes of the ladder's rungs belong to a frame size.
    pub fn set_frame(&mut self, width: u32, height: u32, bounds: Bounds) {
        self.frame = (u64::from(width) * u64::from(height), width.max(height));
        self.bounds = bounds;
        self.patience = PATIENCE;
        self.start_again();
    }

    /// Where runs happen now, and the epoch for [`Governor::failed`].
    pub fn rung(&self) -> (Rung, u64) {
        (self.rungs[self.rungs.len() - 1], self.epoch)
    }

    /// Bytes that a run on a tensor of `pixels` is reckoned to take, never above the limit at the bottom of the ladder: a run that
    /// might fit is better tried than refused.
    pub fn footprint(&self, pixels: u64) -> u64 {
        let (rung, _) = self.rung();
        let bytes = self.footprints.estimate(pixels);
        let lowest = rung.workers == 1 && self.next_tile(rung).is_none();
        if lowest || rung.fallback { bytes.min(self.permits.limit()) } else { bytes }
    }

    /// Whether a run of this size ought to be measured alone: nothing is known yet, and what is reckoned may not fit.
    pub fn wants_measurement(&self, pixels: u64) -> bool {
        let (rung, _) = self.rung();
        let together = self.footprints.estimate(pixels).saturating_mul(self.bounds.workers as u64);
        !rung.fallback && !self.footprints.is_measured(pixels) && together > self.permits.limit() / 2
    }

    /// Notes what a run that was alone took, and how much can be done at a time then.
    pub fn measured(&mut self, pixels: u64, bytes: u64) {
        self.footprints.note(pixels, bytes);
        // Steps down came from failures, which say more than a reckoning.
        if self.rungs.len() == 1 {
            self.start_again();
        }
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
        if self.steps_up > 0 && self.successes < self.patience {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        self.rungs.push(to);
        self.steps_down += 1;
        self.change();
        Verdict::Down { from, to }
    }

    /// A frame has succeeded. `free` tells how many bytes the device has free, if that is known; it is asked only when a step up is
    /// due. Gives the step up, if one was made.
    pub fn succeeded(&mut self, free: impl FnOnce() -> Option<u64>) -> Option<(Rung, Rung)> {
        if self.rungs.len() < 2 {
            return None;
        }
        self.successes = self.successes.saturating_add(1);
        if self.successes < self.patience {
            return None;
        }
        self.successes = 0;
        let (from, to) = (self.rung().0, self.rungs[self.rungs.len() - 2]);
        // What the runs of now hold is theirs already.
        let need = |rung: Rung| self.footprints.estimate(self.tensor_pixels(rung)).saturating_mul(rung.workers as u64);
        let more = if from.fallback { need(to) } else { need(to).saturating_sub(need(from)) };
        if free().is_some_and(|free| free < more) {
            return None;
        }
        self.rungs.pop();
        self.steps_up += 1;
        self.change();
        Some((from, to))
    }

    /// Steps down and up so far.
    pub fn steps(&self) -> (u64, u64) {
        (self.steps_down, self.steps_up)
    }

    fn change(&mut self) {
        self.epoch += 1;
        self.successes = 0;
    }

    /// The top of the ladder: all workers if tiles are not too small then, else fewer.
    fn start_again(&mut self) {
        let Bounds { workers, tile, efficient_tile, smallest_tile, .. } = self.bounds;
        let limit = self.permits.limit();
        let mut top = Rung { workers: workers.max(1), tile, fallback: false };
        loop {
            let each = limit / top.workers as u64;
            if self.footprints.estimate(self.tensor_pixels(top)) <= each {
                break;
            }
            let side = self.footprints.largest_side(each) / 2 * 2;
            if tile.is_none() && (side >= efficient_tile || top.workers == 1) {
                top.tile = Some(side.max(smallest_tile));
                break;
            }
            if top.workers == 1 {
                break;
            }
            top.workers -= 1;
        }
        self.rungs = vec![top];
        self.change();
    }

    /// Pixels of the largest tensor on this rung.
    fn tensor_pixels(&self, rung: Rung) -> u64 {
        rung.tile.map_or(self.frame.0, |side| self.frame.0.min(u64::from(side).pow(2)))
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

    /// Half the tile, if that is not too small.
    fn next_tile(&self, rung: Rung) -> Option<u32> {
        let side = rung.tile.map_or(self.frame.1, |tile| tile.min(self.frame.1));
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

    /// For frames of 640x360 at 1 KiB a pixel: 225 MiB.
    fn governor(bounds: Bounds, limit: u64) -> Governor {
        let mut governor = Governor::new(bounds, Footprints::new(1024, 20), limit);
        governor.set_frame(640, 360, bounds);
        governor
    }

    fn rung(workers: usize, tile: impl Into<Option<u32>>) -> Rung {
        Rung { workers, tile: tile.into(), fallback: false }
    }

    fn no_matter() -> Option<u64> {
        None
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
        assert_eq!(governor(set, 100 * MIB).rung().0, rung(1, 256));
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
        for _ in 1..PATIENCE {
            assert_eq!(governor.succeeded(|| unreachable!("it is not due yet")), None);
        }
        // 225 MiB more are needed.
        assert_eq!(governor.succeeded(|| Some(224 * MIB)), None);
        for _ in 1..PATIENCE {
            assert_eq!(governor.succeeded(no_matter), None);
        }
        assert_eq!(governor.succeeded(|| Some(226 * MIB)), Some((rung(1, None), rung(2, None))));
        // It does not last.
        fail(&mut governor);
        for _ in 1..2 * PATIENCE {
            assert_eq!(governor.succeeded(no_matter), None);
        }
        assert_eq!(governor.succeeded(no_matter), Some((rung(1, None), rung(2, None))));
        for _ in 1..2 * PATIENCE {
            assert_eq!(governor.succeeded(no_matter), None);
        }
        assert_eq!(governor.succeeded(no_matter), Some((rung(2, None), rung(4, None))));
        assert_eq!(governor.succeeded(|| unreachable!("it is at the top")), None);
        assert_eq!(governor.steps(), (3, 3));
    }

    #[test]
    fn a_measurement_sets_how_much_is_done_at_a_time() {
        let mut governor = governor(BOUNDS, 500 * MIB);
        let pixels = 640 * 360;
        assert_eq!(governor.rung().0, rung(4, 356));
        assert!(governor.wants_measurement(356 * 356));
        governor.measured(356 * 356, 60 * MIB);
        assert_eq!(governor.rung().0, rung(4, None));
        assert!(governor.footprint(pixels) <= 125 * MIB);
        governor.measured(pixels, 110 * MIB);
        assert_eq!(governor.rung().0, rung(4, None));
        assert!(!governor.wants_measurement(pixels));
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
                    governor.succeeded(no_matter);
                }
            }
            for _ in 0..MOST_PATIENCE * LONGEST_LADDER as u32 {
                if governor.rung().0 == top {
                    break;
                }
                governor.succeeded(no_matter);
            }
            prop_assert_eq!(governor.rung().0, top);
        }
    }
}

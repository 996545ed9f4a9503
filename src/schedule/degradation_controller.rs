//! Controls how many runs execute at a time and how large their tensors are: starts at what the memory limit allows,
//! steps down when runs fail, and steps up again when memory is free.
//!
//! The degradation levels, from the top: as many workers and as large regions as the limit allows; fewer workers;
//! smaller tiles; the fallback, if there is one. A frame whose run failed is tried again on the next level; it fails
//! only at the bottom.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::footprint::Footprints;
use super::permits::Permits;
use super::worker_tuner::WorkerTuner;

/// More than the halvings of workers and tile that one start can lead to.
const MAX_LEVELS: usize = 32;
/// Successful frames before a step up is tried. Doubles each time a step up does not last this long.
const PATIENCE: u32 = 32;
const MAX_PATIENCE: u32 = 4096;

/// Where runs execute and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DegradationLevel {
    /// Concurrent runs.
    pub workers: usize,
    /// The largest side of a tensor in pixels; `None` means whole frames.
    pub tile: Option<u32>,
    /// Whether runs execute on the fallback (the CPU) instead of the requested device.
    pub fallback: bool,
}

/// What the degradation levels are made from.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Concurrent runs to start with, and the maximum to try.
    pub workers: usize,
    pub max_workers: usize,
    /// The tile size that the user set; `None` is automatic.
    pub tile: Option<u32>,
    /// Below this side, the halo of a tile costs more than the tile saves, so workers are reduced first.
    pub efficient_tile: u32,
    /// No tile is smaller than this.
    pub min_tile_size: u32,
}

/// How to proceed after a failed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another failure has changed the level since this run started: try again on the current level.
    Again,
    /// Try again after this step down.
    Down { from: DegradationLevel, to: DegradationLevel },
    /// Nothing is left to try.
    GiveUp,
}

/// Pixels of the largest tensor that frames are cut into, given a tile size (`None`: whole frames).
pub type Tensors = Box<dyn Fn(Option<u32>) -> u64 + Send>;

/// See the [module](self).
pub struct DegradationController {
    permits: Arc<Permits>,
    footprints: Arc<Mutex<Footprints>>,
    /// The memory of the fallback, and what runs are estimated to take there.
    fallback: Option<(Arc<Permits>, Footprints)>,
    bounds: Bounds,
    tuner: WorkerTuner,
    /// Allow a single run at a time, even if memory allows more.
    one_at_a_time: bool,
    /// The larger side of a frame.
    side: u32,
    tensors: Tensors,
    /// The last tile size passed to `tensors`, with the result.
    counted: Cell<Option<(Option<u32>, u64)>>,
    /// From the top, which is what the limit allows, to the current level.
    levels: Vec<DegradationLevel>,
    /// Counts changes, to tell failures of runs that started before a change from later ones.
    epoch: u64,
    /// Frames since the last change.
    successes: u32,
    patience: u32,
    /// Whether the last change was a step up.
    climbed: bool,
    steps_down: u64,
    steps_up: u64,
}

impl std::fmt::Debug for DegradationController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DegradationController")
            .field("levels", &self.levels)
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

impl DegradationController {
    /// `permits` are those of the device; `fallback` are those of the fallback, if there is one, with the estimated
    /// bytes per pixel of a run there.
    pub fn new(
        bounds: Bounds,
        footprints: Arc<Mutex<Footprints>>,
        permits: Arc<Permits>,
        fallback: Option<(Arc<Permits>, u64)>,
    ) -> Self {
        let top = DegradationLevel { workers: bounds.workers.max(1), tile: bounds.tile, fallback: false };
        DegradationController {
            permits,
            footprints,
            fallback: fallback.map(|(permits, estimated)| (permits, Footprints::new(estimated))),
            tuner: WorkerTuner::new(bounds.workers.max(1), bounds.max_workers),
            bounds,
            one_at_a_time: false,
            side: 0,
            tensors: Box::new(|_| 0),
            counted: Cell::new(None),
            levels: vec![top],
            epoch: 0,
            successes: 0,
            patience: PATIENCE,
            climbed: false,
            steps_down: 0,
            steps_up: 0,
        }
    }

    /// The permits for runs on the current level.
    pub fn permits(&self) -> &Arc<Permits> {
        self.permits_of(self.level().0)
    }

    /// The permits of the device and of the fallback.
    pub fn all_permits(&self) -> Vec<Arc<Permits>> {
        [Some(&self.permits), self.fallback.as_ref().map(|(permits, _)| permits)]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn permits_of(&self, level: DegradationLevel) -> &Arc<Permits> {
        self.fallback.as_ref().filter(|_| level.fallback).map_or(&self.permits, |(permits, _)| permits)
    }

    /// Starts at the top for frames of another size, whose larger side is `side`.
    pub fn set_frame(&mut self, side: u32, tensors: Tensors, bounds: Bounds) {
        self.side = side;
        self.tensors = tensors;
        self.counted.set(None);
        self.bounds = Bounds { workers: self.tuner.workers(), ..bounds };
        self.patience = PATIENCE;
        self.levels = vec![self.fit(&*self.tensors)];
        self.change(false);
    }

    /// Sets whether only one run executes at a time, and starts at the top.
    pub fn set_one_at_a_time(&mut self, one_at_a_time: bool) {
        self.one_at_a_time = one_at_a_time;
        self.levels = vec![self.fit(&*self.tensors)];
        self.change(false);
    }

    /// Call when the limit of the permits has changed. Returns whether the level changed: below the top, the level
    /// stays as long as it fits.
    pub fn limit_changed(&mut self) -> bool {
        let now = self.level().0;
        if let Some(fitting) = self.fallback_level().filter(|fitting| now.fallback && *fitting != now) {
            self.levels.pop();
            self.levels.push(fitting);
            self.change(false);
            return true;
        }
        let need = self.bytes((self.tensors)(now.tile)).saturating_mul(now.workers as u64);
        if self.levels.len() == 1 || self.side == 0 {
            return self.refit();
        }
        let top = self.fit(&*self.tensors);
        if now.fallback || need <= self.permits.limit() {
            self.levels[0] = top;
            return false;
        }
        self.levels = vec![top];
        self.change(false);
        true
    }

    /// The current level, and the epoch to pass to [`DegradationController::failed`].
    pub fn level(&self) -> (DegradationLevel, u64) {
        (self.levels[self.levels.len() - 1], self.epoch)
    }

    /// The tile for a frame of an earlier size that is still in flight: what the limit allows with the current workers,
    /// at most the tile of the current level.
    pub fn tile_for(&self, tensors: impl Fn(Option<u32>) -> u64) -> Option<u32> {
        [self.fit(&tensors).tile, self.level().0.tile].into_iter().flatten().min()
    }

    /// The tile of this level, if it is smaller than a frame.
    pub fn tiles(&self, level: DegradationLevel) -> Option<u32> {
        level.tile.filter(|_| self.largest(level.tile) < (self.tensors)(None))
    }

    /// The permits for a run on a tensor of `pixels`, and the bytes that it takes. At the bottom level, these never
    /// exceed the limit: it is better to try a run that might fit than to refuse it.
    pub fn footprint(&self, level: DegradationLevel, pixels: u64) -> (Arc<Permits>, u64) {
        let permits = Arc::clone(self.permits_of(level));
        let bytes = match &self.fallback {
            Some((_, footprints)) if level.fallback => footprints.bytes(pixels),
            _ => self.bytes(pixels),
        };
        let tried = level.fallback || self.is_lowest(self.level().0);
        let bytes = if tried { bytes.min(permits.limit()) } else { bytes };
        (permits, bytes)
    }

    /// Bytes that each worker of `level` may hold, and the pixels of the largest tensor that it has to run.
    pub fn share(&self, level: DegradationLevel) -> (u64, u64) {
        (self.permits_of(level).limit() / level.workers.max(1) as u64, self.largest(level.tile))
    }

    /// Pixels of the largest tensor for a tile size.
    fn largest(&self, tile: Option<u32>) -> u64 {
        // Cached, because the same size is requested repeatedly and counting tiles takes time.
        if let Some((known, pixels)) = self.counted.get()
            && known == tile
        {
            return pixels;
        }
        let pixels = (self.tensors)(tile);
        self.counted.set(Some((tile, pixels)));
        pixels
    }

    /// Records that a run on a tensor of `pixels` took `bytes`. Returns whether the level changed because more or less
    /// fits than was estimated.
    pub fn measured(&mut self, pixels: u64, bytes: u64) -> bool {
        // For a small region, the fixed memory of the session dominates.
        if pixels < self.largest(self.level().0.tile) / 2 {
            return false;
        }
        let news = self.footprints.lock().note(pixels, bytes);
        news && self.refit()
    }

    /// Records that a run of `pixels` has finished; `saturated` says whether jobs are waiting for a worker.
    /// Returns whether the level changed because one more worker is tried, or was not worth it.
    pub fn ran(&mut self, now: Instant, pixels: u64, saturated: bool) -> bool {
        let at_top = self.levels.len() == 1 && self.levels[0].workers == self.tuner.workers() && !self.one_at_a_time;
        let Some(workers) = self.tuner.ran(now, pixels, saturated && at_top) else { return false };
        let before = std::mem::replace(&mut self.bounds.workers, workers);
        let top = self.levels[0];
        let fitting = self.fit(&*self.tensors);
        // More workers must not cost smaller tiles.
        if workers > before && (fitting.workers < workers || fitting.tile != top.tile) {
            self.bounds.workers = before;
            self.tuner.settle(before);
            return false;
        }
        self.refit()
    }

    /// Recomputes the top level, if that is the current one.
    fn refit(&mut self) -> bool {
        let top = self.fit(&*self.tensors);
        if self.levels.len() > 1 || self.side == 0 || self.levels[0] == top {
            return false;
        }
        self.levels[0] = top;
        self.change(false);
        true
    }

    /// Reports a failed frame, from a run that started in `epoch`. The fallback is tried only if this is the last
    /// device left (`alone`).
    pub fn failed(&mut self, epoch: u64, alone: bool) -> Verdict {
        if epoch != self.epoch {
            return Verdict::Again;
        }
        let from = self.level().0;
        let Some(to) = self.below(from).filter(|to| alone || !to.fallback) else { return Verdict::GiveUp };
        if self.levels.len() >= MAX_LEVELS {
            return Verdict::GiveUp;
        }
        // A failure while one more worker was tried shows that there is no room for it.
        self.tuner.settle(self.tuner.workers());
        // After a step up that did not last, wait twice as long before the next.
        if self.climbed && self.successes < self.patience {
            self.patience = (self.patience * 2).min(MAX_PATIENCE);
        }
        self.levels.push(to);
        self.steps_down += 1;
        self.change(false);
        Verdict::Down { from, to }
    }

    /// Reports a frame that succeeded. Returns whether [`DegradationController::climb`] is due.
    pub fn succeeded(&mut self) -> bool {
        self.successes = self.successes.saturating_add(1);
        if self.successes < self.patience {
            return false;
        }
        if self.levels.len() > 1 {
            return true;
        }
        // The level has lasted.
        self.patience = PATIENCE;
        false
    }

    /// Steps up if `free` bytes are enough (`None`: not known). Returns the step.
    pub fn climb(&mut self, free: Option<u64>) -> Option<(DegradationLevel, DegradationLevel)> {
        let [.., to, from] = self.levels[..] else { return None };
        if self.successes < self.patience {
            return None;
        }
        self.successes = 0;
        let each = |level: DegradationLevel| self.bytes((self.tensors)(level.tile));
        let need = |level: DegradationLevel| each(level).saturating_mul(level.workers as u64);
        // What the current runs hold is theirs already.
        let more = if from.fallback { need(to) } else { need(to).saturating_sub(need(from)) };
        // Skip a level that never fits the limit: it was only a starting point.
        let fits = each(to) <= self.permits.limit() || self.is_lowest(to);
        if !fits || free.is_some_and(|free| free < more) {
            return None;
        }
        self.levels.pop();
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

    /// The top level.
    fn fit(&self, tensors: &dyn Fn(Option<u32>) -> u64) -> DegradationLevel {
        self.fit_to(self.permits.limit(), &self.footprints.lock(), tensors)
    }

    /// What fits in `limit`: all workers if their tiles are large enough, otherwise fewer.
    fn fit_to(&self, limit: u64, footprints: &Footprints, tensors: &dyn Fn(Option<u32>) -> u64) -> DegradationLevel {
        let Bounds { workers, tile, efficient_tile, min_tile_size, .. } = self.bounds;
        let workers = if self.one_at_a_time { 1 } else { workers.max(1) };
        let mut top = DegradationLevel { workers, tile, fallback: false };
        loop {
            let each = limit / top.workers as u64;
            if footprints.bytes(tensors(top.tile)) <= each || min_tile_size == u32::MAX && top.workers == 1 {
                return top;
            }
            // Tensors are at most as large as the tile, unless the network requires more.
            let side = footprints.pixels(each).isqrt().min(1 << 16) as u32 / 2 * 2;
            if min_tile_size < u32::MAX && (side >= efficient_tile || top.workers == 1) {
                let side = side.max(min_tile_size);
                return DegradationLevel { tile: Some(tile.map_or(side, |tile| tile.min(side))), ..top };
            }
            top.workers -= 1;
        }
    }

    fn below(&self, level: DegradationLevel) -> Option<DegradationLevel> {
        if level.fallback {
            return None;
        }
        if level.workers > 1 {
            return Some(DegradationLevel { workers: level.workers.div_ceil(2), ..level });
        }
        if let Some(tile) = self.next_tile(level) {
            return Some(DegradationLevel { tile: Some(tile), ..level });
        }
        self.fallback_level()
    }

    fn fallback_level(&self) -> Option<DegradationLevel> {
        let (permits, footprints) = self.fallback.as_ref()?;
        let fitting = self.fit_to(permits.limit(), footprints, &*self.tensors);
        Some(DegradationLevel { fallback: true, ..fitting })
    }

    /// Whether only the fallback is below this level, which is then tried regardless of the limit.
    fn is_lowest(&self, level: DegradationLevel) -> bool {
        level.workers == 1 && self.next_tile(level).is_none()
    }

    /// Half the tile, unless that is too small.
    fn next_tile(&self, level: DegradationLevel) -> Option<u32> {
        let side = level.tile.map_or(self.side, |tile| tile.min(self.side));
        let half = (side / 4 * 2).max(self.bounds.min_tile_size);
        (half < side).then_some(half)
    }
}

#[cfg(test)]
mod tests;

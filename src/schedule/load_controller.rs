//! How many runs at a time and how large their tensors: set from the memory limit, lowered step by step when runs fail, raised again
//! when memory is free.
//!
//! The degradation levels, from the top: as many workers and as large regions as the limit allows; fewer workers; smaller tiles; the fallback, if
//! there is one. A frame whose run failed is tried again on the next level; only at the bottom is it given up.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::footprint::Footprints;
use super::permits::Permits;
use super::worker_tuner::WorkerTuner;

/// Halvings of the tile that one start may lead to, and then some.
const MAX_LADDER: usize = 32;
/// Successful frames before a step up is tried; doubled each time a step up does not last as many.
const PATIENCE: u32 = 32;
const MAX_PATIENCE: u32 = 4096;

/// Where runs happen and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DegradationLevel {
    /// Runs at a time.
    pub workers: usize,
    /// The largest side of a tensor in pixels; `None`: whole frames.
    pub tile: Option<u32>,
    /// On the fallback (the CPU), no longer on the device that was asked for.
    pub fallback: bool,
}

/// What the degradation levels is made from.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs at a time to begin with, and the most that are tried.
    pub workers: usize,
    pub max_workers: usize,
    /// The tile size that the user set; `None` is automatic.
    pub tile: Option<u32>,
    /// Tiles below this side cost more for their halo than they save: workers are given up first.
    pub efficient_tile: u32,
    /// No tile is smaller than this.
    pub min_tile_size: u32,
}

/// What a failed run leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody else's failure has led to a change since this run began: try again as things are now.
    Again,
    /// Try again after this step down.
    Down { from: DegradationLevel, to: DegradationLevel },
    /// There is nothing left to try.
    GiveUp,
}

/// Pixels of the largest tensor that frames are cut into, for a tile size or whole frames.
pub type Tensors = Box<dyn Fn(Option<u32>) -> u64 + Send>;

/// See the [module](self).
pub struct LoadController {
    permits: Arc<Permits>,
    footprints: Arc<Mutex<Footprints>>,
    /// The fallback's own memory, which is another, and what runs are estimated to take there.
    fallback: Option<(Arc<Permits>, Footprints)>,
    bounds: Bounds,
    tuner: WorkerTuner,
    /// One run at a time, whatever there is room for.
    one_at_a_time: bool,
    /// The larger side of a frame.
    side: u32,
    tensors: Tensors,
    /// What `tensors` said last.
    counted: Cell<Option<(Option<u32>, u64)>>,
    /// The first is what the limit allows, the last where we are.
    levels: Vec<DegradationLevel>,
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

impl std::fmt::Debug for LoadController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadController")
            .field("levels", &self.levels)
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

impl LoadController {
    /// `permits` are those of the device, and of the fallback, where there is one, with the bytes for each pixel that a run is estimated to
    /// take there.
    pub fn new(
        bounds: Bounds,
        footprints: Arc<Mutex<Footprints>>,
        permits: Arc<Permits>,
        fallback: Option<(Arc<Permits>, u64)>,
    ) -> Self {
        let top = DegradationLevel { workers: bounds.workers.max(1), tile: bounds.tile, fallback: false };
        LoadController {
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

    /// What the permits of runs come from now.
    pub fn permits(&self) -> &Arc<Permits> {
        self.permits_of(self.level().0)
    }

    /// The device's permits, and the fallback's.
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

    /// Frames of another size come from now on, `side` being the larger of theirs: begins at the top for them.
    pub fn set_frame(&mut self, side: u32, tensors: Tensors, bounds: Bounds) {
        self.side = side;
        self.tensors = tensors;
        self.counted.set(None);
        self.bounds = Bounds { workers: self.tuner.workers(), ..bounds };
        self.patience = PATIENCE;
        self.levels = vec![self.fit(&*self.tensors)];
        self.change(false);
    }

    /// Whether there is to be one run at a time; begins at the top with it.
    pub fn set_one_at_a_time(&mut self, one_at_a_time: bool) {
        self.one_at_a_time = one_at_a_time;
        self.levels = vec![self.fit(&*self.tensors)];
        self.change(false);
    }

    /// The permits have another limit. Whether the level has changed for it: below the top it stays as long as it fits.
    pub fn limit_changed(&mut self) -> bool {
        let now = self.level().0;
        if let Some(fitting) = self.fallback_rung().filter(|fitting| now.fallback && *fitting != now) {
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

    /// Where runs happen now, and the epoch for [`LoadController::failed`].
    pub fn level(&self) -> (DegradationLevel, u64) {
        (self.levels[self.levels.len() - 1], self.epoch)
    }

    /// The tile for a frame of an earlier size that is still under way: what the limit allows with the workers of now, and no larger than
    /// where the degradation levels stands.
    pub fn tile_for(&self, tensors: impl Fn(Option<u32>) -> u64) -> Option<u32> {
        [self.fit(&tensors).tile, self.level().0.tile].into_iter().flatten().min()
    }

    /// Whether tiles of this level are smaller than frames.
    pub fn tiles(&self, level: DegradationLevel) -> Option<u32> {
        level.tile.filter(|_| self.largest(level.tile) < (self.tensors)(None))
    }

    /// Where the permit of a run on a tensor of `pixels` comes from, and the bytes that it takes. These are never above the limit at
    /// the bottom of the degradation levels: a run that might fit is better tried than refused.
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

    /// A run on a tensor of `pixels` was found to take `bytes`. Whether the level has changed for it: more or less fits than was thought.
    pub fn measured(&mut self, pixels: u64, bytes: u64) -> bool {
        // What a session holds for itself outweighs a small part of a frame.
        if pixels < self.largest(self.level().0.tile) / 2 {
            return false;
        }
        let news = self.footprints.lock().note(pixels, bytes);
        news && self.refit()
    }

    /// A run of `pixels` has ended, at work or waiting (`saturated`) as many as can. Whether the level has changed for it: one more worker
    /// is tried, or was not worth it.
    pub fn ran(&mut self, now: Instant, pixels: u64, saturated: bool) -> bool {
        let at_top = self.levels.len() == 1 && self.levels[0].workers == self.tuner.workers() && !self.one_at_a_time;
        let Some(workers) = self.tuner.ran(now, pixels, saturated && at_top) else { return false };
        let before = std::mem::replace(&mut self.bounds.workers, workers);
        let top = self.levels[0];
        let fitting = self.fit(&*self.tensors);
        // More workers are not bought with smaller tiles.
        if workers > before && (fitting.workers < workers || fitting.tile != top.tile) {
            self.bounds.workers = before;
            self.tuner.settle(before);
            return false;
        }
        self.refit()
    }

    /// Takes the top anew, if that is where we are.
    fn refit(&mut self) -> bool {
        let top = self.fit(&*self.tensors);
        if self.levels.len() > 1 || self.side == 0 || self.levels[0] == top {
            return false;
        }
        self.levels[0] = top;
        self.change(false);
        true
    }

    /// A frame has failed in a run that began in `epoch`. Where there are other devices that can take over (not `alone`), the fallback
    /// is not tried.
    pub fn failed(&mut self, epoch: u64, alone: bool) -> Verdict {
        if epoch != self.epoch {
            return Verdict::Again;
        }
        let from = self.level().0;
        let Some(to) = self.below(from).filter(|to| alone || !to.fallback) else { return Verdict::GiveUp };
        if self.levels.len() >= MAX_LADDER {
            return Verdict::GiveUp;
        }
        // What fails while one worker more is tried has shown what there is room for.
        self.tuner.settle(self.tuner.workers());
        // A step up that did not last is tried again later and later.
        if self.climbed && self.successes < self.patience {
            self.patience = (self.patience * 2).min(MAX_PATIENCE);
        }
        self.levels.push(to);
        self.steps_down += 1;
        self.change(false);
        Verdict::Down { from, to }
    }

    /// A frame has succeeded. Whether [`LoadController::climb`] is due.
    pub fn succeeded(&mut self) -> bool {
        self.successes = self.successes.saturating_add(1);
        if self.successes < self.patience {
            return false;
        }
        if self.levels.len() > 1 {
            return true;
        }
        // It has lasted.
        self.patience = PATIENCE;
        false
    }

    /// Goes a step up, if `free` bytes (if that is known) are enough for it. Gives the step.
    pub fn climb(&mut self, free: Option<u64>) -> Option<(DegradationLevel, DegradationLevel)> {
        let [.., to, from] = self.levels[..] else { return None };
        if self.successes < self.patience {
            return None;
        }
        self.successes = 0;
        let each = |level: DegradationLevel| self.bytes((self.tensors)(level.tile));
        let need = |level: DegradationLevel| each(level).saturating_mul(level.workers as u64);
        // What the runs of now hold is theirs already.
        let more = if from.fallback { need(to) } else { need(to).saturating_sub(need(from)) };
        // A level that never fits the limit was only ever a place to begin at.
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

    /// The top of the degradation levels.
    fn fit(&self, tensors: &dyn Fn(Option<u32>) -> u64) -> DegradationLevel {
        self.fit_to(self.permits.limit(), &self.footprints.lock(), tensors)
    }

    /// What fits `limit`: all workers if tiles are not too small then, else fewer.
    fn fit_to(&self, limit: u64, footprints: &Footprints, tensors: &dyn Fn(Option<u32>) -> u64) -> DegradationLevel {
        let Bounds { workers, tile, efficient_tile, min_tile_size, .. } = self.bounds;
        let workers = if self.one_at_a_time { 1 } else { workers.max(1) };
        let mut top = DegradationLevel { workers, tile, fallback: false };
        loop {
            let each = limit / top.workers as u64;
            if footprints.bytes(tensors(top.tile)) <= each || min_tile_size == u32::MAX && top.workers == 1 {
                return top;
            }
            // Tensors are at most as large as the tile, unless the network asks for more.
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
        self.fallback_rung()
    }

    fn fallback_rung(&self) -> Option<DegradationLevel> {
        let (permits, footprints) = self.fallback.as_ref()?;
        let fitting = self.fit_to(permits.limit(), footprints, &*self.tensors);
        Some(DegradationLevel { fallback: true, ..fitting })
    }

    /// Whether only the fallback is below it: then it is tried whatever the limit.
    fn is_lowest(&self, level: DegradationLevel) -> bool {
        level.workers == 1 && self.next_tile(level).is_none()
    }

    /// Half the tile, if that is not too small.
    fn next_tile(&self, level: DegradationLevel) -> Option<u32> {
        let side = level.tile.map_or(self.side, |tile| tile.min(self.side));
        let half = (side / 4 * 2).max(self.bounds.min_tile_size);
        (half < side).then_some(half)
    }
}

#[cfg(test)]
mod tests;

//! Finds the number of workers: adds one as long as that clearly raises the throughput in pixels per second.

use std::time::{Duration, Instant};

/// Runs per worker that a rate is measured over, and the minimum time.
const RUNS: u64 = 12;
const MIN_TIME: Duration = Duration::from_millis(250);
/// The minimum gain of one more worker, in per cent; less does not justify its memory and latency.
const GAIN: f64 = 5.0;

/// See the [module](self). It has no clock: callers pass the time.
#[derive(Debug)]
pub struct WorkerTuner {
    workers: usize,
    most: usize,
    /// Pixels per second with one worker less; 0 before the first measurement.
    before: f64,
    window: Option<Window>,
    settled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    runs: u64,
    pixels: u64,
}

impl WorkerTuner {
    /// Starts with `workers` and tries up to `most`.
    pub fn new(workers: usize, most: usize) -> Self {
        WorkerTuner { workers, most: most.max(workers), before: 0.0, window: None, settled: most <= workers }
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Records that a run of `pixels` has finished; `saturated` says whether other work was waiting for a worker, since
    /// only a rate under full load is meaningful. Returns the new number of workers, if it changes.
    pub fn ran(&mut self, now: Instant, pixels: u64, saturated: bool) -> Option<usize> {
        if self.settled {
            return None;
        }
        if !saturated {
            self.window = None;
            return None;
        }
        let Some(window) = &mut self.window else {
            self.window = Some(Window { start: now, runs: 0, pixels: 0 });
            return None;
        };
        window.runs += 1;
        window.pixels += pixels;
        let time = now.saturating_duration_since(window.start);
        if window.runs < RUNS * self.workers as u64 || time < MIN_TIME {
            return None;
        }
        let rate = window.pixels as f64 / time.as_secs_f64();
        self.window = None;
        self.judge(rate)
    }

    /// Stops tuning and stays at `workers`, because there is no room for more.
    pub fn settle(&mut self, workers: usize) {
        self.workers = workers;
        self.settled = true;
    }

    fn judge(&mut self, rate: f64) -> Option<usize> {
        if rate < self.before * (1.0 + GAIN / 100.0) {
            self.settle(self.workers - 1);
            return Some(self.workers);
        }
        self.before = rate;
        if self.workers == self.most {
            self.settled = true;
            return None;
        }
        self.workers += 1;
        Some(self.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs frames of 1,000 pixels on a device with a throughput of `rate(workers)` frames per second; returns the
    /// final number of workers.
    fn settle(start: usize, most: usize, rate: impl Fn(usize) -> f64) -> usize {
        let mut tuner = WorkerTuner::new(start, most);
        let mut now = Instant::now();
        for _ in 0..10_000 {
            now += Duration::from_secs_f64(1.0 / rate(tuner.workers()));
            tuner.ran(now, 1000, true);
        }
        assert!(tuner.settled);
        tuner.workers()
    }

    #[test]
    fn it_stops_where_the_throughput_stops_rising() {
        assert_eq!(settle(2, 8, |workers| 100.0 * workers.min(3) as f64), 3);
        assert_eq!(settle(2, 8, |_| 100.0), 2);
        assert_eq!(settle(2, 4, |workers| 100.0 * workers as f64), 4);
        assert_eq!(settle(4, 4, |_| 100.0), 4);
        // Throughput falls: it goes back.
        assert_eq!(settle(1, 8, |workers| 100.0 / workers as f64), 1);
    }

    #[test]
    fn idle_time_is_not_measured() {
        let mut tuner = WorkerTuner::new(1, 8);
        let mut now = Instant::now();
        for n in 0..10_000 {
            now += Duration::from_millis(10);
            assert_eq!(tuner.ran(now, 1000, n % 8 != 0), None);
        }
        assert_eq!(tuner.workers(), 1);
    }

    #[test]
    fn a_settled_tuner_stays() {
        let mut tuner = WorkerTuner::new(2, 8);
        tuner.settle(2);
        let now = Instant::now();
        assert!((0..1000).all(|n| tuner.ran(now + Duration::from_millis(10 * n), 1000, true).is_none()));
        assert_eq!(tuner.workers(), 2);
    }
}

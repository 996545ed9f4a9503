//! Estimates when a frame that arrives now would be done, from the times of earlier frames and the work in flight.

use std::time::Duration;

/// How fast the mean and the deviation follow the measurements: as in TCP's retransmission timer (RFC 6298).
const MEAN_GAIN: f64 = 1.0 / 8.0;
const DEVIATION_GAIN: f64 = 1.0 / 4.0;
/// Deviations added to the mean, so that few frames take longer than predicted. RFC 6298 uses four; here, dropping a
/// frame needlessly costs more than delivering one slightly late.
const MARGIN: f64 = 2.0;
/// How much the estimate decays with each frame that was dropped while nothing was in flight: the cause of the slowdown
/// may have passed, and only trying a frame can tell.
const FORGETTING: f64 = 0.998;

/// Work is counted in input pixels, including the fixed cost of a run, expressed in pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompletionEstimate {
    /// Seconds per pixel, once known.
    pace: Option<Pace>,
    /// Pixels submitted to the workers and not done yet, and the number of their jobs.
    ahead: u64,
    jobs: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    mean: f64,
    deviation: f64,
}

impl CompletionEstimate {
    /// Starts with what was measured when the model was loaded, in seconds per pixel; 0 means not known.
    pub fn new(seconds_per_pixel: f64) -> Self {
        let pace = Pace { mean: seconds_per_pixel, deviation: 0.0 };
        CompletionEstimate { pace: Some(pace).filter(|pace| pace.mean > 0.0), ..Self::default() }
    }

    /// Restarts with the measurement of another network. What is in flight stays counted.
    pub fn relearn(&mut self, seconds_per_pixel: f64) {
        self.pace = Self::new(seconds_per_pixel).pace;
    }

    /// A job of `pixels` was submitted to the workers.
    pub fn begun(&mut self, pixels: u64) {
        self.ahead += pixels;
        self.jobs += 1;
    }

    /// A job of `pixels` is done; `took` is the worker's time for it if it succeeded.
    pub fn ended(&mut self, pixels: u64, took: Option<Duration>) {
        self.ahead = self.ahead.saturating_sub(pixels);
        self.jobs = self.jobs.saturating_sub(1);
        let Some(took) = took.filter(|_| pixels > 0) else { return };
        let seconds = took.as_secs_f64() / pixels as f64;
        self.pace = Some(match self.pace {
            None => Pace { mean: seconds, deviation: seconds / 2.0 },
            Some(Pace { mean, deviation }) => Pace {
                mean: mean + MEAN_GAIN * (seconds - mean),
                deviation: deviation + DEVIATION_GAIN * ((seconds - mean).abs() - deviation),
            },
        });
    }

    /// Everything in flight was cancelled.
    pub fn clear(&mut self) {
        self.ahead = 0;
        self.jobs = 0;
    }

    /// A frame was not upscaled because it would have been late.
    pub fn given_up(&mut self) {
        if self.jobs == 0
            && let Some(pace) = &mut self.pace
        {
            pace.mean *= FORGETTING;
            pace.deviation *= FORGETTING;
        }
    }

    /// Time until a job of `pixels`, submitted to `workers` workers now, is done. While nothing is known, zero as long
    /// as a worker is free, otherwise [`Duration::MAX`].
    pub fn done_in(&self, pixels: u64, workers: usize) -> Duration {
        let workers = workers.max(1);
        let Some(pace) = self.pace else {
            return if self.jobs < workers { Duration::ZERO } else { Duration::MAX };
        };
        // If no worker is free, all workers share the work ahead and the new job.
        let alone = pixels as f64;
        let shared = (self.ahead + pixels) as f64 / workers as f64;
        let work = if self.jobs < workers { alone } else { shared.max(alone) };
        Duration::try_from_secs_f64(work * (pace.mean + MARGIN * pace.deviation)).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// An estimate of one millisecond per pixel.
    fn known() -> CompletionEstimate {
        CompletionEstimate::new(1e-3)
    }

    #[test]
    fn while_nothing_is_known_each_worker_gets_one() {
        let mut estimate = CompletionEstimate::default();
        assert_eq!(estimate.done_in(10, 2), Duration::ZERO);
        estimate.begun(10);
        assert_eq!(estimate.done_in(10, 2), Duration::ZERO);
        estimate.begun(10);
        assert_eq!(estimate.done_in(10, 2), Duration::MAX);
        estimate.ended(10, Some(10 * MS));
        assert!(estimate.done_in(10, 2) < 100 * MS);
    }

    #[test]
    fn workers_share_what_is_ahead() {
        let mut estimate = known();
        assert_eq!(estimate.done_in(40, 2), 40 * MS);
        estimate.begun(40);
        assert_eq!(estimate.done_in(40, 2), 40 * MS);
        estimate.begun(40);
        assert_eq!(estimate.done_in(40, 2), 60 * MS);
        estimate.clear();
        assert_eq!(estimate.done_in(40, 2), 40 * MS);
    }

    #[test]
    fn it_follows_what_is_measured_with_a_margin() {
        let mut estimate = known();
        for n in 0..100 {
            estimate.begun(10);
            estimate.ended(10, Some(if n % 2 == 0 { 40 * MS } else { 60 * MS }));
        }
        let (mean, predicted) = (50 * MS, estimate.done_in(10, 1));
        assert!(predicted > mean + 10 * MS && predicted < mean + 30 * MS, "{predicted:?}");
        // A steady pace needs no margin.
        for _ in 0..100 {
            estimate.begun(10);
            estimate.ended(10, Some(50 * MS));
        }
        let predicted = estimate.done_in(10, 1);
        assert!(predicted > 49 * MS && predicted < 51 * MS, "{predicted:?}");
    }

    #[test]
    fn a_failure_leaves_the_pace_unchanged() {
        let mut estimate = known();
        estimate.begun(10);
        estimate.ended(10, None);
        assert_eq!(estimate.done_in(10, 1), 10 * MS);
    }

    /// After a slow period, a frame is tried again eventually.
    #[test]
    fn the_estimate_decays_while_frames_are_dropped() {
        let mut estimate = CompletionEstimate::new(1.0);
        (0..600).for_each(|_| estimate.given_up());
        assert!(estimate.done_in(10, 1) < Duration::from_secs(4));
        // But not while the frames wait for work in flight.
        let mut estimate = CompletionEstimate::new(1.0);
        estimate.begun(10);
        (0..600).for_each(|_| estimate.given_up());
        assert_eq!(estimate.done_in(10, 1), Duration::from_secs(20));
    }
}

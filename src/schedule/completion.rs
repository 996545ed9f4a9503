//! When a frame that comes now would be done: from how long earlier ones took, and what is under way.

use std::time::Duration;

/// How fast the mean follows what is measured, and how fast the deviation does: as TCP's retransmission timer (RFC 6298).
const MEAN_GAIN: f64 = 1.0 / 8.0;
const DEVIATION_GAIN: f64 = 1.0 / 4.0;
/// Deviations added to the mean, so that few frames take longer than was predicted. RFC 6298 has four; here a frame that is given up
/// without need costs more than one that is a little late.
const MARGIN: f64 = 2.0;
/// By how much the expectation falls with each frame that was given up while nothing was under way: what slowed the machine down may have
/// passed, and only a frame that is tried tells.
const FORGETTING: f64 = 0.998;

/// Work is counted in pixels of the input, those that a run costs beside its pixels included.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompletionEstimate {
    /// Seconds for each pixel, once that is known.
    pace: Option<Pace>,
    /// Pixels that were given to the workers and are not done, and in how many jobs.
    ahead: u64,
    jobs: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    mean: f64,
    deviation: f64,
}

impl CompletionEstimate {
    /// One that begins with what was measured when the model was loaded: seconds for each pixel, 0 where that is not known.
    pub fn new(seconds_per_pixel: f64) -> Self {
        let pace = Pace { mean: seconds_per_pixel, deviation: 0.0 };
        CompletionEstimate { pace: Some(pace).filter(|pace| pace.mean > 0.0), ..Self::default() }
    }

    /// Another network runs from now on, of which this was measured. What is under way stays so.
    pub fn relearn(&mut self, seconds_per_pixel: f64) {
        self.pace = Self::new(seconds_per_pixel).pace;
    }

    /// A job of `pixels` was given to the workers.
    pub fn begun(&mut self, pixels: u64) {
        self.ahead += pixels;
        self.jobs += 1;
    }

    /// A job of `pixels` is done; `took` is a worker's time for it, if it succeeded.
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

    /// All that was under way is gone.
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

    /// How long it takes until a job of `pixels` that is given to `workers` now is done. While nothing is known, no time for as many jobs
    /// as there are workers, and no end for more.
    pub fn done_in(&self, pixels: u64, workers: usize) -> Duration {
        let workers = workers.max(1);
        let Some(pace) = self.pace else {
            return if self.jobs < workers { Duration::ZERO } else { Duration::MAX };
        };
        // Behind others, all workers share what is ahead and itself.
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

    /// One that knows that a pixel takes a millisecond.
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
        let (mean, told) = (50 * MS, estimate.done_in(10, 1));
        assert!(told > mean + 10 * MS && told < mean + 30 * MS, "{told:?}");
        // Steady ones need no margin.
        for _ in 0..100 {
            estimate.begun(10);
            estimate.ended(10, Some(50 * MS));
        }
        let told = estimate.done_in(10, 1);
        assert!(told > 49 * MS && told < 51 * MS, "{told:?}");
    }

    #[test]
    fn a_failure_says_nothing_of_the_pace() {
        let mut estimate = known();
        estimate.begun(10);
        estimate.ended(10, None);
        assert_eq!(estimate.done_in(10, 1), 10 * MS);
    }

    /// After a slow time it is tried again, in the end.
    #[test]
    fn what_is_never_tried_is_expected_to_be_faster_by_and_by() {
        let mut estimate = CompletionEstimate::new(1.0);
        (0..600).for_each(|_| estimate.given_up());
        assert!(estimate.done_in(10, 1) < Duration::from_secs(4));
        // But not because of what waits for what is under way.
        let mut estimate = CompletionEstimate::new(1.0);
        estimate.begun(10);
        (0..600).for_each(|_| estimate.given_up());
        assert_eq!(estimate.done_in(10, 1), Duration::from_secs(20));
    }
}

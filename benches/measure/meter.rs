//! Time for a frame while all workers are busy.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the frames took.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Rate {
    /// Frames a second, by the clock on the wall.
    pub per_second: f64,
    /// Milliseconds of the processors' time for a frame: on a machine that others use too it says more.
    pub cpu_ms: f64,
}

impl Rate {
    pub fn new(frames: usize, wall: Duration, cpu: Duration) -> Self {
        Rate { per_second: frames as f64 / wall.as_secs_f64(), cpu_ms: cpu.as_secs_f64() * 1000.0 / frames as f64 }
    }
}

/// Counts finished frames and measures the time from the end of the warm-up to `count` frames later.
///
/// What comes first (buffers that grow, the pipeline that fills) and last (workers that have nothing more to do) is not measured,
/// in the raw loop and in the element alike.
pub struct Meter {
    warm: usize,
    count: usize,
    finished: AtomicUsize,
    begin: OnceLock<Moment>,
    end: OnceLock<Moment>,
}

impl Meter {
    /// Measures `count` frames of so many `workers`, or threads where there is one worker.
    pub fn new(count: usize, workers: usize) -> Self {
        let warm = edge(workers);
        Meter { warm, count, finished: AtomicUsize::new(0), begin: OnceLock::new(), end: OnceLock::new() }
    }

    /// How many frames must be run for it.
    pub fn total(&self) -> usize {
        self.warm + self.count + self.warm
    }

    /// A frame is finished.
    pub fn tick(&self) {
        let finished = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        if finished == self.warm {
            self.begin.get_or_init(Moment::now);
        } else if finished == self.warm + self.count {
            self.end.get_or_init(Moment::now);
        }
    }

    /// `None` if not all frames were finished.
    pub fn rate(&self) -> Option<Rate> {
        let (begin, end) = (self.begin.get()?, self.end.get()?);
        let rate = || Rate::new(self.count, end.wall - begin.wall, end.cpu.saturating_sub(begin.cpu));
        (self.finished.load(Ordering::Relaxed) == self.total()).then(rate)
    }
}

/// A point in time.
struct Moment {
    wall: Instant,
    /// What all threads of this process have used of the processors.
    cpu: Duration,
}

impl Moment {
    fn now() -> Self {
        let mut cpu = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is of a live variable of the type that is due.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut cpu) };
        assert_eq!(status, 0, "this clock is on every Linux");
        let cpu = Duration::from_secs(cpu.tv_sec as u64) + Duration::from_nanos(cpu.tv_nsec as u64);
        Moment { wall: Instant::now(), cpu }
    }
}

/// Frames before and after those that are measured: as many as the element has in flight.
fn edge(workers: usize) -> usize {
    2 * workers + 2
}

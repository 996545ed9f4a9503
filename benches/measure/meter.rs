//! Measures time per frame while all workers are busy.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Throughput and CPU time.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Rate {
    /// Frames per second of wall-clock time.
    pub per_second: f64,
    /// CPU time per frame, in milliseconds: more meaningful if other programs use the machine.
    pub cpu_ms: f64,
}

impl Rate {
    pub fn new(frames: usize, wall: Duration, cpu: Duration) -> Self {
        Rate { per_second: frames as f64 / wall.as_secs_f64(), cpu_ms: cpu.as_secs_f64() * 1000.0 / frames as f64 }
    }
}

/// Counts finished frames and measures the time from the end of the warm-up to `count` frames later.
///
/// The beginning (growing buffers, filling the pipeline) and the end (idle workers) are not measured, for the raw loop
/// and the element alike.
pub struct Meter {
    warm: usize,
    count: usize,
    finished: AtomicUsize,
    begin: OnceLock<Moment>,
    end: OnceLock<Moment>,
}

impl Meter {
    /// Measures `count` frames with this many `workers`, or threads of a single worker.
    pub fn new(count: usize, workers: usize) -> Self {
        let warm = edge(workers);
        Meter { warm, count, finished: AtomicUsize::new(0), begin: OnceLock::new(), end: OnceLock::new() }
    }

    /// Number of frames to run for the measurement.
    pub fn total(&self) -> usize {
        self.warm + self.count + self.warm
    }

    /// Call when a frame is finished.
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
    /// CPU time used by all threads of this process.
    cpu: Duration,
}

impl Moment {
    fn now() -> Self {
        let mut cpu = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer refers to a live variable of the right type.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut cpu) };
        assert_eq!(status, 0, "this clock is on every Linux");
        let cpu = Duration::from_secs(cpu.tv_sec as u64) + Duration::from_nanos(cpu.tv_nsec as u64);
        Moment { wall: Instant::now(), cpu }
    }
}

/// Frames before and after the measured ones: as many as the element has in flight.
fn edge(workers: usize) -> usize {
    2 * workers + 2
}

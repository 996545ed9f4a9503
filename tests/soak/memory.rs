//! Samples the process's memory once a second and checks how it grows.

use std::time::{Duration, Instant};

use crate::common::resident;

/// Samples start after this time, when everything has been used once.
const WARM: Duration = Duration::from_secs(20);
/// From this duration on, the slope exceeds the noise.
pub const LONG: Duration = Duration::from_secs(300);
const MEBIBYTE: f64 = 1048576.0;

pub struct Memory {
    start: Instant,
    /// Seconds and MiB, from [`WARM`] on.
    samples: Vec<(f64, f64)>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { start: Instant::now(), samples: Vec::new() }
    }
}

impl Memory {
    /// Takes a sample if the last one is a second old.
    pub fn sample(&mut self) {
        let now = self.start.elapsed();
        let due = self.samples.last().map_or(WARM.as_secs_f64(), |(last, _)| last + 1.0);
        if now.as_secs_f64() >= due {
            self.samples.push((now.as_secs_f64(), resident() as f64 / MEBIBYTE));
        }
    }

    /// Growth in MiB per minute, by least squares; in a long run, without the first minute.
    fn slope(&self) -> f64 {
        let long = self.start.elapsed() >= LONG;
        let samples: Vec<_> = self.samples.iter().filter(|(second, _)| !long || *second > 60.0).collect();
        let count = samples.len() as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| samples.iter().map(|sample| value(sample)).sum::<f64>() / count;
        let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let (mut up, mut down) = (0.0, 0.0);
        for (second, size) in samples {
            up += (second - x) * (size - y);
            down += (second - x) * (second - x);
        }
        60.0 * up / down
    }

    pub fn summary(&self) -> String {
        let sizes = self.samples.iter().map(|(_, size)| *size);
        let (min, max) = sizes.fold((f64::INFINITY, 0.0f64), |(min, max), size| (min.min(size), max.max(size)));
        format!("memory {min:.1} to {max:.1} MiB, {:+.2} MiB per minute", self.slope())
    }

    pub fn check(&self) {
        // In a minute, the allocator and the tracer take as much as a leak would. The tracer reports leaks then.
        let allowed = if self.start.elapsed() >= LONG { 1.0 } else { 32.0 };
        assert!(self.slope() < allowed, "{}", self.summary());
    }
}

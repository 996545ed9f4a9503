//! The process's memory, once a second, and how it grows.

use std::time::{Duration, Instant};

use crate::common::resident;

/// Until here everything is used for the first time.
const WARM: Duration = Duration::from_secs(20);
/// From this length on the slope says more than the noise.
pub const LONG: Duration = Duration::from_secs(300);
const MEBIBYTE: f64 = 1048576.0;

pub struct Memory {
    begin: Instant,
    /// Seconds and MiB, after the first ones.
    samples: Vec<(f64, f64)>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { begin: Instant::now(), samples: Vec::new() }
    }
}

impl Memory {
    /// Looks, if the last time was a second ago.
    pub fn sample(&mut self) {
        let now = self.begin.elapsed();
        let due = self.samples.last().map_or(WARM.as_secs_f64(), |(last, _)| last + 1.0);
        if now.as_secs_f64() >= due {
            self.samples.push((now.as_secs_f64(), resident() as f64 / MEBIBYTE));
        }
    }

    /// MiB a minute, by least squares; after the first minute if there is more.
    fn slope(&self) -> f64 {
        let long = self.begin.elapsed() >= LONG;
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

    pub fn told(&self) -> String {
        let sizes = self.samples.iter().map(|(_, size)| *size);
        let (least, most) =
            sizes.fold((f64::INFINITY, 0.0f64), |(least, most), size| (least.min(size), most.max(size)));
        format!("memory {least:.1} to {most:.1} MiB, {:+.2} MiB a minute", self.slope())
    }

    pub fn check(&self) {
        // In a minute what the allocator keeps and what the tracer notes are as much as what could leak; the tracer tells of that.
        let allowed = if self.begin.elapsed() >= LONG { 1.0 } else { 32.0 };
        assert!(self.slope() < allowed, "{}", self.told());
    }
}

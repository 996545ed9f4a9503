//! Counters of a stream.

use std::time::{Duration, Instant};

use crate::picture::smooth::Differences;

/// Counts since the stream started or was last flushed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub frames_in: u64,
    pub frames_out: u64,
    /// Frames that differed from all earlier ones.
    pub unique: u64,
    /// Frames that looked the same as an earlier one.
    pub duplicates: u64,
    /// Frames that arrived after a frame with a later PTS.
    pub reorders: u64,
    /// How many of these arrived too late to be put back in order.
    pub reorders_failed: u64,
    /// Frames that left later than the latency allows, in a live pipeline.
    pub late: u64,
    /// Frames that would have been late, and were resized without the network.
    pub fallback: u64,
    /// Frames that would have been late, and were dropped.
    pub dropped: u64,
    /// Frames that could not be read, and were dropped.
    pub unreadable: u64,
    /// NaN or infinite values in the network's output.
    pub non_finite: u64,
    /// Pixels of all input frames, how many of them had to be upscaled, and how many were resized instead.
    frame_pixels: u64,
    upscaled_pixels: u64,
    resized_pixels: u64,
    /// What the network would have made of some of these.
    pub audit: Differences,
    inference: InferenceTime,
    /// When the first frame arrived and when the last one left.
    first_in: Option<Instant>,
    last_out: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct InferenceTime {
    runs: u32,
    /// Tensor pixels processed, and how many of them ended up in the output (the rest is halo).
    pixels: u64,
    kept: u64,
    total: Duration,
    worst: Duration,
}

impl Stats {
    pub fn frame_in(&mut self, now: Instant, duplicate: bool) {
        self.first_in.get_or_insert(now);
        self.frames_in += 1;
        *(if duplicate { &mut self.duplicates } else { &mut self.unique }) += 1;
    }

    /// Records a frame that cannot be read.
    pub fn unreadable(&mut self, now: Instant) {
        self.first_in.get_or_insert(now);
        self.frames_in += 1;
        self.unreadable += 1;
    }

    pub fn frame_out(&mut self, now: Instant) {
        self.last_out = Some(now);
        self.frames_out += 1;
    }

    /// Records that `upscaled` of the `frame` pixels of a frame have to be upscaled, and `resized` others are resized.
    pub fn area(&mut self, frame: u64, upscaled: u64, resized: u64) {
        self.frame_pixels += frame;
        self.upscaled_pixels += upscaled.min(frame);
        self.resized_pixels += resized.min(frame.saturating_sub(upscaled));
    }

    /// Percentage of the frame area that was resized, because the network would hardly have changed it.
    pub fn resized_percentage(&self) -> f64 {
        percentage(self.resized_pixels, self.frame_pixels)
    }

    /// Records that the network took `took` for a frame or regions of it: tensors of `pixels` in total, of which the
    /// frame used `kept`.
    pub fn inference(&mut self, took: Duration, pixels: u64, kept: u64) {
        self.inference.runs += 1;
        self.inference.pixels += pixels;
        self.inference.kept += kept;
        self.inference.total += took;
        self.inference.worst = self.inference.worst.max(took);
    }

    /// Frames pushed per second of wall-clock time, since the first frame arrived.
    pub fn fps(&self) -> f64 {
        let time = self.first_in.zip(self.last_out).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        if time > 0.0 { self.frames_out as f64 / time } else { 0.0 }
    }

    pub fn duplicate_percentage(&self) -> f64 {
        percentage(self.duplicates, self.frames_in)
    }

    /// Percentage of the frame area that was reused from earlier frames.
    pub fn reused_percentage(&self) -> f64 {
        percentage(self.frame_pixels - self.upscaled_pixels - self.resized_pixels, self.frame_pixels)
    }

    /// Inference time saved by reuse, in seconds: the pixels that the network did not have to process, minus the halo
    /// pixels it processed in addition, at its average speed.
    pub fn saved_seconds(&self) -> f64 {
        let InferenceTime { pixels, kept, total, .. } = self.inference;
        let reused = self.frame_pixels - self.upscaled_pixels;
        let saved = reused.saturating_sub(pixels.saturating_sub(kept));
        if pixels == 0 { 0.0 } else { total.as_secs_f64() * saved as f64 / pixels as f64 }
    }

    /// Mean inference time per frame, in milliseconds.
    pub fn inference_ms_average(&self) -> f64 {
        if self.inference.runs == 0 { 0.0 } else { milliseconds(self.inference.total) / f64::from(self.inference.runs) }
    }

    /// Maximum inference time for one frame, in milliseconds.
    pub fn inference_ms_worst(&self) -> f64 {
        milliseconds(self.inference.worst)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `part` of `whole` in per cent; 0 if `whole` is 0.
pub(crate) fn percentage(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_frames_all_figures_are_zero() {
        let stats = Stats::default();
        let figures =
            [stats.fps(), stats.duplicate_percentage(), stats.inference_ms_average(), stats.inference_ms_worst()];
        assert_eq!(figures, [0.0; 4]);
        assert_eq!([stats.reused_percentage(), stats.saved_seconds()], [0.0; 2]);
    }

    #[test]
    fn figures() {
        let mut stats = Stats::default();
        let start = Instant::now();
        for (n, duplicate) in [false, true, true, true].into_iter().enumerate() {
            stats.frame_in(start + Duration::from_millis(10 * n as u64), duplicate);
            stats.frame_out(start + Duration::from_millis(500 * (n as u64 + 1)));
        }
        for (took, pixels, upscaled) in [(10, 1000, 1000), (30, 600, 500)] {
            stats.area(1000, upscaled, 0);
            stats.inference(Duration::from_millis(took), pixels, upscaled);
        }
        (0..2).for_each(|_| stats.area(1000, 0, 250));
        assert_eq!((stats.reused_percentage(), stats.resized_percentage()), (50.0, 12.5));
        // 2,400 of 4,000 pixels were not run, at 25 us each.
        assert!((stats.saved_seconds() - 0.06).abs() < 1e-9);
        assert_eq!((stats.unique, stats.duplicates, stats.duplicate_percentage()), (1, 3, 75.0));
        assert_eq!((stats.fps(), stats.inference_ms_average(), stats.inference_ms_worst()), (2.0, 20.0, 30.0));
    }
}

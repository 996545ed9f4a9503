//! Progress output: a bar on a terminal, log lines elsewhere, or JSON.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;

use crate::args::ProgressKind;
use crate::console::{Console, say};

/// Time between two lines where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// The same for JSON.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// How far a run is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Frames done.
    pub frames: u64,
    /// The total number of frames, if known.
    pub total: Option<u64>,
    pub counts: Counts,
}

/// What reuse found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Frames with new pixels.
    pub unique: u64,
    /// Frames that were seen before.
    pub duplicates: u64,
    /// Percentage of the frame area reused from earlier frames.
    pub reused: f64,
    /// Percentage of the frame area so smooth that it was resized without the network.
    pub resized: f64,
    /// Inference time saved, in seconds; `None` if no network runs.
    pub saved: Option<f64>,
}

impl std::fmt::Display for Counts {
    /// As in "80 unique, 40 duplicates (33 %), 71 % of the area reused (saved 0:12 of the network's time)".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { unique, duplicates, reused, resized, saved } = *self;
        let total = (unique + duplicates).max(1);
        write!(f, "{unique} unique, {duplicates} duplicates ({} %)", (duplicates * 100 + total / 2) / total)?;
        if reused >= 0.5 {
            write!(f, ", {reused:.0} % of the area reused")?;
            if let Some(saved) = saved.and_then(|saved| Duration::try_from_secs_f64(saved).ok()) {
                write!(f, " (saved {} of the network's time)", clock(saved))?;
            }
        }
        if resized >= 0.5 {
            write!(f, ", {resized:.0} % smooth and only resized")?;
        }
        Ok(())
    }
}

/// Shows the progress of a run. The console's bar measures the speed even if hidden.
pub struct Progress {
    console: Console,
    kind: ProgressKind,
    started: Instant,
    last_line: Option<Instant>,
}

impl Progress {
    pub fn new(console: &Console, kind: ProgressKind) -> Self {
        let bar = &console.bar;
        // The style comes first: what follows draws the bar.
        bar.set_style(style("{spinner} {wide_msg}"));
        bar.set_message("starting");
        bar.unset_length();
        bar.reset();
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { console: console.clone(), kind, started: Instant::now(), last_line: None }
    }

    /// Shows the progress. Call it a few times per second.
    pub fn update(&mut self, snapshot: Snapshot) {
        if snapshot.frames == 0 || self.kind == ProgressKind::None {
            return;
        }
        let bar = &self.console.bar;
        if let Some(total) = snapshot.total.filter(|total| bar.length() != Some(*total)) {
            bar.set_length(total);
            bar.set_style(style("{bar:20} {percent:>3} % {wide_msg}"));
        }
        bar.set_position(snapshot.frames);
        let interval = if self.kind == ProgressKind::Json { JSON_INTERVAL } else { LINE_INTERVAL };
        let is_due = self.last_line.is_none_or(|last| last.elapsed() >= interval);
        if self.kind == ProgressKind::Auto && !bar.is_hidden() {
            bar.set_message(self.describe(snapshot));
        } else if is_due && self.kind == ProgressKind::Json {
            self.json(snapshot, false);
        } else if is_due && snapshot.total != Some(snapshot.frames) && !self.console.is_quiet() {
            say(&self.describe(snapshot));
        } else {
            return;
        }
        if is_due {
            self.last_line = Some(Instant::now());
        }
    }

    /// Reports that all frames are done.
    pub fn finish(&mut self, frames: u64, counts: Counts) {
        let snapshot = Snapshot { frames, total: Some(frames), counts };
        if self.kind == ProgressKind::Json {
            self.json(snapshot, true);
        } else if self.kind == ProgressKind::Auto && self.console.bar.is_hidden() && !self.console.is_quiet() {
            say(&self.describe(snapshot));
        }
        self.clear();
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.console.bar.finish_and_clear();
    }

    /// As in "33 %, 120 of 360 frames, 12.3 fps, ETA 0:12, 40 % reused".
    fn describe(&self, snapshot: Snapshot) -> String {
        let mut parts = Vec::new();
        match snapshot.total {
            Some(total) => {
                if self.console.bar.is_hidden() {
                    parts.push(format!("{} %", (snapshot.frames * 100 / total.max(1)).min(100)));
                }
                parts.push(format!("{} of {total} frames", snapshot.frames));
            }
            None => parts.push(format!("{} frames", snapshot.frames)),
        }
        let (fps, eta) = self.speed();
        parts.extend(fps.map(|fps| format!("{fps:.1} fps")));
        parts.extend(eta.map(|eta| format!("ETA {}", clock(eta))));
        // Reuse runs ahead of writing: show a percentage, not a second count.
        if snapshot.counts.reused >= 0.5 {
            parts.push(format!("{:.0} % reused", snapshot.counts.reused));
        }
        parts.join(", ")
    }

    /// A line of JSON on standard output.
    fn json(&self, snapshot: Snapshot, done: bool) {
        let (fps, eta) = self.speed();
        let line = serde_json::json!({
            "frames": snapshot.frames,
            "total": snapshot.total,
            "percent": snapshot.total.map(|total| snapshot.frames as f64 * 100.0 / total.max(1) as f64),
            "fps": fps,
            "eta_seconds": eta.map(|eta| eta.as_secs_f64()),
            "elapsed_seconds": self.elapsed().as_secs_f64(),
            "unique": snapshot.counts.unique,
            "duplicates": snapshot.counts.duplicates,
            "done": done,
        });
        // The reader may have closed the pipe.
        std::io::stdout().write_all(format!("{line}\n").as_bytes()).ok();
    }

    /// The recent frame rate, and the remaining time at that rate.
    fn speed(&self) -> (Option<f64>, Option<Duration>) {
        let bar = &self.console.bar;
        let fps = Some(bar.per_sec()).filter(|fps| *fps > 0.0);
        (fps, fps.and(bar.length()).map(|_| bar.eta()).filter(|eta| !eta.is_zero()))
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1:02:03` or `2:03`.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_on_a_clock() {
        for (seconds, expected) in [(0.4, "0:00"), (65.0, "1:05"), (3723.0, "1:02:03")] {
            assert_eq!(clock(Duration::from_secs_f64(seconds)), expected);
        }
    }

    #[test]
    fn percentages_do_not_divide_by_zero() {
        assert_eq!(Counts::default().to_string(), "0 unique, 0 duplicates (0 %)");
        let counts = Counts { unique: 2, duplicates: 1, reused: 71.2, resized: 0.0, saved: Some(12.0) };
        let text = "2 unique, 1 duplicates (33 %), 71 % of the area reused (saved 0:12 of the network's time)";
        assert_eq!(counts.to_string(), text);
        let counts = Counts { resized: 55.6, ..counts };
        assert_eq!(counts.to_string(), format!("{text}, 56 % smooth and only resized"));
    }

    #[test]
    fn a_line_has_one_count_that_ends_at_the_total() {
        let progress = Progress::new(&Console::new(true, false), ProgressKind::Auto);
        let counts = Counts { unique: 12, duplicates: 11, reused: 40.2, resized: 0.0, saved: None };
        let snapshot = Snapshot { frames: 17, total: Some(17), counts };
        let text = progress.describe(snapshot);
        assert_eq!(text, "100 %, 17 of 17 frames, 40 % reused");
    }
}

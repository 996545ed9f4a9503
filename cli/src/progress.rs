//! What the user sees while a run goes on: a bar on a terminal, a line now and then elsewhere.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// How far back speed and remaining time look.
const WINDOW: Duration = Duration::from_secs(20);
/// Steps of the bar.
const STEPS: u64 = 10_000;

/// Standard error, shared by everything that has something to say.
#[derive(Clone, Debug)]
pub struct Console {
    quiet: bool,
    bar: ProgressBar,
}

impl Console {
    /// With a bar, if standard error is a terminal.
    pub fn new(quiet: bool) -> Self {
        let bar =
            if !quiet && std::io::stderr().is_terminal() { ProgressBar::new(STEPS) } else { ProgressBar::hidden() };
        Console { quiet, bar }
    }

    /// Says something that is good to know, above the bar.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("gst-upscale: {}", crate::failure::one_line(text)));
        }
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Frames done.
    pub frames: u64,
    /// How much of the whole that is, 0 to 1; `None` if the length is not known.
    pub fraction: Option<f64>,
    pub counts: Counts,
}

/// What was found in the frames so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Frames with pixels of their own.
    pub unique: u64,
    /// Frames that were seen before.
    pub duplicates: u64,
    /// What part of the frames' area was taken from frames before, in per cent.
    pub reused: f64,
    /// The network's time that this saved, in seconds; `None` where no network runs.
    pub saved: Option<f64>,
}

impl std::fmt::Display for Counts {
    /// As in "80 unique, 40 duplicates (33 %), 71 % of the area reused (saved 0:12 of the network's time)".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { unique, duplicates, reused, saved } = *self;
        let total = (unique + duplicates).max(1);
        write!(f, "{unique} unique, {duplicates} duplicates ({} %)", (duplicates * 100 + total / 2) / total)?;
        if reused >= 0.5 {
            write!(f, ", {reused:.0} % of the area reused")?;
            if let Some(saved) = saved.and_then(|saved| Duration::try_from_secs_f64(saved).ok()) {
                write!(f, " (saved {} of the network's time)", clock(saved))?;
            }
        }
        Ok(())
    }
}

/// Follows a run.
pub struct Progress {
    console: Console,
    started: Instant,
    last_line: Option<Instant>,
    samples: VecDeque<(Instant, Snapshot)>,
}

impl Progress {
    pub fn new(console: &Console) -> Self {
        if !console.bar.is_hidden() {
            console.bar.set_style(style("{spinner} {wide_msg}"));
            console.bar.set_message("starting");
            console.bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { console: console.clone(), started: Instant::now(), last_line: None, samples: VecDeque::new() }
    }

    /// Shows where the run is. Call it a few times per second.
    pub fn update(&mut self, snapshot: Snapshot) {
        let now = Instant::now();
        if self.console.quiet || snapshot.frames == 0 {
            return;
        }
        self.samples.push_back((now, snapshot));
        while self.samples.front().is_some_and(|(time, _)| now.duration_since(*time) > WINDOW) {
            self.samples.pop_front();
        }
        let text = self.describe(now, snapshot);
        if !self.console.bar.is_hidden() {
            if let Some(fraction) = snapshot.fraction {
                if self.console.bar.position() == 0 {
                    self.console.bar.set_style(style("{bar:20} {percent:>3} % {wide_msg}"));
                }
                self.console.bar.set_position((fraction * STEPS as f64) as u64);
            }
            self.console.bar.set_message(text);
        } else if snapshot.fraction == Some(1.0) {
            // The summary follows at once.
        } else if self.last_line.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL) {
            self.last_line = Some(now);
            let percent = snapshot.fraction.map(|fraction| format!("{:.0} % ", fraction * 100.0)).unwrap_or_default();
            eprintln!("gst-upscale: {percent}{text}");
        }
    }

    /// As in "120 frames, 12.3 fps, ETA 0:12, 80 unique, 40 duplicates (33 %)".
    fn describe(&self, now: Instant, snapshot: Snapshot) -> String {
        let mut parts = vec![format!("{} frames", snapshot.frames)];
        if let Some((fps, eta)) = self.speed(now, snapshot) {
            parts.push(format!("{fps:.1} fps"));
            parts.extend(eta.map(|eta| format!("ETA {}", clock(eta))));
        }
        parts.push(snapshot.counts.to_string());
        parts.join(", ")
    }

    /// Frames per second lately, and how long the rest takes at that pace.
    fn speed(&self, now: Instant, snapshot: Snapshot) -> Option<(f64, Option<Duration>)> {
        let (time, first) = self.samples.front()?;
        let seconds = now.duration_since(*time).as_secs_f64();
        if seconds < 0.2 {
            return None;
        }
        let fps = (snapshot.frames - first.frames) as f64 / seconds;
        let eta = snapshot.fraction.zip(first.fraction).and_then(|(fraction, first)| {
            let rate = (fraction - first) / seconds;
            Duration::try_from_secs_f64((1.0 - fraction) / rate).ok()
        });
        Some((fps, eta))
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.console.bar.finish_and_clear();
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
        let counts = Counts { unique: 2, duplicates: 1, reused: 71.2, saved: Some(12.0) };
        let text = "2 unique, 1 duplicates (33 %), 71 % of the area reused (saved 0:12 of the network's time)";
        assert_eq!(counts.to_string(), text);
    }

    #[test]
    fn speed_and_remaining_time_follow_the_samples() {
        let mut progress = Progress::new(&Console::new(true));
        let start = Instant::now();
        let at = |frames, fraction| Snapshot { frames, fraction: Some(fraction), ..Default::default() };
        progress.samples.push_back((start, at(10, 0.1)));
        let (fps, eta) = progress.speed(start + Duration::from_secs(2), at(30, 0.3)).unwrap();
        assert_eq!(fps, 10.0);
        assert!((eta.unwrap().as_secs_f64() - 7.0).abs() < 1e-6);
        // No progress: the remaining time is not known.
        assert_eq!(progress.speed(start + Duration::from_secs(2), at(10, 0.1)).unwrap().1, None);
    }
}

//! Standard error, which may be closed or full: what cannot be said there is lost, and nothing else is.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;

use crate::failure::one_line;

/// Shared by everything that has something to say.
#[derive(Clone, Debug)]
pub struct Console {
    quiet: bool,
    pub bar: ProgressBar,
}

impl Console {
    /// With a bar, if standard error is a terminal and `bar` is wanted.
    pub fn new(quiet: bool, bar: bool) -> Self {
        let bar = bar && !quiet && std::io::stderr().is_terminal();
        let bar = if bar { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Console { quiet, bar }
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something that is good to know, above the bar.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// Says something that matters, also with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }
}

/// A line on standard error.
pub fn say(text: &str) {
    // One call for each line, so that those of several processes do not mix.
    std::io::stderr().write_all(format!("gst-upscale: {}\n", one_line(text)).as_bytes()).ok();
}

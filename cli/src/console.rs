//! Standard error. It may be closed or full: then messages are lost, but not the result.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;

use crate::failure::one_line;

/// Where messages go.
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

    /// Prints a message above the bar, unless quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// Prints a message even with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }
}

/// Prints a line.
pub fn say(text: &str) {
    // One write per line, so that lines of several processes do not mix.
    std::io::stderr().write_all(format!("gst-upscale: {}\n", one_line(text)).as_bytes()).ok();
}

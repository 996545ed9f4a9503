//! Why a run ends without a result, and the exit code that says so.

use std::fmt::Display;

/// The result of a step.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a run ended early. Texts are one line and say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something went wrong on the way.
    Failed(String),
    /// It may go better another time.
    Again(String),
    /// It would go wrong every time.
    Final(String),
    /// A signal, by number.
    Interrupted(usize),
}

impl Failure {
    /// 2 for a wrong command line, 1 for a failure, 75 (EX_TEMPFAIL) if another try may help, 128 and the signal's number after an interruption.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Failed(_) | Failure::Final(_) => 1,
            Failure::Again(_) => AGAIN,
            Failure::Interrupted(signal) => 128 + u8::try_from(*signal).unwrap_or(0),
        }
    }
}

/// The exit code if the input was damaged: there is a result, but parts are missing.
pub const DAMAGED: u8 = 3;
/// The exit code if another try may help, as in `sysexits.h`.
pub const AGAIN: u8 = 75;

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Failed(text) | Failure::Again(text) | Failure::Final(text) => {
                f.write_str(&one_line(text))
            }
            Failure::Interrupted(_) => f.write_str("interrupted: nothing was written"),
        }
    }
}

/// Joins the lines of a text that came from a library.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds what failed to the reason.
pub trait Context<T> {
    /// As in "cannot read a.mp4: permission denied"; for `None`, only `what`.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Failure::Failed(format!("{what}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.ok_or_else(|| Failure::Failed(what.to_string()))
    }
}

/// Shorthand for [`Failure::Failed`].
pub fn failed<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Failed(text.into()))
}

/// Shorthand for [`Failure::Usage`].
pub fn usage<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Usage(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_becomes_one() {
        assert_eq!(Failure::Failed("a\n  b\tc".into()).to_string(), "a b c");
    }

    #[test]
    fn a_signal_gives_the_exit_code_that_shells_report() {
        assert_eq!([2, 15, 1].map(|signal| Failure::Interrupted(signal).code()), [130, 143, 129]);
    }
}

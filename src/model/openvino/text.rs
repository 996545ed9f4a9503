//! Turns OpenVINO's messages into one line for people.

use crate::model::RunError;

/// One line: without line breaks and the places in OpenVINO's sources from which an exception came.
pub(super) fn trim(message: &str) -> String {
    let is_place = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("Exception from ") && !line.starts_with("Check '")
    };
    let lines: Vec<&str> = message.lines().filter(is_place).collect();
    // Nothing but places is better than nothing.
    let text = if lines.is_empty() { message.to_owned() } else { lines.join(" ") };
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// Which error a failed run is.
pub(super) fn run_error(message: &str) -> RunError {
    let text = trim(message);
    let lower = text.to_ascii_lowercase();
    let is_memory = ["bad_alloc", "out of memory", "out_of_memory", "failed to allocate", "could not allocate"];
    if is_memory.iter().any(|needle| lower.contains(needle)) {
        return RunError::OutOfMemory(text);
    }
    RunError::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_cut_out() {
        let text = "Exception from src/inference/src/cpp/core.cpp:135:\nException from src/inference/src/dev/plugin.cpp:53:\n\
                    Check 'false' failed at src/core/x.cpp:12:\nthe point, in\n two lines.\n";
        assert_eq!(trim(text), "the point, in two lines");
        assert_eq!(trim("Exception from src/a.cpp:1:"), "Exception from src/a.cpp:1:");
    }

    #[test]
    fn memory_is_told_apart() {
        assert!(matches!(run_error("std::bad_alloc"), RunError::OutOfMemory(_)));
        assert!(matches!(run_error("something else"), RunError::Failed(_)));
    }
}

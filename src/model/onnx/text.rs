//! Turns ONNX Runtime's messages into one line for people.

use crate::model::RunError;

/// One line: without line breaks, source locations and the prefixes that ONNX Runtime puts before the point.
pub(super) fn trim(message: &str) -> String {
    let mut text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // "/build/onnxruntime/core/graph/graph.cc:42 onnxruntime::Graph::Graph(...) " ends at the last parenthesis before the text.
    if let Some(start) = text.find(".cc:").or_else(|| text.find(".h:")) {
        let from = text[..start].rfind(' ').map_or(0, |space| space + 1);
        let to = text[start..].find(") ").map_or(text.len(), |end| start + end + 2);
        if to < text.len() {
            text.replace_range(from..to, "");
        }
    }
    for prefix in ["Load model from ", "Exception during initialization: ", "Exception caught: ", "Fatal error: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = match prefix {
                "Load model from " => rest.split_once(" failed:").map_or(rest, |(_, reason)| reason).to_owned(),
                _ => rest.to_owned(),
            };
        }
    }
    text.trim().trim_end_matches('.').to_owned()
}

/// Why a session cannot be created, with what to do about it. Follows "FILE cannot be loaded: ".
pub(super) fn load_reason(message: &str) -> String {
    let text = trim(message);
    if let Some(operator) = unknown_operator(&text) {
        return match operator.split_once(':') {
            Some(("ai.onnx.contrib", _)) => format!(
                "it needs the custom operator {operator} of onnxruntime-extensions, which works on encoded images (PNG or JPEG \
                 bytes), not on pixels; use an export without pre- and post-processing"
            ),
            _ => format!(
                "it needs the operator {operator}, which ONNX Runtime does not have; export it with standard operators"
            ),
        };
    }
    let has = |needle: &str| text.contains(needle);
    if has("max supported IR version") || has("under development and support for this is limited") {
        return format!(
            "it is newer than this ONNX Runtime ({text}); update ONNX Runtime or export with a lower opset"
        );
    }
    if has("external") || has("External") {
        return format!("its external data is missing or damaged ({text}); put the file with the weights beside it");
    }
    if has("Protobuf parsing failed") || has("ModelProto does not have a graph") || has("INVALID_PROTOBUF") {
        return "it is damaged; download it again".into();
    }
    text
}

/// The `domain:Operator` of a message about one that is not known.
fn unknown_operator(text: &str) -> Option<&str> {
    for marker in [" is not a registered function/op", " is not a registered"] {
        if let Some(end) = text.find(marker) {
            let name = text[..end].rsplit(' ').next()?;
            return Some(name.split('(').next().unwrap_or(name).trim_start_matches(':'));
        }
    }
    if let Some(start) = text.find("No Op registered for ") {
        return text[start + "No Op registered for ".len()..].split(' ').next();
    }
    if let Some(start) = text.find("Could not find an implementation for ") {
        return text[start + "Could not find an implementation for ".len()..].split('(').next();
    }
    None
}

/// Which error a failed run is. `expected` is the number of values that were due.
pub(super) fn run_error(message: &str, expected: usize) -> RunError {
    let text = trim(message);
    let lower = text.to_ascii_lowercase();
    if lower.contains("terminate flag") {
        return RunError::Interrupted;
    }
    if ["failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "out_of_memory", "outofmemory"]
        .iter()
        .any(|needle| lower.contains(needle))
    {
        return RunError::OutOfMemory(text);
    }
    match requested_elements(&text) {
        Some(got) => RunError::WrongSize { expected, got },
        None => RunError::Failed(text),
    }
}

/// The number of values in "... shape verification failed. Current shape:{1,1,8,8} Requested shape:{1,1,4,4}".
fn requested_elements(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("shape verification failed")?;
    let (_, rest) = rest.split_once("Requested shape:{")?;
    let (dimensions, _) = rest.split_once('}')?;
    dimensions.split(',').try_fold(1usize, |product, dimension| product.checked_mul(dimension.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_mismatch_becomes_wrong_size() {
        let text = "Non-zero status code returned while running Conv node. Name:'' Status Message: /a/execution_frame.cc:173 \
                    onnxruntime::common::Status f(int, const X&) shape && tensor.Shape() == *shape was false. OrtValue shape \
                    verification failed. Current shape:{1,1,8,8} Requested shape:{1,1,4,4}";
        assert!(matches!(run_error(text, 64), RunError::WrongSize { expected: 64, got: 16 }));
    }

    #[test]
    fn memory_and_termination_are_told_apart() {
        assert!(matches!(
            run_error("Failed to allocate memory for requested buffer of size 1", 1),
            RunError::OutOfMemory(_)
        ));
        assert!(matches!(run_error("std::bad_alloc", 1), RunError::OutOfMemory(_)));
        assert!(matches!(run_error("Exiting due to terminate flag being set to true.", 1), RunError::Interrupted));
        assert!(matches!(run_error("something else", 1), RunError::Failed(_)));
    }
}

//! Shortens ONNX Runtime's messages to one readable line.

use crate::model::RunError;

/// Removes line breaks, source locations and ONNX Runtime's prefixes.
pub(super) fn trim(message: &str) -> String {
    let mut text = drop_location(message.split_whitespace().collect::<Vec<_>>().join(" "));
    // "Non-zero status code returned while running Conv node. Name:'c' Status Message: the reason"
    if let Some((before, reason)) = text.split_once("Status Message: ") {
        let node = before.split_once("while running ").and_then(|(_, rest)| rest.split_once(" node"));
        text = node.map_or_else(|| reason.to_owned(), |(node, _)| format!("{node}: {reason}"));
    }
    // "[ONNXRuntimeError] : 1 : FAIL : the reason"
    if let Some(rest) = text.strip_prefix("[ONNXRuntimeError] : ") {
        text = rest.splitn(3, " : ").last().unwrap_or(rest).to_owned();
    }
    if let Some(rest) = text.strip_prefix("Load model from ") {
        text = rest.split_once(" failed:").map_or(rest, |(_, reason)| reason).to_owned();
    }
    for prefix in ["Exception during initialization: ", "Exception caught: ", "Fatal error: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = rest.to_owned();
        }
    }
    text.trim().trim_end_matches('.').to_owned()
}

/// Removes "/path/file.cc:42 type function(arguments) " or "file.cc:42 Function ".
fn drop_location(text: String) -> String {
    let Some(location) = text.find(".cc:").or_else(|| text.find(".h:")) else { return text };
    let from = text[..location].rfind(' ').map_or(0, |space| space + 1);
    let Some((place, rest)) = text[from..].split_once(' ') else { return text };
    let mut words = rest.splitn(3, ' ');
    let is_long = words.by_ref().take(2).any(|word| word.contains('('));
    let end = if is_long { end_of_parentheses(rest) } else { rest.find(' ') };
    let to = from + place.len() + 1 + end.map_or(0, |end| end + 1);
    format!("{}{}", &text[..from], text.get(to..).unwrap_or_default())
}

/// The end of the first parenthesised group.
fn end_of_parentheses(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The library that failed to load, and the missing one that it needs, from a text returned by [`trim`].
pub(super) fn missing_library(text: &str) -> Option<(&str, &str)> {
    // "Failed to load library /folder/libA.so with error: libB.so.1: cannot open shared object file: No such file or
    // directory"
    let (path, error) = text.strip_prefix("Failed to load library ")?.split_once(" with error: ")?;
    let (missing, _) = error.split_once(": cannot open shared object file")?;
    Some((path.rsplit('/').next().unwrap_or(path), missing))
}

/// Why a session cannot be created, and what to do. Follows "FILE cannot be loaded: ".
pub(super) fn load_reason(message: &str) -> String {
    let text = trim(message);
    if let Some(operator) = unknown_operator(&text) {
        return match operator.split_once(':') {
            Some(("ai.onnx.contrib", _)) => format!(
                "it needs the custom operator {operator} of onnxruntime-extensions, which works on encoded images (PNG \
                 or JPEG bytes), not on pixels; use an export without pre- and post-processing"
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
    if has("external") || has("External") || has("filesystem error") {
        return format!("its external data is missing or damaged ({text}); put the file with the weights next to it");
    }
    if text.to_ascii_lowercase().contains("protobuf parsing failed")
        || has("ModelProto does not have a graph")
        || has("INVALID_PROTOBUF")
    {
        return "it is damaged; download it again".into();
    }
    text
}

/// The `domain:Operator` named in a message about an unknown operator.
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

/// Classifies the error of a failed run. `expected` is the expected number of output values.
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

/// The number of values that the network computed, from the message about a wrong output shape. ONNX Runtime 1.31 says
/// "... has shape {1,1,8,8} but the computed output shape for this run is {1,1,4,4}", older versions "shape
/// verification failed. Current shape:{1,1,8,8} Requested shape:{1,1,4,4}".
fn requested_elements(text: &str) -> Option<usize> {
    let (_, rest) =
        text.split_once("computed output shape for this run is {").or_else(|| text.split_once("Requested shape:{"))?;
    let (dimensions, _) = rest.split_once('}')?;
    dimensions.split(',').try_fold(1usize, |product, dimension| product.checked_mul(dimension.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_mismatch_becomes_wrong_size() {
        let text = "Non-zero status code returned while running Conv node. Name:'' Status Message: \
                    /a/execution_frame.cc:173 onnxruntime::common::Status f(int, const X&) shape && tensor.Shape() == \
                    *shape was false. OrtValue shape verification failed. Current shape:{1,1,8,8} \
                    Requested shape:{1,1,4,4}";
        assert!(matches!(run_error(text, 64), RunError::WrongSize { expected: 64, got: 16 }));
        let text = "Slice: The output OrtValue provided for output 'y' of node '' (Slice) has shape {1,1,8,8} but the \
                    computed output shape for this run is {1,1,4,4}. When calling Run() ...";
        assert!(matches!(run_error(text, 64), RunError::WrongSize { expected: 64, got: 16 }));
    }

    #[test]
    fn locations_and_prefixes_are_removed() {
        for (message, point) in [
            (
                "Non-zero status code returned while running Reshape node. Name:'r' Status Message: \
                 /x/reshape_helper.h:47 onnxruntime::H::H(const X&, Y (&)(int)) a == b was false.\n \
                 Cannot be reshaped.",
                "Reshape: a == b was false. Cannot be reshaped",
            ),
            (
                "Validation failed. Error: utils.cc:461 Validate It is: \"/a\"",
                "Validation failed. Error: It is: \"/a\"",
            ),
            ("Load model from /m.onnx failed:Fatal error: no", "no"),
            ("[ONNXRuntimeError] : 1 : FAIL : no device : none", "no device : none"),
            ("plain", "plain"),
            ("x.cc:1", "x.cc:1"),
            ("x.cc:1 Function", "Function"),
        ] {
            assert_eq!(trim(message), point);
        }
    }

    #[test]
    fn a_missing_library_is_named_with_the_one_that_needs_it() {
        let text = trim(
            "[ONNXRuntimeError] : 1 : FAIL : Failed to load library /a b/libonnxruntime_providers_cuda.so with error: \
             libcublasLt.so.13: cannot open shared object file: No such file or directory",
        );
        assert_eq!(missing_library(&text), Some(("libonnxruntime_providers_cuda.so", "libcublasLt.so.13")));
        assert_eq!(missing_library("Failed to load library /a/b.so with error: /a/b.so: file too short"), None);
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

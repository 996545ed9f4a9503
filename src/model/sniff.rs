//! Detects the type of a model file before the inference library sees it, whose only message for a web page, a Git LFS
//! pointer or a partial download is "Protobuf parsing failed".

/// Checks that the bytes look like a model file. The error is a reason that can follow "FILE cannot be loaded: ".
///
/// Reads only the top-level fields of `ModelProto` (onnx.proto); the inference library checks the graph.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("the file is empty; download it again".into());
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err("it is a Git LFS pointer, not the model itself; fetch the model with `git lfs pull`".into());
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(
            "it is a ZIP archive, not an ONNX model; unpack it, or export a PyTorch checkpoint with torch.onnx".into(),
        );
    }
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err("it is a web page or XML, not an ONNX model; download the file itself".into());
    }
    // The FlatBuffers format (.ort) has this identifier after the root offset.
    if bytes.get(4..8) == Some(b"ORTM") {
        return Ok(());
    }
    match walk(bytes) {
        Walk::Model { has_graph: true } => Ok(()),
        Walk::Model { has_graph: false } => {
            Err("it is an ONNX file without a graph; download or export it again".into())
        }
        Walk::Truncated => Err("it is damaged: the file ends too early; download it again".into()),
        Walk::TensorFlow => {
            Err("it is not an ONNX model but looks like a TensorFlow graph; convert it with tf2onnx".into())
        }
        Walk::Other => Err("it is not an ONNX model".into()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Walk {
    Model { has_graph: bool },
    Truncated,
    TensorFlow,
    Other,
}

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// Walks the top-level fields.
fn walk(mut bytes: &[u8]) -> Walk {
    let mut first = true;
    let mut has_graph = false;
    while !bytes.is_empty() {
        let Some(key) = varint(&mut bytes) else { return if first { Walk::Other } else { Walk::Truncated } };
        match (key >> 3, key & 7) {
            // Field 1 is the node list in tensorflow.GraphDef, but the version number in ModelProto.
            (1, LENGTH_DELIMITED) if first => return Walk::TensorFlow,
            // ir_version, model_version
            (1 | 5, VARINT) => {
                if varint(&mut bytes).is_none() {
                    return Walk::Truncated;
                }
            }
            // producer_name, producer_version, domain, doc_string, graph, opset_import, metadata_props, training_info,
            // functions, configuration
            (field @ (2 | 3 | 4 | 6 | 7 | 8 | 14 | 20 | 25 | 26), LENGTH_DELIMITED) => {
                let rest = varint(&mut bytes).and_then(|n| bytes.get(usize::try_from(n).ok()?..));
                let Some(rest) = rest else { return Walk::Truncated };
                bytes = rest;
                has_graph |= field == 7;
            }
            _ => return Walk::Other,
        }
        first = false;
    }
    Walk::Model { has_graph }
}

/// Reads one base-128 varint and advances `bytes` past it.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builtin;

    fn reason(bytes: &[u8]) -> String {
        check(bytes).expect_err("should be refused")
    }

    #[test]
    fn onnx_and_ort_files_are_accepted() {
        let onnx = builtin::find(builtin::DEFAULT).unwrap().onnx;
        assert_eq!(check(onnx), Ok(()));
        assert_eq!(check(b"\x20\0\0\0ORTM...."), Ok(()));
    }

    #[test]
    fn the_reason_names_the_type_of_a_file_that_is_not_a_model() {
        assert!(reason(b"").contains("empty"));
        assert!(reason(b"  \n<!DOCTYPE html><html>").contains("web page"));
        assert!(reason(b"version https://git-lfs.github.com/spec/v1\n").contains("Git LFS"));
        assert!(reason(b"PK\x03\x04....").contains("ZIP"));
        assert!(reason(b"\x0a\x03abc").contains("TensorFlow"));
        assert!(reason(b"\x08\x08").contains("without a graph"));
        assert!(reason(b"plain text").contains("not an ONNX model"));
        assert!(reason(&[0xff; 64]).contains("not an ONNX model"));
    }

    #[test]
    fn truncated_models_are_refused() {
        let onnx = builtin::find(builtin::DEFAULT).unwrap().onnx;
        for end in 1..onnx.len() {
            if let Err(reason) = check(&onnx[..end]) {
                assert!(
                    reason.contains("ends too early") || reason.contains("without a graph") || end < 3,
                    "{end} bytes: {reason}"
                );
            }
        }
    }
}

//! The peak number of live tensor elements of a run.

use std::collections::{HashMap, HashSet};

use super::node::Node;
use super::pointwise;

/// Returns the peak number of live elements per input pixel, rounded up, if each tensor is freed after its last use.
/// Like ONNX Runtime, it assumes that an element-wise operator overwrites its input if that is the last use.
///
/// `elements` is the number of elements per input pixel of each tensor that depends on the picture.
pub(super) fn peak(nodes: &[Node], elements: &HashMap<&str, f64>, output: &str) -> u64 {
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        last_use.extend(node.inputs.iter().map(|name| (name.as_str(), index)));
    }
    last_use.insert(output, nodes.len());
    let of = |name: &str| elements.get(name).copied().unwrap_or(0.0);

    // The caller owns the input, but it is live as well.
    let produced: HashSet<&str> = nodes.iter().flat_map(|node| node.outputs.iter().map(String::as_str)).collect();
    let mut held: f64 = elements.keys().filter(|name| !produced.contains(*name)).map(|name| of(name)).sum();
    let mut peak = held;
    for (index, node) in nodes.iter().enumerate() {
        let mut dying: Vec<&str> =
            node.inputs.iter().map(String::as_str).filter(|name| last_use[name] == index).collect();
        dying.sort_unstable();
        dying.dedup();
        let made: f64 = node.outputs.iter().map(|name| of(name)).sum();
        let freed: f64 = dying.iter().map(|name| of(name)).sum();
        let in_place = pointwise::attributes(&node.operator).is_some() && dying.iter().any(|name| of(name) >= made);
        peak = peak.max(if in_place { held } else { held + made });
        held += made - freed;
    }
    peak.ceil() as u64
}

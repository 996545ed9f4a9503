//! How much of a network's tensors has to be held at a time.

use std::collections::{HashMap, HashSet};

use super::node::Node;
use super::pointwise;

/// The most elements for each input pixel that are held at a time, rounded up, if each tensor is let go after the last operator that
/// takes it. An element-wise operator writes into the tensor that it takes, if that is its last use, as ONNX Runtime does.
///
/// `elements` are those of each tensor that depends on the picture, for each of its pixels.
pub(super) fn most(nodes: &[Node], elements: &HashMap<&str, f64>, output: &str) -> u64 {
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        last_use.extend(node.inputs.iter().map(|name| (name.as_str(), index)));
    }
    last_use.insert(output, nodes.len());
    let of = |name: &str| elements.get(name).copied().unwrap_or(0.0);

    // The input belongs to the caller, but it is held as well.
    let produced: HashSet<&str> = nodes.iter().flat_map(|node| node.outputs.iter().map(String::as_str)).collect();
    let mut held: f64 = elements.keys().filter(|name| !produced.contains(*name)).map(|name| of(name)).sum();
    let mut most = held;
    for (index, node) in nodes.iter().enumerate() {
        let mut dying: Vec<&str> =
            node.inputs.iter().map(String::as_str).filter(|name| last_use[name] == index).collect();
        dying.sort_unstable();
        dying.dedup();
        let made: f64 = node.outputs.iter().map(|name| of(name)).sum();
        let freed: f64 = dying.iter().map(|name| of(name)).sum();
        let in_place = pointwise::attributes(&node.operator).is_some() && dying.iter().any(|name| of(name) >= made);
        most = most.max(if in_place { held } else { held + made });
        held += made - freed;
    }
    most.ceil() as u64
}

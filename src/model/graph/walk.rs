//! Traverses the graph from its input to its output.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::border::Borders;
use super::known::Known;
use super::node::{Call, Node, Value};
use super::picture::{Atom, Dim, InputSpan, Picture};
use super::sizes::{Axis, Sizes, Stop, global};
use super::{fold, layout, live, pointwise, proto, resize, window};

/// Maximum number of operators and of constants, to bound the time of an analysis. No image network has that many.
const MAX_PARTS: usize = 1 << 16;

/// A decoded graph, with only the operators that its output needs.
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    constants: HashMap<String, Value>,
    pub input: proto::ValueInfo,
    output: String,
    opset: i64,
}

impl Graph {
    /// Reads a model's graph. The error is one line that can follow "not local: ".
    pub fn read(model: Bytes) -> Result<Self, String> {
        // The FlatBuffers format has this identifier after the root offset.
        if model.get(4..8) == Some(b"ORTM") {
            return Err("it is in ONNX Runtime's own format (.ort), which the analysis does not read".into());
        }
        let damaged = |error: prost::DecodeError| format!("its graph is damaged: {error}");
        let model = proto::Model::decode(model).map_err(damaged)?;
        let [graph] =
            <[Bytes; 1]>::try_from(model.graph).map_err(|graphs| format!("it has {} graphs", graphs.len()))?;
        let graph = proto::Graph::decode(graph).map_err(damaged)?;
        if !model.functions.is_empty() {
            return Err("it defines its own functions".into());
        }
        if !graph.sparse_initializer.is_empty() {
            return Err("it has sparse constants".into());
        }
        if graph.node.len().max(graph.initializer.len()).max(graph.input.len()) > MAX_PARTS {
            return Err(format!("it has {} operators", graph.node.len()));
        }
        let mut constants = HashMap::new();
        for tensor in graph.initializer {
            let tensor = proto::Tensor::decode(tensor).map_err(damaged)?;
            let known = Known::read(&tensor).map_err(|stop| format!("{:?}: {}", tensor.name, reason(stop)))?;
            constants.insert(tensor.name, Value::Known(known));
        }
        let outlets = |outlets: Vec<Bytes>| -> Result<Vec<proto::ValueInfo>, String> {
            outlets.into_iter().map(proto::ValueInfo::decode).collect::<Result<_, _>>().map_err(damaged)
        };
        // Older files also list each constant as an input.
        let mut inputs = outlets(graph.input)?;
        inputs.retain(|input| !constants.contains_key(&input.name));
        let [input] = <[_; 1]>::try_from(inputs).map_err(|inputs| format!("it has {} inputs", inputs.len()))?;
        let [output] =
            <[_; 1]>::try_from(outlets(graph.output)?).map_err(|all| format!("it has {} outputs", all.len()))?;
        let nodes: Result<Vec<Node>, String> = graph.node.into_iter().map(Node::decode).collect();
        let nodes = needed(nodes?, &output.name);
        Ok(Graph { nodes, constants, input, output: output.name, opset: opset(model.opset_import).map_err(damaged)? })
    }
}

/// The version of the standard operators.
fn opset(sets: Vec<Bytes>) -> Result<i64, prost::DecodeError> {
    let mut version = 1;
    for set in sets {
        let set = proto::OperatorSet::decode(set)?;
        if matches!(set.domain.as_str(), "" | "ai.onnx") {
            version = set.version;
        }
    }
    Ok(version)
}

/// The operators that `output` depends on, in their original order.
fn needed(nodes: Vec<Node>, output: &str) -> Vec<Node> {
    let mut names: HashSet<String> = HashSet::from([output.to_owned()]);
    let mut kept: Vec<Node> = nodes
        .into_iter()
        .rev()
        .filter(|node| {
            let needed = node.outputs.iter().any(|name| names.contains(name));
            if needed {
                names.extend(node.inputs.iter().cloned());
            }
            needed
        })
        .collect();
    kept.reverse();
    kept
}

/// The reason as text.
pub(super) fn reason(stop: Stop) -> String {
    match stop {
        Stop::Global(reason) => reason,
        Stop::Multiple(_, multiple) => format!("it needs sizes that are multiples of {multiple}"),
    }
}

/// The result of one traversal.
#[derive(Debug)]
pub(super) struct Walk {
    pub output: Picture,
    /// The [`Picture::layout`] of each tensor that depends on the picture, in order.
    pub layouts: Vec<Vec<Vec<Atom>>>,
    pub borders: Borders,
    /// The sizes for which this result holds.
    pub sizes: Sizes,
    /// Peak number of live elements per input pixel.
    pub live: u64,
}

impl Graph {
    /// Follows a picture of `channels` channels through the graph.
    pub fn walk(&self, channels: u64, sizes: Sizes) -> Result<Walk, Stop> {
        let spans = [Axis::Vertical, Axis::Horizontal].map(|axis| Dim::along(InputSpan::input(axis, &sizes)));
        let [rows, columns] = spans;
        let input = Picture::new(vec![Dim::default(), Dim::plain(channels)?, rows, columns])?;
        let mut walk =
            Walk { layouts: vec![input.layout()], output: input.clone(), borders: Borders::new(), sizes, live: 0 };
        let mut elements = HashMap::from([(self.input.name.as_str(), input.elements())]);
        let mut values: HashMap<&str, Value> = HashMap::from([(self.input.name.as_str(), Value::Picture(input))]);
        for node in &self.nodes {
            let outputs = self.run(node, &values, &mut walk).map_err(|stop| named(stop, node))?;
            for (name, value) in node.outputs.iter().zip(outputs) {
                if let Value::Picture(picture) = &value {
                    walk.layouts.push(picture.layout());
                    elements.insert(name, picture.elements());
                }
                values.insert(name, value);
            }
        }
        walk.live = live::peak(&self.nodes, &elements, &self.output);
        match values.remove(self.output.as_str()) {
            Some(Value::Picture(picture)) => walk.output = picture,
            _ => return global("its output does not depend on the picture"),
        }
        Ok(walk)
    }

    fn run(&self, node: &Node, values: &HashMap<&str, Value>, walk: &mut Walk) -> Result<Vec<Value>, Stop> {
        let value = |name: &String| {
            let value =
                if name.is_empty() { return Ok(None) } else { values.get(name.as_str()).or(self.constants.get(name)) };
            value.map_or_else(|| global(format!("its input {name:?} is not defined")), |value| Ok(Some(value)))
        };
        let inputs: Result<Vec<Option<&Value>>, Stop> = node.inputs.iter().map(value).collect();
        let mut call = Call { node, inputs: inputs?, opset: self.opset, sizes: &mut walk.sizes };
        apply(&mut call, &mut walk.borders)
    }
}

/// Adds the operator's name to the reason.
fn named(stop: Stop, node: &Node) -> Stop {
    match stop {
        Stop::Global(reason) if node.name.is_empty() => Stop::Global(format!("{}: {reason}", node.operator)),
        Stop::Global(reason) => Stop::Global(format!("{} ({}): {reason}", node.operator, node.name)),
        multiple @ Stop::Multiple(..) => multiple,
    }
}

/// Computes the outputs of one operator.
fn apply(call: &mut Call, borders: &mut Borders) -> Result<Vec<Value>, Stop> {
    if !call.node.standard {
        return global("this operator is not known");
    }
    let one = |value: Value| vec![value];
    let picture = |picture: Picture| vec![Value::Picture(picture)];
    let known = |known: Known| vec![Value::Known(known)];
    match call.node.operator.as_str() {
        "Constant" => fold::constant(call).map(known),
        "ConstantOfShape" => fold::constant_of_shape(call).map(known),
        "Shape" => fold::shape(call).map(known),
        "Conv" => window::conv(call).map(picture),
        "ConvTranspose" => window::conv_transpose(call).map(picture),
        "AveragePool" | "LpPool" | "MaxPool" => window::pool(call).map(picture),
        "Resize" | "Upsample" => resize::resize(call, borders).map(picture),
        "Concat" => layout::concat(call).map(one),
        "DepthToSpace" => layout::depth_to_space(call).map(picture),
        "Expand" | "Tile" => layout::repeat(call).map(one),
        "Flatten" => layout::flatten(call).map(one),
        "Gather" => layout::gather(call).map(one),
        "Pad" => layout::pad(call, borders).map(one),
        "Reshape" => layout::reshape(call).map(one),
        "Slice" => layout::slice(call).map(one),
        "SpaceToDepth" => layout::space_to_depth(call).map(picture),
        "Split" => layout::split(call),
        "Squeeze" => layout::squeeze(call).map(one),
        "Transpose" => layout::transpose(call).map(one),
        "Unsqueeze" => layout::unsqueeze(call).map(one),
        "BatchNormalization" => pointwise::batch_normalization(call).map(picture),
        "DequantizeLinear" | "QuantizeLinear" => pointwise::quantize(call).map(one),
        "Dropout" => pointwise::dropout(call).map(picture),
        "LRN" => pointwise::local_response(call).map(picture),
        "LayerNormalization" | "RMSNormalization" => pointwise::layer_normalization(call).map(picture),
        "LogSoftmax" | "Softmax" => pointwise::softmax(call).map(picture),
        "LpNormalization" => pointwise::lp_normalization(call).map(picture),
        "MatMul" => pointwise::matmul(call).map(one),
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean" | "ReduceMin"
        | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => pointwise::reduce(call).map(one),
        "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" | "GroupNormalization" | "InstanceNormalization" => {
            global("it reads the whole picture")
        }
        operator if pointwise::attributes(operator).is_some() => pointwise::elementwise(call).map(one),
        _ => global("this operator is not known"),
    }
}

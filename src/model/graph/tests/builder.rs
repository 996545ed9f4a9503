//! Small ONNX files, made in the test.

use bytes::Bytes;
use prost::Message;

use crate::model::graph::proto::{self, data_type};

/// A dimension of the input.
#[derive(Clone, Copy)]
pub(in crate::model) enum Len {
    Fixed(i64),
    Free(&'static str),
}

/// A graph from `x`, a picture (of float32 if not said otherwise), to `y`.
#[derive(Clone)]
pub(in crate::model) struct Builder {
    opset: i64,
    nodes: Vec<Bytes>,
    tensors: Vec<Bytes>,
    input: [Len; 4],
    /// Number type of `x` and `y`.
    element: i32,
    /// State of the generator of weights.
    seed: u32,
}

pub(in crate::model) fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute { name: name.into(), ints: ints.to_vec(), kind: 7, ..proto::Attribute::default() }
}

pub(in crate::model) fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute { name: name.into(), i, kind: 2, ..proto::Attribute::default() }
}

pub(in crate::model) fn text(name: &str, s: &'static str) -> proto::Attribute {
    proto::Attribute { name: name.into(), s: Bytes::from(s), kind: 3, ..proto::Attribute::default() }
}

impl Builder {
    /// A graph for any size.
    pub fn new(channels: i64) -> Self {
        let input = [Len::Fixed(1), Len::Fixed(channels), Len::Free("h"), Len::Free("w")];
        Builder { opset: 18, nodes: Vec::new(), tensors: Vec::new(), input, element: data_type::FLOAT, seed: 1 }
    }

    pub fn opset(mut self, version: i64) -> Self {
        self.opset = version;
        self
    }

    pub fn input(mut self, input: [Len; 4]) -> Self {
        self.input = input;
        self
    }

    pub fn element(mut self, element: i32) -> Self {
        self.element = element;
        self
    }

    /// An operator from names to names, each list separated by blanks; `-` is an input left out.
    pub fn node(mut self, operator: &str, inputs: &str, outputs: &str, attributes: &[proto::Attribute]) -> Self {
        let names = |names: &str| names.split(' ').map(|name| name.trim_matches('-').to_owned()).collect();
        let (domain, operator) = operator.split_once(':').unwrap_or(("", operator));
        let node = proto::Node {
            input: names(inputs),
            output: names(outputs),
            name: String::new(),
            op_type: operator.into(),
            attribute: attributes.iter().map(|attribute| attribute.encode_to_vec().into()).collect(),
            domain: domain.into(),
        };
        self.nodes.push(node.encode_to_vec().into());
        self
    }

    pub fn tensor(mut self, tensor: &proto::Tensor) -> Self {
        self.tensors.push(tensor.encode_to_vec().into());
        self
    }

    /// A constant of whole numbers; a single number if `dims` is empty.
    pub fn ints(self, name: &str, dims: &[i64], numbers: &[i64]) -> Self {
        self.tensor(&proto::Tensor {
            dims: dims.to_vec(),
            data_type: data_type::INT64,
            int64_data: numbers.to_vec(),
            name: name.into(),
            ..proto::Tensor::default()
        })
    }

    pub fn floats(self, name: &str, dims: &[i64], numbers: &[f32]) -> Self {
        self.tensor(&proto::Tensor {
            dims: dims.to_vec(),
            data_type: data_type::FLOAT,
            raw_data: numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into(),
            name: name.into(),
            ..proto::Tensor::default()
        })
    }

    /// Weights none of which is nought, so that every tap counts.
    pub fn weights(mut self, name: &str, dims: &[i64]) -> Self {
        let numbers: Vec<f32> = (0..dims.iter().product())
            .map(|_| {
                self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                0.05 + (self.seed >> 16) as f32 / 65536.0 * 0.2
            })
            .collect();
        self.floats(name, dims, &numbers)
    }

    /// A `Conv` of that many channels and that kernel, with its weights.
    pub fn conv(
        self,
        input: &str,
        output: &str,
        channels: [i64; 2],
        kernel: i64,
        attributes: &[proto::Attribute],
    ) -> Self {
        let weights = format!("{output}_weights");
        self.weights(&weights, &[channels[1], channels[0], kernel, kernel]).node(
            "Conv",
            &format!("{input} {weights}"),
            output,
            attributes,
        )
    }

    pub fn build(self) -> Bytes {
        let outlet = |name: &str, dims: &[Len]| {
            let dim = dims.iter().map(|len| proto::Dimension {
                length: Some(match len {
                    Len::Fixed(len) => proto::Length::Fixed(*len),
                    Len::Free(name) => proto::Length::Free((*name).into()),
                }),
            });
            let shape = (!dims.is_empty()).then(|| proto::Shape { dim: dim.collect() });
            let tensor = Some(proto::TensorKind { elem_type: self.element, shape });
            let outlet = proto::ValueInfo { name: name.into(), kind: Some(proto::Kind { tensor }) };
            Bytes::from(outlet.encode_to_vec())
        };
        let graph = proto::Graph {
            node: self.nodes,
            name: "test".into(),
            initializer: self.tensors,
            input: vec![outlet("x", &self.input)],
            output: vec![outlet("y", &[])],
            sparse_initializer: Vec::new(),
        };
        let set =
            |domain: &str, version| Bytes::from(proto::OperatorSet { domain: domain.into(), version }.encode_to_vec());
        let model = proto::Model {
            ir_version: 8,
            graph: vec![graph.encode_to_vec().into()],
            opset_import: vec![set("", self.opset), set("org.example", 1)],
            functions: Vec::new(),
        };
        model.encode_to_vec().into()
    }
}

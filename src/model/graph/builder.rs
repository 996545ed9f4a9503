//! Builds small ONNX files for tests.

use bytes::Bytes;
use prost::Message;

use super::proto::{self, data_type};

/// A dimension of the input.
#[derive(Clone, Copy)]
pub enum Len {
    Fixed(i64),
    Free(&'static str),
}

/// A graph from `x`, a picture (float32 by default), to `y`.
#[derive(Clone)]
pub struct Builder {
    opset: i64,
    nodes: Vec<Bytes>,
    tensors: Vec<Bytes>,
    input: [Len; 4],
    /// Element type of `x` and `y`.
    element: i32,
    /// State of the random generator for weights.
    seed: u32,
}

pub fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute { name: name.into(), ints: ints.to_vec(), kind: 7, ..proto::Attribute::default() }
}

pub fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute { name: name.into(), i, kind: 2, ..proto::Attribute::default() }
}

pub fn text(name: &str, s: &'static str) -> proto::Attribute {
    proto::Attribute { name: name.into(), s: Bytes::from(s), kind: 3, ..proto::Attribute::default() }
}

impl Builder {
    /// An empty graph for pictures of any size.
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

    /// Adds an operator. Names are separated by spaces; `-` is an omitted input.
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

    /// Adds an integer constant; a scalar if `dims` is empty.
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

    /// Adds random weights, none of them zero, so that every tap matters.
    pub fn weights(mut self, name: &str, dims: &[i64]) -> Self {
        let numbers: Vec<f32> = (0..dims.iter().product()).map(|_| 0.05 + self.random() * 0.2).collect();
        self.floats(name, dims, &numbers)
    }

    /// Adds random weights of both signs, scaled so that a convolution roughly preserves the magnitude.
    pub fn signed_weights(mut self, name: &str, dims: &[i64]) -> Self {
        let taps: i64 = dims[1..].iter().product();
        let gain = (3.0 / taps as f32).sqrt();
        let numbers: Vec<f32> = (0..dims.iter().product()).map(|_| (2.0 * self.random() - 1.0) * gain).collect();
        self.floats(name, dims, &numbers)
    }

    /// A pseudo-random number from 0 to 1.
    fn random(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 16) as f32 / 65536.0
    }

    /// Computes height and width of `x`, optionally halved, as `h` and `w` with one element each.
    pub fn lengths(self, halved: bool) -> Self {
        let graph = self
            .ints("two", &[], &[2])
            .ints("three", &[], &[3])
            .ints("zero", &[1], &[0])
            .node("Shape", "x", "shape", &[])
            .node("Gather", "shape two", "rows", &[int("axis", 0)])
            .node("Gather", "shape three", "columns", &[int("axis", 0)]);
        let graph = if halved {
            graph.node("Div", "rows two", "r", &[]).node("Div", "columns two", "c", &[])
        } else {
            graph.node("Identity", "rows", "r", &[]).node("Identity", "columns", "c", &[])
        };
        graph.node("Unsqueeze", "r zero", "h", &[]).node("Unsqueeze", "c zero", "w", &[])
    }

    /// Pads the ends of `x`, in `mode`, to multiples of `multiple`, by `(multiple - n % multiple) % multiple` elements.
    pub fn padded_to_multiple(self, multiple: i64, mode: &'static str, output: &str) -> Self {
        let mut graph = self.lengths(false).ints("multiple", &[1], &[multiple]);
        for side in ["h", "w"] {
            let [rest, missing, pad] = [1, 2, 3].map(|step| format!("{side}{step}"));
            graph = graph
                .node("Mod", &format!("{side} multiple"), &rest, &[])
                .node("Sub", &format!("multiple {rest}"), &missing, &[])
                .node("Mod", &format!("{missing} multiple"), &pad, &[]);
        }
        graph.node("Concat", "zero zero zero zero zero zero h3 w3", "pads", &[int("axis", 0)]).node(
            "Pad",
            "x pads",
            output,
            &[text("mode", mode)],
        )
    }

    /// Crops `input` to the height and width of `x`, as `y`; use after [`Builder::padded_to_multiple`].
    pub fn cut_back(self, input: &str) -> Self {
        self.ints("vertical", &[1], &[2])
            .ints("horizontal", &[1], &[3])
            .node("Slice", &format!("{input} zero h vertical"), "cut", &[])
            .node("Slice", "cut zero w horizontal", "y", &[])
    }

    /// A network that pads its input to multiples of 4 in `mode`, applies two convolutions and crops the padding.
    pub fn self_padding(mode: &'static str) -> Self {
        let pads = [ints("pads", &[1; 4])];
        Builder::new(1)
            .padded_to_multiple(4, mode, "padded")
            .signed_weights("first", &[4, 1, 3, 3])
            .signed_weights("second", &[1, 4, 3, 3])
            .node("Conv", "padded first", "wide", &pads)
            .node("Relu", "wide", "active", &[])
            .node("Conv", "active second", "detail", &pads)
            .node("Add", "padded detail", "sum", &[])
            .cut_back("sum")
    }

    /// A U-Net that runs at any size but is local only for multiples of 16: four convolutions of stride 2, each
    /// followed later by a `Resize` back to the previous size, which is a factor of exactly 2 only for those multiples.
    pub fn u_net() -> Self {
        let stride = [ints("pads", &[1; 4]), ints("strides", &[2, 2])];
        let pads = [ints("pads", &[1; 4])];
        let mut graph = Builder::new(1);
        let down = ["x", "d1", "d2", "d3", "d4"];
        for (level, pair) in down.windows(2).enumerate() {
            let (weights, conv) = (format!("down{level}"), format!("{}_conv", pair[1]));
            graph = graph
                .signed_weights(&weights, &[4, if level == 0 { 1 } else { 4 }, 3, 3])
                .node("Conv", &format!("{} {weights}", pair[0]), &conv, &stride)
                .node("Relu", &conv, pair[1], &[]);
        }
        let mut last = "d4".to_owned();
        for (skip, channels) in [("d3", 4), ("d2", 4), ("d1", 4), ("x", 1)] {
            let [weights, conv, size, wide, sum] =
                ["weights", "conv", "size", "wide", "sum"].map(|name| format!("{name}_{skip}"));
            let sum = if skip == "x" { "y".to_owned() } else { sum };
            graph = graph
                .signed_weights(&weights, &[channels, 4, 3, 3])
                .node("Conv", &format!("{last} {weights}"), &conv, &pads)
                .node("Shape", skip, &size, &[])
                .node("Resize", &format!("{conv} - - {size}"), &wide, &[text("mode", "linear")])
                .node("Add", &format!("{wide} {skip}"), &sum, &[]);
            last = sum;
        }
        graph
    }

    /// Adds a `Conv` with `[input, output]` channels, a square kernel, and random weights.
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

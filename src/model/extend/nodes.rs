//! Creates operators. All have had the same meaning since opset [`super::MIN_OPSET`].

use bytes::Bytes;
use prost::Message;

use super::super::graph::proto::{self, data_type};

/// The operators, inputs and outputs added to a network, in topological order.
pub(super) struct Nodes {
    /// The prefix of all names.
    prefix: String,
    count: usize,
    pub nodes: Vec<Bytes>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// An input or output of the extended graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub name: String,
    /// The encoded `ValueInfoProto`.
    pub declaration: Bytes,
}

/// `AttributeProto.AttributeType`.
mod kind {
    pub const INT: i32 = 2;
    pub const TENSOR: i32 = 4;
    pub const INTS: i32 = 7;
}

fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute { name: name.into(), i, kind: kind::INT, ..proto::Attribute::default() }
}

impl Nodes {
    pub fn new(prefix: String) -> Self {
        Self { prefix, count: 0, nodes: Vec::new(), inputs: Vec::new(), outputs: Vec::new() }
    }

    /// An empty list whose names do not collide with those of this one.
    pub fn behind(&self) -> Self {
        Self { count: self.count, ..Self::new(self.prefix.clone()) }
    }

    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{}{what}{}", self.prefix, self.count)
    }

    /// Adds an input of the graph. Dimensions of `None` are free.
    pub fn input(&mut self, what: &str, element: i32, shape: &[Option<i64>]) -> String {
        let port = self.port(what, element, shape);
        self.inputs.push(port);
        self.inputs[self.inputs.len() - 1].name.clone()
    }

    /// Makes `value`, with four free dimensions, an output of the graph.
    pub fn output(&mut self, value: &str, element: i32) {
        let port = self.port("output", element, &[None; 4]);
        self.write("Identity", &[value], &port.name, vec![]);
        self.outputs.push(port);
    }

    fn port(&mut self, what: &str, element: i32, shape: &[Option<i64>]) -> Port {
        let name = self.name(what);
        let dim = shape.iter().map(|length| proto::Dimension { length: length.map(proto::Length::Fixed) }).collect();
        let tensor = proto::TensorKind { elem_type: element, shape: Some(proto::Shape { dim }) };
        let info = proto::ValueInfo { name: name.clone(), kind: Some(proto::Kind { tensor: Some(tensor) }) };
        Port { name, declaration: info.encode_to_vec().into() }
    }

    /// Adds an operator whose result is called `output`.
    pub fn write(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: Vec<proto::Attribute>) {
        let node = proto::Node {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            name: self.name(operator),
            op_type: operator.into(),
            attribute: attributes.iter().map(|attribute| attribute.encode_to_vec().into()).collect(),
            domain: String::new(),
        };
        self.nodes.push(node.encode_to_vec().into());
    }

    fn apply(&mut self, operator: &str, inputs: &[&str], attributes: Vec<proto::Attribute>) -> String {
        let output = self.name("value");
        self.write(operator, inputs, &output, attributes);
        output
    }

    /// Adds a constant, as a node: older files would have to list an initializer among their inputs.
    fn constant(&mut self, tensor: proto::Tensor) -> String {
        let value = proto::Attribute {
            name: "value".into(),
            t: Some(tensor),
            kind: kind::TENSOR,
            ..proto::Attribute::default()
        };
        self.apply("Constant", &[], vec![value])
    }

    pub fn float(&mut self, value: f32) -> String {
        let raw_data = Bytes::copy_from_slice(&value.to_le_bytes());
        self.constant(proto::Tensor { data_type: data_type::FLOAT, raw_data, ..proto::Tensor::default() })
    }

    /// `value OP number`, for each element.
    fn with(&mut self, operator: &str, value: &str, number: f32) -> String {
        let number = self.float(number);
        self.apply(operator, &[value, &number], vec![])
    }

    pub fn add(&mut self, a: &str, b: &str) -> String {
        self.apply("Add", &[a, b], vec![])
    }

    pub fn sub(&mut self, a: &str, b: &str) -> String {
        self.apply("Sub", &[a, b], vec![])
    }

    pub fn times(&mut self, value: &str, factor: f32) -> String {
        self.with("Mul", value, factor)
    }

    pub fn plus(&mut self, value: &str, number: f32) -> String {
        self.with("Add", value, number)
    }

    pub fn minus(&mut self, value: &str, number: f32) -> String {
        self.with("Sub", value, number)
    }

    pub fn over(&mut self, value: &str, divisor: f32) -> String {
        self.with("Div", value, divisor)
    }

    /// Clamps to 0 to `max`. NaN becomes 0, because `NaN > 0` is false.
    pub fn clamp(&mut self, value: &str, max: f32) -> String {
        let (zero, max) = (self.float(0.0), self.float(max));
        let positive = self.apply("Greater", &[value, &zero], vec![]);
        let value = self.apply("Where", &[&positive, value, &zero], vec![]);
        self.apply("Min", &[&value, &max], vec![])
    }

    pub fn floor(&mut self, value: &str) -> String {
        self.apply("Floor", &[value], vec![])
    }

    /// Rounds to the nearest integer, ties to even.
    pub fn round(&mut self, value: &str) -> String {
        self.apply("Round", &[value], vec![])
    }

    pub fn cast(&mut self, value: &str, element: i32) -> String {
        self.apply("Cast", &[value], vec![int("to", element.into())])
    }

    pub fn transpose(&mut self, value: &str, order: [i64; 4]) -> String {
        let order = proto::Attribute {
            name: "perm".into(),
            ints: order.to_vec(),
            kind: kind::INTS,
            ..proto::Attribute::default()
        };
        self.apply("Transpose", &[value], vec![order])
    }

    /// Concatenates along the channels.
    pub fn concat(&mut self, values: &[String]) -> String {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        self.apply("Concat", &values, vec![int("axis", 1)])
    }

    /// The elements along `axis` at the `indices`, a list in the graph.
    pub fn gather(&mut self, value: &str, indices: &str, axis: i64) -> String {
        self.apply("Gather", &[value, indices], vec![int("axis", axis)])
    }

    /// Selects channels by index.
    pub fn channels(&mut self, value: &str, numbers: &[usize]) -> String {
        let raw_data = numbers.iter().flat_map(|&number| (number as i64).to_le_bytes()).collect::<Vec<u8>>().into();
        let dims = vec![numbers.len() as i64];
        let tensor = proto::Tensor { dims, data_type: data_type::INT64, raw_data, ..proto::Tensor::default() };
        let indices = self.constant(tensor);
        self.gather(value, &indices, 1)
    }

    /// Splits the first `N` channels into single channels.
    pub fn split<const N: usize>(&mut self, value: &str) -> [String; N] {
        std::array::from_fn(|channel| self.channels(value, &[channel]))
    }

    /// `a * x + b * y + ...`, in this order.
    pub fn weighted(&mut self, terms: &[(&str, f32)]) -> String {
        let mut sum = String::new();
        for (index, &(value, weight)) in terms.iter().enumerate() {
            let term = self.times(value, weight);
            sum = if index == 0 { term } else { self.add(&sum, &term) };
        }
        sum
    }
}

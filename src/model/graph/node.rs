//! One operator of the graph: its attributes by name and its inputs by position.

use bytes::Bytes;
use prost::Message;

use super::known::Known;
use super::picture::Picture;
use super::proto;
use super::sizes::{Sizes, Stop, global};

/// A value passed between operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Known(Known),
    Picture(Picture),
}

/// An operator with its attributes decoded.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its type, prefixed with the domain if it is not a standard operator.
    pub operator: String,
    /// Whether it is a standard ONNX operator.
    pub standard: bool,
    pub name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    attributes: Vec<proto::Attribute>,
}

/// Escapes a name from the file for messages if it contains control characters.
fn one_line(name: String) -> String {
    if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name }
}

/// Maximum number of attributes of an operator; no operator has that many.
const MAX_ATTRIBUTES: usize = 64;

impl Node {
    pub fn decode(bytes: Bytes) -> Result<Self, String> {
        let damaged = |error: prost::DecodeError| format!("its graph is damaged: {error}");
        let node = proto::Node::decode(bytes).map_err(damaged)?;
        if node.attribute.len() > MAX_ATTRIBUTES {
            return Err(format!("an operator has {} attributes", node.attribute.len()));
        }
        let attributes: Result<Vec<_>, _> = node.attribute.into_iter().map(proto::Attribute::decode).collect();
        let standard = matches!(node.domain.as_str(), "" | "ai.onnx");
        Ok(Node {
            operator: one_line(if standard { node.op_type } else { format!("{}:{}", node.domain, node.op_type) }),
            standard,
            name: one_line(node.name),
            inputs: node.input,
            outputs: node.output,
            attributes: attributes.map_err(damaged)?,
        })
    }

    /// The amount of work: the operator itself, its inputs and outputs, and the lists in its attributes.
    pub fn steps(&self) -> i128 {
        let lists: usize = self.attributes.iter().map(|attribute| attribute.ints.len() + attribute.floats.len()).sum();
        1 + (self.inputs.len() + self.outputs.len() + lists) as i128
    }

    fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Refuses all other attributes, because their meaning is unknown.
    pub fn allow(&self, names: &[&str]) -> Result<(), Stop> {
        match self.attributes.iter().find(|attribute| !names.contains(&attribute.name.as_str())) {
            Some(attribute) => global(format!("its attribute {:?} is not known", attribute.name)),
            None => Ok(()),
        }
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|attribute| attribute.f)
    }

    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|attribute| attribute.floats.as_slice())
    }

    /// A string attribute, which must be one of `known`.
    pub fn choice<'a>(&self, name: &str, default: &'a str, known: &[&'a str]) -> Result<&'a str, Stop> {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        match known.iter().find(|known| known.as_bytes() == attribute.s.as_ref()) {
            Some(known) => Ok(known),
            None => global(format!("its {name} {:?} is not local or not known", String::from_utf8_lossy(&attribute.s))),
        }
    }

    pub fn tensor(&self, name: &str) -> Option<&proto::Tensor> {
        self.attribute(name)?.t.as_ref()
    }
}

/// An operator with its input values and everything else that determines its result.
pub(super) struct Call<'a> {
    pub node: &'a Node,
    /// `None` for an omitted optional input.
    pub inputs: Vec<Option<&'a Value>>,
    /// Version of the standard operators.
    pub opset: i64,
    pub sizes: &'a mut Sizes,
}

impl<'a> Call<'a> {
    pub fn input(&self, at: usize) -> Option<&'a Value> {
        self.inputs.get(at).copied().flatten()
    }

    /// A mandatory input.
    pub fn required(&self, at: usize) -> Result<&'a Value, Stop> {
        self.input(at).map_or_else(|| global("an input is missing"), Ok)
    }

    pub fn picture(&self, at: usize) -> Result<&'a Picture, Stop> {
        match self.required(at)? {
            Value::Picture(picture) => Ok(picture),
            Value::Known(_) => global("its input is a constant instead of the picture"),
        }
    }

    pub fn known(&self, at: usize) -> Result<Option<&'a Known>, Stop> {
        match self.input(at) {
            None => Ok(None),
            Some(Value::Known(known)) => Ok(Some(known)),
            Some(Value::Picture(_)) => global("what it does depends on the picture's content"),
        }
    }

    /// Whether no input depends on the picture's content.
    pub fn is_constant(&self) -> bool {
        self.inputs.iter().flatten().all(|value| matches!(value, Value::Known(_)))
    }

    /// A list such as axes: an attribute before version `since`, an input since then. `None` if omitted.
    pub fn list(&self, attribute: &str, input: usize, since: i64) -> Result<Option<Vec<i64>>, Stop> {
        if self.opset < since {
            return Ok(self.node.ints(attribute).map(<[i64]>::to_vec));
        }
        self.known(input)?.map(Known::integers).transpose()
    }
}

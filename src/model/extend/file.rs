//! The model file as raw protobuf fields. Fields that are not changed are copied byte by byte, whatever they mean.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

use super::super::graph::proto;
use super::MIN_OPSET;
use super::nodes::{Nodes, Port};

/// Fields of `ModelProto`.
const GRAPH: u64 = 7;
const OPSET_IMPORT: u64 = 8;
/// Fields of `GraphProto`.
const NODE: u64 = 1;
const INPUT: u64 = 11;
const OUTPUT: u64 = 12;

/// One field of a message.
struct Field {
    number: u64,
    /// The whole field, including its key.
    whole: Bytes,
    /// The content of a length-delimited field.
    content: Bytes,
}

/// A model file, split into fields.
pub(super) struct File {
    /// All fields except the graph.
    around: Vec<Field>,
    graph: Vec<Field>,
    /// The graph's bytes.
    text: Bytes,
}

fn fields(message: &Bytes) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut rest = message.clone();
    while rest.has_remaining() {
        let whole = rest.clone();
        let damaged = |_| "it is not an ONNX file, or it is damaged".to_owned();
        let key = decode_varint(&mut rest).map_err(damaged)?;
        let length = match key & 7 {
            0 => {
                decode_varint(&mut rest).map_err(damaged)?;
                0
            }
            1 => 8,
            2 => decode_varint(&mut rest).map_err(damaged)?,
            5 => 4,
            // Groups, which ONNX does not use.
            _ => return Err("it is not an ONNX file".into()),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let length = length.ok_or("it is not an ONNX file, or it is damaged")?;
        let content = rest.split_to(length);
        let whole = whole.slice(..whole.len() - rest.len());
        fields.push(Field { number: key >> 3, whole, content });
    }
    Ok(fields)
}

impl File {
    pub fn read(model: &Bytes) -> Result<Self, String> {
        let (graphs, around): (Vec<Field>, Vec<Field>) =
            fields(model)?.into_iter().partition(|field| field.number == GRAPH);
        let [graph] = graphs.as_slice() else { return Err(format!("it has {} graphs", graphs.len())) };
        let file = Self { around, graph: fields(&graph.content)?, text: graph.content.clone() };
        match file.opset()? {
            Some(opset) if opset >= MIN_OPSET => Ok(file),
            Some(opset) => Err(format!(
                "it uses ONNX opset {opset}, but conversion on the device needs opset {MIN_OPSET} or later; export it \
                 again"
            )),
            None => Err("it does not say which version of the ONNX operators it uses".into()),
        }
    }

    /// The version of the standard operators.
    fn opset(&self) -> Result<Option<i64>, String> {
        let sets = self.around.iter().filter(|field| field.number == OPSET_IMPORT);
        for set in sets {
            let set = proto::OperatorSet::decode(set.content.clone()).map_err(|error| error.to_string())?;
            if matches!(set.domain.as_str(), "" | "ai.onnx") {
                return Ok(Some(set.version));
            }
        }
        Ok(None)
    }

    /// A prefix that no name in the graph has.
    pub fn free_prefix(&self) -> String {
        let mut prefix = String::from("upscalefilter.");
        // Compare the first byte first, because a file may be large.
        while self.text.windows(prefix.len()).any(|text| text[0] == prefix.as_bytes()[0] && text == prefix.as_bytes()) {
            prefix.insert(0, '_');
        }
        prefix
    }

    /// The file with operators before and behind the network; `front` now computes `input`.
    pub fn write(&self, input: &str, front: &Nodes, back: &Nodes) -> Result<Vec<u8>, String> {
        let mut graph = Vec::with_capacity(self.text.len() + (1 << 16));
        // Operators must be in topological order.
        let own = |number: u64| self.graph.iter().filter(move |field| field.number == number);
        front.nodes.iter().for_each(|node| put(&mut graph, NODE, node));
        own(NODE).for_each(|field| graph.put_slice(&field.whole));
        back.nodes.iter().for_each(|node| put(&mut graph, NODE, node));
        let ports = |graph: &mut Vec<u8>, number: u64, ports: &[Port]| {
            ports.iter().for_each(|port| put(graph, number, &port.declaration));
        };
        ports(&mut graph, INPUT, &front.inputs);
        ports(&mut graph, INPUT, &back.inputs);
        for field in own(INPUT) {
            let info = proto::ValueInfo::decode(field.content.clone()).map_err(|error| error.to_string())?;
            // Older files list their weights among the inputs.
            if info.name != input {
                graph.put_slice(&field.whole);
            }
        }
        ports(&mut graph, OUTPUT, &back.outputs);
        let rest = self.graph.iter().filter(|field| !matches!(field.number, NODE | INPUT | OUTPUT));
        rest.for_each(|field| graph.put_slice(&field.whole));
        let mut model = Vec::with_capacity(graph.len() + (1 << 10));
        self.around.iter().for_each(|field| model.put_slice(&field.whole));
        put(&mut model, GRAPH, &graph);
        Ok(model)
    }
}

/// Appends a length-delimited field.
fn put(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    encode_key(number as u32, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.put_slice(content);
}

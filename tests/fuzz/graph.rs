//! The analysis of ONNX files returns a result or an error in limited time, whatever the file contains.

use std::time::{Duration, Instant};

use gstupscale::model::graph::{Locality, analyse};

use crate::Target;
use crate::random::Random;
use crate::wire::{self, Field, Value};

/// Ten times the limit of one second that the analysis sets itself, for busy machines.
const LIMIT: Duration = Duration::from_secs(10);

/// Names that the analysis knows, to replace others.
const NAMES: [&str; 64] = [
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Pad",
    "Resize",
    "Upsample",
    "DepthToSpace",
    "SpaceToDepth",
    "Reshape",
    "Transpose",
    "Slice",
    "Split",
    "Concat",
    "Shape",
    "Gather",
    "Cast",
    "Add",
    "Mul",
    "Div",
    "Sub",
    "Floor",
    "Ceil",
    "Mod",
    "Where",
    "Constant",
    "ConstantOfShape",
    "Identity",
    "Relu",
    "PRelu",
    "Clip",
    "Softmax",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Tile",
    "ReduceMean",
    "InstanceNormalization",
    "MatMul",
    "Einsum",
    "If",
    "Loop",
    "Flatten",
    "kernel_shape",
    "strides",
    "pads",
    "dilations",
    "group",
    "auto_pad",
    "SAME_UPPER",
    "VALID",
    "mode",
    "CRD",
    "blocksize",
    "axis",
    "axes",
    "perm",
    "starts",
    "ends",
    "steps",
    "x",
    "y",
    "",
];

pub struct Graphs;

impl Target for Graphs {
    const NAME: &str = "graph";

    fn attempt(&mut self, input: &[u8]) -> String {
        let start = Instant::now();
        let analysis = analyse(input.to_vec().into(), None);
        assert!(start.elapsed() < LIMIT, "the analysis takes {:?}", start.elapsed());
        let text = match analysis {
            Ok(analysis) => match analysis.locality {
                Locality::Local(local) => {
                    assert!(analysis.scale.is_some_and(|scale| scale > 0) && local.alignment.width > 0);
                    assert!(local.least.width > 0 && analysis.multiple.width > 0 && analysis.multiple.height > 0);
                    format!("local {:?}", analysis.operators.keys())
                }
                Locality::Global { reason } => {
                    assert!(!reason.contains('\n'), "more than one line: {reason}");
                    // Without the names, which may be anything.
                    format!("global {}", reason.rsplit(": ").next().unwrap_or_default())
                }
            },
            Err(error) => error,
        };
        assert!(!text.contains('\n'), "more than one line: {text}");
        // Outcomes that differ only in numbers and names count as one.
        text.split(' ')
            .filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic() || b":\"[],".contains(&byte)))
            .collect()
    }

    fn mutate(random: &mut Random, from: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = random.pick(from).clone();
        let Some(mut fields) = wire::read(&bytes).filter(|_| !random.once_in(5)) else {
            random.mutate(&mut bytes);
            return bytes;
        };
        for _ in 0..=random.below(4) {
            let donor: &Vec<u8> = random.pick(from);
            let other = wire::read(donor).unwrap_or_default();
            let list = wire::somewhere(random, &mut fields);
            mutate_field(random, list, other);
        }
        wire::write(&fields)
    }
}

/// Changes, removes, moves or duplicates a field, or replaces it by one of another file.
fn mutate_field(random: &mut Random, fields: &mut Vec<Field>, mut other: Vec<Field>) {
    if fields.is_empty() {
        return fields.extend(other.pop());
    }
    let at = random.below(fields.len());
    match random.below(8) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(random.below(fields.len()), fields[at].clone()),
        2 => {
            let to = random.below(fields.len());
            fields.swap(at, to);
        }
        3 => {
            let donors = wire::somewhere(random, &mut other);
            if let Some(donor) = donors.iter().find(|donor| donor.number == fields[at].number) {
                fields[at] = donor.clone();
            } else if !donors.is_empty() {
                fields.push(random.pick(donors).clone());
            }
        }
        4 => fields[at].number = 1 + random.below(20) as u64,
        _ => mutate_value(random, &mut fields[at].value),
    }
}

fn mutate_value(random: &mut Random, value: &mut Value) {
    match value {
        Value::Number(number) => *number = random.odd_number(),
        Value::Eight(bytes) => *bytes = random.odd_number().to_le_bytes(),
        Value::Four(bytes) => *bytes = (random.odd_number() as u32).to_le_bytes(),
        Value::Bytes(bytes) if random.once_in(2) => *bytes = random.pick(&NAMES).as_bytes().to_vec(),
        Value::Bytes(bytes) => random.mutate(bytes),
        Value::Message(fields) => {
            let at = random.below(fields.len() + 1);
            fields.truncate(at);
        }
    }
}

//! Model files, and the forms of a network: float and quantised.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ModelError, Source, graph, sniff};
use crate::device;
use crate::types::{Channels, Provider, Size};

/// A model file.
///
/// It is read once: sessions opened later use the same network even if the file has changed since. External data files
/// are read again for each session.
#[derive(Clone)]
pub(super) struct Network {
    /// The built-in's name or the file's path, for messages.
    pub name: String,
    pub bytes: Bytes,
    /// The folder of external data files.
    pub folder: Option<PathBuf>,
}

/// The forms of one network; there is at least one.
#[derive(Clone)]
pub(super) struct Forms {
    /// Computes in floats.
    pub float: Option<Network>,
    /// Has its convolutions quantised (QDQ).
    pub int8: Option<Network>,
    /// Number of occurrences of each operator.
    pub operators: BTreeMap<String, usize>,
}

/// Operators that occur in quantised networks only.
const QUANTISED: [&str; 3] = ["QuantizeLinear", "QLinearConv", "ConvInteger"];

impl Forms {
    pub fn read(source: &Source) -> Result<Self, ModelError> {
        Ok(match source {
            Source::Builtin(builtin) => {
                let network =
                    |bytes| Network { name: builtin.name.into(), bytes: Bytes::from_static(bytes), folder: None };
                let float = network(builtin.onnx);
                Forms { operators: float.operators(), float: Some(float), int8: builtin.int8.map(network) }
            }
            Source::File(path) => {
                let network = Network {
                    name: path.display().to_string(),
                    bytes: read_file(path)?.into(),
                    folder: std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)),
                };
                sniff::check(&network.bytes).map_err(|reason| network.invalid(reason))?;
                // If the graph cannot be read, the backend reports why.
                let operators = network.operators();
                let is_quantised = QUANTISED.iter().any(|operator| operators.contains_key(*operator));
                let (float, int8) = if is_quantised { (None, Some(network)) } else { (Some(network), None) };
                Forms { float, int8, operators }
            }
        })
    }

    /// The float form, or the only one.
    pub fn any(&self) -> &Network {
        self.float.as_ref().or(self.int8.as_ref()).expect("one of them is there")
    }
}

impl Network {
    /// Number of occurrences of each operator; empty if the graph cannot be read.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        graph::operators(&self.bytes).unwrap_or_default()
    }

    /// Refuses a fixed-size network whose input and output alone exceed the free memory, before anything is allocated.
    pub fn check_room(
        &self,
        (provider, device_id): (Provider, u32),
        channels: Option<Channels>,
        size: Size,
        scale: u32,
    ) -> Result<(), ModelError> {
        const GB: f64 = 1e9;
        let bytes = tensor_bytes(channels.map_or(1, Channels::count), size, scale);
        let memories = [Provider::Cpu, provider].map(|provider| device::memory(provider, device_id));
        let free = memories.into_iter().flatten().map(|memory| memory.free).min().unwrap_or(isize::MAX as u64);
        if bytes <= free.into() {
            return Ok(());
        }
        let Size { width, height } = size;
        let (bytes, free) = (bytes as f64 / GB, free as f64 / GB);
        Err(self.unsuitable(format!(
            "it accepts only {width}x{height} pictures, which need {bytes:.1} GB of memory; only {free:.1} GB are free"
        )))
    }

    pub fn invalid(&self, reason: String) -> ModelError {
        ModelError::Invalid { name: self.name.clone(), reason }
    }

    pub fn unsuitable(&self, reason: String) -> ModelError {
        ModelError::Unsuitable { name: self.name.clone(), reason }
    }
}

/// Bytes of a run's input and output as the caller passes them (`f32`).
fn tensor_bytes(channels: usize, size: Size, scale: u32) -> u128 {
    let values = u128::from(size.width) * u128::from(size.height) * (1 + u128::from(scale).pow(2)) * channels as u128;
    values * size_of::<f32>() as u128
}

fn read_file(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ModelError::NotFound(path.to_owned()),
        _ => ModelError::Read { path: path.to_owned(), source },
    })
}

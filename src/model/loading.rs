//! Determines the properties of a network: what all backends do when they load one.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use super::graph::{self, Locality};
use super::network::Network;
use super::probe;
use super::signature::Signature;
use super::{ModelError, ModelInfo};
use crate::types::{Channels, Precision, Provider, Size};

/// Settings of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionOptions {
    pub provider: Provider,
    /// Device number, as the provider counts them.
    pub device_id: u32,
    /// CPU threads per session.
    pub threads: usize,
    /// Never [`Precision::Auto`] on the CPU.
    pub precision: Precision,
    /// See [`ModelInfo::choice`].
    pub reason: &'static str,
    /// Whether converting sessions may be opened.
    pub converts: bool,
}

/// Results of [`probe::cost`] by [`key`] and threads. Measured once, so that the whole process uses the same value.
static COSTS: LazyLock<Mutex<HashMap<(u128, usize), probe::RunCost>>> = LazyLock::new(Mutex::default);

/// See [`super::Model::key`].
pub(super) fn key(network: &Network, options: SessionOptions) -> u128 {
    // Without threads, which hardly affect memory.
    let SessionOptions { provider, device_id, precision, converts, .. } = options;
    let mut hash = Xxh3::new();
    hash.update(&network.bytes);
    let settings = [provider as u64, device_id.into(), precision as u64, converts.into()];
    hash.update(&settings.map(u64::to_le_bytes).concat());
    hash.digest128()
}

/// Determines [`ModelInfo`] by analysing the graph and running tiny pictures through the network.
pub(super) fn examine(
    network: &Network,
    options: SessionOptions,
    signature: &Signature,
    run: &mut impl probe::Run,
) -> Result<ModelInfo, ModelError> {
    let SessionOptions { provider, device_id, threads, precision, converts, reason } = options;
    let fixed_size = fixed_size(signature);
    let device = (provider, device_id);
    if let Some(size) = fixed_size {
        network.check_room(device, signature.channels, size, 1)?;
    }
    let findings = match fixed_size {
        // What is declared need not be tried on the CPU; that another device really runs is worth a picture.
        Some(size) => declared(signature, size)
            .filter(|_| provider == Provider::Cpu)
            .map_or_else(|| probe::fixed_size(signature.channels, size, run), Ok),
        None => probe::free_size(signature.channels, run),
    }
    .map_err(|reason| network.unsuitable(reason))?;
    if let Some(size) = fixed_size {
        network.check_room(device, Some(findings.channels), size, findings.scale)?;
    }
    let Reading { locality, multiple, mut live_elements } =
        read_graph(&network.bytes, findings.channels, findings.scale);
    let findings = findings.with_multiple(multiple);
    if converts {
        live_elements = live_elements.map(|elements| elements + converting_elements(findings.channels, findings.scale));
    }
    let cost = match (&locality, fixed_size) {
        // Only parts of frames ask for it, and of a network that is not local or has one size there are none.
        (Locality::Local(_), None) => {
            let key = (key(network, options), threads);
            let known = COSTS.lock().get(&key).copied();
            // Measured without the lock; who comes second takes the first one's figure.
            let measured = known.unwrap_or_else(|| probe::cost(&findings, run));
            *COSTS.lock().entry(key).or_insert(measured)
        }
        _ => probe::RunCost::default(),
    };
    Ok(ModelInfo {
        name: network.name.clone(),
        channels: findings.channels,
        scale: findings.scale,
        fixed_size,
        multiple: findings.multiple,
        min_size: findings.min_size,
        locality,
        live_elements,
        input: signature.input,
        output: signature.output,
        provider,
        precision,
        choice: reason,
        fixed_pixels: cost.fixed_pixels,
        seconds_per_pixel: cost.seconds_per_pixel,
        threads,
    })
}

/// Results of the graph analysis.
struct Reading {
    locality: Locality,
    /// The locality holds for sizes that are multiples of this.
    multiple: Size,
    /// Peak number of live elements per input pixel, if known.
    live_elements: Option<u64>,
}

/// Analyses the graph of a network that the probe found to enlarge by `scale`.
fn read_graph(bytes: &Bytes, channels: Channels, scale: u32) -> Reading {
    let one = Size { width: 1, height: 1 };
    let global = |reason| Reading { locality: Locality::Global { reason }, multiple: one, live_elements: None };
    match graph::analyse(bytes.clone(), Some(channels.count() as u32)) {
        Ok(graph::Analysis { scale: Some(found), .. }) if found != scale => {
            global(format!("its graph says that it enlarges by {found}, but it enlarges by {scale}"))
        }
        Ok(graph::Analysis { locality, multiple, live_elements, .. }) => Reading { locality, multiple, live_elements },
        Err(reason) => global(reason),
    }
}

/// Additional live elements of conversion per input pixel: twice the size of the network's output.
fn converting_elements(channels: Channels, scale: u32) -> u64 {
    2 * channels.count() as u64 * u64::from(scale).pow(2)
}

/// The fixed input size, if the network declares one. If it fixes only one side, the other gets the same length.
fn fixed_size(signature: &Signature) -> Option<Size> {
    let either = signature.width.or(signature.height)?;
    Some(Size { width: signature.width.unwrap_or(either), height: signature.height.unwrap_or(either) })
}

/// The findings for a fixed-size network from its declaration alone, if that is complete and consistent.
fn declared(signature: &Signature, size: Size) -> Option<probe::Findings> {
    let channels = signature.channels?;
    let [result_channels, height, width] = signature.result;
    let scale = width? / size.width;
    let fits = result_channels? as usize == channels.count()
        && scale >= 1
        && size.width.checked_mul(scale) == width
        && size.height.checked_mul(scale) == height;
    let one = Size { width: 1, height: 1 };
    fits.then_some(probe::Findings { channels, scale, multiple: one, min_size: one })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builtin;

    #[test]
    fn a_graph_whose_scale_contradicts_the_probe_is_not_trusted() {
        let bytes = Bytes::from_static(builtin::find("lanczos2x").unwrap().onnx);
        assert_eq!(read_graph(&bytes, Channels::Luma, 2).locality.radius(), Some(3));
        let other = read_graph(&bytes, Channels::Luma, 3).locality;
        assert!(
            matches!(&other, Locality::Global { reason } if reason.contains("by 2, but it enlarges by 3")),
            "{other:?}"
        );
    }
}

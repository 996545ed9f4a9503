//! `gst-upscale devices`: where networks can run, and why others are unavailable.

use gstupscale::device;
use gstupscale::model::{self, LoadOptions, ModelError, Source};
use gstupscale::types::Provider;
use indicatif::HumanBytes;

use crate::failure::{Result, failed};
use crate::models::{print, table};

/// In `auto`'s order of preference; TensorRT, which `auto` does not choose, comes after CUDA.
const PROVIDERS: [Provider; 5] =
    [Provider::Cuda, Provider::TensorRt, Provider::WebGpu, Provider::OpenVino, Provider::Cpu];

/// Runs a tiny network on device 0 of each provider, and prints the results.
pub fn list() -> Result<()> {
    let mut rows = Vec::new();
    for provider in PROVIDERS {
        let state = match try_out(provider) {
            Ok(()) => "runs".to_owned(),
            // Without ONNX Runtime, nothing runs.
            Err(error @ ModelError::Runtime(_)) => return failed(error.to_string()),
            Err(ModelError::Provider { reason, .. }) => format!("not here: {reason}"),
            Err(error) => format!("not here: {error}"),
        };
        let memory = device::memory(provider, 0).filter(|_| state == "runs").map_or_else(
            || "-".to_owned(),
            |memory| format!("{} free of {}", HumanBytes(memory.free), HumanBytes(memory.total)),
        );
        rows.push([provider.name().to_owned(), memory, state]);
    }
    print(&table(&["PROVIDER", "MEMORY OF DEVICE 0", "STATE"], &rows))
}

fn try_out(provider: Provider) -> std::result::Result<(), ModelError> {
    let options = LoadOptions { provider, ..LoadOptions::default() };
    model::load(&Source::parse("lanczos2x"), options).map(drop)
}

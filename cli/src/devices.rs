//! `gst-upscale devices`: where networks can run, and why others are unavailable.

use std::sync::Arc;

use gstupscale::device;
use gstupscale::model::{self, LoadOptions, Model, ModelError, ModelInfo, Source, builtin};
use gstupscale::types::Provider;
use indicatif::HumanBytes;

use crate::failure::{Result, failed};
use crate::models::{print, table};

/// In `auto`'s order of preference; TensorRT, which `auto` does not choose, comes after CUDA.
const PROVIDERS: [Provider; 5] =
    [Provider::Cuda, Provider::TensorRt, Provider::WebGpu, Provider::OpenVino, Provider::Cpu];

/// Loads the default model on device 0 of each provider, and prints the results and what `auto` chooses.
pub fn list() -> Result<()> {
    let mut rows = Vec::new();
    for provider in PROVIDERS {
        let state = match try_out(provider) {
            Ok(model) => format!("runs {} in {}", model.info().name, model.info().precision.name()),
            Err(ModelError::Provider { reason, .. }) => format!("not here: {reason}"),
            Err(error) => format!("not here: {error}"),
        };
        let memory = device::memory(provider, 0).filter(|_| state.starts_with("runs")).map_or_else(
            || "-".to_owned(),
            |memory| format!("{} free of {}", HumanBytes(memory.free), HumanBytes(memory.total)),
        );
        rows.push([provider.name().to_owned(), memory, state]);
    }
    // Without any library nothing runs anywhere.
    let chosen = try_out(Provider::Auto).or_else(|error| failed(error.to_string()))?;
    let ModelInfo { name, provider, precision, choice, .. } = chosen.info();
    let text = table(&["PROVIDER", "MEMORY OF DEVICE 0", "STATE"], &rows);
    print(&format!("{text}\nauto: {name} runs on {} in {}: {choice}\n", provider.name(), precision.name()))
}

fn try_out(provider: Provider) -> std::result::Result<Arc<dyn Model>, ModelError> {
    let options = LoadOptions { provider, ..LoadOptions::default() };
    model::load(&Source::parse(builtin::DEFAULT), options)
}

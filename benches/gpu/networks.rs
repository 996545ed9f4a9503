//! Selects the networks to measure, and the ONNX Runtime build for a provider.

use std::path::{Path, PathBuf};

use gstupscale::model::builtin;
use gstupscale::types::Provider;

/// Third-party networks: their names in the tables, and their files in the shared data.
const SHARED: [(&str, &str); 3] = [
    ("AnimeJaNai SuperUltraCompact fp16", "animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp16.onnx"),
    (
        "AnimeJaNai V3.1 Performance fp16",
        "animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16.onnx",
    ),
    ("RealESR_Animex4", "qualityscaler/RealESR_Animex4_fp16.onnx"),
];
/// Built-in networks; those for compressed video are the same networks with other weights.
const BUILTIN: [&str; 2] = ["fast2x", "quality2x"];

pub struct Network {
    pub name: String,
    /// The value for the element's `model` property.
    pub model: PathBuf,
    pub missing: bool,
}

/// The networks selected by name (built-in, or as in the table) or file, or the default ones if none is.
pub fn find(wanted: &[String], shared: &Path) -> Vec<Network> {
    if wanted.is_empty() {
        let foreign = SHARED.iter().map(|(name, file)| network((*name).to_owned(), in_folder(shared, file)));
        return foreign.chain(BUILTIN.iter().map(|name| network((*name).to_owned(), name.into()))).collect();
    }
    let named = |text: &String| {
        if let Some((name, file)) = SHARED.iter().find(|(name, _)| name == text) {
            return network((*name).to_owned(), in_folder(shared, file));
        }
        let name = Path::new(text).file_stem().unwrap_or_default().display().to_string();
        network(if builtin::find(text).is_some() { text.clone() } else { name }, in_folder(shared, text))
    };
    wanted.iter().map(named).collect()
}

fn network(name: String, model: PathBuf) -> Network {
    let missing = !model.exists() && model.to_str().and_then(builtin::find).is_none();
    Network { name, model, missing }
}

/// The file itself if it exists, otherwise in the folder, with or without its own folders.
fn in_folder(folder: &Path, file: &str) -> PathBuf {
    let file = Path::new(file);
    let flat = file.file_name().map(|name| folder.join(name));
    [Some(folder.join(file)), flat].into_iter().flatten().find(|path| path.exists()).unwrap_or_else(|| file.to_owned())
}

/// Parses a provider's name.
pub fn provider(text: &str) -> Result<Provider, String> {
    let known = [Provider::Cpu, Provider::OpenVino, Provider::Cuda, Provider::TensorRt, Provider::WebGpu];
    known
        .into_iter()
        .find(|provider| provider.name() == text)
        .ok_or_else(|| format!("expected one of {}", known.map(Provider::name).join(", ")))
}

/// The ONNX Runtime that has the provider, or the name of the missing library.
pub fn runtime(runtimes: &Path, provider: Provider) -> Result<PathBuf, String> {
    let (folders, library): (&[&str], _) = match provider {
        Provider::Cuda => (&["onnxruntime-gpu"], "libonnxruntime_providers_cuda.so"),
        Provider::TensorRt => (&["onnxruntime-gpu"], "libonnxruntime_providers_tensorrt.so"),
        Provider::WebGpu => (&["onnxruntime", "onnxruntime-gpu"], "libonnxruntime_providers_webgpu.so"),
        _ => (&["onnxruntime", "onnxruntime-gpu"], "libonnxruntime.so.1"),
    };
    let mut found = folders.iter().map(|folder| runtimes.join(folder));
    let folder = found.find(|folder| folder.join(library).exists());
    folder.map(|folder| folder.join("libonnxruntime.so.1")).ok_or_else(|| format!("{library} not found"))
}

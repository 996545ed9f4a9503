//! Super-resolution networks: what the rest of the plugin needs to know about one, and the two traits that hide the
//! inference library.
//!
//! A [`Model`] is a network that was read, checked and probed; it can be shared. It opens [`Upscaler`]s (sessions), one
//! per worker, because a session runs one call at a time.

pub mod builtin;
mod choice;
#[cfg(any(test, feature = "test-support"))]
pub mod dummy;
pub mod extend;
pub mod graph;
mod library;
mod loading;
pub mod log;
mod network;
mod onnx;
mod openvino;
mod probe;
pub mod processor;
mod shared;
mod signature;
mod sniff;
mod tensor_buffer;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use self::choice::Attempt;
use self::graph::{Local, Locality};
use self::loading::SessionOptions;
use self::network::{Forms, Network};
use crate::device;
use crate::picture::device_tensors::DeviceTensors;
use crate::picture::device_tensors::PixelEncoding;
use crate::types::{Channels, Conversion, Precision, Provider, Size};

/// Element type of the network's input or output tensor.
///
/// Callers always use `f32` in 0..1; the session converts (`Uint8` is 0..255).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float32,
    Float16,
    Uint8,
}

/// Properties of a network, determined when it was loaded.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The built-in's name or the file's path, for messages.
    pub name: String,
    pub channels: Channels,
    /// Output size divided by input size, in both directions; at least 1.
    pub scale: u32,
    /// The only input size that the network accepts, if it is fixed.
    pub fixed_size: Option<Size>,
    /// Width and height of the input must be multiples of these (1: no constraint).
    pub multiple: Size,
    /// The smallest input that works; a multiple of `multiple`, or 1x1 if the size is fixed.
    pub min_size: Size,
    /// Whether parts of a picture can be computed separately: the receptive field, or the reason why not.
    pub locality: Locality,
    /// Peak number of live tensor elements of a run per input pixel, including its input and output, if known.
    pub live_elements: Option<u64>,
    pub input: Element,
    pub output: Element,
    /// The provider in use; never [`Provider::Auto`].
    pub provider: Provider,
    /// The number type that it computes in; never [`Precision::Auto`] on the CPU.
    pub precision: Precision,
    /// Why it runs there and so, for messages.
    pub choice: &'static str,
    /// Fixed cost of a run, expressed in pixels of its tensor.
    pub fixed_pixels: u64,
    /// Cost of a pixel, measured at load time in a session with `threads` threads; 0 if it was not measured.
    pub seconds_per_pixel: f64,
    /// CPU threads per session that the model was loaded for.
    pub threads: usize,
}

/// Assumed for [`ModelInfo::live_elements`] if they are unknown: about three layers of 64 channels.
const UNKNOWN_LIVE_ELEMENTS: u64 = 3 * 64;

/// See [`ModelInfo::estimated_bytes`].
const ESTIMATED_BYTES: u64 = 22;

impl ModelInfo {
    /// The properties of a local network; `None` if it is global.
    pub fn local(&self) -> Option<&Local> {
        match &self.locality {
            Locality::Local(local) => Some(local),
            Locality::Global { .. } => None,
        }
    }

    /// Estimated bytes of a run per input pixel, used until a run has been measured.
    ///
    /// An upper bound: with ONNX Runtime, measured networks took 10 to 22 bytes per live element. Elements are mostly
    /// 32-bit floats; it adds copies in other layouts and types and allocates blocks that grow by doubling. OpenVINO
    /// holds them in their own type and reuses all memory.
    pub fn estimated_bytes(&self) -> u64 {
        let each = match (self.provider, self.precision) {
            (Provider::OpenVino, Precision::Int8) => 5,
            (Provider::OpenVino, Precision::Bf16 | Precision::Fp16) => 6,
            (Provider::OpenVino, _) => 10,
            _ => ESTIMATED_BYTES,
        };
        each * self.live_elements.unwrap_or(UNKNOWN_LIVE_ELEMENTS)
    }
}

/// A network ready to open sessions.
pub trait Model: Send + Sync {
    fn info(&self) -> &ModelInfo;
    /// Opens one more session, with as many threads as the model was loaded for. Blocks for milliseconds to seconds: do
    /// not hold a lock.
    fn open_session(&self) -> Result<Box<dyn Upscaler>, ModelError> {
        self.open_session_with(self.info().threads)
    }
    /// Opens one more session with `threads` CPU threads.
    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError>;
    /// The memory of the device that the sessions run on; `None` if unknown.
    fn memory(&self) -> Option<device::Memory>;
    /// The device that the sessions run on; other models in this process may share it.
    fn device(&self) -> device::Id;
    /// A key shared by models whose runs take the same memory and time. It covers the network, precision, provider,
    /// device, and whether the device converts. `None`: do not remember measurements of this model.
    fn key(&self) -> Option<u128>;
    /// Opens a session with `threads` CPU threads that converts pictures of `encoding` on its device, for
    /// [`Upscaler::run_converting`] only. As slow as [`Model::open_session`].
    ///
    /// The error says why conversion is not possible, unless the device ran out of memory.
    fn open_converting(&self, encoding: &PixelEncoding, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let reason = format!("it cannot convert {encoding:?} with {threads} threads");
        Err(ModelError::Conversion { name: self.info().name.clone(), reason })
    }
    /// Checks that [`Model::open_converting`] works by opening a session, which the next call returns.
    fn check_converting(&self, encoding: &PixelEncoding) -> Result<(), ModelError> {
        self.open_converting(encoding, self.info().threads).map(drop)
    }
}

/// One session: runs the network on one tensor at a time.
pub trait Upscaler: Send {
    /// Runs the network.
    ///
    /// `input` is planar (CHW), `channels * size.height * size.width` values, nominally 0..1 but not clipped. `size`
    /// must obey `fixed_size`, `multiple` and `min_size`. `output` is resized to
    /// `channels * (size.height * scale) * (size.width * scale)` values.
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError>;
    /// Runs the network on integer samples, converting on the device.
    ///
    /// [`Converter::to_device_tensors`](crate::picture::convert::Converter::to_device_tensors) prepares `tensors`.
    /// Their encoding must be the one passed to [`Model::open_converting`]; a session without conversion fails.
    fn run_converting(&mut self, tensors: &mut DeviceTensors) -> Result<(), RunError> {
        let count = tensors.inputs.len();
        Err(RunError::Failed(format!("the session expects floats and was given {count} integer tensors")))
    }
    /// Bytes of device memory that the session holds: weights, plus the largest run so far including its input and
    /// output. `None` if unknown.
    fn held(&self) -> Option<u64>;
    /// A handle with which another thread interrupts a run.
    fn interrupter(&self) -> Arc<dyn Interrupt>;
}

/// Interrupts a session's run.
pub trait Interrupt: Send + Sync {
    /// Makes the run in progress, and each later one until [`Interrupt::rearm`], return [`RunError::Interrupted`] soon.
    fn interrupt(&self);
    /// Lets the session run again.
    fn rearm(&self);
}

/// Why one run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// [`Interrupt::interrupt`] was called.
    #[error("the run was interrupted")]
    Interrupted,
    /// The device does not have enough free memory for this run.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The output size differs from the one observed by the probe.
    #[error("the model returned {got} values instead of {expected}")]
    WrongSize { expected: usize, got: usize },
    #[error("{0}")]
    Failed(String),
}

/// Why a network cannot be used. Each message names the file or the missing part and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No ONNX Runtime library, or one that is too old.
    #[error("{0}")]
    Runtime(String),
    #[error("model file {0} does not exist")]
    NotFound(PathBuf),
    #[error("cannot read model file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not an ONNX model or is damaged, or its external data or an operator is missing.
    #[error("{name} cannot be loaded: {reason}")]
    Invalid { name: String, reason: String },
    /// A valid ONNX model, but not a single-picture super-resolution network.
    #[error("{name} cannot upscale video: {reason}")]
    Unsuitable { name: String, reason: String },
    /// The device cannot convert for this network or this pixel encoding.
    #[error("conversion=device is not possible with {name}: {reason}")]
    Conversion { name: String, reason: String },
    /// The requested number type is not possible here.
    #[error("precision={}: {reason}", .precision.name())]
    Precision { precision: Precision, reason: String },
    /// The requested execution provider is not available.
    #[error("execution-provider={}: {reason}", .provider.name())]
    Provider { provider: Provider, reason: String },
}

/// Which network to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Builtin(&'static builtin::Builtin),
    File(PathBuf),
}

impl Source {
    /// Parses the `model` property: a built-in's name, else a path. A built-in takes precedence over a file of the same
    /// name; use `./NAME` for the file.
    pub fn parse(model: impl AsRef<OsStr>) -> Self {
        let model = model.as_ref();
        match model.to_str().and_then(builtin::find) {
            Some(builtin) => Source::Builtin(builtin),
            None => Source::File(PathBuf::from(model)),
        }
    }
}

/// How to load it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadOptions {
    pub provider: Provider,
    /// Device number, as the provider counts them.
    pub device_id: u32,
    /// CPU threads per session, unless a session is opened with a different number; 0 means 1.
    pub intra_threads: usize,
    pub precision: Precision,
    /// Where pictures are converted; it affects the memory estimate.
    pub conversion: Conversion,
}

/// Checks that a provider is available, without loading a network.
pub fn check(provider: Provider) -> Result<(), ModelError> {
    match provider {
        Provider::OpenVino => openvino::check(),
        _ => onnx::check(provider),
    }
}

/// Loads a network and determines its [`ModelInfo`] by analysing the graph and running tiny pictures through it.
/// A network already in use with the same options is shared.
pub fn load(source: &Source, options: LoadOptions) -> Result<Arc<dyn Model>, ModelError> {
    shared::load(Forms::read(source)?, options)
}

/// The GPUs' providers that `auto` tries first, best first. Without TensorRT, which builds its engine for minutes.
const AUTO_GPUS: [Provider; 2] = [Provider::Cuda, Provider::WebGpu];

/// Loads a network with the first provider that runs it; the log names it and says why the earlier ones were rejected.
fn load_forms(forms: &Forms, options: LoadOptions) -> Result<Arc<dyn Model>, ModelError> {
    let mut refusals = Vec::new();
    let gpus = match options.provider {
        Provider::Auto if !matches!(options.precision, Precision::Int8 | Precision::Bf16) => AUTO_GPUS.to_vec(),
        Provider::Auto | Provider::Cpu => Vec::new(),
        Provider::OpenVino if options.device_id == 0 => Vec::new(),
        named => return open(forms.any(), options, choice::of_gpu(named, options.precision)),
    };
    for provider in gpus {
        match open(forms.any(), options, choice::of_gpu(provider, options.precision)) {
            Ok(model) => return Ok(chosen(model, &refusals)),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    let mut last = None;
    for attempt in on_processor(forms, options)? {
        match open(attempt.network(forms), options, attempt) {
            Ok(model) => return Ok(chosen(model, &refusals)),
            Err(error) => {
                refusals.push(error.to_string());
                // Why one library rejects the network matters more than that the other is missing.
                let is_missing = matches!(error, ModelError::Runtime(_));
                last = if is_missing && last.is_some() { last } else { Some(error) };
            }
        }
    }
    Err(last.expect("there is at least one attempt"))
}

/// The ways to run a network on the CPU with these options.
fn on_processor(forms: &Forms, options: LoadOptions) -> Result<Vec<Attempt>, ModelError> {
    let LoadOptions { provider, precision, .. } = options;
    let refused = |reason| ModelError::Precision { precision, reason };
    let mut attempts = choice::attempts(forms, precision, processor::features()).map_err(refused)?;
    let first = attempts[0];
    attempts.retain(|attempt| provider == Provider::Auto || attempt.provider == provider);
    if attempts.is_empty() {
        let reason =
            format!("only execution-provider={} computes in {}", first.provider.name(), first.precision.name());
        return Err(ModelError::Precision { precision, reason });
    }
    Ok(attempts)
}

fn open(network: &Network, options: LoadOptions, attempt: Attempt) -> Result<Arc<dyn Model>, ModelError> {
    let LoadOptions { device_id, intra_threads, conversion, .. } = options;
    let Attempt { provider, precision, reason } = attempt;
    let converts = conversion.on_device(provider);
    let threads = intra_threads.max(1);
    let options = SessionOptions { provider, device_id, threads, precision, reason, converts };
    Ok(match provider {
        Provider::OpenVino => Arc::new(openvino::OpenVinoModel::open(network.clone(), options)?),
        _ => Arc::new(onnx::OnnxModel::open(network.clone(), options)?),
    })
}

/// Logs what runs and why.
fn chosen(model: Arc<dyn Model>, refusals: &[String]) -> Arc<dyn Model> {
    let ModelInfo { name, provider, precision, choice, .. } = model.info();
    let refusals: String = refusals.iter().map(|refusal| format!("; {refusal}")).collect();
    let text = format!("{name} runs on {} in {}: {choice}{refusals}", provider.name(), precision.name());
    log::emit(log::Level::Info, &text);
    model
}

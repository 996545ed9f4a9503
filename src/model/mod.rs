//! Super-resolution networks: what the rest of the plugin needs to know of one, and the two traits behind which the
//! inference library hides.
//!
//! A [`Model`] is a network that was read, checked and probed; it is shared. It opens [`Upscaler`]s (sessions), one for
//! each worker, because a session serves one call at a time.

pub mod builtin;
#[cfg(any(test, feature = "test-support"))]
pub mod dummy;
pub mod extend;
pub mod graph;
pub mod log;
pub mod onnx;
mod sniff;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use self::graph::{Local, Locality};
use crate::device;
use crate::picture::device_tensors::DeviceTensors;
use crate::picture::device_tensors::PixelEncoding;
use crate::types::{Channels, Conversion, Precision, Provider, Size};

/// Number type of a tensor that the network takes or gives.
///
/// Callers always see `f32` in 0..1; the session converts (`Uint8` is 0..255).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float32,
    Float16,
    Uint8,
}

/// What was found out about a network when it was loaded.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The built-in's name or the file's path, for messages.
    pub name: String,
    pub channels: Channels,
    /// Output size over input size, both directions; at least 1.
    pub scale: u32,
    /// The only input size the network takes, if it is fixed.
    pub fixed_size: Option<Size>,
    /// Width and height of the input must be multiples of these (1 where anything goes).
    pub multiple: Size,
    /// The smallest input that works; a multiple of `multiple`, and 1x1 where the size is fixed.
    pub min_size: Size,
    /// Whether parts of a picture can be computed by themselves; with the network's receptive field, or the reason why not.
    pub locality: Locality,
    /// Numbers that a run holds at a time for each input pixel, its input and output included, where that is known.
    pub live_elements: Option<u64>,
    pub input: Element,
    pub output: Element,
    /// The provider in use; never [`Provider::Auto`].
    pub provider: Provider,
    /// What a run costs beside its pixels, in pixels of its tensor.
    pub fixed_pixels: u64,
    /// What a pixel costs, as found when the model was loaded, in a session of `threads`; 0 where that was not tried.
    pub seconds_per_pixel: f64,
    /// Threads of the processor that it was loaded for, in each session.
    pub threads: usize,
}

/// What is taken for [`ModelInfo::live_elements`] where they are not known: about three layers of 64 channels.
const UNKNOWN_LIVE_ELEMENTS: u64 = 3 * 64;

/// See [`ModelInfo::estimated_bytes`].
const ESTIMATED_BYTES: u64 = 22;

impl ModelInfo {
    /// What holds if the network is local.
    pub fn local(&self) -> Option<&Local> {
        match &self.locality {
            Locality::Local(local) => Some(local),
            Locality::Global { .. } => None,
        }
    }

    /// Bytes for each input pixel that a run is estimated to take until it has been measured: more than any network was found to take
    /// (10 to 22 for each number; they are 32-bit floats nearly everywhere, and ONNX Runtime holds them in copies of another layout
    /// and number type, and in blocks that grow by doubling).
    pub fn estimated_bytes(&self) -> u64 {
        ESTIMATED_BYTES * self.live_elements.unwrap_or(UNKNOWN_LIVE_ELEMENTS)
    }
}

/// A network ready to open sessions.
pub trait Model: Send + Sync {
    fn info(&self) -> &ModelInfo;
    /// Opens one more session, with as many threads as the model was loaded for. Blocking and slow (milliseconds to seconds); call it
    /// without holding a lock.
    fn open_session(&self) -> Result<Box<dyn Upscaler>, ModelError> {
        self.open_session_with(self.info().threads)
    }
    /// Opens one more session with so many `threads` of the processor.
    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError>;
    /// The memory of the device that the sessions run on; `None` where nobody tells.
    fn memory(&self) -> Option<device::Memory>;
    /// That device, which others in this process may run on, too.
    fn device(&self) -> device::Id;
    /// What models have in common whose runs take the same memory and time: the network, its precision, provider and device, and where
    /// it was loaded to convert. With `None`, nothing is to be remembered of this one.
    fn key(&self) -> Option<u128>;
    /// Opens a session with so many `threads` that converts pictures of `encoding` on its device; for [`Upscaler::run_converting`] alone. As slow
    /// as [`Model::open_session`]. An error says why that is not possible, as far as it is not the device's memory.
    fn open_converting(&self, encoding: &PixelEncoding, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let reason = format!("{encoding:?} are not known to it, with {threads} threads or otherwise");
        Err(ModelError::Conversion { name: self.info().name.clone(), reason })
    }
    /// Whether [`Model::open_converting`] can do that: opens a session, which is kept for the first that is asked for.
    fn check_converting(&self, encoding: &PixelEncoding) -> Result<(), ModelError> {
        self.open_converting(encoding, self.info().threads).map(drop)
    }
}

/// One session: runs the network on one tensor at a time.
pub trait Upscaler: Send {
    /// Runs the network.
    ///
    /// `input` is planar (CHW), `channels * size.height * size.width` values, nominally 0..1 but not clipped. `size` obeys
    /// `fixed_size`, `multiple` and `min_size`. `output` is resized to `channels * (size.height * scale) * (size.width * scale)` values.
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError>;
    /// Runs the network between the integers of `device_tensors`, as
    /// [`Converter::to_device_tensors`](crate::picture::convert::Converter::to_device_tensors) prepared it for pictures of the encoding that the
    /// session was opened for ([`Model::open_converting`]); others fail.
    fn run_converting(&mut self, tensors: &mut DeviceTensors) -> Result<(), RunError> {
        let count = tensors.inputs.len();
        Err(RunError::Failed(format!("the session expects floats and was given {count} integer tensors")))
    }
    /// Bytes that the session holds of its device's memory: its weights, and what the largest run so far took, its input and output
    /// included. `None` where nobody tells.
    fn held(&self) -> Option<u64>;
    /// The handle by which another thread cuts a run short.
    fn interrupter(&self) -> Arc<dyn Interrupt>;
}

/// Cuts a session's run short.
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
    /// The device has no memory left for this run.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The network returned another size than it did when it was probed.
    #[error("the model returned {got} values where {expected} were due")]
    WrongSize { expected: usize, got: usize },
    #[error("{0}")]
    Failed(String),
}

/// Why a network cannot be used. Every text names the file or the part that is missing, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No ONNX Runtime library, or one that is too old.
    #[error("{0}")]
    Runtime(String),
    #[error("model file {0} does not exist")]
    NotFound(PathBuf),
    #[error("cannot read model file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is no ONNX model, or a damaged one, or its external data or an operator is missing.
    #[error("{name} cannot be loaded: {reason}")]
    Invalid { name: String, reason: String },
    /// A sound ONNX model that is no super-resolution network for one picture.
    #[error("{name} cannot upscale video: {reason}")]
    Unsuitable { name: String, reason: String },
    /// The device cannot convert for this network, or not pictures of this kind.
    #[error("conversion=device is not possible with {name}: {reason}")]
    Conversion { name: String, reason: String },
    /// The execution provider asked for cannot be had.
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
    /// Reads the `model` property: a built-in's name, else a path. A name wins over a file of the same name; `./NAME` is the file.
    pub fn parse(model: impl AsRef<OsStr>) -> Self {
        let model = model.as_ref();
        match model.to_str().and_then(builtin::find) {
            Some(builtin) => Source::Builtin(builtin),
            None => Source::File(PathBuf::from(model)),
        }
    }
}

/// How to load it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    pub provider: Provider,
    /// Which device of the provider, as the provider counts them.
    pub device_id: u32,
    /// Threads of the processor inside one session, unless it is opened with others; 0 means 1.
    pub intra_threads: usize,
    pub precision: Precision,
    /// Where pictures are to be converted: it decides what runs are estimated to take.
    pub conversion: Conversion,
}

/// Whether a provider is to be had, without loading a network.
pub fn check(provider: Provider) -> Result<(), ModelError> {
    onnx::check(provider)
}

/// Loads a network and finds out all of [`ModelInfo`], by reading it and by running tiny pictures through it. A network that is in use
/// already, with the same options, is shared.
pub fn load(source: &Source, options: LoadOptions) -> Result<Arc<dyn Model>, ModelError> {
    Ok(onnx::OnnxModel::shared(source, options)?)
}

//! The ONNX Runtime backend. No other module calls ONNX Runtime.
//!
//! | module | contents |
//! |---|---|
//! | `runtime` | finds and loads the library |
//! | `provider` | execution providers: where a session runs |
//! | `session` | a session that takes and returns floats |
//! | `converting` | a session that takes and returns integer samples |
//! | `memory` | the memory that a session holds |
//! | `staging` | pinned memory for copies to and from a GPU |
//! | `text` | shortens ONNX Runtime's messages to one line |

mod converting;
mod exclusive;
mod memory;
mod provider;
mod runtime;
mod session;
mod staging;
mod text;

use half::f16;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use self::converting::OnnxConverter;
use self::exclusive::ExclusiveSession;
use self::session::{Names, OnnxUpscaler};
use super::extend::{self, Recipe};
use super::loading::{self, SessionOptions};
use super::network::Network;
use super::probe;
use super::signature::{Port, Signature};
use super::{Channels, Element, Model, ModelError, ModelInfo, Precision, Provider, Upscaler, sniff};
use crate::device::{self, Memory};
use crate::picture::device_tensors::PixelEncoding;
use crate::types::Size;

/// An upscaling network that ONNX Runtime has loaded.
pub struct OnnxModel {
    info: ModelInfo,
    names: Names,
    device_id: u32,
    opener: Opener,
    /// A session opened while probing or checking; the first worker that needs one of its kind takes it.
    spare: Mutex<Option<Spare>>,
    /// Encodings for which a converting session could be opened.
    checked: Mutex<Vec<PixelEncoding>>,
}

/// The probed session, or one that converts this encoding. Both have the number of threads of [`ModelInfo::threads`].
enum Spare {
    Plain(ExclusiveSession),
    Converting(PixelEncoding, Box<OnnxConverter>),
}

impl OnnxModel {
    /// Checks and probes a network. Takes milliseconds for a small network; for a large one, loading dominates.
    pub(super) fn open(network: Network, settings: SessionOptions) -> Result<Self, ModelError> {
        sniff::check(&network.bytes).map_err(|reason| network.invalid(reason))?;
        let opener = Opener { network, settings };
        let probing = opener.for_probing();
        if probing.is_some() {
            // The requested provider must be available too, not only the one used for probing.
            check(settings.provider)?;
        }
        let network = &opener.network;
        let mut session = probing.as_ref().unwrap_or(&opener).open(settings.threads)?;
        let metadata = session.metadata();
        let [inputs, outputs]: [Vec<Port>; 2] =
            [metadata.inputs(), metadata.outputs()].map(|outlets| outlets.iter().map(port).collect());
        let signature = Signature::read(&inputs, &outputs).map_err(|reason| network.unsuitable(reason))?;
        let names = names(metadata).ok_or_else(|| network.unsuitable("a name in it contains a zero byte".into()))?;
        let info = loading::examine(network, settings, &signature, &mut runner(&mut session, signature.input))?;
        let spare = Some(Spare::Plain(session)).filter(|_| probing.is_none());
        let device_id = settings.device_id;
        Ok(Self { info, names, device_id, opener, spare: Mutex::new(spare), checked: Mutex::default() })
    }

    /// Loads a network's float form, for tests of this backend.
    #[cfg(test)]
    pub(super) fn load(source: &super::Source, options: super::LoadOptions) -> Result<Self, ModelError> {
        let super::LoadOptions { provider, device_id, intra_threads, conversion, .. } = options;
        let (threads, converts) = (intra_threads.max(1), conversion.on_device(provider));
        let settings =
            SessionOptions { provider, device_id, threads, precision: Precision::Fp32, reason: "", converts };
        Self::open(super::network::Forms::read(source)?.any().clone(), settings)
    }
}

impl OnnxModel {
    fn open_extended(&self, encoding: &PixelEncoding, threads: usize) -> Result<OnnxConverter, ModelError> {
        let refused = |reason| ModelError::Conversion { name: self.info.name.clone(), reason };
        let (input, output) = (self.names.inputs[0].to_str(), self.names.outputs[0].to_str());
        let (Ok(input), Ok(output)) = (input, output) else {
            return Err(refused("a name in it is not valid UTF-8".into()));
        };
        let ModelInfo { channels, fixed_size, .. } = self.info;
        let recipe = Recipe::new(encoding, channels, [self.info.input, self.info.output], fixed_size);
        let extended = extend::extend(&self.opener.network.bytes, &recipe, input, output).map_err(refused)?;
        let session = self.opener.open_file(&extended.bytes, threads)?;
        let names = Names::new(&extended.inputs, &extended.outputs).expect("generated names contain no zero byte");
        OnnxConverter::new(session, names, &self.info, self.device_id)
            .map_err(|error| self.opener.network.invalid(text::load_reason(error.message())))
    }
}

impl Model for OnnxModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let spare = self.spare.lock().take_if(|spare| matches!(spare, Spare::Plain(_)));
        let session = match spare {
            Some(Spare::Plain(session)) if threads == self.info.threads => session,
            other => {
                drop(other);
                self.opener.open(threads)?
            }
        };
        let upscaler = OnnxUpscaler::new(session, self.names.clone(), &self.info, self.device_id)
            .map_err(|error| self.opener.network.invalid(text::load_reason(error.message())))?;
        Ok(Box::new(upscaler))
    }

    fn memory(&self) -> Option<Memory> {
        device::memory(self.info.provider, self.device_id)
    }

    fn device(&self) -> device::Id {
        device::id(self.info.provider, self.device_id)
    }

    fn key(&self) -> Option<u128> {
        Some(loading::key(&self.opener.network, self.opener.settings))
    }

    fn open_converting(&self, encoding: &PixelEncoding, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let fits = |spare: &mut Spare| matches!(spare, Spare::Converting(of, _) if of == encoding);
        let spare = self.spare.lock().take_if(fits);
        match spare {
            Some(Spare::Converting(_, session)) if threads == self.info.threads => Ok(session),
            other => {
                drop(other);
                Ok(Box::new(self.open_extended(encoding, threads)?))
            }
        }
    }

    fn check_converting(&self, encoding: &PixelEncoding) -> Result<(), ModelError> {
        if self.checked.lock().contains(encoding) {
            return Ok(());
        }
        let mut session = Box::new(self.open_extended(encoding, self.info.threads)?);
        session.try_run(encoding, &self.info).map_err(|error| ModelError::Conversion {
            name: self.info.name.clone(),
            reason: format!("a first run failed: {error}"),
        })?;
        self.checked.lock().push(*encoding);
        // Close the previous session without holding the lock.
        let before = self.spare.lock().replace(Spare::Converting(*encoding, session));
        drop(before);
        Ok(())
    }
}

/// Everything needed to open a session.
#[derive(Clone)]
struct Opener {
    network: Network,
    settings: SessionOptions,
}

impl Opener {
    /// CUDA instead of TensorRT, which would build an engine for minutes for each size that the probe tries.
    fn for_probing(&self) -> Option<Self> {
        let settings = SessionOptions { provider: Provider::Cuda, ..self.settings };
        (self.settings.provider == Provider::TensorRt).then(|| Self { settings, ..self.clone() })
    }

    fn open(&self, threads: usize) -> Result<ExclusiveSession, ModelError> {
        self.open_file(&self.network.bytes, threads)
    }

    /// Opens a session of the model file, or of one that was made of it.
    fn open_file(&self, bytes: &[u8], threads: usize) -> Result<ExclusiveSession, ModelError> {
        let runtime = runtime::runtime()?;
        let settings = SessionOptions { threads: threads.max(1), ..self.settings };
        let refused = |reason| ModelError::Provider { provider: settings.provider, reason };
        let failed = |message: &str| self.network.invalid(text::load_reason(message));
        let mut builder = runtime.builder().map_err(|error| failed(error.message()))?;
        // First, because a provider may need the settings anew.
        provider::append(&mut builder, runtime, settings, xxh3_128(bytes)).map_err(refused)?;
        ExclusiveSession::open(settings.provider, || {
            self.set(builder, settings.threads)
                .and_then(|mut builder| builder.commit_from_memory(bytes))
                .map_err(|error| failed(error.message()))
        })
    }

    /// Applies the settings common to all sessions, for these reasons:
    ///
    /// - The arena is on and the memory pattern off. Peak memory of two sessions at 640x360 (SuperUltraCompact,
    ///   float32; ONNX Runtime 1.31): 195 MB; 379 MB with the pattern; 555 to 1,099 MB and a third slower without the
    ///   arena.
    /// - Threads do not spin: with one session per core they would slow down the other sessions.
    /// - Denormals are not flushed to zero: ONNX Runtime sets this only for the thread that opens the first session of
    ///   the process, so results would depend on the thread.
    /// - Packed weights are not shared between sessions: ONNX Runtime shares only those of initializers passed in from
    ///   outside the model.
    fn set(&self, builder: SessionBuilder, threads: usize) -> ort::Result<SessionBuilder> {
        let builder = builder
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_parallel_execution(false)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(false)?
            .with_memory_pattern(false)?;
        // Quantised networks in fp32: values are rounded as the file says, but convolutions compute in floats.
        let builder = match self.settings.precision {
            Precision::Fp32 => builder.with_config_entry("session.disable_quant_qdq", "1")?,
            _ => builder,
        };
        Ok(match self.network.folder.as_ref().and_then(|folder| folder.to_str()) {
            Some(folder) => {
                builder.with_config_entry("session.model_external_initializers_file_folder_path", folder)?
            }
            None => builder,
        })
    }
}

/// See [`super::check`].
pub fn check(provider: Provider) -> Result<(), ModelError> {
    let runtime = runtime::runtime()?;
    let refused = |reason| ModelError::Provider { provider, reason };
    let mut builder = runtime.builder().map_err(|error| refused(text::trim(error.message())))?;
    let settings =
        SessionOptions { provider, device_id: 0, threads: 1, precision: Precision::Auto, reason: "", converts: false };
    provider::append(&mut builder, runtime, settings, 0).map_err(refused)
}

fn names(session: &Session) -> Option<Names> {
    Names::new([session.inputs().first()?.name()], [session.outputs().first()?.name()])
}

fn port(outlet: &Outlet) -> Port {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Port { element: Err(format!("{}", outlet.dtype())), shape: Vec::new() };
    };
    let element = match ty {
        TensorElementType::Float32 => Ok(Element::Float32),
        TensorElementType::Float16 => Ok(Element::Float16),
        TensorElementType::Uint8 => Ok(Element::Uint8),
        other => Err(format!("elements of type {other}")),
    };
    Port { element, shape: shape.to_vec() }
}

/// Runs a grey picture for the probe.
fn runner(session: &mut ExclusiveSession, element: Element) -> impl probe::Run {
    move |channels, size| {
        run_grey(&mut session.wait(), element, channels, size).map_err(|error| text::trim(error.message()))
    }
}

fn run_grey(session: &mut Session, element: Element, channels: Channels, size: Size) -> ort::Result<Vec<i64>> {
    let shape = [1, channels.count(), size.height as usize, size.width as usize];
    let count = shape.iter().product();
    let input: DynValue = match element {
        Element::Float32 => Tensor::from_array((shape, vec![0.5f32; count]))?.into_dyn(),
        Element::Float16 => Tensor::from_array((shape, vec![f16::from_f32(0.5); count]))?.into_dyn(),
        Element::Uint8 => Tensor::from_array((shape, vec![128u8; count]))?.into_dyn(),
    };
    // A size that fails is a valid probe result; do not log it.
    let mut options = RunOptions::new()?;
    options.set_log_level(LogLevel::Fatal)?;
    let outputs = session.run_with_options([(&input).into()], &options)?;
    Ok(outputs[0].shape().to_vec())
}

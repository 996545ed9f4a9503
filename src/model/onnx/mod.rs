//! The ONNX Runtime backend. No other module calls ONNX Runtime.
//!
//! | module | contents |
//! |---|---|
//! | `runtime` | finds and loads the library |
//! | `provider` | execution providers: where a session runs |
//! | `signature` | the declared inputs and outputs of a network |
//! | `probe` | determines properties by running tiny pictures |
//! | `session` | a session that takes and returns floats |
//! | `shared` | models shared by several users |
//! | `converting` | a session that takes and returns integer samples |
//! | `memory` | the memory that a session holds |
//! | `staging` | pinned memory for copies to and from a GPU |
//! | `text` | shortens ONNX Runtime's messages to one line |

mod converting;
mod exclusive;
mod memory;
mod probe;
mod provider;
mod runtime;
mod session;
mod shared;
mod signature;
mod staging;
mod text;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use half::f16;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session};
use ort::value::{DynValue, Tensor};
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use self::converting::OnnxConverter;
use self::exclusive::ExclusiveSession;
use self::session::{Names, OnnxUpscaler};
use self::signature::Signature;
use super::extend::{self, Recipe};
use super::graph::{self, Locality};
use super::{
    Channels, Element, LoadOptions, Model, ModelError, ModelInfo, Precision, Provider, Source, Upscaler, log, sniff,
};
use crate::device::{self, Memory};
use crate::picture::device_tensors::PixelEncoding;
use crate::types::Size;

/// An upscaling network that ONNX Runtime has loaded.
///
/// The model file is read once: sessions opened later use the same network even if the file has changed since. External
/// data files are read again for each session.
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
    /// Reads, checks and probes a network. Takes milliseconds for a small network; for a large one, loading dominates.
    ///
    /// [`Provider::Auto`] selects the first of `provider::AUTO` that is available and passes the probe; the log names
    /// it and says why the earlier ones were rejected.
    pub fn load(source: &Source, options: LoadOptions) -> Result<Self, ModelError> {
        Self::load_from(Opener::read(source, options)?, options)
    }

    fn load_from(opener: Opener, options: LoadOptions) -> Result<Self, ModelError> {
        sniff::check(&opener.bytes).map_err(|reason| opener.invalid(reason))?;
        if options.provider != Provider::Auto {
            return Self::load_with(opener);
        }
        let mut refusals = Vec::new();
        for provider in provider::AUTO {
            let settings = provider::SessionOptions { provider, ..opener.settings };
            let converts = options.conversion.on_device(provider);
            match Self::load_with(Opener { settings, converts, ..opener.clone() }) {
                Err(error) if provider != Provider::Cpu => refusals.push(error.to_string()),
                loaded => {
                    let why = if refusals.is_empty() { String::new() } else { format!("; {}", refusals.join("; ")) };
                    log::emit(log::Level::Info, &format!("{} runs on {}{why}", opener.name, provider.name()));
                    return loaded;
                }
            }
        }
        unreachable!("the last one is the CPU")
    }

    fn load_with(opener: Opener) -> Result<Self, ModelError> {
        let provider::SessionOptions { provider, device_id, .. } = opener.settings;
        let probing = opener.for_probing();
        if probing.is_some() {
            // The requested provider must be available too, not only the one used for probing.
            check(provider)?;
        }
        let mut session = probing.as_ref().unwrap_or(&opener).open(opener.settings.threads)?;
        let signature = Signature::read(session.metadata().inputs(), session.metadata().outputs())
            .map_err(|reason| opener.unsuitable(reason))?;
        let names =
            names(session.metadata()).ok_or_else(|| opener.unsuitable("a name in it contains a zero byte".into()))?;
        let fixed_size = fixed_size(&signature);
        if let Some(size) = fixed_size {
            opener.check_room(signature.channels, size, 1)?;
        }
        let findings = match fixed_size {
            // On the CPU the declaration suffices; on other devices, run one picture to verify that they work.
            Some(size) => declared(&signature, size).filter(|_| provider == Provider::Cpu).map_or_else(
                || probe::fixed_size(signature.channels, size, &mut runner(&mut session, signature.input)),
                Ok,
            ),
            None => probe::free_size(signature.channels, &mut runner(&mut session, signature.input)),
        }
        .map_err(|reason| opener.unsuitable(reason))?;
        if let Some(size) = fixed_size {
            opener.check_room(Some(findings.channels), size, findings.scale)?;
        }
        let Reading { locality, multiple, mut live_elements } =
            read_graph(&opener.bytes, findings.channels, findings.scale);
        let findings = findings.with_multiple(multiple);
        if opener.converts {
            live_elements =
                live_elements.map(|elements| elements + converting_elements(findings.channels, findings.scale));
        }
        let cost = match (&locality, fixed_size) {
            // Only tiling of frames needs the cost; a global or fixed-size network is not tiled.
            (Locality::Local(_), None) => {
                let key = (opener.key(), opener.settings.threads);
                let known = COSTS.lock().get(&key).copied();
                // Measured without the lock; if two threads measure, both use the first one's result.
                let measured =
                    known.unwrap_or_else(|| probe::cost(&findings, &mut runner(&mut session, signature.input)));
                *COSTS.lock().entry(key).or_insert(measured)
            }
            _ => probe::RunCost::default(),
        };
        let info = ModelInfo {
            name: opener.name.clone(),
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
            fixed_pixels: cost.fixed_pixels,
            seconds_per_pixel: cost.seconds_per_pixel,
            threads: opener.settings.threads,
        };
        let spare = Some(Spare::Plain(session)).filter(|_| probing.is_none());
        Ok(Self { info, names, device_id, opener, spare: Mutex::new(spare), checked: Mutex::default() })
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
        let extended = extend::extend(&self.opener.bytes, &recipe, input, output).map_err(refused)?;
        let session = self.opener.open_file(&extended.bytes, threads)?;
        let names = Names::new(&extended.inputs, &extended.outputs).expect("generated names contain no zero byte");
        OnnxConverter::new(session, names, &self.info, self.device_id)
            .map_err(|error| self.opener.invalid(text::load_reason(error.message())))
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
            .map_err(|error| self.opener.invalid(text::load_reason(error.message())))?;
        Ok(Box::new(upscaler))
    }

    fn memory(&self) -> Option<Memory> {
        device::memory(self.info.provider, self.device_id)
    }

    fn device(&self) -> device::Id {
        device::id(self.info.provider, self.device_id)
    }

    fn key(&self) -> Option<u128> {
        Some(self.opener.key())
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

/// Results of [`probe::cost`] by [`Model::key`] and threads. Measured once, so that the whole process uses the same
/// value.
static COSTS: LazyLock<Mutex<HashMap<(u128, usize), probe::RunCost>>> = LazyLock::new(Mutex::default);

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

/// Everything needed to open a session.
#[derive(Clone)]
struct Opener {
    /// The built-in's name or the file's path, for messages.
    name: String,
    /// The model file.
    bytes: Bytes,
    /// The folder of external data files.
    folder: Option<PathBuf>,
    settings: provider::SessionOptions,
    /// Whether converting sessions may be opened.
    converts: bool,
}

impl Opener {
    fn read(source: &Source, options: LoadOptions) -> Result<Self, ModelError> {
        let LoadOptions { provider, device_id, intra_threads, precision, conversion } = options;
        let settings = provider::SessionOptions { provider, device_id, threads: intra_threads.max(1), precision };
        let converts = conversion.on_device(provider);
        Ok(match source {
            Source::Builtin(builtin) => Self {
                name: builtin.name.into(),
                bytes: Bytes::from_static(builtin.onnx),
                folder: None,
                settings,
                converts,
            },
            Source::File(path) => Self {
                name: path.display().to_string(),
                bytes: read_file(path)?.into(),
                folder: std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)),
                settings,
                converts,
            },
        })
    }

    /// See [`Model::key`].
    fn key(&self) -> u128 {
        // Threads hardly affect memory, so results are shared between thread counts.
        let provider::SessionOptions { provider, device_id, threads: _, precision } = self.settings;
        let mut hash = Xxh3::new();
        hash.update(&self.bytes);
        let settings = [provider as u64, device_id.into(), precision as u64, self.converts.into()];
        hash.update(&settings.map(u64::to_le_bytes).concat());
        hash.digest128()
    }

    /// CUDA instead of TensorRT, which would build an engine for minutes for each size that the probe tries.
    fn for_probing(&self) -> Option<Self> {
        let settings = provider::SessionOptions { provider: Provider::Cuda, ..self.settings };
        (self.settings.provider == Provider::TensorRt).then(|| Self { settings, ..self.clone() })
    }

    fn open(&self, threads: usize) -> Result<ExclusiveSession, ModelError> {
        self.open_file(&self.bytes, threads)
    }

    /// Opens a session of the model file, or of one that was made of it.
    fn open_file(&self, bytes: &[u8], threads: usize) -> Result<ExclusiveSession, ModelError> {
        let runtime = runtime::runtime()?;
        let settings = provider::SessionOptions { threads: threads.max(1), ..self.settings };
        let refused = |reason| ModelError::Provider { provider: settings.provider, reason };
        let failed = |message: &str| self.invalid(text::load_reason(message));
        let mut builder = runtime.builder().map_err(|error| failed(error.message()))?;
        // First, because a provider may need the settings anew.
        provider::append(&mut builder, runtime, settings).map_err(refused)?;
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
        Ok(match self.folder.as_ref().and_then(|folder| folder.to_str()) {
            Some(folder) => {
                builder.with_config_entry("session.model_external_initializers_file_folder_path", folder)?
            }
            None => builder,
        })
    }

    /// Refuses a fixed-size network whose input and output alone exceed the free memory, before anything is allocated.
    fn check_room(&self, channels: Option<Channels>, size: Size, scale: u32) -> Result<(), ModelError> {
        const GB: f64 = 1e9;
        let bytes = tensor_bytes(channels.map_or(1, Channels::count), size, scale);
        let memories =
            [Provider::Cpu, self.settings.provider].map(|provider| device::memory(provider, self.settings.device_id));
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

    fn invalid(&self, reason: String) -> ModelError {
        ModelError::Invalid { name: self.name.clone(), reason }
    }

    fn unsuitable(&self, reason: String) -> ModelError {
        ModelError::Unsuitable { name: self.name.clone(), reason }
    }
}

/// See [`super::check`].
pub fn check(provider: Provider) -> Result<(), ModelError> {
    let runtime = runtime::runtime()?;
    let refused = |reason| ModelError::Provider { provider, reason };
    let mut builder = runtime.builder().map_err(|error| refused(text::trim(error.message())))?;
    let settings = provider::SessionOptions { provider, device_id: 0, threads: 1, precision: Precision::Auto };
    provider::append(&mut builder, runtime, settings).map_err(refused)
}

/// Additional live elements of conversion per input pixel: twice the size of the network's output.
fn converting_elements(channels: Channels, scale: u32) -> u64 {
    2 * channels.count() as u64 * u64::from(scale).pow(2)
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

fn names(session: &Session) -> Option<Names> {
    Names::new([session.inputs().first()?.name()], [session.outputs().first()?.name()])
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

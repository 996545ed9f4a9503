//! Networks in OpenVINO. Nothing outside this folder knows of it.
//!
//! | file | what it holds |
//! |---|---|
//! | `api` | the functions of its C library |
//! | `runtime` | finding and loading that |
//! | `session` | running a network |
//! | `text` | OpenVINO's messages in one line |

mod api;
mod runtime;
mod session;
mod text;

use std::ffi::{CString, c_char, c_int};
use std::ptr;

use parking_lot::Mutex;

use self::api::{Functions, Owned, PartialShape, RawCompiled, RawModel, RawPort, Status};
use self::session::{OpenVinoUpscaler, Prober};
use super::graph::{self, Locality};
use super::loading::{self, SessionOptions};
use super::network::Network;
use super::signature::{Port, Signature};
use super::{Element, Model, ModelError, ModelInfo, Provider, Upscaler, sniff};
use crate::device::{self, Memory};
use crate::types::{OPENVINO_NPU, Precision, Size};

/// A network that OpenVINO compiled and that was found to be an upscaler.
pub struct OpenVinoModel {
    info: ModelInfo,
    network: Network,
    options: SessionOptions,
    /// The network that was probed, for the first worker that asks for one with as many threads.
    spare: Mutex<Option<Owned<RawCompiled>>>,
}

/// See [`super::check`].
pub(super) fn check() -> Result<(), ModelError> {
    runtime::runtime().map(drop).map_err(missing)
}

/// Operators of which OpenVINO computes parts of a picture to the same bits as the whole (tests/backends.rs). Its
/// vectorised exponentials, for one, round the last elements of a row differently from the others.
const EXACT: [&str; 21] = [
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Identity",
    "LeakyRelu",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "QuantizeLinear",
    "Relu",
    "Resize",
    "Sigmoid",
    "SpaceToDepth",
    "Sub",
];

/// Shorter rows are computed by other kernels, whose sums are rounded differently.
const MIN_EXACT_SIDE: u32 = 16;

/// Whether all of a network's operators are among those.
fn is_exact(network: &Network) -> bool {
    let operators = network.operators();
    !operators.is_empty()
        && operators.keys().all(|operator| EXACT.contains(&operator.as_str()))
        && !graph::interpolates(&network.bytes)
}

/// Adjusts what the graph says of parts of pictures to what OpenVINO's kernels do.
fn adjust(locality: &mut Locality, network: &Network) {
    if let Locality::Local(local) = locality {
        local.exact &= is_exact(network);
        let least = &mut local.least;
        *least = Size { width: least.width.max(MIN_EXACT_SIDE), height: least.height.max(MIN_EXACT_SIDE) };
    }
}

/// An error that says what is missing for the provider.
fn missing(error: ModelError) -> ModelError {
    ModelError::Provider { provider: Provider::OpenVino, reason: error.to_string() }
}

impl OpenVinoModel {
    /// Checks, compiles and probes a network.
    pub(super) fn open(network: Network, options: SessionOptions) -> Result<Self, ModelError> {
        sniff::check(&network.bytes).map_err(|reason| network.invalid(reason))?;
        let functions = runtime::runtime().map_err(missing)?.functions;
        let graph = read(&network)?;
        let invalid = |message: String| network.invalid(text::trim(&message));
        let (inputs, outputs) = ports(functions, &graph).map_err(invalid)?;
        let signature = Signature::read(&inputs, &outputs).map_err(|reason| network.unsuitable(reason))?;
        let compiled = compile(&network, &graph, options, options.threads)?;
        let mut prober = Prober::new(functions, &compiled, signature.input).map_err(invalid)?;
        let mut info = loading::examine(&network, options, &signature, &mut |channels, size| {
            prober.run(channels, size).map_err(|message| text::trim(&message))
        })?;
        drop(prober);
        adjust(&mut info.locality, &network);
        Ok(Self { info, network, options, spare: Mutex::new(Some(compiled)) })
    }
}

impl Model for OpenVinoModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let spare = self.spare.lock().take();
        let compiled = match spare {
            Some(compiled) if threads == self.info.threads => compiled,
            other => {
                drop(other);
                compile(&self.network, &read(&self.network)?, self.options, threads)?
            }
        };
        let functions = runtime::runtime()?.functions;
        let upscaler = OpenVinoUpscaler::new(functions, compiled, &self.info)
            .map_err(|message| self.network.invalid(text::trim(&message)))?;
        Ok(Box::new(upscaler))
    }

    fn memory(&self) -> Option<Memory> {
        device::memory(self.info.provider, self.options.device_id)
    }

    fn device(&self) -> device::Id {
        device::id(self.info.provider, self.options.device_id)
    }

    fn key(&self) -> Option<u128> {
        Some(loading::key(&self.network, self.options))
    }
}

fn read(network: &Network) -> Result<Owned<RawModel>, ModelError> {
    let runtime = runtime::runtime().map_err(missing)?;
    let bytes = &network.bytes;
    let model = runtime.functions.own(runtime.functions.ov_model_free, |model| {
        // SAFETY: the buffer has as many bytes as announced and is only read during the call; there are no weights beside it.
        unsafe {
            (runtime.functions.ov_core_read_model_from_memory_buffer)(
                runtime.core.pointer(),
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
                ptr::null(),
                model,
            )
        }
    });
    model.map_err(|message| network.invalid(text::trim(&message)))
}

/// OpenVINO's name of device `number`.
fn device_name(number: u32) -> String {
    match number {
        0 => "CPU".into(),
        OPENVINO_NPU => "NPU".into(),
        gpu => format!("GPU.{}", gpu - 1),
    }
}

/// The settings of every session, with the reasons.
///
/// - One stream: a session runs one picture at a time. Its threads are not pinned, because OpenVINO would pin the one
///   thread of each session to the same core.
/// - The float operators of a quantised network stay in fp32: what is not quantised needs more than 8 bits.
fn properties(options: SessionOptions, threads: usize) -> Vec<(&'static str, String)> {
    let hint = match options.precision {
        Precision::Bf16 => Some("bf16"),
        Precision::Fp16 => Some("f16"),
        Precision::Fp32 | Precision::Int8 => Some("f32"),
        Precision::Auto => None,
    };
    let mut properties: Vec<_> = hint.map(|hint| ("INFERENCE_PRECISION_HINT", hint.to_owned())).into_iter().collect();
    if options.device_id == 0 {
        properties.extend([
            ("INFERENCE_NUM_THREADS", threads.max(1).to_string()),
            ("NUM_STREAMS", "1".into()),
            ("ENABLE_CPU_PINNING", "NO".into()),
            ("ENABLE_HYPER_THREADING", "YES".into()),
        ]);
    }
    properties
}

fn compile(
    network: &Network,
    graph: &Owned<RawModel>,
    options: SessionOptions,
    threads: usize,
) -> Result<Owned<RawCompiled>, ModelError> {
    let runtime = runtime::runtime().map_err(missing)?;
    let functions = runtime.functions;
    let device = CString::new(device_name(options.device_id)).expect("it has no zero byte");
    let text = |text: &str| CString::new(text).expect("it has no zero byte");
    let pairs: Vec<[CString; 2]> =
        properties(options, threads).into_iter().map(|(key, value)| [text(key), text(&value)]).collect();
    let mut given = pairs.iter().map(|[key, value]| [key.as_ptr(), value.as_ptr()]);
    let mut next = || given.next().unwrap_or([ptr::null(); 2]);
    let count = 2 * pairs.len();
    assert!(pairs.len() <= 5, "as many as are passed below");
    let [a, b, c, d, e] = [next(), next(), next(), next(), next()];
    let compiled = functions.own(functions.ov_compiled_model_free, |compiled| {
        // SAFETY: core, model and device live; the call reads as many of the C strings behind its named arguments as `count` says.
        unsafe {
            (functions.ov_core_compile_model)(
                runtime.core.pointer(),
                graph.pointer(),
                device.as_ptr(),
                count,
                compiled,
                a[0],
                a[1],
                b[0],
                b[1],
                c[0],
                c[1],
                d[0],
                d[1],
                e[0],
                e[1],
            )
        }
    });
    compiled.map_err(|message| {
        let reason = text::trim(&message);
        if options.device_id == 0 {
            network.invalid(reason)
        } else {
            let reason = format!("{}: {reason}", device_name(options.device_id));
            ModelError::Provider { provider: Provider::OpenVino, reason }
        }
    })
}

/// What the network declares of its inputs and outputs.
fn ports(functions: &'static Functions, model: &Owned<RawModel>) -> Result<(Vec<Port>, Vec<Port>), String> {
    type Count = unsafe extern "C" fn(*const RawModel, *mut usize) -> Status;
    type Get = unsafe extern "C" fn(*const RawModel, usize, *mut *mut RawPort) -> Status;
    let all = |count: Count, get: Get| -> Result<Vec<Port>, String> {
        let mut ports = 0;
        // SAFETY: the model lives, and the call writes a number.
        functions.check(unsafe { count(model.pointer(), &raw mut ports) })?;
        (0..ports)
            .map(|index| {
                // SAFETY: the model lives, the index is in range, and the call writes the address of a new port.
                let port = functions
                    .own(functions.ov_output_const_port_free, |port| unsafe { get(model.pointer(), index, port) })?;
                describe(functions, &port)
            })
            .collect()
    };
    Ok((
        all(functions.ov_model_inputs_size, functions.ov_model_const_input_by_index)?,
        all(functions.ov_model_outputs_size, functions.ov_model_const_output_by_index)?,
    ))
}

fn describe(functions: &Functions, port: &Owned<RawPort>) -> Result<Port, String> {
    let mut element: c_int = 0;
    let none = api::Dimension { min: 0, max: 0 };
    let mut shape = PartialShape { rank: none, dims: ptr::null_mut() };
    // SAFETY: the port lives; the calls write a number and a shape, which is read as long as it says and freed once.
    let dims = unsafe {
        functions.check((functions.ov_port_get_element_type)(port.pointer(), &raw mut element))?;
        functions.check((functions.ov_port_get_partial_shape)(port.pointer(), &raw mut shape))?;
        // A free rank has no dimensions.
        let rank = if shape.dims.is_null() { 0 } else { usize::try_from(shape.rank.max).unwrap_or(0) };
        let dims = if rank == 0 { Vec::new() } else { std::slice::from_raw_parts(shape.dims, rank).to_vec() };
        (functions.ov_partial_shape_free)(&raw mut shape);
        dims
    };
    let element = match element {
        api::F32 => Ok(Element::Float32),
        api::F16 => Ok(Element::Float16),
        api::U8 => Ok(Element::Uint8),
        other => Err(format!("numbers of another type (OpenVINO's number {other})")),
    };
    let length = |dimension: &api::Dimension| if dimension.min == dimension.max { dimension.min } else { -1 };
    Ok(Port { element, shape: dims.iter().map(length).collect() })
}

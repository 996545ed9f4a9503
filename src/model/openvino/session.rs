//! One session: the run of one picture.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use half::f16;
use parking_lot::Mutex;

use super::api::{self, Functions, Owned, RawCompiled, RawRequest, RawTensor};
use super::text;
use crate::model::tensor_buffer::{Buffer, Numbers, NumbersMut, prepare_run, shape};
use crate::model::{Element, Interrupt, ModelInfo, RunError, Upscaler, log};
use crate::types::{Channels, Size};

/// An inference request of a compiled network.
struct Request {
    functions: &'static Functions,
    request: Owned<RawRequest>,
}

impl Request {
    fn new(functions: &'static Functions, compiled: &Owned<RawCompiled>) -> Result<Self, String> {
        let request = functions.own(functions.ov_infer_request_free, |request| {
            // SAFETY: the compiled network lives, and the call writes the address of a new request.
            unsafe { (functions.ov_compiled_model_create_infer_request)(compiled.pointer(), request) }
        })?;
        Ok(Self { functions, request })
    }

    fn set_input(&self, tensor: &Owned<RawTensor>) -> Result<(), String> {
        let set = self.functions.ov_infer_request_set_input_tensor_by_index;
        // SAFETY: both objects live; the request shares the tensor.
        self.functions.check(unsafe { set(self.request.pointer(), 0, tensor.pointer()) })
    }

    fn set_output(&self, tensor: &Owned<RawTensor>) -> Result<(), String> {
        let set = self.functions.ov_infer_request_set_output_tensor_by_index;
        // SAFETY: both objects live; the request shares the tensor.
        self.functions.check(unsafe { set(self.request.pointer(), 0, tensor.pointer()) })
    }

    fn start(&self) -> Result<(), String> {
        // SAFETY: the request lives and is idle.
        self.functions.check(unsafe { (self.functions.ov_infer_request_start_async)(self.request.pointer()) })
    }

    fn wait(&self) -> Result<(), String> {
        // SAFETY: the request lives.
        self.functions.check(unsafe { (self.functions.ov_infer_request_wait)(self.request.pointer()) })
    }

    fn cancel(&self) -> Result<(), String> {
        // SAFETY: the request lives; another thread may wait for it.
        self.functions.check(unsafe { (self.functions.ov_infer_request_cancel)(self.request.pointer()) })
    }

    fn output_shape(&self) -> Result<Vec<i64>, String> {
        let tensor = self.functions.own(self.functions.ov_tensor_free, |tensor| {
            // SAFETY: the request lives, and the call writes the address of a new owner of the tensor.
            unsafe { (self.functions.ov_infer_request_get_output_tensor_by_index)(self.request.pointer(), 0, tensor) }
        })?;
        self.functions.shape(&tensor)
    }
}

/// Runs grey pictures, for the probe: the network's output goes where OpenVINO likes.
pub(super) struct Prober {
    request: Request,
    element: Element,
}

impl Prober {
    pub fn new(functions: &'static Functions, compiled: &Owned<RawCompiled>, element: Element) -> Result<Self, String> {
        Ok(Self { request: Request::new(functions, compiled)?, element })
    }

    /// The shape of the result.
    pub fn run(&mut self, channels: Channels, size: Size) -> Result<Vec<i64>, String> {
        let shape = shape(channels.count(), size);
        let grey = vec![0.5f32; shape.iter().product::<i64>() as usize];
        let mut buffer = Buffer::new(self.element);
        let tensor = input(self.request.functions, buffer.input(&grey), shape)?;
        self.request.set_input(&tensor)?;
        self.request.start()?;
        self.request.wait()?;
        self.request.output_shape()
    }
}

fn input(functions: &'static Functions, numbers: Numbers<'_>, shape: [i64; 4]) -> Result<Owned<RawTensor>, String> {
    // A request only reads its inputs.
    let (element, data): (c_int, *const c_void) = match numbers {
        Numbers::Float32(values) => (api::F32, values.as_ptr().cast()),
        Numbers::Float16(values) => (api::F16, values.as_ptr().cast::<f16>().cast()),
        Numbers::Uint8(values) => (api::U8, values.as_ptr().cast()),
    };
    functions.tensor(element, &shape, data.cast_mut())
}

fn output(functions: &'static Functions, numbers: NumbersMut<'_>, shape: [i64; 4]) -> Result<Owned<RawTensor>, String> {
    let (element, data): (c_int, *mut c_void) = match numbers {
        NumbersMut::Float32(values) => (api::F32, values.as_mut_ptr().cast()),
        NumbersMut::Float16(values) => (api::F16, values.as_mut_ptr().cast::<f16>().cast()),
        NumbersMut::Uint8(values) => (api::U8, values.as_mut_ptr().cast()),
    };
    functions.tensor(element, &shape, data)
}

/// An OpenVINO session with its buffers.
pub(super) struct OpenVinoUpscaler {
    channels: usize,
    scale: u32,
    input: Buffer,
    output: Buffer,
    interrupter: Arc<Interrupter>,
    /// What the request belongs to; it must go last.
    _compiled: Owned<RawCompiled>,
}

impl OpenVinoUpscaler {
    pub fn new(functions: &'static Functions, compiled: Owned<RawCompiled>, info: &ModelInfo) -> Result<Self, String> {
        let request = Request::new(functions, &compiled)?;
        Ok(Self {
            channels: info.channels.count(),
            scale: info.scale,
            input: Buffer::new(info.input),
            output: Buffer::new(info.output),
            interrupter: Arc::new(Interrupter { request, raised: Mutex::new(false) }),
            _compiled: compiled,
        })
    }
}

impl Upscaler for OpenVinoUpscaler {
    fn run(&mut self, values: &[f32], size: Size, result: &mut Vec<f32>) -> Result<(), RunError> {
        let (_, result_size) = prepare_run(values, self.channels, size, self.scale, result)?;
        let expected = result.len();
        let interrupter = Arc::clone(&self.interrupter);
        let request = &interrupter.request;
        let result_shape = shape(self.channels, result_size);
        let mut set = || -> Result<_, String> {
            let input = input(request.functions, self.input.input(values), shape(self.channels, size))?;
            let output = output(request.functions, self.output.output(result), result_shape)?;
            request.set_input(&input)?;
            request.set_output(&output)?;
            Ok((input, output))
        };
        // They live until the run has ended.
        let _tensors = set().map_err(|message| text::run_error(&message))?;
        interrupter.run()?;
        let got = request.output_shape().map_err(|message| text::run_error(&message))?;
        if got != result_shape {
            return Err(RunError::WrongSize { expected, got: got.iter().product::<i64>() as usize });
        }
        self.output.finish(result);
        Ok(())
    }

    /// OpenVINO does not tell; [`ModelInfo::estimated_bytes`] is close.
    fn held(&self) -> Option<u64> {
        None
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.interrupter.clone()
    }
}

/// Cuts runs short by cancelling the request, which OpenVINO sees between two operators.
struct Interrupter {
    request: Request,
    /// Whether runs are to be cut short. The lock keeps a run from starting behind a cancellation.
    raised: Mutex<bool>,
}

impl Interrupter {
    /// Runs the request on tensors that are set.
    fn run(&self) -> Result<(), RunError> {
        let raised = self.raised.lock();
        if *raised {
            return Err(RunError::Interrupted);
        }
        let started = self.request.start();
        drop(raised);
        match started.and_then(|()| self.request.wait()) {
            Ok(()) => Ok(()),
            Err(_) if *self.raised.lock() => Err(RunError::Interrupted),
            Err(message) => Err(text::run_error(&message)),
        }
    }
}

impl Interrupt for Interrupter {
    fn interrupt(&self) {
        let mut raised = self.raised.lock();
        *raised = true;
        if let Err(message) = self.request.cancel() {
            log::emit(log::Level::Error, &format!("cannot cancel a run: {}", text::trim(&message)));
        }
    }

    fn rearm(&self) {
        *self.raised.lock() = false;
    }
}

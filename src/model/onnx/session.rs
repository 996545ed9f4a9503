//! A session that takes and returns floats.

use std::ffi::CString;
use std::sync::Arc;

use ort::AsPointer;
use ort::logging::LogLevel;
use ort::session::{RunOptions, Session};
use ort::value::{DynValueRef, DynValueRefMut, TensorRef, TensorRefMut};
use parking_lot::Mutex;

use super::exclusive::ExclusiveSession;
use super::{memory, text};
use crate::model::tensor_buffer::{Buffer, Numbers, NumbersMut, prepare_run, shape};
use crate::model::{Interrupt, ModelInfo, RunError, Upscaler, log};
use crate::types::Provider;
use crate::types::Size;

/// The names of a graph's inputs and outputs, in the order of the tensors passed to [`run_into`].
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub inputs: Vec<CString>,
    pub outputs: Vec<CString>,
}

impl Names {
    /// `None` if a name contains a zero byte.
    pub fn new<T: AsRef<str>>(
        inputs: impl IntoIterator<Item = T>,
        outputs: impl IntoIterator<Item = T>,
    ) -> Option<Self> {
        let name = |name: T| CString::new(name.as_ref()).ok();
        Some(Self {
            inputs: inputs.into_iter().map(name).collect::<Option<_>>()?,
            outputs: outputs.into_iter().map(name).collect::<Option<_>>()?,
        })
    }
}

fn read(numbers: Numbers<'_>, shape: [i64; 4]) -> ort::Result<DynValueRef<'_>> {
    Ok(match numbers {
        Numbers::Float32(values) => TensorRef::from_array_view((shape, values))?.into_dyn(),
        Numbers::Float16(values) => TensorRef::from_array_view((shape, values))?.into_dyn(),
        Numbers::Uint8(values) => TensorRef::from_array_view((shape, values))?.into_dyn(),
    })
}

fn written(numbers: NumbersMut<'_>, shape: [i64; 4]) -> ort::Result<DynValueRefMut<'_>> {
    Ok(match numbers {
        NumbersMut::Float32(values) => TensorRefMut::from_array_view_mut((shape, values))?.into_dyn(),
        NumbersMut::Float16(values) => TensorRefMut::from_array_view_mut((shape, values))?.into_dyn(),
        NumbersMut::Uint8(values) => TensorRefMut::from_array_view_mut((shape, values))?.into_dyn(),
    })
}

/// An ONNX Runtime session with its buffers.
pub(super) struct OnnxUpscaler {
    session: ExclusiveSession,
    names: Names,
    channels: usize,
    scale: u32,
    input: Buffer,
    output: Buffer,
    /// Largest number of bytes of the caller's and our own tensors in a run so far.
    tensors: u64,
    provider: Provider,
    device_id: u32,
    interrupter: Arc<Interrupter>,
}

impl OnnxUpscaler {
    pub(super) fn new(session: ExclusiveSession, names: Names, info: &ModelInfo, device_id: u32) -> ort::Result<Self> {
        Ok(Self {
            session,
            names,
            channels: info.channels.count(),
            scale: info.scale,
            input: Buffer::new(info.input),
            output: Buffer::new(info.output),
            tensors: 0,
            provider: info.provider,
            device_id,
            interrupter: Arc::new(Interrupter::new()?),
        })
    }
}

impl Upscaler for OnnxUpscaler {
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError> {
        if self.interrupter.is_raised() {
            return Err(RunError::Interrupted);
        }
        let (count, result_size) = prepare_run(input, self.channels, size, self.scale, output)?;
        let expected = output.len();
        let bytes =
            count * (size_of::<f32>() + self.input.bytes()) + expected * (size_of::<f32>() + self.output.bytes());
        self.tensors = self.tensors.max(bytes as u64);
        let ran = read(self.input.input(input), shape(self.channels, size))
            .and_then(|input| Ok((input, written(self.output.output(output), shape(self.channels, result_size))?)))
            .and_then(|(input, output)| {
                run_into(&mut self.session.wait(), &self.interrupter.options, &self.names, &[input], &mut [output])
            });
        match ran {
            Ok(()) => {
                self.output.finish(output);
                Ok(())
            }
            Err(_) if self.interrupter.is_raised() => Err(RunError::Interrupted),
            Err(error) => Err(text::run_error(error.message(), expected)),
        }
    }

    fn held(&self) -> Option<u64> {
        let held = memory::held(self.session.metadata(), self.provider, self.device_id)?;
        // On the CPU the tensors are in the same memory; elsewhere the arena holds their copies.
        Some(if self.provider == Provider::Cpu { held + self.tensors } else { held })
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.interrupter.clone()
    }
}

/// Runs the network on tensors whose memory the caller owns.
///
/// The safe functions of `ort` take outputs only by value, or copy borrowed inputs. ONNX Runtime checks the shapes of
/// the outputs before it writes and reports a mismatch as an error.
pub(super) fn run_into(
    session: &mut Session,
    options: &RunOptions,
    names: &Names,
    inputs: &[DynValueRef<'_>],
    outputs: &mut [DynValueRefMut<'_>],
) -> ort::Result<()> {
    assert!(inputs.len() == names.inputs.len() && outputs.len() == names.outputs.len(), "a tensor for each name");
    let pointers = |names: &[CString]| names.iter().map(|name| name.as_ptr()).collect::<Vec<_>>();
    let (input_names, output_names) = (pointers(&names.inputs), pointers(&names.outputs));
    let input_values: Vec<_> = inputs.iter().map(|input| input.ptr()).collect();
    let mut output_values: Vec<_> = outputs.iter().map(|output| output.ptr().cast_mut()).collect();
    // SAFETY: all pointers are to live objects: the session is borrowed mutably, so that runs cannot overlap; the
    // tensors and C strings outlive the call; each array has the length passed with it. `outputs` are borrowed mutably,
    // and because their entries are not null, ONNX Runtime writes into their memory and allocates nothing that the
    // caller must free.
    unsafe {
        ort::Error::result_from_status((ort::api().Run)(
            session.ptr().cast_mut(),
            options.ptr(),
            input_names.as_ptr(),
            input_values.as_ptr(),
            input_values.len(),
            output_names.as_ptr(),
            output_values.len(),
            output_values.as_mut_ptr(),
        ))
    }
}

/// Interrupts runs with ONNX Runtime's termination flag, which it checks between operators.
pub(super) struct Interrupter {
    pub options: RunOptions,
    /// Whether the flag is set. The lock keeps it in sync with ONNX Runtime's.
    raised: Mutex<bool>,
}

impl Interrupter {
    pub fn new() -> ort::Result<Self> {
        let mut options = RunOptions::new()?;
        // Errors are returned; ONNX Runtime would also log them, even for each interrupted run.
        options.set_log_level(LogLevel::Fatal)?;
        Ok(Self { options, raised: Mutex::new(false) })
    }

    pub fn is_raised(&self) -> bool {
        *self.raised.lock()
    }

    fn set(&self, raise: bool) {
        let mut raised = self.raised.lock();
        let done = if raise { self.options.terminate() } else { self.options.unterminate() };
        if let Err(error) = done {
            log::emit(log::Level::Error, &format!("cannot set the termination flag: {error}"));
        }
        *raised = raise;
    }
}

impl Interrupt for Interrupter {
    fn interrupt(&self) {
        self.set(true);
    }

    fn rearm(&self) {
        self.set(false);
    }
}

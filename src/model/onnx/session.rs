//! A session that takes and returns floats.

use std::ffi::CString;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::AsPointer;
use ort::logging::LogLevel;
use ort::session::{RunOptions, Session};
use ort::value::{DynValueRef, DynValueRefMut, TensorRef, TensorRefMut};
use parking_lot::Mutex;

use super::exclusive::ExclusiveSession;
use super::{memory, text};
use crate::model::{Element, Interrupt, ModelInfo, RunError, Upscaler, log};
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

/// Tensor memory in the network's own type, reused by each run. [`Element::Float32`] needs none.
enum Buffer {
    Float32,
    Float16(Vec<f16>),
    Uint8(Vec<u8>),
}

impl Buffer {
    fn new(element: Element) -> Self {
        match element {
            Element::Float32 => Buffer::Float32,
            Element::Float16 => Buffer::Float16(Vec::new()),
            Element::Uint8 => Buffer::Uint8(Vec::new()),
        }
    }

    /// Bytes of the buffer per element.
    fn bytes(&self) -> usize {
        match self {
            Buffer::Float32 => 0,
            Buffer::Float16(_) => size_of::<f16>(),
            Buffer::Uint8(_) => size_of::<u8>(),
        }
    }

    /// `values` as a tensor of the network's type: borrowed, or converted into the buffer.
    fn input<'a>(&'a mut self, values: &'a [f32], shape: [i64; 4]) -> ort::Result<DynValueRef<'a>> {
        Ok(match self {
            Buffer::Float32 => TensorRef::from_array_view((shape, values))?.into_dyn(),
            Buffer::Float16(buffer) => {
                buffer.resize(values.len(), f16::ZERO);
                buffer.convert_from_f32_slice(values);
                TensorRef::from_array_view((shape, buffer.as_slice()))?.into_dyn()
            }
            Buffer::Uint8(buffer) => {
                buffer.clear();
                // Rounds to nearest; `as` saturates and turns NaN into 0.
                buffer.extend(values.iter().map(|value| (value * 255.0 + 0.5) as u8));
                TensorRef::from_array_view((shape, buffer.as_slice()))?.into_dyn()
            }
        })
    }

    /// The tensor that the network writes: `values`, or the buffer, which [`Buffer::finish`] converts.
    fn output<'a>(&'a mut self, values: &'a mut [f32], shape: [i64; 4]) -> ort::Result<DynValueRefMut<'a>> {
        Ok(match self {
            Buffer::Float32 => TensorRefMut::from_array_view_mut((shape, values))?.into_dyn(),
            Buffer::Float16(buffer) => {
                buffer.resize(values.len(), f16::ZERO);
                TensorRefMut::from_array_view_mut((shape, buffer.as_mut_slice()))?.into_dyn()
            }
            Buffer::Uint8(buffer) => {
                buffer.resize(values.len(), 0);
                TensorRefMut::from_array_view_mut((shape, buffer.as_mut_slice()))?.into_dyn()
            }
        })
    }

    /// Converts the network's output into `values`.
    fn finish(&self, values: &mut [f32]) {
        match self {
            Buffer::Float32 => {}
            Buffer::Float16(buffer) => buffer.convert_to_f32_slice(values),
            Buffer::Uint8(buffer) => {
                for (value, byte) in values.iter_mut().zip(buffer) {
                    *value = f32::from(*byte) / 255.0;
                }
            }
        }
    }
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
        let count = elements(self.channels, size);
        if input.len() != count || count == 0 {
            let Size { width, height } = size;
            return Err(RunError::Failed(format!(
                "{} values do not make a {width}x{height} picture of {} channels",
                input.len(),
                self.channels
            )));
        }
        let result_size = Size { width: size.width * self.scale, height: size.height * self.scale };
        let expected = elements(self.channels, result_size);
        if output.try_reserve_exact(expected.saturating_sub(output.len())).is_err() {
            return Err(RunError::OutOfMemory(format!("cannot allocate an output of {expected} values")));
        }
        output.resize(expected, 0.0);
        let bytes =
            count * (size_of::<f32>() + self.input.bytes()) + expected * (size_of::<f32>() + self.output.bytes());
        self.tensors = self.tensors.max(bytes as u64);
        let ran = self
            .input
            .input(input, shape(self.channels, size))
            .and_then(|input| Ok((input, self.output.output(output, shape(self.channels, result_size))?)))
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

fn elements(channels: usize, size: Size) -> usize {
    channels * size.width as usize * size.height as usize
}

fn shape(channels: usize, size: Size) -> [i64; 4] {
    [1, channels as i64, i64::from(size.height), i64::from(size.width)]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn through(element: Element, values: &[f32]) -> Vec<f32> {
        let mut buffer = Buffer::new(element);
        let (width, mut result) = (values.len() as i64, vec![0.0; values.len()]);
        drop(buffer.input(values, [1, 1, 1, width]).unwrap());
        buffer.finish(&mut result);
        result
    }

    #[test]
    fn bytes_are_rounded_and_saturated() {
        super::super::runtime::runtime().unwrap();
        let given = [0.0, 1.0, -0.5, 1.5, f32::NAN, 0.501 / 255.0, 0.499 / 255.0, 254.6 / 255.0];
        let bytes: Vec<f32> = through(Element::Uint8, &given).iter().map(|value| value * 255.0).collect();
        assert_eq!(bytes, [0.0, 255.0, 0.0, 255.0, 0.0, 1.0, 0.0, 255.0]);
    }

    #[test]
    fn float16_keeps_eleven_bits() {
        super::super::runtime::runtime().unwrap();
        let given: Vec<f32> = (0..1000).map(|i| i as f32 / 999.0 * 1.2 - 0.1).collect();
        for (given, got) in given.iter().zip(through(Element::Float16, &given)) {
            assert!((given - got).abs() <= given.abs() / 2048.0, "{given} {got}");
        }
    }
}

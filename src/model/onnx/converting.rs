//! A session that takes and returns integer samples.

use std::sync::Arc;

use ort::value::{DynValueRef, DynValueRefMut, TensorRef, TensorRefMut};

use super::exclusive::ExclusiveSession;
use super::session::{Interrupter, Names, run_into};
use super::staging::Staging;
use super::{memory, text};
use crate::model::{Interrupt, ModelInfo, RunError, Upscaler};
use crate::picture::convert::Converter;
use crate::picture::device_tensors::{DeviceTensor, DeviceTensors, PixelEncoding, TensorData};
use crate::picture::format::PictureRef;
use crate::picture::region::{Blend, Region};
use crate::types::{Provider, Rect, Size};

/// A session of an extended graph (see [`crate::model::extend`]).
pub(super) struct OnnxConverter {
    /// Pinned memory for the device's copies, if it does not use the caller's memory. Before `session`, because fields are
    /// dropped in this order, and the memory belongs to the session's device.
    staging: Option<Staging>,
    session: ExclusiveSession,
    /// In the order of [`DeviceTensors`].
    names: Names,
    /// Largest number of tensor bytes in a run so far.
    tensors: u64,
    provider: Provider,
    device_id: u32,
    interrupter: Arc<Interrupter>,
}

/// Side of the picture that [`OnnxConverter::try_run`] converts, if the network takes one of this size.
const TRIED_SIDE: u32 = 16;

impl OnnxConverter {
    pub(super) fn new(session: ExclusiveSession, names: Names, info: &ModelInfo, device_id: u32) -> ort::Result<Self> {
        Ok(Self {
            staging: Staging::of(session.metadata(), info.provider, device_id),
            session,
            names,
            tensors: 0,
            provider: info.provider,
            device_id,
            interrupter: Arc::new(Interrupter::new()?),
        })
    }

    /// Runs one small picture, so that a device that cannot take or return the tensors is known before the first frame.
    pub(super) fn try_run(&mut self, encoding: &PixelEncoding, info: &ModelInfo) -> Result<(), RunError> {
        let side = |min: u32, multiple: u32| min.max(TRIED_SIDE).next_multiple_of(multiple);
        let size = info.fixed_size.unwrap_or(Size {
            width: side(info.min_size.width, info.multiple.width),
            height: side(info.min_size.height, info.multiple.height),
        });
        let PixelEncoding { format, colour } = *encoding;
        let planes: Vec<(Vec<u8>, usize)> = (0..format.planes())
            .map(|plane| {
                let (row_bytes, rows) = format.visible(plane, size);
                (vec![0; row_bytes * rows], row_bytes)
            })
            .collect();
        let planes: Vec<_> = planes.iter().map(|(bytes, stride)| (bytes.as_slice(), *stride)).collect();
        let picture = PictureRef::new(format, size, &planes).map_err(|error| RunError::Failed(error.to_string()))?;
        let whole = Rect { x: 0, y: 0, width: size.width, height: size.height };
        let region = Region { keep: whole, read: whole, tensor: size, blend: Blend::default() };
        let converter = Converter::new(format, colour, size, info.channels, info.scale);
        let mut tensors = DeviceTensors::default();
        converter.to_device_tensors(&picture, &region, &mut tensors);
        self.run_converting(&mut tensors)
    }

    fn run_tensors(&mut self, tensors: &mut DeviceTensors) -> ort::Result<()> {
        if let Some(staging) = &mut self.staging {
            let (inputs, mut outputs) = staging.fill(&tensors.inputs, &tensors.outputs)?;
            run_into(&mut self.session.wait(), &self.interrupter.options, &self.names, &inputs, &mut outputs)?;
            drop((inputs, outputs));
            staging.take(&mut tensors.outputs);
            return Ok(());
        }
        let inputs: Vec<_> = tensors.inputs.iter().map(input).collect::<ort::Result<_>>()?;
        let mut outputs: Vec<_> = tensors.outputs.iter_mut().map(output).collect::<ort::Result<_>>()?;
        run_into(&mut self.session.wait(), &self.interrupter.options, &self.names, &inputs, &mut outputs)
    }
}

fn input(tensor: &DeviceTensor) -> ort::Result<DynValueRef<'_>> {
    let shape = tensor.shape.as_slice();
    Ok(match &tensor.numbers {
        TensorData::U8(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into_dyn(),
        TensorData::U16(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into_dyn(),
        TensorData::I32(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into_dyn(),
    })
}

fn output(tensor: &mut DeviceTensor) -> ort::Result<DynValueRefMut<'_>> {
    let shape = tensor.shape.as_slice();
    Ok(match &mut tensor.numbers {
        TensorData::U8(numbers) => TensorRefMut::from_array_view_mut((shape, numbers.as_mut_slice()))?.into_dyn(),
        TensorData::U16(numbers) => TensorRefMut::from_array_view_mut((shape, numbers.as_mut_slice()))?.into_dyn(),
        TensorData::I32(numbers) => TensorRefMut::from_array_view_mut((shape, numbers.as_mut_slice()))?.into_dyn(),
    })
}

impl Upscaler for OnnxConverter {
    fn run(&mut self, input: &[f32], size: Size, _: &mut Vec<f32>) -> Result<(), RunError> {
        let Size { width, height } = size;
        Err(RunError::Failed(format!(
            "the session expects integer samples and was given {} floats of {width}x{height}",
            input.len()
        )))
    }

    fn run_converting(&mut self, tensors: &mut DeviceTensors) -> Result<(), RunError> {
        if self.interrupter.is_raised() {
            return Err(RunError::Interrupted);
        }
        let (inputs, outputs) = (tensors.inputs.len(), tensors.outputs.len());
        if (inputs, outputs) != (self.names.inputs.len(), self.names.outputs.len()) {
            return Err(RunError::Failed(format!(
                "the session does not convert {inputs} input and {outputs} output tensors"
            )));
        }
        self.tensors = self.tensors.max(tensors.bytes() as u64);
        let expected = tensors.outputs.iter().map(|tensor| tensor.shape.iter().product::<i64>() as usize).sum();
        match self.run_tensors(tensors) {
            Ok(()) => Ok(()),
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

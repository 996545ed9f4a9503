//! Pinned host memory, from and to which a GPU copies directly while it computes.
//!
//! Tensors are copied into and out of this memory, which costs little compared with the bus. ONNX Runtime then
//! transfers them on the session's own stream, so that one session can copy while another computes.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::{DynValueRef, DynValueRefMut, PrimitiveTensorElementType, Tensor};

use crate::model::log;
use crate::picture::device_tensors::{DeviceTensor, TensorData};
use crate::types::Provider;

/// Tensors in pinned memory, reused by each run.
pub(super) struct Staging {
    allocator: Allocator,
    inputs: Vec<Pinned>,
    outputs: Vec<Pinned>,
}

enum Pinned {
    U8(Tensor<u8>),
    U16(Tensor<u16>),
    I32(Tensor<i32>),
}

impl Staging {
    /// `None` if the provider does not use pinned memory or none is available.
    pub fn of(session: &Session, provider: Provider, device_id: u32) -> Option<Self> {
        if provider != Provider::Cuda {
            return None;
        }
        let pinned = i32::try_from(device_id).ok().and_then(|device_id| {
            let device = AllocationDevice::CUDA_PINNED;
            let info = MemoryInfo::new(device, device_id, AllocatorType::Device, MemoryType::CPUOutput);
            Allocator::new(session, info.ok()?).ok()
        });
        if pinned.is_none() {
            log::emit(log::Level::Warning, "no pinned memory available: copies to and from the device are slower");
        }
        pinned.map(Self::with)
    }

    fn with(allocator: Allocator) -> Self {
        Self { allocator, inputs: Vec::new(), outputs: Vec::new() }
    }

    /// Copies `inputs` into pinned memory and prepares pinned tensors for `outputs`; returns both for the run.
    pub fn fill(
        &mut self,
        inputs: &[DeviceTensor],
        outputs: &[DeviceTensor],
    ) -> ort::Result<(Vec<DynValueRef<'_>>, Vec<DynValueRefMut<'_>>)> {
        prepare(&self.allocator, &mut self.inputs, inputs)?;
        prepare(&self.allocator, &mut self.outputs, outputs)?;
        for (pinned, input) in self.inputs.iter_mut().zip(inputs) {
            match (pinned, &input.numbers) {
                (Pinned::U8(tensor), TensorData::U8(numbers)) => samples_mut(tensor).copy_from_slice(numbers),
                (Pinned::U16(tensor), TensorData::U16(numbers)) => samples_mut(tensor).copy_from_slice(numbers),
                (Pinned::I32(tensor), TensorData::I32(numbers)) => samples_mut(tensor).copy_from_slice(numbers),
                _ => unreachable!("`prepare` made them the same type"),
            }
        }
        let inputs = self.inputs.iter().map(|pinned| match pinned {
            Pinned::U8(tensor) => tensor.view().into_dyn(),
            Pinned::U16(tensor) => tensor.view().into_dyn(),
            Pinned::I32(tensor) => tensor.view().into_dyn(),
        });
        let outputs = self.outputs.iter_mut().map(|pinned| match pinned {
            Pinned::U8(tensor) => tensor.view_mut().into_dyn(),
            Pinned::U16(tensor) => tensor.view_mut().into_dyn(),
            Pinned::I32(tensor) => tensor.view_mut().into_dyn(),
        });
        Ok((inputs.collect(), outputs.collect()))
    }

    /// Copies the results to `outputs`.
    pub fn take(&self, outputs: &mut [DeviceTensor]) {
        for (pinned, output) in self.outputs.iter().zip(outputs) {
            match (pinned, &mut output.numbers) {
                (Pinned::U8(tensor), TensorData::U8(numbers)) => numbers.copy_from_slice(samples(tensor)),
                (Pinned::U16(tensor), TensorData::U16(numbers)) => numbers.copy_from_slice(samples(tensor)),
                (Pinned::I32(tensor), TensorData::I32(numbers)) => numbers.copy_from_slice(samples(tensor)),
                _ => unreachable!("`prepare` made them the same type"),
            }
        }
    }
}

/// Makes `kept` match `tensors` in number, types and shapes.
fn prepare(allocator: &Allocator, kept: &mut Vec<Pinned>, tensors: &[DeviceTensor]) -> ort::Result<()> {
    kept.truncate(tensors.len());
    for (at, tensor) in tensors.iter().enumerate() {
        if kept.get(at).is_some_and(|pinned| pinned.matches(tensor)) {
            continue;
        }
        let pinned = match tensor.numbers {
            TensorData::U8(_) => Pinned::U8(allocate(allocator, &tensor.shape)?),
            TensorData::U16(_) => Pinned::U16(allocate(allocator, &tensor.shape)?),
            TensorData::I32(_) => Pinned::I32(allocate(allocator, &tensor.shape)?),
        };
        match kept.get_mut(at) {
            Some(place) => *place = pinned,
            None => kept.push(pinned),
        }
    }
    Ok(())
}

fn allocate<T: PrimitiveTensorElementType + std::fmt::Debug>(
    allocator: &Allocator,
    shape: &[i64],
) -> ort::Result<Tensor<T>> {
    Tensor::new(allocator, shape.to_vec())
}

// `Tensor::extract_tensor` panics here: with ONNX Runtime 1.23 and later, pinned memory belongs to the GPU, "accessible from
// the host", and `ort` asks for that only with an API version that refuses ONNX Runtime 1.22.

fn samples<T: PrimitiveTensorElementType + std::fmt::Debug>(tensor: &Tensor<T>) -> &[T] {
    let (data, count) = (tensor.data_ptr().cast::<T>(), tensor.shape().num_elements());
    // SAFETY: pinned memory is the host's. It holds `count` values of `T`, as `Tensor::new` allocated it, and lives as long
    // as the tensor; a null pointer, allowed for no values, is not used.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, count) } }
}

fn samples_mut<T: PrimitiveTensorElementType + std::fmt::Debug>(tensor: &mut Tensor<T>) -> &mut [T] {
    let (data, count) = (tensor.data_ptr_mut().cast::<T>(), tensor.shape().num_elements());
    // SAFETY: as in `samples`; the tensor is borrowed exclusively.
    if count == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(data, count) } }
}

impl Pinned {
    fn matches(&self, other: &DeviceTensor) -> bool {
        match (self, &other.numbers) {
            (Pinned::U8(tensor), TensorData::U8(_)) => **tensor.shape() == *other.shape,
            (Pinned::U16(tensor), TensorData::U16(_)) => **tensor.shape() == *other.shape,
            (Pinned::I32(tensor), TensorData::I32(_)) => **tensor.shape() == *other.shape,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses ordinary memory instead of pinned memory.
    #[test]
    fn inputs_are_copied_in_and_outputs_out() {
        super::super::runtime::runtime().unwrap();
        let mut staging = Staging::with(Allocator::default());
        let tensor = |shape: &[i64], numbers| DeviceTensor { shape: shape.to_vec(), numbers };
        for width in [3, 5, 5, 2] {
            let numbers: Vec<u16> = (0..2 * width as u16).collect();
            let inputs = [
                tensor(&[2, width], TensorData::U16(numbers.clone())),
                tensor(&[width], TensorData::I32(vec![-7; width as usize])),
            ];
            let mut outputs = [tensor(&[1, width], TensorData::U8(vec![0; width as usize]))];
            let (seen, mut written) = staging.fill(&inputs, &outputs).unwrap();
            assert_eq!(seen[0].try_extract_tensor::<u16>().unwrap().1, numbers);
            assert_eq!(seen[1].try_extract_tensor::<i32>().unwrap().1, vec![-7; width as usize]);
            written[0].try_extract_tensor_mut::<u8>().unwrap().1.fill(width as u8);
            drop((seen, written));
            staging.take(&mut outputs);
            assert_eq!(outputs[0].numbers, TensorData::U8(vec![width as u8; width as usize]));
        }
    }
}

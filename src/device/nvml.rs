//! NVIDIA's management library (NVML), which is part of the driver.

use std::sync::LazyLock;

use nvml_wrapper::{Device, Nvml};

use super::{Memory, cuda};

/// Loaded once; `None` if there is no driver.
static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// The memory of the GPU that CUDA calls number `index`.
///
/// NVML numbers all GPUs by bus address and CUDA only those that are visible, in an order of its own, so they are matched
/// by UUID.
pub fn memory_of_cuda_device(index: u32) -> Option<Memory> {
    let (nvml, uuid) = (NVML.as_ref()?, cuda::uuid(index)?);
    ["GPU", "MIG"].iter().find_map(|kind| memory(&nvml.device_by_uuid(format!("{kind}-{uuid}")).ok()?))
}

/// The memory of the GPU that NVML calls number `index`.
pub fn memory_by_index(index: u32) -> Option<Memory> {
    memory(&NVML.as_ref()?.device_by_index(index).ok()?)
}

fn memory(device: &Device) -> Option<Memory> {
    let memory = device.memory_info().ok()?;
    Some(Memory { total: memory.total, free: memory.free })
}

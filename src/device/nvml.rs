//! NVIDIA's management library (NVML), which is part of the driver.

use std::sync::LazyLock;

use nvml_wrapper::Nvml;

use super::Memory;

/// Loaded once; `None` if there is no driver.
static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// The memory of GPU number `index`.
///
/// NVML numbers all GPUs by bus address; CUDA numbers those in `CUDA_VISIBLE_DEVICES` by speed, unless
/// `CUDA_DEVICE_ORDER=PCI_BUS_ID` is set. The two agree with one GPU, or with several of the same kind that are all
/// visible.
pub fn memory(index: u32) -> Option<Memory> {
    let device = NVML.as_ref()?.device_by_index(index).ok()?;
    let memory = device.memory_info().ok()?;
    Some(Memory { total: memory.total, free: memory.free })
}

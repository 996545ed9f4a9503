//! NVIDIA's management library, which comes with the driver.

use std::sync::LazyLock;

use nvml_wrapper::Nvml;

use super::Memory;

/// Loaded once; `None` where there is no driver.
static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// The memory of GPU number `index`.
///
/// NVML counts all by bus address, CUDA those of `CUDA_VISIBLE_DEVICES` by speed unless `CUDA_DEVICE_ORDER=PCI_BUS_ID` is set; they agree
/// where there is one GPU, or several of a kind and all visible.
pub fn memory(index: u32) -> Option<Memory> {
    let device = NVML.as_ref()?.device_by_index(index).ok()?;
    let memory = device.memory_info().ok()?;
    Some(Memory { total: memory.total, free: memory.free })
}

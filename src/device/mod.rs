//! The memory of the device that a network runs on: how much it has, and how much is free.

mod cuda;
mod nvml;
mod sysfs;
mod system;

use crate::types::Provider;

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What this process can still allocate.
    pub free: u64,
}

/// Identifies a device among those who share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// The CPU, with the machine's memory.
    Processor,
    /// A GPU, by index.
    Gpu(u32),
    /// Made up by a test.
    #[cfg(any(test, feature = "test-support"))]
    Dummy(usize),
}

/// The device that `provider` calls number `device`.
pub fn id(provider: Provider, device: u32) -> Id {
    match provider {
        Provider::Auto | Provider::Cpu => Id::Processor,
        Provider::OpenVino => device.checked_sub(1).map_or(Id::Processor, Id::Gpu),
        Provider::Cuda | Provider::TensorRt | Provider::WebGpu => Id::Gpu(device),
    }
}

/// The memory used by runs of `provider` on its device number `device`; `None` if it cannot be determined.
///
/// Takes tens of microseconds: fast enough for each change of the schedule, but not for each frame.
pub fn memory(provider: Provider, device: u32) -> Option<Memory> {
    match provider {
        Provider::Cuda | Provider::TensorRt => nvml::memory_of_cuda_device(device),
        // Vulkan numbers GPUs in its own order. With a single GPU, the first that answers is the right one.
        Provider::WebGpu => nvml::memory_by_index(device).or_else(|| sysfs::memory(device)),
        Provider::Auto | Provider::Cpu | Provider::OpenVino => system::memory(),
    }
}

/// How much of `free` bytes to leave unused: other programs need memory, and the reading may be outdated in a moment.
pub fn reserve(free: u64) -> u64 {
    (free / 10).max(MIN_RESERVE).min(free / 2)
}

const MIN_RESERVE: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_machine_is_known() {
        let memory = memory(Provider::Cpu, 0);
        assert_eq!(memory.is_some(), cfg!(target_os = "linux"));
        let Some(memory) = memory else { return };
        assert!(memory.free > 0 && memory.free <= memory.total, "{memory:?}");
    }

    #[test]
    fn a_reserve_is_left() {
        assert_eq!(reserve(100 << 30), 10 << 30);
        assert_eq!(reserve(1 << 30), 256 << 20);
        assert_eq!(reserve(300 << 20), 150 << 20);
    }
}

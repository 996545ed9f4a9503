//! The memory of the device that a network runs on: how much there is, and how much is free.

mod nvml;
mod sysfs;
mod system;

use crate::types::Provider;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What this process could still have.
    pub free: u64,
}

/// Which device it is, for those who share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// The processor, and the machine's memory.
    Processor,
    /// A GPU, by its number.
    Gpu(u32),
    /// One that a test has made up.
    #[cfg(any(test, feature = "test-support"))]
    Dummy(usize),
}

/// What `provider` counts as its device number `device`.
pub fn id(provider: Provider, device: u32) -> Id {
    match provider {
        Provider::Auto | Provider::Cpu => Id::Processor,
        Provider::OpenVino => device.checked_sub(1).map_or(Id::Processor, Id::Gpu),
        Provider::Cuda | Provider::TensorRt | Provider::WebGpu => Id::Gpu(device),
    }
}

/// The memory that runs of `provider` on its device number `device` take; `None` where nobody tells.
///
/// Quick enough (tens of microseconds) to be asked once for a step of the schedule, not for each frame.
pub fn memory(provider: Provider, device: u32) -> Option<Memory> {
    match provider {
        Provider::Cuda | Provider::TensorRt => nvml::memory(device),
        // Vulkan numbers GPUs in its own order; where there is only one, the first one that answers is the right one.
        Provider::WebGpu => nvml::memory(device).or_else(|| sysfs::memory(device)),
        Provider::Auto | Provider::Cpu | Provider::OpenVino => system::memory(),
    }
}

/// What is left alone of `free` bytes: other programs want some, and what is read now may be less in a moment.
pub fn reserve(free: u64) -> u64 {
    (free / 10).max(MIN_RESERVE).min(free / 2)
}

const MIN_RESERVE: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_memory() {
        let memory = memory(Provider::Cpu, 0);
        assert_eq!(memory.is_some(), cfg!(target_os = "linux"));
        let Some(memory) = memory else { return };
        assert!(memory.free > 0 && memory.free <= memory.total, "{memory:?}");
    }

    #[test]
    fn some_is_left_alone() {
        assert_eq!(reserve(100 << 30), 10 << 30);
        assert_eq!(reserve(1 << 30), 256 << 20);
        assert_eq!(reserve(300 << 20), 150 << 20);
    }
}

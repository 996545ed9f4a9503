//! A simulated device with limited memory, used by runs, open sessions and other programs.

use std::sync::Arc;

use super::Shared;

/// All amounts are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub total: u64,
    /// Memory of a run, given the pixels of its tensor.
    pub curve: fn(u64) -> u64,
    /// Memory of an open session, whether it runs or not.
    pub session: u64,
    pub used: u64,
    /// Peak memory of runs and sessions.
    pub peak: u64,
    /// Memory of other programs.
    pub others: u64,
}

impl Device {
    pub fn free(&self) -> u64 {
        self.total.saturating_sub(self.used + self.others)
    }
}

/// An allocation of device memory, released on drop.
pub(super) struct Taken {
    shared: Arc<Shared>,
    pub bytes: u64,
}

impl Taken {
    /// Allocates the `amount` for the device; nothing without a device. The error names the bytes requested and free.
    pub fn take(shared: &Arc<Shared>, amount: impl FnOnce(&Device) -> u64) -> Result<Self, String> {
        let mut state = shared.state.lock();
        let bytes = match &mut state.device {
            None => 0,
            Some(device) => {
                let (bytes, free) = (amount(device), device.free());
                if bytes > free {
                    return Err(format!("{bytes} bytes are wanted, {free} are free"));
                }
                device.used += bytes;
                device.peak = device.peak.max(device.used);
                bytes
            }
        };
        drop(state);
        Ok(Taken { shared: Arc::clone(shared), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shared.change(|state| {
            if let Some(device) = &mut state.device {
                device.used -= self.bytes;
            }
        });
    }
}

//! A device with a memory of some size, of which runs and open sessions take a part, and other programs may, too.

use std::sync::Arc;

use super::Shared;

/// Amounts are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub total: u64,
    /// What a run on a tensor of so many pixels takes.
    pub curve: fn(u64) -> u64,
    /// What an open session takes, whether it runs or not.
    pub session: u64,
    pub used: u64,
    /// The most that runs and sessions had together.
    pub peak: u64,
    /// What other programs have.
    pub others: u64,
}

impl Device {
    pub fn free(&self) -> u64 {
        self.total.saturating_sub(self.used + self.others)
    }
}

/// A part of the device's memory; given back when it is dropped.
pub(super) struct Taken {
    shared: Arc<Shared>,
    pub bytes: u64,
}

impl Taken {
    /// What `amount` says of the device; without a device nothing. An error's text tells of what was wanted and what is free.
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

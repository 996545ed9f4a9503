//! Encoded data.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A packet, and with it a share of what it holds.
pub struct Packet(NonNull<ffi::AVPacket>);

// SAFETY: a packet is used by one thread at a time; its data is shared by reference counting with atomics.
unsafe impl Send for Packet {}

impl Packet {
    pub fn new() -> Self {
        // SAFETY: it allocates, or returns null.
        let packet = unsafe { ffi::av_packet_alloc() };
        Packet(NonNull::new(packet).expect("FFmpeg has memory for a packet"))
    }

    pub fn as_mut_ptr(&mut self) -> *mut ffi::AVPacket {
        self.0.as_ptr()
    }

    pub fn as_ptr(&self) -> *const ffi::AVPacket {
        self.0.as_ptr()
    }

    pub fn bytes(&self) -> &[u8] {
        match usize::try_from(self.size) {
            // SAFETY: the packet holds so many bytes.
            Ok(size) if !self.data.is_null() => unsafe { std::slice::from_raw_parts(self.data, size) },
            _ => &[],
        }
    }

    /// A packet that holds a copy of `bytes`.
    pub fn copied(bytes: &[u8]) -> super::Result<Self> {
        let mut packet = Packet::new();
        let size = i32::try_from(bytes.len()).map_err(|_| super::Error::NO_MEMORY)?;
        // SAFETY: the packet is new; it gets room for so many bytes.
        unsafe {
            super::check(ffi::av_new_packet(packet.as_mut_ptr(), size))?;
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), (*packet.as_mut_ptr()).data, bytes.len());
        }
        Ok(packet)
    }

    pub fn rescale(&mut self, from: ffi::AVRational, to: ffi::AVRational) {
        // SAFETY: the packet is ours.
        unsafe { ffi::av_packet_rescale_ts(self.as_mut_ptr(), from, to) };
    }

    /// When it is shown, or else decoded.
    pub fn time(&self) -> Option<i64> {
        [self.pts, self.dts].into_iter().find(|time| *time != ffi::AV_NOPTS_VALUE)
    }
}

impl Deref for Packet {
    type Target = ffi::AVPacket;

    fn deref(&self) -> &ffi::AVPacket {
        // SAFETY: it lives as long as we do.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for Packet {
    fn deref_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: it lives as long as we do, and nobody else has it.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: it is ours.
        unsafe { ffi::av_packet_free(&mut packet) };
    }
}

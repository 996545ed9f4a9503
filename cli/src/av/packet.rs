//! Encoded data.

use super::{Rational, Result, check};

owned! {
    /// A packet: a reference to shared data.
    Packet, AVPacket, av_packet_free
}

impl Packet {
    pub fn new() -> Result<Self> {
        // SAFETY: it allocates, or returns null.
        Packet::own(unsafe { ffi::av_packet_alloc() })
    }

    pub fn bytes(&self) -> &[u8] {
        match usize::try_from(self.size) {
            // SAFETY: the packet holds so many bytes.
            Ok(size) if !self.data.is_null() => unsafe { std::slice::from_raw_parts(self.data, size) },
            _ => &[],
        }
    }

    /// A packet that holds a copy of `bytes`.
    pub fn copied(bytes: &[u8]) -> Result<Self> {
        let packet = Packet::new()?;
        let size = i32::try_from(bytes.len()).map_err(|_| super::Error::NO_MEMORY)?;
        // SAFETY: the packet is new; it gets room for so many bytes.
        unsafe {
            check(ffi::av_new_packet(packet.as_ptr(), size))?;
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), packet.data, bytes.len());
        }
        Ok(packet)
    }

    pub fn rescale(&mut self, from: Rational, to: Rational) {
        // SAFETY: the packet is ours.
        unsafe { ffi::av_packet_rescale_ts(self.as_ptr(), from, to) };
    }

    /// The presentation time, or else the decoding time.
    pub fn time(&self) -> Option<i64> {
        [self.pts, self.dts].into_iter().find(|time| *time != ffi::AV_NOPTS_VALUE)
    }
}

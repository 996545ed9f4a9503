//! The frames in memory that all measurements use.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gstupscale::picture::format::{PictureRef, PixelFormat};
use gstupscale::types::Size;

pub const FORMAT: PixelFormat = PixelFormat::I420;

/// Bytes of a tightly packed frame.
pub fn frame_bytes(size: Size) -> usize {
    (0..FORMAT.planes()).map(|plane| plane_bytes(plane, size)).sum()
}

fn plane_bytes(plane: usize, size: Size) -> usize {
    let (row_bytes, rows) = FORMAT.visible(plane, size);
    row_bytes * rows
}

/// The bytes of a frame as planes, with their strides.
pub fn planes(frame: &[u8], size: Size) -> Vec<(&[u8], usize)> {
    let mut rest = frame;
    (0..FORMAT.planes())
        .map(|plane| {
            let (bytes, tail) = rest.split_at(plane_bytes(plane, size));
            rest = tail;
            (bytes, FORMAT.visible(plane, size).0)
        })
        .collect()
}

/// Different frames, which are repeated.
pub struct Frames {
    pub size: Size,
    bytes: Vec<u8>,
}

impl Frames {
    pub fn read(path: &Path, size: Size) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        ensure!(!bytes.is_empty() && bytes.len().is_multiple_of(frame_bytes(size)), "{} is damaged", path.display());
        Ok(Frames { size, bytes })
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / frame_bytes(self.size)
    }

    /// The frame at position `index` of an endless stream.
    pub fn frame(&self, index: usize) -> &[u8] {
        let bytes = frame_bytes(self.size);
        &self.bytes[index % self.len() * bytes..][..bytes]
    }

    /// The same frame as a picture.
    pub fn picture(&self, index: usize) -> PictureRef<'_> {
        PictureRef::new(FORMAT, self.size, &planes(self.frame(index), self.size))
            .expect("the planes were cut for the format and size")
    }
}

/// Makes a frame different from all others of the stream, by a few pixels in its corner.
pub fn stamp(frame: &mut [u8], index: usize) {
    let number = (index as u64).to_le_bytes();
    frame[..number.len()].copy_from_slice(&number);
}

/// A moving synthetic picture with gradients, edges and grain: like a camera's, with all values everywhere.
pub fn drawn(index: usize, size: Size) -> Vec<u8> {
    let mut frame = Vec::with_capacity(frame_bytes(size));
    let mut grain = index as u32 * 2_654_435_761 + 1;
    for plane in 0..FORMAT.planes() {
        let (columns, rows) = FORMAT.visible(plane, size);
        for y in 0..rows {
            for x in 0..columns {
                // xorshift32 (Marsaglia 2003).
                grain ^= grain << 13;
                grain ^= grain >> 17;
                grain ^= grain << 5;
                let (u, v) = ((x + 3 * index) as f32 / columns as f32, y as f32 / rows as f32);
                let waves = (u * 37.0).sin() * (v * 23.0 + u * 5.0).cos() + (u * v * 140.0).sin();
                let edge = if (x + 3 * index) / 40 % 2 == y / 30 % 2 { 25.0 } else { -25.0 };
                frame.push((120.0 + 30.0 * waves + edge + (grain % 9) as f32) as u8);
            }
        }
    }
    frame
}

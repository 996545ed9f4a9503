//! The frames in memory, as all variants get them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gstupscale::picture::Size;
use gstupscale::picture::format::{PictureRef, PixelFormat};

pub const SIZE: Size = Size { width: 640, height: 360 };
pub const FORMAT: PixelFormat = PixelFormat::I420;

/// Bytes of a frame whose planes and rows follow each other.
pub fn frame_bytes() -> usize {
    (0..FORMAT.planes()).map(plane_bytes).sum()
}

fn plane_bytes(plane: usize) -> usize {
    let (row_bytes, rows) = FORMAT.visible(plane, SIZE);
    row_bytes * rows
}

/// Different frames, which are shown over and over again.
pub struct Frames(Vec<u8>);

impl Frames {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        ensure!(!bytes.is_empty() && bytes.len().is_multiple_of(frame_bytes()), "{} is damaged", path.display());
        Ok(Frames(bytes))
    }

    pub fn len(&self) -> usize {
        self.0.len() / frame_bytes()
    }

    /// The frame for place `index` of an endless stream.
    pub fn frame(&self, index: usize) -> &[u8] {
        &self.0[index % self.len() * frame_bytes()..][..frame_bytes()]
    }

    /// The same as a picture.
    pub fn picture(&self, index: usize) -> PictureRef<'_> {
        let mut rest = self.frame(index);
        let planes: Vec<_> = (0..FORMAT.planes())
            .map(|plane| {
                let (bytes, tail) = rest.split_at(plane_bytes(plane));
                rest = tail;
                (bytes, FORMAT.visible(plane, SIZE).0)
            })
            .collect();
        PictureRef::new(FORMAT, SIZE, &planes).expect("the planes were cut for the format and size")
    }
}

/// Makes a frame different from all others of the stream, by a few pixels in its corner.
pub fn stamp(frame: &mut [u8], index: usize) {
    let number = (index as u64).to_le_bytes();
    frame[..number.len()].copy_from_slice(&number);
}

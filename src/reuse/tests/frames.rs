//! Pictures for the tests.

use super::Chance;
use crate::picture::format::{PictureRef, PixelFormat};
use crate::types::Size;

/// A picture with random bytes between its rows.
#[derive(Clone)]
pub(super) struct Frame {
    pub format: PixelFormat,
    pub size: Size,
    /// Bytes and stride of each plane.
    pub planes: Vec<(Vec<u8>, usize)>,
}

impl Frame {
    pub fn new(format: PixelFormat, size: Size, padding: usize, chance: &mut Chance) -> Self {
        let plane = |plane| {
            let (row_bytes, rows) = format.visible(plane, size);
            let stride = row_bytes + padding;
            ((0..stride * rows).map(|_| chance.below(256) as u8).collect(), stride)
        };
        let mut frame = Frame { format, size, planes: (0..format.planes()).map(plane).collect() };
        for plane in 0..format.planes() {
            // Clears the bits below the sample.
            frame.samples(plane).for_each(|(x, y)| frame.put(plane, x, y, frame.get(plane, x, y)));
        }
        frame
    }

    /// A picture with all samples equal to `code`, at the format's depth.
    pub fn flat(format: PixelFormat, size: Size, code: u32) -> Self {
        let mut frame = Frame::new(format, size, 3, &mut Chance(1));
        for plane in 0..format.planes() {
            for (x, y) in frame.samples(plane) {
                frame.put(plane, x, y, code);
            }
        }
        frame
    }

    /// The same pixels with other padding.
    pub fn padded_anew(&self, padding: usize, chance: &mut Chance) -> Self {
        let mut frame = Frame::new(self.format, self.size, padding, chance);
        for (plane, (bytes, stride)) in frame.planes.iter_mut().enumerate() {
            let (row_bytes, rows) = self.format.visible(plane, self.size);
            for y in 0..rows {
                bytes[y * *stride..][..row_bytes].copy_from_slice(self.picture().row(plane, y));
            }
        }
        frame
    }

    pub fn picture(&self) -> PictureRef<'_> {
        let planes: Vec<_> = self.planes.iter().map(|(bytes, stride)| (&bytes[..], *stride)).collect();
        PictureRef::new(self.format, self.size, &planes).unwrap()
    }

    /// The positions of a plane's samples; the components of a pixel count as columns.
    pub fn samples(&self, plane: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (row_bytes, rows) = self.format.visible(plane, self.size);
        let columns = row_bytes / self.format.layout().bytes;
        (0..rows).flat_map(move |y| (0..columns).map(move |x| (x, y)))
    }

    pub fn get(&self, plane: usize, x: usize, y: usize) -> u32 {
        let layout = self.format.layout();
        let bytes = &self.picture().row(plane, y)[x * layout.bytes..][..layout.bytes];
        bytes.iter().rev().fold(0, |sample, byte| sample << 8 | u32::from(*byte)) >> layout.shift
    }

    pub fn put(&mut self, plane: usize, x: usize, y: usize, code: u32) {
        let layout = self.format.layout();
        let (bytes, stride) = &mut self.planes[plane];
        let sample = (code << layout.shift).to_le_bytes();
        bytes[y * *stride + x * layout.bytes..][..layout.bytes].copy_from_slice(&sample[..layout.bytes]);
    }
}

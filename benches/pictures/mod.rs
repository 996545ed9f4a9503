//! Pictures for the benches.

use gstupscale::picture::format::PixelFormat;
use gstupscale::types::Size;

pub const FORMAT: PixelFormat = PixelFormat::I420;
/// Bytes after each row of the padded pictures, like the border that decoders keep for motion vectors.
pub const PADDING: usize = 64;

/// The planes of a picture and their strides.
pub fn planes(size: Size, padding: usize) -> Vec<(Vec<u8>, usize)> {
    let plane = |plane| {
        let (row_bytes, rows) = FORMAT.visible(plane, size);
        let stride = row_bytes + padding;
        ((0..stride * rows).map(|at| (at * 37 % 251) as u8).collect(), stride)
    };
    (0..FORMAT.planes()).map(plane).collect()
}

//! Conversion between pixels and tensors.

use super::colour::Levels;
use super::format::{Colour, Kind, Layout, PictureMut, PictureRef, PixelFormat};
use super::matrix::Coefficients;
use super::region::Region;
use crate::types::Channels;
use crate::types::Size;

/// Buffers that a worker reuses from frame to frame.
///
/// For RGB formats and a luma model they also hold the current frame's chroma: between
/// [`Converter::resize_passthrough_planes`] and the last [`Converter::from_tensor`] of a frame, do not use them for
/// another frame.
#[derive(Default)]
pub struct Scratch {
    /// Planes to resize.
    pub(super) planes: [Vec<f32>; 2],
    /// Rows of the components of parts that are resized instead of upscaled.
    pub(super) smooth: [Vec<f32>; 3],
    /// Buffer of [`Axes::resize_row`](super::lanczos::Axes::resize_row).
    pub(super) resized: Vec<f32>,
    /// Cb and Cr of a whole RGB picture at output size.
    pub(super) chroma: [Vec<f32>; 2],
    /// Rows of normalised values.
    pub(super) rows: Vec<f32>,
}

/// Everything that is constant for a stream of frames of one format and size. Immutable; shared by the workers.
///
/// Call [`resize_passthrough_planes`](Self::resize_passthrough_planes) once per frame; then, for each region,
/// [`to_tensor`](Self::to_tensor), the network and [`from_tensor`](Self::from_tensor). The kept pixels do not depend on
/// the division into regions, provided that the network's result for them does not and that each region reads
/// [`halo`](Self::halo) pixels more than the network needs.
///
/// Values are normalised by the colour range: 0 is black, 1 is white; input samples outside the range are not clipped.
/// Output values are rounded to the nearest sample value and clamped to 0 to 2^depth - 1; NaN becomes 0.
///
/// All methods panic if a picture does not have the converter's format and size, or if a region is not within the
/// frame.
#[derive(Clone, Debug)]
pub struct Converter {
    pub(super) format: PixelFormat,
    pub(super) layout: Layout,
    pub(super) colour: Colour,
    pub(super) input: Size,
    pub(super) output: Size,
    pub(super) channels: Channels,
    pub(super) scale: u32,
    pub(super) matrix: Coefficients,
    pub(super) luma: Levels,
    pub(super) chroma: Levels,
}

impl Converter {
    /// A converter for pictures of `input` pixels and results `scale` times as wide and high, in the same format. The
    /// network processes `channels`.
    ///
    /// For RGB formats, `colour.matrix` defines luma. A scale of 0 is treated as 1.
    pub fn new(format: PixelFormat, colour: Colour, input: Size, channels: Channels, scale: u32) -> Self {
        let layout = format.layout();
        let scale = scale.max(1);
        Self {
            format,
            layout,
            colour,
            input,
            output: Size { width: input.width.saturating_mul(scale), height: input.height.saturating_mul(scale) },
            channels,
            scale,
            matrix: Coefficients::new(colour.matrix),
            luma: Levels::luma(colour.range, layout.depth),
            chroma: Levels::chroma(colour.range, layout.depth),
        }
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The ratio of output size to input size.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The network's channels.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The output size in pixels.
    pub fn output_size(&self) -> Size {
        self.output
    }

    /// How many input pixels beyond the network's receptive field radius a region must read to give the same result as
    /// the whole frame: 1 if the result's chroma is subsampled, otherwise 0.
    pub fn halo(&self) -> u32 {
        let subsampled = self.layout.kind == Kind::Yuv && (self.layout.h_sub || self.layout.v_sub);
        u32::from(self.channels == Channels::Rgb && subsampled)
    }

    pub(super) fn check_source(&self, src: &PictureRef) {
        assert!(src.format() == self.format && src.size() == self.input, "the source is not of the converter's kind");
    }

    pub(super) fn check_result(&self, dst: &PictureMut) {
        assert!(dst.format() == self.format && dst.size() == self.output, "the result is not of the converter's kind");
    }

    pub(super) fn check_region(&self, region: &Region) {
        let Region { keep, read, tensor, .. } = region;
        let within = |start: u32, length: u32, limit: u32| length > 0 && start <= limit && length <= limit - start;
        assert!(
            within(read.x, read.width, self.input.width) && within(read.y, read.height, self.input.height),
            "{region:?} is not within the frame of {:?}",
            self.input
        );
        assert!(
            keep.x >= read.x
                && keep.y >= read.y
                && within(keep.x - read.x, keep.width, read.width)
                && within(keep.y - read.y, keep.height, read.height)
                && tensor.width >= read.width
                && tensor.height >= read.height,
            "{region:?} keeps more than it reads, or reads more than the tensor holds"
        );
    }
}

/// Splits the start of `buffer` into `N` rows of `length` values. The buffer grows as needed and keeps its memory.
pub(super) fn rows<const N: usize>(buffer: &mut Vec<f32>, length: usize) -> [&mut [f32]; N] {
    if buffer.len() < N * length {
        buffer.resize(N * length, 0.0);
    }
    let mut rest = buffer.as_mut_slice();
    std::array::from_fn(|_| {
        let (row, tail) = std::mem::take(&mut rest).split_at_mut(length);
        rest = tail;
        row
    })
}

//! Pixels to tensors and back.

use super::colour::Levels;
use super::format::{Colour, Kind, Layout, PictureMut, PictureRef, PixelFormat};
use super::matrix::Coefficients;
use super::region::Region;
use crate::types::Channels;
use crate::types::Size;

/// Buffers one worker keeps from frame to frame.
///
/// For RGB formats and a luma model they also hold the chroma of the frame in work: between [`Converter::resize_passthrough_planes`] and the
/// last [`Converter::from_tensor`] of a frame they serve no other frame.
#[derive(Default)]
pub struct Scratch {
    /// Planes that are resized.
    pub(super) planes: [Vec<f32>; 2],
    /// What [`Axes::resize_row`](super::lanczos::Axes::resize_row) works in.
    pub(super) resized: Vec<f32>,
    /// Cb and Cr of a whole RGB picture at output size.
    pub(super) chroma: [Vec<f32>; 2],
    /// Some rows of normalised values.
    pub(super) rows: Vec<f32>,
}

/// All that is fixed for a stream of frames of one format and size. Immutable; shared by the workers.
///
/// A frame goes [`passthrough_planes`](Self::resize_passthrough_planes) once, then for each of its regions [`to_tensor`](Self::to_tensor), the network,
/// [`from_tensor`](Self::from_tensor). Whatever the regions, the kept pixels come out the same as long as the network's result for
/// them does and the region reads [`halo`](Self::halo) pixels more than that takes.
///
/// Values are normalised by the colour's range: 0 is black, 1 is white, and codes beyond lie beyond (nothing is clipped on
/// the way in). On the way back values are rounded to the nearest code and clamped to 0 to 2^depth - 1; NaN is code 0.
///
/// All methods panic if a picture is not of the converter's format and size, or a region not within the frame.
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
    /// A converter of pictures of `input` pixels to pictures `scale` times as wide and as high, of the same format, by way
    /// of a network of `channels`.
    ///
    /// For RGB formats `colour.matrix` says what luma is. A scale of 0 is taken for 1.
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

    /// Output size over input size.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// What the network's channels mean.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The output's size in pixels.
    pub fn output_size(&self) -> Size {
        self.output
    }

    /// How many input pixels beyond the network's receptive radius a region must read for its result to be that of the
    /// whole frame: 1 where the result's chroma is subsampled again, else 0.
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

/// `N` rows of `length` values out of a buffer that grows as needed and stays.
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

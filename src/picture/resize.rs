//! Lanczos resizing of planes that the network has no say in, in step with the luma that it enlarges.

use fast_image_resize::images::{TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U16, U16x2};
use fast_image_resize::{FilterType, ImageViewMut, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// One direction of a plane on its way from input to output size.
///
/// Luma pixel `i` has its centre at `i + 1/2` input pixels, pixel `I` of the network's output at `(I + 1/2) / s`. Chroma
/// sample `k` in the middle of two pixels lies at `2 k + 1`, so that sample `K` of the output belongs to
/// `k = (K + 1/2) / s - 1/2`: what any resizing to `s` times the size does. A cosited one lies at `2 k + 1/2`, and `K` belongs
/// to `k = (K + 1/4) / s - 1/4`, which is `(1 - 1/s) / 4` more.
///
/// The scale stays exactly `s` for odd sizes, too, where the subsampled plane does not grow by exactly that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// Samples of the source and of the result.
    pub source: usize,
    pub result: usize,
    /// Where in the source the result begins, and how much of it it shows.
    start: f64,
    length: f64,
    /// Samples of the source with repetitions of its last one, so that it covers `start + length`.
    pub padded: usize,
}

impl Axis {
    /// For a frame of `pixels` in this direction; `subsampled` and `cosited` as in the frame's format and colour.
    pub fn new(pixels: u32, scale: u32, subsampled: bool, cosited: bool) -> Self {
        let samples = |pixels: usize| if subsampled { pixels.div_ceil(2) } else { pixels };
        let source = samples(pixels as usize);
        let result = samples(pixels as usize * scale as usize);
        let scale = f64::from(scale);
        let start = if subsampled && cosited { (1.0 - 1.0 / scale) / 4.0 } else { 0.0 };
        let length = result as f64 / scale;
        let padded = source.max((start + length).ceil() as usize);
        Self { source, result, start, length, padded }
    }

    /// Whether the result is the source.
    pub fn is_identity(&self) -> bool {
        self.source == self.result && self.start == 0.0
    }
}

/// Both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axes {
    pub x: Axis,
    pub y: Axis,
}

/// A plane before and after, kept from frame to frame.
pub(super) struct Buffers<P> {
    pub source: Vec<P>,
    pub result: Vec<P>,
}

impl<P> Default for Buffers<P> {
    fn default() -> Self {
        Self { source: Vec::new(), result: Vec::new() }
    }
}

/// A sample that is read from and written to the bytes of a plane.
pub(super) trait Sample: PixelTrait {
    /// Reads a sample, shifted down by `shift`.
    fn read(bytes: &[u8], shift: u32) -> Self;
    /// Writes a sample, clamped to `max`, then shifted up by `shift`.
    fn write(self, bytes: &mut [u8], shift: u32, max: u16);
}

/// Two samples, of Cb and Cr, which are resized together whether or not they share a plane: that takes less time than
/// one after the other.
pub(super) trait Pair: PixelTrait {
    type Sample: Sample;
    fn join(first: Self::Sample, second: Self::Sample) -> Self;
    fn split(self) -> (Self::Sample, Self::Sample);
}

impl Sample for U8 {
    #[inline(always)]
    fn read(bytes: &[u8], _: u32) -> Self {
        U8::new(bytes[0])
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8], _: u32, _: u16) {
        bytes[0] = self.0;
    }
}

impl Sample for U16 {
    #[inline(always)]
    fn read(bytes: &[u8], shift: u32) -> Self {
        U16::new(u16::from_le_bytes([bytes[0], bytes[1]]) >> shift)
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8], shift: u32, max: u16) {
        bytes[..2].copy_from_slice(&(self.0.min(max) << shift).to_le_bytes());
    }
}

impl Pair for U8x2 {
    type Sample = U8;
    #[inline(always)]
    fn join(first: U8, second: U8) -> Self {
        U8x2::new([first.0, second.0])
    }
    #[inline(always)]
    fn split(self) -> (U8, U8) {
        (U8::new(self.0[0]), U8::new(self.0[1]))
    }
}

impl Pair for U16x2 {
    type Sample = U16;
    #[inline(always)]
    fn join(first: U16, second: U16) -> Self {
        U16x2::new([first.0, second.0])
    }
    #[inline(always)]
    fn split(self) -> (U16, U16) {
        (U16::new(self.0[0]), U16::new(self.0[1]))
    }
}

/// Reads a row of pairs that share their plane.
#[inline(always)]
pub(super) fn read_pairs<P: Pair>(bytes: &[u8], shift: u32, row: &mut [P]) {
    let half = P::size() / 2;
    for (pair, bytes) in row.iter_mut().zip(bytes.chunks_exact(P::size())) {
        *pair = P::join(P::Sample::read(bytes, shift), P::Sample::read(&bytes[half..], shift));
    }
}

/// Reads a row of pairs from two planes.
#[inline(always)]
pub(super) fn join_pairs<P: Pair>(first: &[u8], second: &[u8], row: &mut [P]) {
    let half = P::size() / 2;
    let bytes = first.chunks_exact(half).zip(second.chunks_exact(half));
    for (pair, (first, second)) in row.iter_mut().zip(bytes) {
        *pair = P::join(P::Sample::read(first, 0), P::Sample::read(second, 0));
    }
}

/// Writes a row of pairs that share their plane.
#[inline(always)]
pub(super) fn write_pairs<P: Pair>(row: &[P], shift: u32, max: u16, bytes: &mut [u8]) {
    let half = P::size() / 2;
    for (pair, bytes) in row.iter().zip(bytes.chunks_exact_mut(P::size())) {
        let (first, second) = pair.split();
        first.write(bytes, shift, max);
        second.write(&mut bytes[half..], shift, max);
    }
}

/// Writes the first (`index` 0) or the second samples of a row of pairs to a plane of their own.
#[inline(always)]
pub(super) fn split_pairs<P: Pair>(row: &[P], index: usize, max: u16, bytes: &mut [u8]) {
    for (pair, bytes) in row.iter().zip(bytes.chunks_exact_mut(P::size() / 2)) {
        let (first, second) = pair.split();
        if index == 0 { first } else { second }.write(bytes, 0, max);
    }
}

/// Fills `buffers.source` row by row, `fill` being given the row's number and its samples, then repeats the last column
/// and row as often as `axes` ask for.
pub(super) fn fill_source<P: PixelTrait>(buffers: &mut Buffers<P>, axes: Axes, mut fill: impl FnMut(usize, &mut [P])) {
    let (columns, width) = (axes.x.source, axes.x.padded);
    buffers.source.resize(width * axes.y.padded, P::default());
    for (y, row) in buffers.source.chunks_exact_mut(width).take(axes.y.source).enumerate() {
        fill(y, &mut row[..columns]);
        let last = row[columns - 1];
        row[columns..].fill(last);
    }
    let last = (axes.y.source - 1) * width;
    for y in axes.y.source..axes.y.padded {
        buffers.source.copy_within(last..last + width, y * width);
    }
}

/// Resizes `source`, as [`fill_source`] left it, to `result`.
pub(super) fn lanczos<P: PixelTrait>(
    resizer: &mut Resizer,
    axes: Axes,
    source: &[P],
    result: &mut impl ImageViewMut<Pixel = P>,
) {
    let (x, y) = (axes.x, axes.y);
    let source = TypedImageRef::new(x.padded as u32, y.padded as u32, source)
        .expect("the source was made for the size it is said to have");
    // Two samples are two chroma components here, never luma and alpha.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(x.start, y.start, x.length, y.length)
        .use_alpha(false);
    resizer.resize_typed(&source, result, &options).expect("the source is padded to what is shown of it");
}

/// Resizes `buffers.source` to `buffers.result`, which holds `axes.x.result` by `axes.y.result` samples then.
pub(super) fn resize_to_buffer<P: PixelTrait>(resizer: &mut Resizer, axes: Axes, buffers: &mut Buffers<P>) {
    buffers.result.resize(axes.x.result * axes.y.result, P::default());
    let (width, height) = (axes.x.result as u32, axes.y.result as u32);
    let mut result = TypedImage::from_pixels_slice(width, height, &mut buffers.result)
        .expect("the result was made for the size it is said to have");
    lanczos(resizer, axes, &buffers.source, &mut result);
}

/// Resizes `source` straight into a plane of bytes, if its stride allows for that; says whether it did.
pub(super) fn resize_to_plane<P: PixelTrait>(
    resizer: &mut Resizer,
    axes: Axes,
    source: &[P],
    (bytes, stride): (&mut [u8], usize),
) -> bool {
    let (width, height) = (axes.x.result, axes.y.result);
    if stride % P::size() != 0 || stride / P::size() < width || bytes.len() < stride.saturating_mul(height) {
        return false;
    }
    let Ok(columns) = u32::try_from(stride / P::size()) else { return false };
    let Ok(plane) = TypedImage::<P>::from_buffer(columns, height as u32, bytes) else { return false };
    let Ok(mut visible) = TypedCroppedImageMut::new(plane, 0, 0, width as u32, height as u32) else { return false };
    lanczos(resizer, axes, source, &mut visible);
    true
}

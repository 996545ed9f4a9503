//! Lanczos resizing of planes that the network has no say in, in step with the luma that it enlarges.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::{FilterType, ImageView, ImageViewMut, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

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

    /// Where the result begins in the source, and how much of it it shows.
    pub fn crop(&self) -> (f64, f64) {
        (self.start, self.length)
    }

    /// All of the padded source, `samples` being taken for columns of their own.
    pub fn whole(&self, samples: usize) -> (f64, f64) {
        (0.0, (self.padded * samples) as f64)
    }

    /// Whether the result is the source.
    fn is_identity(&self) -> bool {
        self.source == self.result && self.start == 0.0
    }
}

/// Both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axes {
    pub x: Axis,
    pub y: Axis,
}

impl Axes {
    /// Whether the result is the source.
    pub fn is_identity(&self) -> bool {
        self.x.is_identity() && self.y.is_identity()
    }
}

/// The part of a source to be resized: for each direction its begin and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crop {
    pub x: (f64, f64),
    pub y: (f64, f64),
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

/// Resizes `crop` of `source` to `result`.
pub(super) fn lanczos<P: PixelTrait>(
    resizer: &mut Resizer,
    crop: Crop,
    source: &impl ImageView<Pixel = P>,
    result: &mut impl ImageViewMut<Pixel = P>,
) {
    // Two samples are two chroma components here, never luma and alpha.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(crop.x.0, crop.y.0, crop.x.1, crop.y.1)
        .use_alpha(false);
    resizer.resize_typed(source, result, &options).expect("the source is padded to what is shown of it");
}

/// Resizes `buffers.source`, as [`fill_source`] left it, to `buffers.result`, which holds `axes.x.result` by
/// `axes.y.result` samples then.
pub(super) fn resize<P: PixelTrait>(resizer: &mut Resizer, axes: Axes, buffers: &mut Buffers<P>) {
    buffers.result.resize(axes.x.result * axes.y.result, P::default());
    let source = TypedImageRef::new(axes.x.padded as u32, axes.y.padded as u32, &buffers.source)
        .expect("the source was made for the size it is said to have");
    let mut result = TypedImage::from_pixels_slice(axes.x.result as u32, axes.y.result as u32, &mut buffers.result)
        .expect("the result was made for the size it is said to have");
    lanczos(resizer, Crop { x: axes.x.crop(), y: axes.y.crop() }, &source, &mut result);
}

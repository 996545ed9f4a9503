//! Lanczos resizing of 8-bit planes in two passes of the library's that suit its vector code.
//!
//! A row of a plane with one or two samples a pixel takes the library several times as long to widen as four such samples
//! side by side, while for the other direction it does not matter what the bytes of a row are. So rows go the first way
//! as plain bytes, and then the second way four samples abreast: four rows of one, or two rows of two. The result is to
//! the byte that of the library's own two passes, which round to 8 bits between them, too.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x4};
use fast_image_resize::{PixelTrait, Resizer};

use super::resize::{Axes, Crop, lanczos};
use super::samples::simd;

/// Buffers for it, kept from frame to frame. After [`Lanes::resize`] they hold the result.
#[derive(Default)]
pub(super) struct Lanes {
    /// The plane at the result's height.
    tall: Vec<u8>,
    /// The same, several rows side by side.
    quads: Vec<U8x4>,
    /// That at the result's width.
    wide: Vec<U8x4>,
    /// Pixels in a row of the result.
    width: usize,
    /// Samples of a pixel.
    samples: usize,
}

impl Lanes {
    /// Resizes `source`, of `axes.x.padded` by `axes.y.padded` pixels of one or two samples.
    pub fn resize<P: PixelTrait<Component = u8>>(&mut self, resizer: &mut Resizer, axes: Axes, source: &[P]) {
        self.samples = P::count_of_components();
        self.width = axes.x.result;
        let (row_bytes, rows) = (axes.x.padded * self.samples, axes.y.result);
        self.tall.resize(row_bytes * rows, 0);
        let source = TypedImageRef::<U8>::from_buffer(row_bytes as u32, axes.y.padded as u32, P::components(source))
            .expect("the source was made for the size it is said to have");
        let mut tall = TypedImage::<U8>::from_buffer(row_bytes as u32, rows as u32, &mut self.tall)
            .expect("the buffer was made for the size it is said to have");
        lanczos(resizer, Crop { x: axes.x.whole(self.samples), y: axes.y.crop() }, &source, &mut tall);

        let quad_rows = rows.div_ceil(4 / self.samples);
        self.pack(row_bytes, quad_rows);
        self.wide.resize(self.width * quad_rows, U8x4::default());
        let quads = TypedImageRef::new(axes.x.padded as u32, quad_rows as u32, &self.quads)
            .expect("the buffer was made for the size it is said to have");
        let mut wide = TypedImage::from_pixels_slice(self.width as u32, quad_rows as u32, &mut self.wide)
            .expect("the buffer was made for the size it is said to have");
        lanczos(resizer, Crop { x: axes.x.crop(), y: (0.0, quad_rows as f64) }, &quads, &mut wide);
    }

    /// Puts several rows of `tall` side by side. At the end the last row is repeated.
    fn pack(&mut self, row_bytes: usize, quad_rows: usize) {
        let columns = row_bytes / self.samples;
        self.quads.resize(columns * quad_rows, U8x4::default());
        let abreast = 4 / self.samples;
        let last = self.tall.len() / row_bytes - 1;
        for (y, quads) in self.quads.chunks_exact_mut(columns).enumerate() {
            let row = |lane: usize| &self.tall[(y * abreast + lane).min(last) * row_bytes..][..row_bytes];
            simd(
                #[inline(always)]
                || {
                    if abreast == 2 {
                        let pairs = row(0).chunks_exact(2).zip(row(1).chunks_exact(2));
                        for (quad, (first, second)) in quads.iter_mut().zip(pairs) {
                            *quad = U8x4::new([first[0], first[1], second[0], second[1]]);
                        }
                    } else {
                        let samples = row(0).iter().zip(row(1)).zip(row(2)).zip(row(3));
                        for (quad, (((&a, &b), &c), &d)) in quads.iter_mut().zip(samples) {
                            *quad = U8x4::new([a, b, c, d]);
                        }
                    }
                },
            );
        }
    }

    /// Row `y` of the result, in quads, and the bit of a quad at which it stands.
    fn row(&self, y: usize) -> (&[U8x4], u32) {
        let abreast = 4 / self.samples;
        let quads = &self.wide[y / abreast * self.width..][..self.width];
        (quads, (y % abreast * self.samples * 8) as u32)
    }

    /// Writes a sample of each pixel of row `y` to every `step`th byte.
    pub fn write_sample(&self, y: usize, sample: usize, bytes: &mut [u8], step: usize) {
        let (quads, shift) = self.row(y);
        let shift = shift + 8 * sample as u32;
        if step > 1 {
            for (byte, quad) in bytes.iter_mut().step_by(step).zip(quads) {
                *byte = (u32::from_le_bytes(quad.0) >> shift) as u8;
            }
            return;
        }
        simd(
            #[inline(always)]
            || {
                for (byte, quad) in bytes.iter_mut().zip(quads) {
                    *byte = (u32::from_le_bytes(quad.0) >> shift) as u8;
                }
            },
        );
    }

    /// Writes both samples of each pixel of row `y`.
    pub fn write_pairs(&self, y: usize, bytes: &mut [u8]) {
        let (quads, shift) = self.row(y);
        simd(
            #[inline(always)]
            || {
                for (bytes, quad) in bytes.chunks_exact_mut(2).zip(quads) {
                    bytes.copy_from_slice(&((u32::from_le_bytes(quad.0) >> shift) as u16).to_le_bytes());
                }
            },
        );
    }
}

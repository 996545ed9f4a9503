//! The part of the output that the network has no say in: chroma beside a luma model, and alpha.

use fast_image_resize::Resizer;
use fast_image_resize::pixels::F32x2;

use super::convert::{Converter, Scratch, rows};
use super::format::{Component, Kind, PictureMut, PictureRef};
use super::resize::{Axes, Axis, Buffers, Pair, Sample, fill_source, resize_to_buffer, resize_to_plane};
use super::resize::{join_pairs, read_pairs, split_pairs, write_pairs};
use super::samples::{self, simd};
use crate::model::Channels;

impl Converter {
    /// Makes all of the output that the network has no say in: chroma (beside a luma model) and alpha, resized by Lanczos.
    ///
    /// Call it once for a frame, before [`Converter::scatter`] and with the same `scratch`.
    pub fn begin(&self, src: &PictureRef, dst: &mut PictureMut, scratch: &mut Scratch) {
        self.check_source(src);
        self.check_result(dst);
        match (self.channels, self.layout.kind) {
            (Channels::Luma, Kind::Yuv) => self.resize_chroma(src, dst, scratch),
            (Channels::Luma, Kind::Rgb) => self.split_chroma(src, scratch),
            (Channels::Luma, Kind::Gray) | (Channels::Rgb, _) => {}
        }
        if let Some(alpha) = self.layout.alpha {
            if self.layout.bytes == 1 {
                self.resize_alpha(src, dst, alpha, &mut scratch.resizer, &mut scratch.u8);
            } else {
                self.resize_alpha(src, dst, alpha, &mut scratch.resizer, &mut scratch.u16);
            }
        }
    }

    /// Axes of a plane that has a sample for each pixel.
    fn full_axes(&self) -> Axes {
        Axes {
            x: Axis::new(self.input.width, self.scale, false, false),
            y: Axis::new(self.input.height, self.scale, false, false),
        }
    }

    fn chroma_axes(&self) -> Axes {
        let site = self.colour.chroma_site;
        Axes {
            x: Axis::new(self.input.width, self.scale, self.layout.h_sub, site.h_cosited),
            y: Axis::new(self.input.height, self.scale, self.layout.v_sub, site.v_cosited),
        }
    }

    fn resize_chroma(&self, src: &PictureRef, dst: &mut PictureMut, scratch: &mut Scratch) {
        let axes = self.chroma_axes();
        if axes.x.is_identity() && axes.y.is_identity() {
            for plane in 1..self.layout.planes {
                for y in 0..axes.y.source {
                    dst.row_mut(plane, y).copy_from_slice(src.row(plane, y));
                }
            }
        } else if self.layout.bytes == 1 {
            self.resize_pairs(src, dst, axes, &mut scratch.resizer, &mut scratch.u8x2);
        } else {
            self.resize_pairs(src, dst, axes, &mut scratch.resizer, &mut scratch.u16x2);
        }
    }

    fn resize_pairs<P: Pair>(
        &self,
        src: &PictureRef,
        dst: &mut PictureMut,
        axes: Axes,
        resizer: &mut Resizer,
        buffers: &mut Buffers<P>,
    ) {
        let (shift, max) = (self.layout.shift, self.layout.max_code() as u16);
        let shared = self.layout.planes == 2;
        fill_source(buffers, axes, |y, row| {
            simd(
                #[inline(always)]
                || match shared {
                    true => read_pairs(src.row(1, y), shift, row),
                    false => join_pairs(src.row(1, y), src.row(2, y), row),
                },
            );
        });
        // Codes of fewer bits than their bytes have must be clamped, which needs the detour.
        let direct = shared && P::components_is_u8();
        if direct && resize_to_plane(resizer, axes, &buffers.source, dst.plane_mut(1)) {
            return;
        }
        resize_to_buffer(resizer, axes, buffers);
        for (y, row) in buffers.result.chunks_exact(axes.x.result).enumerate() {
            if shared {
                let bytes = dst.row_mut(1, y);
                simd(
                    #[inline(always)]
                    || write_pairs(row, shift, max, bytes),
                );
                continue;
            }
            for index in [0, 1] {
                let bytes = dst.row_mut(1 + index, y);
                simd(
                    #[inline(always)]
                    || split_pairs(row, index, max, bytes),
                );
            }
        }
    }

    fn resize_alpha<P: Sample>(
        &self,
        src: &PictureRef,
        dst: &mut PictureMut,
        alpha: Component,
        resizer: &mut Resizer,
        buffers: &mut Buffers<P>,
    ) {
        let axes = self.full_axes();
        let Component { plane, offset, step } = alpha;
        fill_source(buffers, axes, |y, row| {
            for (sample, bytes) in row.iter_mut().zip(src.row(plane, y).chunks_exact(step)) {
                *sample = P::read(&bytes[offset..], 0);
            }
        });
        let max = self.layout.max_code() as u16;
        let first = buffers.source[0];
        // Nearly all pictures with alpha are opaque.
        if buffers.source.iter().all(|&pixel| pixel == first) {
            for y in 0..axes.y.result {
                for bytes in dst.row_mut(plane, y).chunks_exact_mut(step) {
                    first.write(&mut bytes[offset..], 0, max);
                }
            }
            return;
        }
        let result = if axes.x.is_identity() && axes.y.is_identity() {
            &buffers.source
        } else {
            resize_to_buffer(resizer, axes, buffers);
            &buffers.result
        };
        for (y, row) in result.chunks_exact(axes.x.result).enumerate() {
            for (pixel, bytes) in row.iter().zip(dst.row_mut(plane, y).chunks_exact_mut(step)) {
                pixel.write(&mut bytes[offset..], 0, max);
            }
        }
    }

    /// Cb and Cr of an RGB picture at output size, as `f32`, into `scratch.chroma.result`.
    fn split_chroma(&self, src: &PictureRef, scratch: &mut Scratch) {
        let axes = self.full_axes();
        let [r, g, b, cb, cr] = rows::<5>(&mut scratch.rows, axes.x.source);
        fill_source(&mut scratch.chroma, axes, |y, row: &mut [F32x2]| {
            samples::load_rgb(&self.layout, self.luma, |plane| src.row(plane, y), r, g, b);
            self.matrix.chroma([r, g, b], cb, cr);
            for (pair, (&cb, &cr)) in row.iter_mut().zip(cb.iter().zip(cr.iter())) {
                *pair = F32x2::new([cb, cr]);
            }
        });
        if axes.x.is_identity() && axes.y.is_identity() {
            std::mem::swap(&mut scratch.chroma.source, &mut scratch.chroma.result);
        } else {
            resize_to_buffer(&mut scratch.resizer, axes, &mut scratch.chroma);
        }
    }
}

//! The part of the output that the network has no say in: chroma beside a luma model, and alpha.

use fast_image_resize::pixels::{F32x2, U8, U8x2, U16, U16x2};

use super::convert::{Converter, Scratch, rows};
use super::format::{Component, Kind, PictureMut, PictureRef};
use super::resize::{Axes, Axis, fill_source, resize};
use super::samples::{self, simd};
use crate::types::Channels;

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
                self.resize_alpha_8(src, dst, alpha, scratch);
            } else {
                self.resize_alpha_16(src, dst, alpha, scratch);
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
        if axes.is_identity() {
            for plane in 1..self.layout.planes {
                for y in 0..axes.y.source {
                    dst.row_mut(plane, y).copy_from_slice(src.row(plane, y));
                }
            }
        } else if self.layout.bytes == 1 {
            self.resize_chroma_8(src, dst, axes, scratch);
        } else {
            self.resize_chroma_16(src, dst, axes, scratch);
        }
    }

    /// Both components together, whether or not they share a plane: that takes less time than one after the other.
    fn resize_chroma_8(&self, src: &PictureRef, dst: &mut PictureMut, axes: Axes, scratch: &mut Scratch) {
        let shared = self.layout.planes == 2;
        fill_source(&mut scratch.u8x2, axes, |y, row| {
            let (first, second) = (src.row(1, y), if shared { &[] } else { src.row(2, y) });
            simd(
                #[inline(always)]
                || {
                    if shared {
                        for (pair, bytes) in row.iter_mut().zip(first.chunks_exact(2)) {
                            *pair = U8x2::new([bytes[0], bytes[1]]);
                        }
                    } else {
                        for (pair, (&first, &second)) in row.iter_mut().zip(first.iter().zip(second)) {
                            *pair = U8x2::new([first, second]);
                        }
                    }
                },
            );
        });
        scratch.lanes.resize(&mut scratch.resizer, axes, &scratch.u8x2.source);
        for y in 0..axes.y.result {
            if shared {
                scratch.lanes.write_pairs(y, dst.row_mut(1, y));
            } else {
                scratch.lanes.write_sample(y, 0, dst.row_mut(1, y), 1);
                scratch.lanes.write_sample(y, 1, dst.row_mut(2, y), 1);
            }
        }
    }

    /// The same for samples of two bytes, of which not all bits may be in use.
    fn resize_chroma_16(&self, src: &PictureRef, dst: &mut PictureMut, axes: Axes, scratch: &mut Scratch) {
        let (shift, max) = (self.layout.shift, self.layout.max_code() as u16);
        let [_, cb, cr] = self.layout.components;
        fill_source(&mut scratch.u16x2, axes, |y, row| {
            let (first, second) = (&src.row(cb.plane, y)[cb.offset..], &src.row(cr.plane, y)[cr.offset..]);
            for (index, pair) in row.iter_mut().enumerate() {
                let code = |bytes: &[u8], step: usize| read_u16(&bytes[index * step..]) >> shift;
                *pair = U16x2::new([code(first, cb.step), code(second, cr.step)]);
            }
        });
        resize(&mut scratch.resizer, axes, &mut scratch.u16x2);
        for (y, row) in scratch.u16x2.result.chunks_exact(axes.x.result).enumerate() {
            for (index, component) in [cb, cr].into_iter().enumerate() {
                let bytes = dst.row_mut(component.plane, y);
                for (pair, bytes) in row.iter().zip(bytes.chunks_exact_mut(component.step)) {
                    write_u16(pair.0[index].min(max) << shift, &mut bytes[component.offset..]);
                }
            }
        }
    }

    fn resize_alpha_8(&self, src: &PictureRef, dst: &mut PictureMut, alpha: Component, scratch: &mut Scratch) {
        let axes = self.full_axes();
        let Component { plane, offset, step } = alpha;
        fill_source(&mut scratch.u8, axes, |y, row| {
            for (sample, &byte) in row.iter_mut().zip(src.row(plane, y)[offset..].iter().step_by(step)) {
                *sample = U8::new(byte);
            }
        });
        let source = &scratch.u8.source;
        let first = source[0];
        // Nearly all pictures with alpha are opaque.
        if source.iter().all(|&sample| sample == first) {
            for y in 0..axes.y.result {
                dst.row_mut(plane, y)[offset..].iter_mut().step_by(step).for_each(|byte| *byte = first.0);
            }
        } else if axes.is_identity() {
            for (y, row) in source.chunks_exact(axes.x.padded).enumerate() {
                for (byte, sample) in dst.row_mut(plane, y)[offset..].iter_mut().step_by(step).zip(row) {
                    *byte = sample.0;
                }
            }
        } else {
            scratch.lanes.resize(&mut scratch.resizer, axes, source);
            for y in 0..axes.y.result {
                scratch.lanes.write_sample(y, 0, &mut dst.row_mut(plane, y)[offset..], step);
            }
        }
    }

    fn resize_alpha_16(&self, src: &PictureRef, dst: &mut PictureMut, alpha: Component, scratch: &mut Scratch) {
        let axes = self.full_axes();
        let Component { plane, offset, step } = alpha;
        fill_source(&mut scratch.u16, axes, |y, row| {
            for (sample, bytes) in row.iter_mut().zip(src.row(plane, y).chunks_exact(step)) {
                *sample = U16::new(read_u16(&bytes[offset..]));
            }
        });
        if axes.is_identity() {
            std::mem::swap(&mut scratch.u16.source, &mut scratch.u16.result);
        } else {
            resize(&mut scratch.resizer, axes, &mut scratch.u16);
        }
        for (y, row) in scratch.u16.result.chunks_exact(axes.x.result).enumerate() {
            for (sample, bytes) in row.iter().zip(dst.row_mut(plane, y).chunks_exact_mut(step)) {
                write_u16(sample.0, &mut bytes[offset..]);
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
        if axes.is_identity() {
            std::mem::swap(&mut scratch.chroma.source, &mut scratch.chroma.result);
        } else {
            resize(&mut scratch.resizer, axes, &mut scratch.chroma);
        }
    }
}

#[inline(always)]
fn read_u16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[inline(always)]
fn write_u16(code: u16, bytes: &mut [u8]) {
    bytes[..2].copy_from_slice(&code.to_le_bytes());
}

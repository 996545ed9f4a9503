//! Planes that the network does not process: alpha, and chroma beside a luma model.

use super::colour::Levels;
use super::convert::{Converter, Scratch, rows};
use super::format::{Component, Kind, PictureMut, PictureRef};
use super::lanczos::{Axes, Axis};
use super::samples;
use crate::types::Channels;

impl Converter {
    /// Makes the planes that the network does not process: chroma (beside a luma model) and alpha, resized by Lanczos.
    ///
    /// Call it once per frame, before [`Converter::from_tensor`] and with the same `scratch`.
    pub fn resize_passthrough_planes(&self, src: &PictureRef, dst: &mut PictureMut, scratch: &mut Scratch) {
        self.check_source(src);
        self.check_result(dst);
        match (self.channels, self.layout.kind) {
            (Channels::Luma, Kind::Yuv) => self.resize_chroma(src, dst, scratch),
            (Channels::Luma, Kind::Rgb) => self.split_chroma(src, scratch),
            (Channels::Luma, Kind::Gray) | (Channels::Rgb, _) => {}
        }
        if let Some(alpha) = self.layout.alpha {
            self.resize_alpha(src, dst, alpha, scratch);
        }
    }

    /// Axes of a plane that has a sample for each pixel.
    pub(super) fn full_axes(&self) -> Axes {
        Axes {
            x: Axis::new(self.input.width, self.scale, false, false),
            y: Axis::new(self.input.height, self.scale, false, false),
        }
    }

    pub(super) fn chroma_axes(&self) -> Axes {
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
            return;
        }
        let [_, cb, cr] = self.layout.components;
        for (component, plane) in [cb, cr].into_iter().zip(&mut scratch.planes) {
            self.load_plane(src, component, &axes, plane);
        }
        let codes = Levels::codes(self.layout.depth);
        let [first, second] = rows::<2>(&mut scratch.rows, axes.x.result);
        for y in 0..axes.y.result {
            for (plane, row) in scratch.planes.iter().zip([&mut *first, &mut *second]) {
                axes.resize_row(plane, y, &mut scratch.resized, row);
            }
            self.store_chroma(codes, [first, second], y, 0, dst);
        }
    }

    /// Loads the sample values of one component.
    fn load_plane(&self, src: &PictureRef, component: Component, axes: &Axes, plane: &mut Vec<f32>) {
        plane.resize(axes.x.source * axes.y.source, 0.0);
        let codes = Levels::codes(self.layout.depth);
        for (y, row) in plane.chunks_exact_mut(axes.x.source).enumerate() {
            samples::load(&self.layout, component, codes, src.row(component.plane, y), row);
        }
    }

    fn resize_alpha(&self, src: &PictureRef, dst: &mut PictureMut, alpha: Component, scratch: &mut Scratch) {
        let (axes, codes) = (self.full_axes(), Levels::codes(self.layout.depth));
        let [plane, _] = &mut scratch.planes;
        self.load_plane(src, alpha, &axes, plane);
        let [row] = rows::<1>(&mut scratch.rows, axes.x.result);
        let first = plane[0];
        // Almost all pictures with alpha are opaque.
        let uniform = plane.iter().all(|value| *value == first);
        row.fill(first);
        for y in 0..axes.y.result {
            if !uniform {
                axes.resize_row(plane, y, &mut scratch.resized, row);
            }
            samples::store_among(&self.layout, alpha, codes, row, dst.row_mut(alpha.plane, y));
        }
    }

    /// Computes Cb and Cr of an RGB picture at output size, into `scratch.chroma`.
    fn split_chroma(&self, src: &PictureRef, scratch: &mut Scratch) {
        let axes = self.full_axes();
        let width = axes.x.source;
        let planes = if axes.is_identity() { &mut scratch.chroma } else { &mut scratch.planes };
        planes.iter_mut().for_each(|plane| plane.resize(width * axes.y.source, 0.0));
        let [cb, cr] = planes;
        let [r, g, b] = rows::<3>(&mut scratch.rows, width);
        for (y, (cb, cr)) in cb.chunks_exact_mut(width).zip(cr.chunks_exact_mut(width)).enumerate() {
            samples::load_rgb(&self.layout, self.luma, |plane| src.row(plane, y), r, g, b);
            self.matrix.chroma([r, g, b], cb, cr);
        }
        if axes.is_identity() {
            return;
        }
        for (plane, result) in scratch.planes.iter().zip(&mut scratch.chroma) {
            result.resize(axes.x.result * axes.y.result, 0.0);
            for (y, row) in result.chunks_exact_mut(axes.x.result).enumerate() {
                axes.resize_row(plane, y, &mut scratch.resized, row);
            }
        }
    }
}

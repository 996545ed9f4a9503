//! Conversion from tensors to pixels.

use std::ops::Range;

use super::colour::Levels;
use super::convert::{Converter, Scratch, rows};
use super::format::{Kind, PictureMut};
use super::region::Region;
use super::{samples, siting};
use crate::types::Channels;

/// The network's result and the position of its kept part, in output pixels of the frame unless noted otherwise.
struct Patch<'a> {
    /// One or three planes.
    tensor: &'a [f32],
    /// Columns of the tensor, and values in a plane.
    stride: usize,
    plane: usize,
    /// Columns and rows of the frame that the tensor covers.
    read: (Range<usize>, Range<usize>),
    /// Columns and rows that are kept.
    keep: (Range<usize>, Range<usize>),
}

impl<'a> Patch<'a> {
    /// Part of a row of a channel.
    fn row(&self, channel: usize, y: usize, columns: Range<usize>) -> &'a [f32] {
        let start = channel * self.plane + (y - self.read.1.start) * self.stride;
        &self.tensor[start + columns.start - self.read.0.start..start + columns.end - self.read.0.start]
    }

    fn rgb_row(&self, y: usize, columns: Range<usize>) -> [&'a [f32]; 3] {
        [0, 1, 2].map(|channel| self.row(channel, y, columns.clone()))
    }
}

/// The chroma samples in a row of a region, and the pixels that make them.
struct ChromaColumns {
    samples: Range<usize>,
    /// For subsampled chroma, the pixels 2k - 1 to 2k + 2n - 1, as far as they were read.
    wanted: Range<usize>,
    /// 1 if the first of them was not read.
    missing: usize,
}

impl ChromaColumns {
    /// A sample belongs to the region that keeps its first pixel.
    fn new(keep: &Range<usize>, read: &Range<usize>, subsampled: bool) -> Self {
        if !subsampled {
            return Self { samples: keep.clone(), wanted: keep.clone(), missing: 0 };
        }
        let samples = keep.start.div_ceil(2)..keep.end.div_ceil(2);
        let begin = (2 * samples.start).saturating_sub(1).max(read.start);
        Self { wanted: begin..(2 * samples.end).min(read.end), missing: begin + 1 - 2 * samples.start, samples }
    }
}

impl Converter {
    /// Writes the kept part of the network's result for `region` into the output.
    ///
    /// `tensor` is planar, `channels * (tensor.height * scale) * (tensor.width * scale)` values. For RGB formats and a
    /// luma model, `scratch` must be the one passed to [`Converter::resize_passthrough_planes`] for this frame.
    ///
    /// # Panics
    /// As for all methods of [`Converter`], and if the tensor has the wrong size.
    pub fn from_tensor(&self, tensor: &[f32], region: &Region, scratch: &mut Scratch, dst: &mut PictureMut) {
        self.check_result(dst);
        self.check_region(region);
        let scale = self.scale as usize;
        let span = |start: u32, length: u32| start as usize * scale..(start + length) as usize * scale;
        let stride = region.tensor.width as usize * scale;
        let plane = stride * region.tensor.height as usize * scale;
        assert!(tensor.len() == self.channels.count() * plane, "{} values for {region:?}", tensor.len());
        let (read, keep) = (region.read, region.keep);
        let patch = Patch {
            tensor,
            stride,
            plane,
            read: (span(read.x, read.width), span(read.y, read.height)),
            keep: (span(keep.x, keep.width), span(keep.y, keep.height)),
        };
        match (self.channels, self.layout.kind) {
            (Channels::Luma, Kind::Gray | Kind::Yuv) => self.luma_from_tensor(&patch, dst),
            (Channels::Luma, Kind::Rgb) => self.combine(&patch, scratch, dst),
            (Channels::Rgb, Kind::Rgb) => {
                for y in patch.keep.1.clone() {
                    self.store_rgb(patch.rgb_row(y, patch.keep.0.clone()), y, patch.keep.0.start, dst);
                }
            }
            (Channels::Rgb, Kind::Gray) => self.luma_of_rgb_from_tensor(&patch, scratch, dst),
            (Channels::Rgb, Kind::Yuv) => self.yuv_of_rgb_from_tensor(&patch, scratch, dst),
        }
    }

    pub(super) fn store_luma(&self, row: &[f32], y: usize, x: usize, dst: &mut PictureMut) {
        let luma = self.layout.components[0];
        samples::store(&self.layout, self.luma, row, &mut dst.row_mut(luma.plane, y)[x * luma.step..]);
    }

    fn luma_from_tensor(&self, patch: &Patch, dst: &mut PictureMut) {
        for y in patch.keep.1.clone() {
            self.store_luma(patch.row(0, y, patch.keep.0.clone()), y, patch.keep.0.start, dst);
        }
    }

    fn luma_of_rgb_from_tensor(&self, patch: &Patch, scratch: &mut Scratch, dst: &mut PictureMut) {
        let [luma] = rows::<1>(&mut scratch.rows, patch.keep.0.len());
        for y in patch.keep.1.clone() {
            self.matrix.luma(patch.rgb_row(y, patch.keep.0.clone()), luma);
            self.store_luma(luma, y, patch.keep.0.start, dst);
        }
    }

    /// Combines an RGB picture's upscaled luma with its resized chroma.
    fn combine(&self, patch: &Patch, scratch: &mut Scratch, dst: &mut PictureMut) {
        let (columns, width) = (patch.keep.0.clone(), self.output.width as usize);
        assert!(
            scratch.chroma.iter().all(|plane| plane.len() == width * self.output.height as usize),
            "from_tensor needs the scratch passed to resize_passthrough_planes"
        );
        let [r, g, b] = rows::<3>(&mut scratch.rows, columns.len());
        for y in patch.keep.1.clone() {
            let chroma = scratch.chroma.each_ref().map(|plane| &plane[y * width..][columns.clone()]);
            self.matrix.rgb(patch.row(0, y, columns.clone()), chroma, [&mut *r, &mut *g, &mut *b]);
            self.store_rgb([r, g, b], y, columns.start, dst);
        }
    }

    pub(super) fn store_rgb(&self, rgb: [&[f32]; 3], y: usize, x: usize, dst: &mut PictureMut) {
        let layout = &self.layout;
        if layout.planes == 1 {
            let bytes = &mut dst.row_mut(0, y)[x * layout.components[0].step..];
            samples::store_packed(layout, self.luma, rgb, bytes);
            return;
        }
        for (component, row) in layout.components.iter().zip(rgb) {
            samples::store(layout, self.luma, row, &mut dst.row_mut(component.plane, y)[x * component.step..]);
        }
    }

    /// Writes luma row by row, and each chroma row directly after its luma rows, while they are in the cache.
    fn yuv_of_rgb_from_tensor(&self, patch: &Patch, scratch: &mut Scratch, dst: &mut PictureMut) {
        let (columns, lines) = &patch.keep;
        let chroma = ChromaColumns::new(columns, &patch.read.0, self.layout.h_sub);
        let luma_length = columns.len();
        let [luma, mut rest @ ..] = rows::<8>(&mut scratch.rows, luma_length.max(chroma.wanted.len()) + 2);
        for y in lines.clone() {
            let luma = &mut luma[..luma_length];
            self.matrix.luma(patch.rgb_row(y, columns.clone()), luma);
            self.store_luma(luma, y, columns.start, dst);
            if !self.layout.v_sub {
                self.chroma_of_rgb_from_tensor(patch, &chroma, y, &mut rest, dst);
                continue;
            }
            let last = y % 2 == 1 || y + 1 == lines.end;
            // A sample belongs to the region that keeps its first pixel.
            if last && y / 2 * 2 >= lines.start {
                self.chroma_of_rgb_from_tensor(patch, &chroma, y / 2, &mut rest, dst);
            }
        }
    }

    /// Writes row `k` of an RGB result's chroma. Its neighbours come from the tensor, without the padding beyond the
    /// read part.
    fn chroma_of_rgb_from_tensor(
        &self,
        patch: &Patch,
        chroma: &ChromaColumns,
        k: usize,
        buffers: &mut [&mut [f32]; 7],
        dst: &mut PictureMut,
    ) {
        let ChromaColumns { samples, wanted, missing } = chroma;
        let (n, place) = (samples.len(), *missing..missing + wanted.len());
        if n == 0 {
            return;
        }
        let site = self.colour.chroma_site;
        let [r, g, b, cb, cr, cb_out, cr_out] = buffers;
        if self.layout.v_sub {
            let taps = siting::downsample_taps(k, site.v_cosited, patch.read.1.start, patch.read.1.end - 1);
            let taps = taps.map(|y| patch.rgb_row(y, wanted.clone()));
            for (channel, out) in [&mut *r, &mut *g, &mut *b].into_iter().enumerate() {
                let taps = [taps[0][channel], taps[1][channel], taps[2][channel]];
                siting::downsample_rows(taps, site.v_cosited, &mut out[..wanted.len()]);
            }
            let rgb = [&r[..wanted.len()], &g[..wanted.len()], &b[..wanted.len()]];
            self.matrix.chroma(rgb, &mut cb[place.clone()], &mut cr[place.clone()]);
        } else {
            let rgb = patch.rgb_row(k, wanted.clone());
            self.matrix.chroma(rgb, &mut cb[place.clone()], &mut cr[place.clone()]);
        }
        if !self.layout.h_sub {
            self.store_chroma(self.chroma, [&cb[..n], &cr[..n]], k, samples.start, dst);
            return;
        }
        for (row, out) in [(cb, &mut *cb_out), (cr, &mut *cr_out)] {
            row[0] = row[*missing];
            row[2 * n] = row[place.end - 1];
            siting::downsample(&row[..2 * n + 1], site.h_cosited, &mut out[..n]);
        }
        self.store_chroma(self.chroma, [&cb_out[..n], &cr_out[..n]], k, samples.start, dst);
    }

    pub(super) fn store_chroma(&self, levels: Levels, rows: [&[f32]; 2], y: usize, x: usize, dst: &mut PictureMut) {
        let [_, cb, cr] = self.layout.components;
        if cb.plane == cr.plane {
            let bytes = &mut dst.row_mut(cb.plane, y)[x * cb.step..];
            samples::store_pair(&self.layout, [cb, cr], levels, rows, bytes);
            return;
        }
        for (component, row) in [cb, cr].into_iter().zip(rows) {
            let bytes = &mut dst.row_mut(component.plane, y)[x * component.step..];
            samples::store(&self.layout, levels, row, bytes);
        }
    }
}

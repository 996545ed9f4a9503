//! The parts of a frame that are resized instead of upscaled, because the network would make nothing else of them.

use std::ops::Range;

use super::colour::Levels;
use super::convert::{Converter, Scratch, rows};
use super::format::{Component, Kind, PictureMut, PictureRef};
use super::lanczos::{Axes, Rows};
use super::samples;
use crate::types::{Channels, Rect};

/// Stores a piece of a row of each component; the numbers are the column and row in the output where it begins.
type Store<'a> = dyn FnMut(&[&[f32]], usize, usize) + 'a;

impl Converter {
    /// Resizes `rects` by Lanczos: what the network would make of them, without alpha and the chroma that
    /// [`Converter::resize_passthrough_planes`] makes. In pixels of the input; their edges are even or at the frame's
    /// edge.
    pub fn resize_smooth(&self, src: &PictureRef, rects: &[Rect], scratch: &mut Scratch, dst: &mut PictureMut) {
        self.check_source(src);
        self.check_result(dst);
        if rects.is_empty() {
            return;
        }
        match (self.channels, self.layout.kind) {
            (_, Kind::Rgb) => self.resize_smooth_rgb(src, rects, scratch, dst),
            (Channels::Luma, _) | (_, Kind::Gray) => self.resize_smooth_luma(src, rects, scratch, dst),
            (Channels::Rgb, Kind::Yuv) => {
                self.resize_smooth_luma(src, rects, scratch, dst);
                self.resize_smooth_chroma(src, rects, scratch, dst);
            }
        }
    }

    fn resize_smooth_luma(&self, src: &PictureRef, rects: &[Rect], scratch: &mut Scratch, dst: &mut PictureMut) {
        let axes = self.full_axes();
        let luma = [(self.layout.components[0], self.luma)];
        self.resize_parts(src, &axes, &luma, &parts(rects, (false, false)), scratch, &mut |rows, x, y| {
            self.store_luma(rows[0], y, x, dst);
        });
    }

    fn resize_smooth_chroma(&self, src: &PictureRef, rects: &[Rect], scratch: &mut Scratch, dst: &mut PictureMut) {
        let axes = self.chroma_axes();
        let [_, cb, cr] = self.layout.components;
        let chroma = [(cb, self.chroma), (cr, self.chroma)];
        let parts = parts(rects, (self.layout.h_sub, self.layout.v_sub));
        self.resize_parts(src, &axes, &chroma, &parts, scratch, &mut |rows, x, y| {
            self.store_chroma(self.chroma, [rows[0], rows[1]], y, x, dst);
        });
    }

    fn resize_smooth_rgb(&self, src: &PictureRef, rects: &[Rect], scratch: &mut Scratch, dst: &mut PictureMut) {
        let axes = self.full_axes();
        let rgb = self.layout.components.map(|component| (component, self.luma));
        self.resize_parts(src, &axes, &rgb, &parts(rects, (false, false)), scratch, &mut |rows, x, y| {
            self.store_rgb([rows[0], rows[1], rows[2]], y, x, dst);
        });
    }

    /// Resizes some components together.
    fn resize_parts(
        &self,
        src: &PictureRef,
        axes: &Axes,
        components: &[(Component, Levels)],
        parts: &[Part],
        scratch: &mut Scratch,
        store: &mut Store,
    ) {
        let first = parts.iter().map(|part| part.rows.start).min().unwrap_or(0);
        let last = parts.iter().map(|part| part.rows.end).max().unwrap_or(0).min(axes.y.source);
        let read = axes.y.read_for(&(first..last));
        for ((component, levels), plane) in components.iter().zip(&mut scratch.smooth) {
            plane.resize(read.len() * axes.x.source, 0.0);
            for (y, row) in read.clone().zip(plane.chunks_exact_mut(axes.x.source)) {
                samples::load(&self.layout, *component, *levels, src.row(component.plane, y), row);
            }
        }
        let mut outs = rows::<3>(&mut scratch.rows, axes.x.result);
        for part in parts {
            let columns = part.columns.start..part.columns.end.min(axes.x.source);
            let out = axes.x.of_source(&columns);
            for y in axes.y.of_source(&(part.rows.start..part.rows.end.min(axes.y.source))) {
                for (plane, row) in scratch.smooth.iter().zip(outs.iter_mut()).take(components.len()) {
                    let source = Rows { values: plane, first: read.start };
                    axes.resize_part(&source, y, columns.clone(), &mut scratch.resized, row);
                }
                store(&outs.each_ref().map(|row| &row[..out.len()]), out.start, y);
            }
        }
    }
}

/// The samples that a picture has of a rectangle, to be compared with what it has there later.
pub struct Snapshot {
    rect: Rect,
    bytes: Vec<u8>,
}

/// Differences between samples, in 8-bit code values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Differences {
    pub samples: u64,
    pub sum: f64,
    pub largest: f64,
}

impl Differences {
    pub fn add(&mut self, other: Differences) {
        self.samples += other.samples;
        self.sum += other.sum;
        self.largest = self.largest.max(other.largest);
    }

    /// 0 without samples.
    pub fn mean(&self) -> f64 {
        self.sum / self.samples.max(1) as f64
    }
}

impl Snapshot {
    /// Of the first plane in `rect`, in pixels of `picture`: luma, or R, G and B as far as they are there.
    ///
    /// # Panics
    /// If the rectangle is not within the picture.
    pub fn new(picture: &mut PictureMut, rect: Rect) -> Self {
        let mut bytes = Vec::new();
        Self::rows(picture, rect, |row| bytes.extend_from_slice(row));
        Snapshot { rect, bytes }
    }

    /// How far `picture`, the same one, differs by now.
    pub fn compare(&self, picture: &mut PictureMut) -> Differences {
        let layout = picture.format().layout();
        let code = f64::from(1u32 << (layout.depth - 8 + layout.shift));
        let mut found = Differences::default();
        let mut rest = self.bytes.as_slice();
        let value = |sample: &[u8]| sample.iter().rev().fold(0, |value, byte| value << 8 | i32::from(*byte));
        Self::rows(picture, self.rect, |row| {
            let (before, behind) = rest.split_at(row.len());
            rest = behind;
            for (before, now) in before.chunks_exact(layout.bytes).zip(row.chunks_exact(layout.bytes)) {
                let difference = f64::from((value(before) - value(now)).abs()) / code;
                found.samples += 1;
                found.sum += difference;
                found.largest = found.largest.max(difference);
            }
        });
        found
    }

    fn rows(picture: &mut PictureMut, rect: Rect, mut row: impl FnMut(&[u8])) {
        let step = picture.format().layout().components[0].step;
        for y in rect.y..rect.y + rect.height {
            row(&picture.row_mut(0, y as usize)[rect.x as usize * step..(rect.x + rect.width) as usize * step]);
        }
    }
}

/// Samples of a plane.
struct Part {
    columns: Range<usize>,
    rows: Range<usize>,
}

/// What `rects` are in a plane, where a sample of subsampled chroma goes with its first pixel.
fn parts(rects: &[Rect], sub: (bool, bool)) -> Vec<Part> {
    let span = |begin: u32, length: u32, sub: bool| {
        let at = |pixel: u32| pixel.div_ceil(1 + u32::from(sub)) as usize;
        at(begin)..at(begin + length)
    };
    let part = |rect: &Rect| Part { columns: span(rect.x, rect.width, sub.0), rows: span(rect.y, rect.height, sub.1) };
    rects.iter().map(part).collect()
}

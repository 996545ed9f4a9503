//! Blends adjacent regions whose results differ.
//!
//! If a network is not local, or its halo was cut, neighbouring regions give different results where they meet. They
//! are cross-faded over the part that both read ([`Blend`](super::region::Blend)): linearly from the left region to the
//! right one, and from the upper row to the lower one. Where four regions meet, this is bilinear.
//!
//! The network's output is blended before [`Converter::from_tensor`](super::convert::Converter::from_tensor), so that
//! every sample of the picture is written once and chroma is computed from blended pixels. Of earlier regions, only
//! strips along their edges are kept.

use super::region::Region;
use super::samples::simd;
use crate::types::Channels;
use crate::types::Size;

/// Strips of earlier regions. Each worker has its own, because a frame's regions pass through it one by one.
///
/// Memory: for a frame W pixels wide, a tile H pixels high and a blended part of B pixels, about `channels * scale^2 *
/// (B + 1) * (2 * W + H)` values.
#[derive(Debug)]
pub struct Feather {
    /// Columns of the frame's output.
    width: usize,
    scale: usize,
    channels: usize,
    /// From the previous region: all its rows, for the columns around the edge. Planar.
    left: Vec<f32>,
    /// From the row of regions above: all columns of the frame, for the rows around the edge. Planar.
    above: Vec<f32>,
    /// Like `above`, from the current row of regions, for the next row.
    below: Vec<f32>,
}

/// Part of a line of the network's output, in output pixels from its start.
#[derive(Clone, Copy)]
struct Seam {
    /// How many pixels before the kept part are replaced by the neighbour's last kept pixels.
    lead: usize,
    /// Start of the kept part.
    begin: usize,
    /// How many pixels are blended from there.
    length: usize,
}

impl Feather {
    /// For frames of `frame` input pixels and a network that enlarges by `scale` (0 is treated as 1).
    pub fn new(frame: Size, scale: u32, channels: Channels) -> Self {
        let scale = scale.max(1) as usize;
        Self {
            width: frame.width as usize * scale,
            scale,
            channels: channels.count(),
            left: Vec::new(),
            above: Vec::new(),
            below: Vec::new(),
        }
    }

    /// Blends the network's result for `region` with those of its left and upper neighbours, in place.
    ///
    /// `output` is planar, `channels * (tensor.height * scale) * (tensor.width * scale)` values. Afterwards, everything
    /// the region keeps is final. So is one input pixel to the left of it and above it, if the region reads it:
    /// `from_tensor` needs it for subsampled chroma.
    ///
    /// Pass each of a frame's regions once, in the order of [`cover`](super::region::cover). A new frame may start with
    /// its first region at any time, even if the previous one was not finished. Without blending, nothing is changed or
    /// kept. If both neighbours have the same result, the output is bit-identical to it.
    ///
    /// # Panics
    /// If the output has the wrong size, the region does not fit the frame or does not read what it blends, or its
    /// neighbours were not passed before.
    pub fn blend(&mut self, output: &mut [f32], region: &Region) {
        let scale = self.scale;
        let Region { keep, read, tensor, blend } = region;
        let stride = tensor.width as usize * scale;
        let plane = stride * tensor.height as usize * scale;
        assert!(output.len() == self.channels * plane, "{} values for {region:?}", output.len());
        let seam = |keep: u32, read: u32, length: u32| {
            let begin = (keep - read) as usize * scale;
            Seam { lead: scale.min(begin), begin, length: length as usize * scale }
        };
        let column = seam(keep.x, read.x, blend.left);
        let row = seam(keep.y, read.y, blend.top);
        if keep.x == 0 {
            std::mem::swap(&mut self.above, &mut self.below);
        }
        if blend.left > 0 {
            self.blend_left(output, stride, column);
        }
        if blend.right > 0 {
            let end = column.begin + keep.width as usize * scale;
            self.keep_left(output, stride, end - scale..end + blend.right as usize * scale);
        }
        // The left blend is final in these columns and in the seam's lead.
        let start = keep.x as usize * scale;
        let end = start + keep.width as usize * scale;
        if blend.top > 0 {
            let place = Place { stride, plane, first: column.begin - column.lead, start: start - column.lead, end };
            self.blend_above(output, place, row);
        }
        // After the upper seam, because its blended rows may be among the region's last rows.
        if blend.bottom > 0 {
            let bottom = row.begin + keep.height as usize * scale;
            let place = Place { stride, plane, first: column.begin, start, end };
            self.keep_below(output, place, bottom - scale..bottom + blend.bottom as usize * scale);
        }
    }

    fn blend_left(&self, output: &mut [f32], stride: usize, seam: Seam) {
        let columns = self.scale + seam.length;
        assert!(self.left.len() * stride == output.len() * columns, "the previous region does not match");
        let rows = output.chunks_exact_mut(stride).zip(self.left.chunks_exact(columns));
        for (row, strip) in rows {
            let (lead, strip) = strip.split_at(self.scale);
            row[seam.begin - seam.lead..seam.begin].copy_from_slice(&lead[self.scale - seam.lead..]);
            ramp(&mut row[seam.begin..][..seam.length], strip);
        }
    }

    fn keep_left(&mut self, output: &[f32], stride: usize, columns: std::ops::Range<usize>) {
        self.left.clear();
        for row in output.chunks_exact(stride) {
            self.left.extend_from_slice(&row[columns.clone()]);
        }
    }

    fn blend_above(&self, output: &mut [f32], place: Place, seam: Seam) {
        let strip_rows = self.scale + seam.length;
        assert!(self.above.len() == self.channels * strip_rows * self.width, "the regions above do not match");
        let planes = output.chunks_exact_mut(place.plane).zip(self.above.chunks_exact(strip_rows * self.width));
        for (plane, strip) in planes {
            for (index, strip) in strip.chunks_exact(self.width).enumerate().skip(self.scale - seam.lead) {
                let strip = &strip[place.start..place.end];
                let row = place.row(plane, seam.begin + index - self.scale);
                match index.checked_sub(self.scale) {
                    None => row.copy_from_slice(strip),
                    Some(index) => mix(row, strip, weight(index, seam.length)),
                }
            }
        }
    }

    fn keep_below(&mut self, output: &mut [f32], place: Place, rows: std::ops::Range<usize>) {
        let strip = rows.len() * self.width;
        self.below.resize(self.channels * strip, 0.0);
        let planes = output.chunks_exact_mut(place.plane).zip(self.below.chunks_exact_mut(strip));
        for (plane, strip) in planes {
            for (y, strip) in rows.clone().zip(strip.chunks_exact_mut(self.width)) {
                strip[place.start..place.end].copy_from_slice(place.row(plane, y));
            }
        }
    }
}

/// Columns of an output, and their position in the frame's output.
#[derive(Clone, Copy)]
struct Place {
    /// Columns of the output, and values in a plane.
    stride: usize,
    plane: usize,
    /// The first column, in the output.
    first: usize,
    /// The columns in the frame.
    start: usize,
    end: usize,
}

impl Place {
    fn row<'a>(&self, plane: &'a mut [f32], y: usize) -> &'a mut [f32] {
        &mut plane[y * self.stride + self.first..][..self.end - self.start]
    }
}

/// The weight of the new result at pixel `index` of a blended part of `length` pixels, taken at the pixel's centre.
fn weight(index: usize, length: usize) -> f32 {
    (index as f32 + 0.5) / length as f32
}

/// Fades from `before` to `out`.
#[inline]
fn ramp(out: &mut [f32], before: &[f32]) {
    let length = out.len();
    simd(
        #[inline(always)]
        || {
            for (index, (out, &before)) in out.iter_mut().zip(before).enumerate() {
                *out = before + weight(index, length) * (*out - before);
            }
        },
    );
}

/// Mixes `weight` of `out` with `1 - weight` of `before`.
#[inline]
fn mix(out: &mut [f32], before: &[f32], weight: f32) {
    simd(
        #[inline(always)]
        || {
            for (out, &before) in out.iter_mut().zip(before) {
                *out = before + weight * (*out - before);
            }
        },
    );
}

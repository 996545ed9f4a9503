//! Blending of regions that do not fit together by themselves.
//!
//! A network that is not local, or whose halo was cut, gives neighbouring regions results that differ where they meet. They
//! pass into each other over the part that both read ([`Blend`](super::region::Blend)): along a straight line from the left
//! one's result to the right one's, and likewise from the upper row's to the lower one's. Both together are bilinear
//! where four regions meet.
//!
//! It is done to the network's output, before [`Converter::from_tensor`](super::convert::Converter::from_tensor), so that every sample
//! of the picture is written once and chroma is made of blended pixels. Of the regions gone by, only strips along their
//! edges are kept.

use super::region::Region;
use super::samples::simd;
use crate::types::Channels;
use crate::types::Size;

/// Strips of the regions gone by; one for each worker, as a frame's regions go through it one after the other.
///
/// Memory: for a frame W pixels wide, a tile H pixels high and a blended part of B pixels, about
/// `channels * scale^2 * (B + 1) * (2 * W + H)` values.
#[derive(Debug)]
pub struct Feather {
    /// Columns of the frame's output.
    width: usize,
    scale: usize,
    channels: usize,
    /// From the region before: all its rows, of the columns around the edge. Plane after plane.
    left: Vec<f32>,
    /// From the row of regions above: all columns of the frame, of the rows around the edge. Plane after plane.
    above: Vec<f32>,
    /// The same from the row of regions in work, for the next row.
    below: Vec<f32>,
}

/// A piece of a line of the network's output, in output pixels from its begin.
#[derive(Clone, Copy)]
struct Seam {
    /// How many pixels before the kept part are replaced by the neighbour's: the last that belong to it.
    lead: usize,
    /// Where the kept part begins.
    begin: usize,
    /// How many pixels from there on are blended.
    length: usize,
}

impl Feather {
    /// For frames of `frame` input pixels and a network that enlarges by `scale` (0 is taken for 1).
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
    /// `output` is planar, `channels * (tensor.height * scale) * (tensor.width * scale)` values. After it, what the region keeps
    /// is final, and so is one input pixel to the left of it and above it where the region reads that, which is what `from_tensor`
    /// takes for subsampled chroma.
    ///
    /// The regions of a frame come in the order in which [`cover`](super::region::cover) gives them, each once. Any frame may
    /// begin anew with its first one, whether or not the frame before was finished. Where regions do not blend, nothing
    /// is changed and nothing kept. Where both neighbours have the same result, that is what comes out, to the bit.
    ///
    /// # Panics
    /// If the output is of another size, the region is not of such a frame or does not read what it blends, or its neighbours
    /// did not come before it.
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
        // What was to the left is final in these columns, and the seam's lead.
        let start = keep.x as usize * scale;
        let end = start + keep.width as usize * scale;
        if blend.top > 0 {
            let place = Place { stride, plane, first: column.begin - column.lead, start: start - column.lead, end };
            self.blend_above(output, place, row);
        }
        // Behind the upper seam: its blended rows may be among the last that belong to the region.
        if blend.bottom > 0 {
            let bottom = row.begin + keep.height as usize * scale;
            let place = Place { stride, plane, first: column.begin, start, end };
            self.keep_below(output, place, bottom - scale..bottom + blend.bottom as usize * scale);
        }
    }

    fn blend_left(&self, output: &mut [f32], stride: usize, seam: Seam) {
        let columns = self.scale + seam.length;
        assert!(self.left.len() * stride == output.len() * columns, "the region before was another one");
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
        assert!(self.above.len() == self.channels * strip_rows * self.width, "the regions above were other ones");
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

/// Columns of an output and where they stand in the frame's output.
#[derive(Clone, Copy)]
struct Place {
    /// Columns of the output; values of a plane.
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

/// The weight of the new result at pixel `index` of a blended part of `length` pixels: that of the pixel's middle.
fn weight(index: usize, length: usize) -> f32 {
    (index as f32 + 0.5) / length as f32
}

/// `out` passes from `before` into itself.
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

/// `weight` parts of `out`, the rest of `before`.
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

//! Divides a frame into regions.

use super::span::{Cut, Span};
use crate::types::{Rect, Size};

/// A part of a frame that the network processes in one run; in input pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The part whose result is kept.
    pub keep: Rect,
    /// The part that is read: `keep` grown by the halo, clipped to the frame.
    pub read: Rect,
    /// The tensor's size: `read`, padded at the right and bottom to a size that the network accepts.
    pub tensor: Size,
    /// Where it is blended with its neighbours.
    pub blend: Blend,
}

/// Over how many input pixels [`Feather`](super::feather::Feather) blends a region with its neighbours; 0 on a side
/// without blending.
///
/// A blended part starts where two kept parts meet. It belongs to the right or lower region, into whose result it
/// fades. Both regions read all of it, and the halo around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blend {
    /// From the left edge of `keep`, with the previous region.
    pub left: u32,
    /// From the upper edge of `keep`, with the region above.
    pub top: u32,
    /// From the right edge of `keep`: the next region's `left`.
    pub right: u32,
    /// From the lower edge of `keep`: the `top` of the region below.
    pub bottom: u32,
}

/// The network's requirements on its input size, and the maximum part of a frame per run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The only size that the network accepts. If set, only `halo`, `local` and `overlap` matter besides it.
    pub fixed: Option<Size>,
    /// Width and height must be multiples of these.
    pub multiple: Size,
    /// The period of the network's grid, from its strides, pooling and pixel unshuffling combined. The result is only
    /// shift-invariant by multiples of it, so regions start at multiples of it.
    pub align: Size,
    /// The smallest size that the network accepts.
    pub min: Size,
    /// The number of pixels around a pixel that its result depends on.
    ///
    /// This is the network's receptive field radius, plus [`Converter::halo`](super::convert::Converter::halo) if the
    /// result is subsampled. For a network that is not local, it is the margin of the tensor that is discarded because
    /// the network's own padding affects it: without that margin, blending would spread the effect along the seam.
    pub halo: u32,
    /// Whether the result depends on no pixel beyond the halo. If so, regions give exactly the same result as the whole
    /// frame.
    pub local: bool,
    /// The largest tensor, including the halo; `None` processes the frame as a whole. Ignored if the size is fixed.
    ///
    /// The halo is never cut to fit: a tile smaller than [`Limits::min_tile`] is enlarged to it.
    pub tile: Option<Size>,
    /// Over how many pixels neighbours are blended if seams may show: for a network that is not local, and for a fixed
    /// size without room for the halo.
    pub overlap: u32,
}

/// Any size in one run, with a receptive field of one pixel.
impl Default for Limits {
    fn default() -> Self {
        let one = Size { width: 1, height: 1 };
        Self { fixed: None, multiple: one, align: one, min: one, halo: 0, local: true, tile: None, overlap: 0 }
    }
}

impl Limits {
    /// The smallest tensor of a tile that has neighbours on all sides: halo, blended part, and a grid step between
    /// them.
    ///
    /// It has no meaning for a network with a fixed size.
    pub fn min_tile(&self) -> Size {
        let endless = Size { width: u32::MAX, height: u32::MAX };
        Size { width: self.columns(endless).min_tile(), height: self.rows(endless).min_tile() }
    }

    fn columns(&self, frame: Size) -> Cut {
        self.cut(frame, |size| size.width)
    }

    fn rows(&self, frame: Size) -> Cut {
        self.cut(frame, |size| size.height)
    }

    fn cut(&self, frame: Size, side: impl Fn(Size) -> u32) -> Cut {
        Cut {
            length: side(frame),
            fixed: self.fixed.map(&side),
            multiple: side(self.multiple).max(1),
            align: side(self.align).max(1),
            min: side(self.min),
            halo: self.halo,
            tile: self.tile.map(&side),
            overlap: self.overlap,
            local: self.local,
        }
    }
}

impl Region {
    /// The region that recomputes `keep` (a part of `frame`, not empty) with a local network without a fixed size.
    ///
    /// `keep` may start and end anywhere: a subsampled chroma sample belongs to the region that keeps its first pixel.
    /// If the network pads, or its input is padded, the region's tensor ends where the whole frame's would. `tile` and
    /// `overlap` are ignored.
    pub fn around(keep: Rect, frame: Size, limits: Limits) -> Self {
        let column = limits.columns(frame).window(keep.x, keep.width);
        let row = limits.rows(frame).window(keep.y, keep.height);
        Self::of(&column, &row)
    }

    fn of(column: &Span, row: &Span) -> Self {
        Self {
            keep: Rect { x: column.keep, y: row.keep, width: column.keep_length, height: row.keep_length },
            read: Rect { x: column.read, y: row.read, width: column.read_length, height: row.read_length },
            tensor: Size { width: column.tensor, height: row.tensor },
            blend: Blend {
                left: column.blend_before,
                top: row.blend_before,
                right: column.blend_behind,
                bottom: row.blend_behind,
            },
        }
    }
}

/// Divides `frame` into regions, left to right and top to bottom. There is only one if the network accepts any size and
/// no tile size is set.
///
/// Inner borders of `keep` lie on even pixels, where chroma samples start (if a fixed size is at least 2), and on the
/// network's grid.
///
/// With a tile size, each region's tensor is a window of the whole frame's tensor, including padding: around every kept
/// pixel the network sees the same values, so that the result of a local network is the same. The frame is divided into
/// as few tiles as possible, all with the same tensor size; only the last of a row or column may be smaller, by less
/// than a step of the network's grid, if the frame does not end on the grid.
///
/// With a fixed size, each region reads as much of the frame as fits. At the frame's edges the tensor ends where the
/// frame does, and the network pads there as it would for the whole frame; only a frame smaller than the tensor is
/// padded. A halo that does not fit into the tensor is cut. Seams may then show unless they are blended: over `overlap`
/// pixels, or a quarter of the tensor if that is less.
///
/// An empty frame has no regions.
pub fn cover(frame: Size, limits: Limits) -> Vec<Region> {
    if frame.width == 0 || frame.height == 0 {
        return Vec::new();
    }
    let (columns, rows) = (limits.columns(frame).spans(), limits.rows(frame).spans());
    rows.iter().flat_map(|row| columns.iter().map(|column| Region::of(column, row))).collect()
}

/// Regions that recompute `part` of `frame` with a local network without a fixed size: one, or several whose tensors do
/// not exceed the tile size (unless the halo needs more).
pub fn around(part: Rect, frame: Size, limits: Limits) -> Vec<Region> {
    let whole = Region::around(part, frame, limits);
    let Some(tile) = limits.tile else { return vec![whole] };
    let steps = |begin: u32, length: u32, tensor: u32, tile: u32| {
        // Twice the halo, plus twice the alignment that the tensor may need.
        let around = limits.halo.saturating_mul(2) + limits.multiple.width.max(limits.align.width).saturating_mul(2);
        let step = if tensor <= tile { length } else { (tile.saturating_sub(around) / 2 * 2).max(2) };
        (0..length.div_ceil(step.max(1))).map(move |n| (begin + n * step, step.min(length - n * step)))
    };
    let columns = || steps(part.x, part.width, whole.tensor.width, tile.width);
    let rows = steps(part.y, part.height, whole.tensor.height, tile.height);
    let cells = rows.flat_map(|(y, height)| columns().map(move |(x, width)| Rect { x, y, width, height }));
    cells.map(|keep| Region::around(keep, frame, limits)).collect()
}

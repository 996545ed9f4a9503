//! Cutting a frame into regions.

use super::span::{Cut, Span};
use crate::types::{Rect, Size};

/// A part of a frame that goes through the network in one run; input pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The part whose result is kept.
    pub keep: Rect,
    /// What is read: `keep` grown by the halo, clipped at the frame's edge.
    pub read: Rect,
    /// The tensor's size: `read`, padded at the right and the bottom to what the network takes.
    pub tensor: Size,
    /// Where it is blended with its neighbours.
    pub blend: Blend,
}

/// Over how many input pixels a region and its neighbours are blended by [`Feather`](super::feather::Feather); 0 on a side
/// where nothing is.
///
/// A blended part begins where two kept parts meet and belongs to the right or lower one, whose result it passes into.
/// Both regions read all of it, and the halo around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blend {
    /// From the left edge of `keep` on, with the region before.
    pub left: u32,
    /// From the upper edge of `keep` on, with the region above.
    pub top: u32,
    /// From the right edge of `keep` on: the next region's `left`.
    pub right: u32,
    /// From the lower edge of `keep` on: the `top` of the region below.
    pub bottom: u32,
}

/// What the network asks of its input's size, and how much of a frame may go through it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The only size it takes. Then only `halo`, `local` and `overlap` matter beside it.
    pub fixed: Option<Size>,
    /// Width and height must be multiples of these.
    pub multiple: Size,
    /// The period of the network's grid: what strides, pooling or pixel unshuffling take together. The result shifts with
    /// the picture only by multiples of it, so that regions begin at multiples of it.
    pub align: Size,
    /// The smallest size it takes.
    pub min: Size,
    /// How many pixels around a pixel have a say in its result.
    ///
    /// That is the network's receptive radius, plus [`Converter::halo`](super::convert::Converter::halo) where the result
    /// is subsampled again. Of a network that is not local it is the margin of a tensor that is not used, because the
    /// network's own padding shows there: with none, blending spreads that along the seam.
    pub halo: u32,
    /// Whether no pixel beyond the halo has a say. If so, regions give exactly what the whole frame does.
    pub local: bool,
    /// The largest tensor, the halo included; `None` takes the frame as a whole. Ignored where the size is fixed.
    ///
    /// It is never a reason to cut the halo: a tile smaller than [`Limits::min_tile`] is taken for that.
    pub tile: Option<Size>,
    /// Over how many pixels neighbours are blended where cutting shows: for a network that is not local, and for a fixed
    /// size that has no room for the halo.
    pub overlap: u32,
}

/// Any size goes, at once, and no pixel has a say in another's result.
impl Default for Limits {
    fn default() -> Self {
        let one = Size { width: 1, height: 1 };
        Self { fixed: None, multiple: one, align: one, min: one, halo: 0, local: true, tile: None, overlap: 0 }
    }
}

impl Limits {
    /// The smallest tensor of a tile that has neighbours on all sides: halo, blended part, and a step between them.
    ///
    /// Of a network with a fixed size it says nothing.
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
    /// The region that recomputes `keep` (a part of `frame`, not empty) with a local network of no fixed size.
    ///
    /// `keep` may begin and end anywhere: a subsampled chroma sample goes with the region that keeps its first pixel.
    /// Where the network pads, or is padded for, the region ends as the whole frame would. `tile` and `overlap` do not matter.
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

/// Regions that cover `frame`, left to right and top to bottom; one if the network takes any size and no tile is given.
///
/// Inner borders of `keep` lie on even pixels, where chroma begins (if a fixed size is at least 2), and on the network's grid.
///
/// With a tile size, each region's tensor is a window of what the whole frame's would be, padding included: the network
/// finds the same around every kept pixel, so that the result of a local one is the same. It is cut into as few tiles as
/// will do, all with a tensor of one size; the last of a row or column may be smaller by less than a step of the network's
/// grid, where the frame ends off that.
///
/// With a fixed size, each region reads as much of the frame as fits, so that at the frame's edges the tensor ends
/// where the frame does and the network pads there as it would for the whole frame; only a frame that is smaller than
/// the tensor is padded. A halo that leaves no room in the tensor is cut to what does. Then seams may show, unless they are
/// blended: over `overlap` pixels, or a quarter of the tensor if that is less.
///
/// An empty frame has no regions.
pub fn cover(frame: Size, limits: Limits) -> Vec<Region> {
    if frame.width == 0 || frame.height == 0 {
        return Vec::new();
    }
    let (columns, rows) = (limits.columns(frame).spans(), limits.rows(frame).spans());
    rows.iter().flat_map(|row| columns.iter().map(|column| Region::of(column, row))).collect()
}

/// Regions that recompute `part` of `frame` with a local network of no fixed size: one, or several whose tensors keep to the tile size
/// (as far as that leaves room for the halo).
pub fn around(part: Rect, frame: Size, limits: Limits) -> Vec<Region> {
    let whole = Region::around(part, frame, limits);
    let Some(tile) = limits.tile else { return vec![whole] };
    let steps = |begin: u32, length: u32, tensor: u32, tile: u32| {
        // What the tensor has around what is kept, and as much again where the grid falls otherwise.
        let around = limits.halo.saturating_mul(2) + limits.multiple.width.max(limits.align.width).saturating_mul(2);
        let step = if tensor <= tile { length } else { (tile.saturating_sub(around) / 2 * 2).max(2) };
        (0..length.div_ceil(step.max(1))).map(move |n| (begin + n * step, step.min(length - n * step)))
    };
    let columns = || steps(part.x, part.width, whole.tensor.width, tile.width);
    let rows = steps(part.y, part.height, whole.tensor.height, tile.height);
    let cells = rows.flat_map(|(y, height)| columns().map(move |(x, width)| Rect { x, y, width, height }));
    cells.map(|keep| Region::around(keep, frame, limits)).collect()
}

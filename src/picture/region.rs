//! Cutting a frame into regions.

use super::{Rect, Size};

/// A part of a frame that goes through the network in one run; input pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The part whose result is kept.
    pub keep: Rect,
    /// What is read: `keep` grown by the halo, clipped at the frame's edge.
    pub read: Rect,
    /// The tensor's size: `read`, padded at the right and the bottom to what the network takes.
    pub tensor: Size,
}

impl Region {
    /// The region that recomputes `keep` (a part of `frame`) with a network that takes any multiple of `multiple`.
    ///
    /// `keep` may begin and end anywhere: a subsampled chroma sample goes with the region that keeps its first pixel.
    pub fn around(keep: Rect, frame: Size, halo: u32, multiple: Size) -> Self {
        let (x, width) = grow(keep.x, keep.width, frame.width, halo);
        let (y, height) = grow(keep.y, keep.height, frame.height, halo);
        let read = Rect { x, y, width, height };
        let tensor = Size { width: round_up(width, multiple.width), height: round_up(height, multiple.height) };
        Self { keep, read, tensor }
    }
}

/// What the network asks of its input's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The only size it takes.
    pub fixed: Option<Size>,
    /// Width and height must be multiples of these.
    pub multiple: Size,
    /// How many pixels around a pixel have a say in its result.
    ///
    /// That is the network's receptive radius, plus [`Converter::halo`](super::convert::Converter::halo) where the result
    /// is subsampled again.
    pub halo: u32,
}

/// Regions that cover `frame`, left to right and top to bottom; one if the network takes any size.
///
/// With a fixed size, each region reads as much of the frame as fits, so that at the frame's edges the tensor ends
/// where the frame does and the network pads there as it would for the whole frame; only a frame that is smaller than
/// the tensor is padded. Inner borders of `keep` lie on even pixels (if the size is at least 2), where chroma begins.
/// A halo that leaves no room in the tensor is cut to what does: then seams may show. An empty frame has no regions.
pub fn cover(frame: Size, limits: Limits) -> Vec<Region> {
    if frame.width == 0 || frame.height == 0 {
        return Vec::new();
    }
    let Some(fixed) = limits.fixed else {
        let whole = Rect { x: 0, y: 0, width: frame.width, height: frame.height };
        return vec![Region::around(whole, frame, 0, limits.multiple)];
    };
    let columns = spans(frame.width, fixed.width.max(1), limits.halo);
    let rows = spans(frame.height, fixed.height.max(1), limits.halo);
    let mut regions = Vec::with_capacity(columns.len() * rows.len());
    for row in &rows {
        for column in &columns {
            regions.push(Region {
                keep: Rect { x: column.keep, y: row.keep, width: column.keep_length, height: row.keep_length },
                read: Rect { x: column.read, y: row.read, width: column.read_length, height: row.read_length },
                tensor: Size { width: fixed.width.max(1), height: fixed.height.max(1) },
            });
        }
    }
    regions
}

/// One direction of a region.
struct Span {
    keep: u32,
    keep_length: u32,
    read: u32,
    read_length: u32,
}

/// Covers `length` pixels with spans that read at most `fixed`.
fn spans(length: u32, fixed: u32, halo: u32) -> Vec<Span> {
    if length <= fixed {
        return vec![Span { keep: 0, keep_length: length, read: 0, read_length: length }];
    }
    let align = if fixed >= 2 { 2 } else { 1 };
    // At least one aligned step must remain between the halos.
    let halo = halo.min((fixed - align) / 2);
    let mut spans = Vec::new();
    let mut keep = 0;
    while keep < length {
        // The last span is moved back into the frame: better real pixels than padding.
        let read = keep.saturating_sub(halo).min(length - fixed);
        let end = read + fixed;
        let keep_end = if end == length { length } else { (end - halo) / align * align };
        spans.push(Span { keep, keep_length: keep_end - keep, read, read_length: fixed });
        keep = keep_end;
    }
    spans
}

/// Grows a span by `halo` on both sides, within 0 to `limit`: where it begins and its length.
fn grow(start: u32, length: u32, limit: u32, halo: u32) -> (u32, u32) {
    let begin = start.saturating_sub(halo);
    let end = start.saturating_add(length).saturating_add(halo).min(limit);
    (begin, end - begin)
}

fn round_up(length: u32, multiple: u32) -> u32 {
    length.next_multiple_of(multiple.max(1))
}

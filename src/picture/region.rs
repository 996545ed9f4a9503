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

/// What the network asks of its input's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub fixed: Option<Size>,
    pub multiple: Size,
    pub halo: u32,
}

/// Regions that cover `frame`, left to right and top to bottom; one if the network takes any size.
pub fn cover(_frame: Size, _limits: Limits) -> Vec<Region> {
    todo!()
}

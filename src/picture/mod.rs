//! Pictures in memory: formats, planes, regions, and the way from pixels to tensors and back.

pub mod convert;
pub mod format;
pub mod region;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// A rectangle in pixels, from the top left corner of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

//! The raw video formats the plugin takes, described without GStreamer.

use super::Size;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    Gray8,
    I420,
}

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{0}")]
    Plane(String),
}

impl PixelFormat {
    pub const ALL: &'static [PixelFormat] = &[];
    pub fn name(self) -> &'static str {
        todo!()
    }
    pub fn from_name(_name: &str) -> Option<Self> {
        todo!()
    }
}

/// Matrix, range and chroma siting of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    pub matrix: Matrix,
    pub range: Range,
    pub chroma_site: ChromaSite,
}
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    pub kr: f64,
    pub kb: f64,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Full,
    Limited,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChromaSite {
    pub h_cosited: bool,
    pub v_cosited: bool,
}

pub struct PictureRef<'a> {
    _d: &'a [u8],
}
pub struct PictureMut<'a> {
    _d: &'a mut [u8],
}
impl<'a> PictureRef<'a> {
    pub fn new(_format: PixelFormat, _size: Size, _planes: &[(&'a [u8], usize)]) -> Result<Self, PictureError> {
        todo!()
    }
}
impl<'a> PictureMut<'a> {
    pub fn new(_format: PixelFormat, _size: Size, _planes: Vec<(&'a mut [u8], usize)>) -> Result<Self, PictureError> {
        todo!()
    }
}

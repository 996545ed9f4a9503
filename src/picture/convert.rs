//! Pixels to tensors and back.
use super::Size;
use super::format::*;
use super::region::Region;
use crate::model::Channels;

/// Buffers one worker keeps from frame to frame.
#[derive(Default)]
pub struct Scratch {}

/// All that is fixed for a stream of frames of one format and size. Immutable; shared by the workers.
pub struct Converter {}

impl Converter {
    pub fn new(_format: PixelFormat, _colour: Colour, _input: Size, _channels: Channels, _scale: u32) -> Self {
        todo!()
    }
    /// All of the output that the network has no say in: chroma and alpha planes, resized.
    pub fn begin(&self, _src: &PictureRef, _dst: &mut PictureMut, _scratch: &mut Scratch) {
        todo!()
    }
    pub fn gather(&self, _src: &PictureRef, _region: &Region, _scratch: &mut Scratch, _tensor: &mut Vec<f32>) {
        todo!()
    }
    pub fn scatter(&self, _tensor: &[f32], _region: &Region, _scratch: &mut Scratch, _dst: &mut PictureMut) {
        todo!()
    }
}

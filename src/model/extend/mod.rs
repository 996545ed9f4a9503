//! Networks whose graph takes and gives codes as they lie in pictures, so that a device is handed integers and not floats, and does
//! the conversion itself.
//!
//! `extend` writes a new model file: the network as it is, with operators before its input that make normalised R'G'B' or luma of
//! windows of planes, and operators behind its output that make codes of its result. They do in the same order what
//! [`Converter::to_tensor`](crate::picture::convert::Converter::to_tensor) and
//! [`Converter::from_tensor`](crate::picture::convert::Converter::from_tensor) do, in 32-bit floats, so that both agree but for what optimisers
//! make of the graph. Which tensors cross, and in which order, is said in `Recipe`; the other end of it is `picture::device_conversion`.
//!
//! | module | what it holds |
//! |---|---|
//! | `front`, `back` | what stands before and behind the network |
//! | `nodes` | writing operators |
//! | `file` | putting them into the file |

mod back;
mod file;
mod front;
mod nodes;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::nodes::Nodes;
use super::graph::proto::data_type;
use super::{Channels, Element};
use crate::picture::colour::{ChromaSite, Levels};
use crate::picture::device_tensors::PixelEncoding;
use crate::picture::format::Layout;
use crate::picture::matrix::Coefficients;
use crate::types::Size;

/// The version of ONNX's operators from which on all that is added means what it means today: `Round` came with it.
pub const MIN_OPSET: i64 = 11;

/// What is written around a network.
///
/// Inputs, in this order (`h` and `w` are the tensor's sides; windows begin where the region does):
///
/// 1. the planes that the network sees (luma alone for a luma network and Y'CbCr), uint8, or uint16 where a sample has two bytes:
///    `[1, 1, h, w]`, or `[1, h, w, n]` with n samples in a pixel. Subsampled chroma: the samples that are needed, as many as there are;
/// 2. for each direction (rows first) in which chroma is subsampled, two lists (int32) of as many numbers as the tensor has rows or
///    columns: for each the nearest sample of the window, and the other one that has a say;
/// 3. likewise the pixels of the result that make each sample of chroma: two lists, or three where chroma lies on a pixel.
///
/// Outputs: the same planes of the result, `scale` times as large, of subsampled chroma the samples asked for; packed R'G'B' without
/// what is beside it in a pixel, in the order in which it lies there. A luma network's result for an R'G'B' picture is luma, uint16 or
/// int32, by [`Levels::crossing`].
pub(super) struct Recipe {
    layout: Layout,
    luma: Levels,
    chroma: Levels,
    matrix: Coefficients,
    site: ChromaSite,
    channels: Channels,
    /// The types of the network's input and output.
    input: Element,
    output: Element,
    /// The only input size of the network, which is then declared.
    size: Option<Size>,
}

impl Recipe {
    /// For pictures of `encoding` and a network of `channels` that takes and gives `elements`.
    pub fn new(encoding: &PixelEncoding, channels: Channels, elements: [Element; 2], size: Option<Size>) -> Self {
        let PixelEncoding { format, colour } = encoding;
        let layout = format.layout();
        let [input, output] = elements;
        Self {
            layout,
            luma: Levels::luma(colour.range, layout.depth),
            chroma: Levels::chroma(colour.range, layout.depth),
            matrix: Coefficients::new(colour.matrix),
            site: colour.chroma_site,
            channels,
            input,
            output,
            size,
        }
    }

    /// Samples in a pixel of a plane.
    fn samples(&self, plane: usize) -> usize {
        self.layout.plane_step(plane).map_or(1, |step| step / self.layout.bytes)
    }
}

/// The type of a format's samples.
fn sample_type(layout: &Layout) -> i32 {
    if layout.bytes == 1 { data_type::UINT8 } else { data_type::UINT16 }
}

/// A model file that converts.
#[derive(Debug)]
pub(super) struct Extended {
    pub bytes: Vec<u8>,
    /// The names of its inputs and outputs, in the order of [`Recipe`].
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// Writes `recipe` around the network in the file `model`, whose input and output have these names. What the file holds stays as it is,
/// also what is not known here.
///
/// # Errors
/// One line that can follow "the device cannot convert for FILE: ".
pub(super) fn extend(model: &Bytes, recipe: &Recipe, input: &str, output: &str) -> Result<Extended, String> {
    let file = file::File::read(model)?;
    let mut front = Nodes::new(file.free_prefix());
    recipe.front(&mut front, input);
    let mut back = front.behind();
    recipe.back(&mut back, output);
    let ports = |ports: &[nodes::Port]| ports.iter().map(|port| port.name.clone()).collect();
    Ok(Extended {
        bytes: file.write(input, &front, &back)?,
        inputs: ports(&[front.inputs.as_slice(), back.inputs.as_slice()].concat()),
        outputs: ports(&back.outputs),
    })
}

//! Extends a network's graph so that it takes and returns integer samples, and the device does the conversion.
//!
//! `extend` writes a new model file: the unchanged network, operators before its input that convert windows of planes
//! to normalised R'G'B' or luma, and operators behind its output that convert the result to samples. They do the same
//! 32-bit float operations in the same order as [`Converter::to_tensor`](crate::picture::convert::Converter::to_tensor)
//! and [`Converter::from_tensor`](crate::picture::convert::Converter::from_tensor), so the results agree unless an
//! optimiser changes the graph. `Recipe` defines the tensors and their order; `picture::device_conversion` is the
//! counterpart.
//!
//! | module | contents |
//! |---|---|
//! | `front`, `back` | the operators before and behind the network |
//! | `nodes` | creates operators |
//! | `file` | inserts them into the file |

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

/// The first opset in which all added operators have their current meaning; it introduced `Round`.
pub const MIN_OPSET: i64 = 11;

/// The conversion added to a network.
///
/// Inputs, in this order (`h` and `w` are the tensor's sides; windows start at the region's origin):
///
/// 1. the planes that the network sees (only luma for a luma network on Y'CbCr), uint8, or uint16 for two-byte samples:
///    `[1, 1, h, w]`, or `[1, h, w, n]` with n samples per pixel. Subsampled chroma: only the samples needed;
/// 2. for each direction in which chroma is subsampled (rows first), two int32 lists with one index per row or column
///    of the tensor: the nearest sample of the window, and the other sample with a weight;
/// 3. likewise the indices of the output pixels averaged to each chroma sample: two lists, or three for co-sited
///    chroma.
///
/// Outputs: the same planes of the result, `scale` times as large; for subsampled chroma the samples that the lists
/// select; for packed R'G'B' only the colour samples, in memory order. A luma network on an R'G'B' picture returns luma
/// as uint16 or int32, by [`Levels::crossing`].
pub(super) struct Recipe {
    layout: Layout,
    luma: Levels,
    chroma: Levels,
    matrix: Coefficients,
    site: ChromaSite,
    channels: Channels,
    /// Element types of the network's input and output.
    input: Element,
    output: Element,
    /// The fixed input size of the network, which is then declared.
    size: Option<Size>,
}

impl Recipe {
    /// The conversion for pictures of `encoding` and a network with `channels`. `elements` are the types of the
    /// network's input and output.
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

    /// Samples per pixel of a plane.
    fn samples(&self, plane: usize) -> usize {
        self.layout.plane_step(plane).map_or(1, |step| step / self.layout.bytes)
    }
}

/// The ONNX type of a format's samples.
fn sample_type(layout: &Layout) -> i32 {
    if layout.bytes == 1 { data_type::UINT8 } else { data_type::UINT16 }
}

/// A model file with conversion.
#[derive(Debug)]
pub(super) struct Extended {
    pub bytes: Vec<u8>,
    /// Names of the inputs and outputs, in the order of [`Recipe`].
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// Adds `recipe` to the network in the file `model`, whose input and output have these names. Everything else in the
/// file, including unknown fields, is copied unchanged.
///
/// # Errors
/// One line that can follow "conversion=device is not possible with FILE: ".
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

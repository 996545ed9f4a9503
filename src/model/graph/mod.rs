//! What can be told of a network by reading its graph: how far a pixel's result reaches into the input, and on which grid.
//!
//! Frames are computed in parts where they do not fit into memory, or where only parts have changed. A part's result is that of
//! the whole frame if it is computed with all pixels around it that have a say: the network's receptive field. This module derives
//! it from the ONNX file, without running the network and without the inference library. It never guesses: an operator, or an
//! attribute of one, that is not known here makes the network "not local", with that as the reason.
//!
//! | module | what it holds |
//! |---|---|
//! | `proto` | the part of the file format that is read |
//! | `walk` | the graph, and the way through it |
//! | `sizes` | numbers that depend on the picture's size |
//! | `picture` | tensors that depend on the picture, and what their elements see of it |
//! | `known` | constants, and numbers computed from sizes |
//! | `node` | an operator's attributes and inputs |
//! | `live` | how much is held at a time |
//! | `receptive_field` | the result: receptive field, alignment, multiples, from the walks for all remainders of a size |
//! | `border` | what repeated and reflected edges add |
//! | `fold`, `window`, `resize`, `layout`, `reshape`, `pointwise` | the operators |
//!
//! How: each tensor's dimension that runs along the picture has a map from its elements to the interval of input pixels that
//! they see (`picture::InputSpan`), exact and for all sizes at once. A convolution widens the interval, a shuffle of pixels
//! changes the distance from one element to the next, a sum takes the union. The receptive field of the last tensor is the result.

mod border;
#[cfg(any(test, feature = "test-support"))]
pub mod builder;
mod fold;
mod known;
mod layout;
mod live;
mod node;
mod picture;
mod pointwise;
pub(in crate::model) mod proto;
mod receptive_field;
mod reshape;
mod resize;
mod sizes;
mod walk;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::sniff;
use crate::types::Size;

use self::walk::Graph;

/// How many input pixels to each side of a pixel may have a say in its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptiveField {
    pub left: u32,
    pub right: u32,
    pub top: u32,
    pub bottom: u32,
}

impl ReceptiveField {
    /// The furthest of the four.
    pub fn radius(self) -> u32 {
        self.left.max(self.right).max(self.top).max(self.bottom)
    }
}

/// Whether parts of a picture can be computed by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locality {
    Local(Local),
    /// The network takes in the whole picture, or it could not be found out that it does not.
    Global {
        /// One line that can follow "not local: ".
        reason: String,
    },
}

impl Locality {
    /// The network's receptive radius, if it has one that is known.
    pub fn radius(&self) -> Option<u32> {
        match self {
            Locality::Local(local) => Some(local.receptive_field.radius()),
            Locality::Global { .. } => None,
        }
    }
}

/// What holds for a network that is local.
///
/// A part of a picture gives the same result as the whole picture for every pixel whose receptive field lies within the part, or beyond the
/// edge of the picture where the part ends there too, if
///
/// - the part begins at multiples of `alignment`, and ends at one or at the picture's edge;
/// - part and picture are at least as large as `least` in both directions.
///
/// The network's padding then falls on the picture's edge, or on pixels whose result is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub receptive_field: ReceptiveField,
    /// Where parts may begin: the grid on which the network treats all pixels alike. 1x1 where there is none.
    pub alignment: Size,
    /// The size from which on this is known to be true. Networks need not take all smaller ones.
    pub least: Size,
    /// Whether the result is the same to the last bit, as far as it is for the network to say. It is not with a `Resize` whose weights
    /// are rounded by where in the picture they are, as they are for an enlargement by 3: then it differs by about 1e-6.
    pub exact: bool,
}

/// What was found out about a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Channels of the input: as declared, or as the weights ask for.
    pub channels: Option<u32>,
    /// Output size over input size, if the network is local.
    pub scale: Option<u32>,
    /// Width and height must be multiples of these; 1x1 where anything goes, and where the size is fixed.
    pub multiple: Size,
    pub locality: Locality,
    /// Elements for each input pixel that a run holds at a time, input and output included, if the network is local.
    pub live_elements: Option<u64>,
    /// The only input size that the network takes, if it fixes that.
    pub fixed_size: Option<Size>,
    /// How often each operator occurs, of those on which the output depends. The names of those that are not ONNX's own begin with
    /// their domain.
    pub operators: BTreeMap<String, usize>,
}

/// Analyses a model file. `channels` is what the input has, where that is known otherwise than by the graph.
///
/// Takes milliseconds; about a second and a small multiple of the file's size in memory at most, whatever the file holds. An error means that no graph could be read; it is one line that can follow
/// "FILE cannot be analysed: ".
pub fn analyse(model: Bytes, channels: Option<u32>) -> Result<Analysis, String> {
    sniff::check(&model)?;
    let graph = Graph::read(model)?;
    let mut operators = BTreeMap::new();
    for node in &graph.nodes {
        *operators.entry(node.operator.clone()).or_insert(0) += 1;
    }
    let mut analysis = Analysis {
        channels,
        scale: None,
        multiple: ONE,
        locality: Locality::Global { reason: String::new() },
        live_elements: None,
        fixed_size: None,
        operators,
    };
    match input(&graph, channels) {
        Ok(input) => {
            analysis.fixed_size = input.fixed;
            follow(&graph, &input, &mut analysis);
        }
        Err(reason) => analysis.locality = Locality::Global { reason },
    }
    Ok(analysis)
}

const ONE: Size = Size { width: 1, height: 1 };

/// What the graph declares of its input.
struct Input {
    /// The numbers of channels to try.
    channels: Vec<u32>,
    fixed: Option<Size>,
}

fn input(graph: &Graph, known: Option<u32>) -> Result<Input, String> {
    if let Some(node) = graph.nodes.iter().find(|node| !node.standard) {
        return Err(format!("{}: this operator is not known", node.operator));
    }
    let shape = graph.input.kind.as_ref().and_then(|kind| kind.tensor.as_ref()?.shape.as_ref());
    let dim = |dim: &proto::Dimension| match dim.length {
        Some(proto::Length::Fixed(len)) => u32::try_from(len).ok().filter(|&len| len > 0),
        Some(proto::Length::Free(_)) | None => None,
    };
    let dims: Vec<Option<u32>> = match shape {
        Some(shape) => shape.dim.iter().map(dim).collect(),
        None => vec![None; 4],
    };
    let &[batch, channels, height, width] = dims.as_slice() else {
        return Err(format!("its input has {} dimensions where 4 are due", dims.len()));
    };
    if batch.is_some_and(|batch| batch != 1) {
        return Err("its batch size is not 1".into());
    }
    if !matches!(channels, Some(1 | 3)) && matches!(width, Some(1 | 3)) {
        return Err("its input has the channels last (NHWC)".into());
    }
    let channels = channels.or(known).map_or_else(|| vec![3, 1], |channels| vec![channels]);
    // As for the session: a network that fixes one direction gets the same length for the other.
    let fixed =
        width.or(height).map(|either| Size { width: width.unwrap_or(either), height: height.unwrap_or(either) });
    Ok(Input { channels, fixed })
}

/// Follows a picture through the graph and fills in what that tells.
fn follow(graph: &Graph, input: &Input, analysis: &mut Analysis) {
    for &channels in &input.channels {
        match receptive_field::of_local(graph, channels, input.fixed) {
            Ok(found) => {
                analysis.channels = Some(channels);
                analysis.scale = Some(found.scale);
                analysis.multiple = found.multiple;
                analysis.locality = Locality::Local(found.local);
                analysis.live_elements = Some(found.live_elements);
                return;
            }
            Err(stop) => analysis.locality = Locality::Global { reason: walk::reason(stop) },
        }
    }
    if let [channels] = input.channels[..] {
        analysis.channels = Some(channels);
    }
}

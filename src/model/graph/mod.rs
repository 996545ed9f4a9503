//! Static analysis of a network's graph: its receptive field, and the grid on which it works.
//!
//! Frames are computed in parts if they do not fit into memory, or if only parts have changed. A part gives the same
//! result as the whole frame if it includes all surrounding pixels within the network's receptive field. This module
//! derives the receptive field from the ONNX file, without running the network and without the inference library. It
//! never guesses: an unknown operator or attribute makes the network "not local", with that as the reason.
//!
//! | module | contents |
//! |---|---|
//! | `proto` | the part of the file format that is read |
//! | `walk` | the graph and its traversal |
//! | `sizes` | numbers that depend on the picture's size |
//! | `picture` | tensors that depend on the picture, and which pixels their elements see |
//! | `known` | constants, and numbers computed from sizes |
//! | `node` | an operator's attributes and inputs |
//! | `live` | peak number of live elements |
//! | `receptive_field` | the result: receptive field, alignment, multiples, merged over all remainders of the size |
//! | `border` | what repeated and reflected edges add |
//! | `fold`, `window`, `resize`, `layout`, `reshape`, `pointwise` | the operators |
//!
//! Each tensor dimension along the picture has a map from its elements to the interval of input pixels that they see
//! (`picture::InputSpan`), exact and for all sizes at once. A convolution widens the interval, a pixel shuffle changes
//! the distance between elements, a sum takes the union. The receptive field of the output tensor is the result.

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

/// How many input pixels to each side of a pixel may affect its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptiveField {
    pub left: u32,
    pub right: u32,
    pub top: u32,
    pub bottom: u32,
}

impl ReceptiveField {
    /// The largest of the four.
    pub fn radius(self) -> u32 {
        self.left.max(self.right).max(self.top).max(self.bottom)
    }
}

/// Whether parts of a picture can be computed separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locality {
    Local(Local),
    /// The network depends on the whole picture, or the analysis could not rule that out.
    Global {
        /// One line that can follow "not local: ".
        reason: String,
    },
}

impl Locality {
    /// The radius of the receptive field, if the network is local.
    pub fn radius(&self) -> Option<u32> {
        match self {
            Locality::Local(local) => Some(local.receptive_field.radius()),
            Locality::Global { .. } => None,
        }
    }
}

/// Properties of a local network.
///
/// A part of a picture gives the same result as the whole picture for every pixel whose receptive field lies within the
/// part, or extends beyond the picture at an edge that the part shares, if
///
/// - the part begins at multiples of `alignment`, and ends at one or at the picture's edge;
/// - part and picture are at least as large as `least` in both directions.
///
/// The network's padding then affects only the picture's edge, or pixels whose result is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub receptive_field: ReceptiveField,
    /// The grid on which parts may begin, because the network treats all its cells alike. 1x1: no constraint.
    pub alignment: Size,
    /// The smallest size for which this is proven. Networks need not accept all smaller ones.
    pub least: Size,
    /// Whether the results are bit-identical, as far as the graph determines that. They differ by about 1e-6 if a
    /// `Resize` has weights whose rounding depends on the position, as for an enlargement by 3.
    pub exact: bool,
}

/// The result of the analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Channels of the input, as declared or as required by the weights.
    pub channels: Option<u32>,
    /// Output size divided by input size, if the network is local.
    pub scale: Option<u32>,
    /// Width and height must be multiples of these; 1x1 if there is no constraint or the size is fixed.
    pub multiple: Size,
    pub locality: Locality,
    /// Peak number of live elements per input pixel, including input and output, if the network is local.
    pub live_elements: Option<u64>,
    /// The only input size that the network accepts, if it is fixed.
    pub fixed_size: Option<Size>,
    /// How often each operator occurs among those that the output depends on. The names of non-standard operators start
    /// with their domain.
    pub operators: BTreeMap<String, usize>,
}

/// Analyses a model file. `channels` is the number of input channels, if it is known from elsewhere.
///
/// Takes milliseconds. For any file, even a hostile one, it takes at most about a second, and memory of a small
/// multiple of the file size. An error means that no graph could be read; it is one line that can follow "FILE cannot
/// be analysed: ".
pub fn analyse(model: Bytes, channels: Option<u32>) -> Result<Analysis, String> {
    sniff::check(&model)?;
    let graph = Graph::read(model)?;
    let operators = count_operators(&graph);
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

/// See [`Analysis::operators`]; an error is as with [`analyse`].
pub fn operators(model: &Bytes) -> Result<BTreeMap<String, usize>, String> {
    Ok(count_operators(&Graph::read(model.clone())?))
}

/// Whether any operator computes pixels between those of its input: a `Resize` that is not nearest-neighbour.
pub fn interpolates(model: &Bytes) -> bool {
    let is_nearest = |node: &node::Node| node.choice("mode", "nearest", &["nearest"]).is_ok();
    let resizes = |node: &&node::Node| matches!(node.operator.as_str(), "Resize" | "Upsample");
    Graph::read(model.clone()).is_ok_and(|graph| !graph.nodes.iter().filter(resizes).all(is_nearest))
}

fn count_operators(graph: &Graph) -> BTreeMap<String, usize> {
    let mut operators = BTreeMap::new();
    for node in &graph.nodes {
        *operators.entry(node.operator.clone()).or_insert(0) += 1;
    }
    operators
}

const ONE: Size = Size { width: 1, height: 1 };

/// The declared input of the graph.
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
        return Err(format!("its input has {} dimensions instead of 4", dims.len()));
    };
    if batch.is_some_and(|batch| batch != 1) {
        return Err("its batch size is not 1".into());
    }
    if !matches!(channels, Some(1 | 3)) && matches!(width, Some(1 | 3)) {
        return Err("its input has the channels last (NHWC)".into());
    }
    let channels = channels.or(known).map_or_else(|| vec![3, 1], |channels| vec![channels]);
    // As in the session: if only one side is fixed, the other gets the same length.
    let fixed =
        width.or(height).map(|either| Size { width: width.unwrap_or(either), height: height.unwrap_or(either) });
    Ok(Input { channels, fixed })
}

/// Follows a picture through the graph and fills in the results.
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

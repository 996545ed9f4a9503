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
mod reshape;
mod resize;
mod sizes;
mod walk;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use num_rational::Ratio;

use super::sniff;
use crate::types::Size;

use self::picture::{Atom, InputSpan};
use self::sizes::{Axis, Sizes, Stop, whole};
use self::walk::{Graph, Walk};

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

/// Most remainders that are looked at, of height times of width.
const MAX_REMAINDERS: i128 = 256;
/// Most operators, with their inputs, outputs and lists of numbers, that are looked at, over all remainders. It bounds the time to
/// about a second.
const MAX_STEPS: i128 = 1 << 18;

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
        match local(graph, channels, input.fixed) {
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

/// What a local graph does.
struct Found {
    scale: u32,
    multiple: Size,
    local: Local,
    live_elements: u64,
}

fn local(graph: &Graph, channels: u32, fixed: Option<Size>) -> Result<Found, Stop> {
    let steps: i128 = graph.nodes.iter().map(node::Node::steps).sum();
    if steps > MAX_STEPS {
        return sizes::global(format!("its operators have {steps} inputs, outputs and numbers"));
    }
    if let Some(size) = fixed {
        let walk = graph.walk(channels.into(), Sizes::fixed(size))?;
        return merged(&[walk], ONE, [1, 1]);
    }
    let mut multiple = [1, 1];
    loop {
        match remainders(graph, channels, multiple) {
            Err(Stop::Multiple(axis, factor)) => {
                let side = &mut multiple[usize::from(axis == Axis::Horizontal)];
                *side *= factor.clamp(2, MAX_REMAINDERS);
                let remainders = multiple[0] * multiple[1];
                if remainders > MAX_REMAINDERS || remainders * steps > MAX_STEPS {
                    return sizes::global(format!("it works in blocks of {}x{} pixels", multiple[1], multiple[0]));
                }
            }
            found => return found,
        }
    }
}

/// Analyses the graph for multiples of a size, then for what sizes leave as a remainder.
fn remainders(graph: &Graph, channels: u32, multiple: [i128; 2]) -> Result<Found, Stop> {
    let walk = |rest| graph.walk(channels.into(), Sizes::free(multiple, rest));
    let first = walk([0, 0])?;
    scale(&first)?;
    let mut walks = vec![first];
    let mut needed = multiple;
    // One direction at a time: the multiples of which all remainders work like the multiple itself.
    for axis in 0..2 {
        needed[axis] = divisors(multiple[axis])
            .find_map(|step| {
                let rests =
                    (1..multiple[axis] / step).map(|rest| if axis == 0 { [rest * step, 0] } else { [0, rest * step] });
                match rests.map(|rest| alike(walk(rest), &walks[0])).collect::<Result<Option<Vec<Walk>>, Stop>>() {
                    Ok(Some(walks)) => Some(Ok((step, walks))),
                    Ok(None) => None,
                    Err(stop) => Some(Err(stop)),
                }
            })
            .transpose()?
            .map_or(multiple[axis], |(step, more)| {
                walks.extend(more);
                step
            });
    }
    // Then both at once.
    for height in (needed[0]..multiple[0]).step_by(needed[0] as usize) {
        for width in (needed[1]..multiple[1]).step_by(needed[1] as usize) {
            match alike(walk([height, width]), &walks[0])? {
                Some(walk) => walks.push(walk),
                None => return sizes::global("it treats some sizes differently, by both width and height"),
            }
        }
    }
    merged(&walks, pixels(needed), multiple)
}

fn divisors(number: i128) -> impl Iterator<Item = i128> {
    (1..=number).filter(move |divisor| number % divisor == 0)
}

/// A walk that found the same network as the first one; None if it found another or none.
fn alike(walk: Result<Walk, Stop>, first: &Walk) -> Result<Option<Walk>, Stop> {
    match walk {
        Ok(walk) if walk.layouts == first.layouts && scale(&walk) == scale(first) => Ok(Some(walk)),
        Ok(_) | Err(Stop::Global(_)) => Ok(None),
        Err(multiple @ Stop::Multiple(..)) => Err(multiple),
    }
}

/// The enlargement, which must be by a whole number.
fn scale(walk: &Walk) -> Result<u32, Stop> {
    let planes = walk.output.planes()?;
    let [rows, columns] = planes.spans.map(|span| span.len.whole_ratio(walk.sizes.length(span.axis)));
    match (rows, columns) {
        (Some(rows), Some(columns)) if rows == columns => {
            u32::try_from(rows).map_or_else(|_| sizes::global("an enlargement too large"), Ok)
        }
        _ => sizes::global("its output is not the input times a whole number"),
    }
}

/// Height and width as a size.
fn pixels(sides: [i128; 2]) -> Size {
    let [height, width] = sides.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    Size { width, height }
}

/// What holds for all of the walks, one for each remainder by `modulus` (height, width) that is a multiple of `multiple`.
fn merged(walks: &[Walk], multiple: Size, modulus: [i128; 2]) -> Result<Found, Stop> {
    let mut found = Found {
        scale: scale(&walks[0])?,
        multiple,
        local: Local {
            receptive_field: ReceptiveField::default(),
            alignment: ONE,
            least: ONE,
            exact: !walks[0].borders.rounded,
        },
        live_elements: walks.iter().map(|walk| walk.live).max().unwrap_or(0),
    };
    let local = &mut found.local;
    for walk in walks {
        let [rows, columns] = walk.output.planes()?.spans;
        let [top, bottom] = sides(&rows, walk.borders.vertical, found.scale)?;
        let [left, right] = sides(&columns, walk.borders.horizontal, found.scale)?;
        local.receptive_field = ReceptiveField {
            left: local.receptive_field.left.max(left),
            right: local.receptive_field.right.max(right),
            top: local.receptive_field.top.max(top),
            bottom: local.receptive_field.bottom.max(bottom),
        };
        let Size { width, height } = pixels(walk.sizes.least());
        local.least = Size { width: local.least.width.max(width), height: local.least.height.max(height) };
    }
    local.alignment = alignment(&walks[0], modulus)?;
    Ok(found)
}

/// The reach along one axis, in front and behind.
///
/// Of an output element `scale * x + phase`, which lies in the input's pixel `x`, for the phase that sees furthest.
fn sides(span: &InputSpan, border: border::Border, scale: u32) -> Result<[u32; 2], Stop> {
    if span.step != Ratio::new(1, i128::from(scale)) {
        return sizes::global("its output does not lie over its input");
    }
    let phase = span.step * whole(scale - 1);
    let reach = border.reach([-span.low, span.high + phase]);
    let side = |reach: sizes::Rational| u32::try_from(reach.floor().to_integer().max(0));
    match (side(reach[0]), side(reach[1])) {
        (Ok(before), Ok(behind)) if before.max(behind) < 1 << 20 => Ok([before, behind]),
        _ => sizes::global("a receptive field too large"),
    }
}

/// The grid on which every tensor's elements lie, and on which the network does what it does by the remainder: what it pads itself
/// by, for example. A part that begins off it would have another remainder than the picture.
fn alignment(walk: &Walk, modulus: [i128; 2]) -> Result<Size, Stop> {
    let [mut height, mut width] = modulus;
    for atom in walk.layouts.iter().flatten().flatten() {
        let Atom::Along(InputSpan { axis, step, .. }) = atom else { continue };
        // A shift by `n` pixels is one by `n / step` elements, which is whole for multiples of the step's numerator.
        let side = if *axis == Axis::Horizontal { &mut width } else { &mut height };
        *side = common_multiple(*side, *step.numer());
        if *side > 1 << 16 {
            return sizes::global(format!("it works in blocks of {side} pixels"));
        }
    }
    Ok(pixels([height, width]))
}

fn common_multiple(a: i128, b: i128) -> i128 {
    // `a * numer / denom` with the fraction in its lowest terms.
    a * *Ratio::new(b, a).numer()
}

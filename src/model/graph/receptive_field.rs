//! The receptive field of a local network, its alignment, and the multiples that its sizes must be.
//!
//! What a network does may depend on the remainder of the picture's size, so the graph is walked for each remainder that
//! makes a difference.

use num_rational::Ratio;

use super::border::Border;
use super::node::Node;
use super::picture::{Atom, InputSpan};
use super::sizes::{self, Axis, Sizes, Stop, whole};
use super::walk::{Graph, Walk};
use super::{Local, ONE, ReceptiveField};
use crate::types::Size;

/// Most remainders that are looked at, of height times of width.
const MAX_REMAINDERS: i128 = 256;
/// Most operators, with their inputs, outputs and lists of numbers, that are looked at, over all remainders. It bounds the time to
/// about a second.
const MAX_STEPS: i128 = 1 << 18;

/// What a local graph does.
pub(super) struct LocalGraph {
    pub scale: u32,
    pub multiple: Size,
    pub local: Local,
    pub live_elements: u64,
}

/// Walks the graph for pictures of `channels`; `fixed` is the only size that the network takes, if it fixes one.
pub(super) fn of_local(graph: &Graph, channels: u32, fixed: Option<Size>) -> Result<LocalGraph, Stop> {
    let steps: i128 = graph.nodes.iter().map(Node::steps).sum();
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
fn remainders(graph: &Graph, channels: u32, multiple: [i128; 2]) -> Result<LocalGraph, Stop> {
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
fn merged(walks: &[Walk], multiple: Size, modulus: [i128; 2]) -> Result<LocalGraph, Stop> {
    let mut found = LocalGraph {
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

/// The receptive field along one axis, in front and behind.
///
/// Of an output element `scale * x + phase`, which lies in the input's pixel `x`, for the phase that sees furthest.
fn sides(span: &InputSpan, border: Border, scale: u32) -> Result<[u32; 2], Stop> {
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

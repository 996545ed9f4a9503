//! Derives the receptive field, alignment and size multiples of a local network.
//!
//! A network's behaviour may depend on the remainder of the picture's size, so the graph is traversed for each
//! remainder that matters.

use num_rational::Ratio;

use super::border::Border;
use super::node::Node;
use super::picture::{Atom, InputSpan};
use super::sizes::{self, Axis, Sizes, Stop, whole};
use super::walk::{Graph, Walk};
use super::{Local, ONE, ReceptiveField};
use crate::types::Size;

/// Maximum number of remainders analysed (of the height, times those of the width).
const MAX_REMAINDERS: i128 = 256;
/// Maximum number of steps (operators, inputs, outputs, list elements) over all remainders. Bounds the time to about a
/// second.
const MAX_STEPS: i128 = 1 << 18;

/// The properties of a local graph.
pub(super) struct LocalGraph {
    pub scale: u32,
    pub multiple: Size,
    pub local: Local,
    pub live_elements: u64,
}

/// Analyses the graph for pictures with `channels` channels; `fixed` is the fixed input size, if there is one.
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

/// Analyses the graph for multiples of a size, then for all remainders.
fn remainders(graph: &Graph, channels: u32, multiple: [i128; 2]) -> Result<LocalGraph, Stop> {
    let walk = |rest| graph.walk(channels.into(), Sizes::free(multiple, rest));
    let first = walk([0, 0])?;
    scale(&first)?;
    let mut walks = vec![first];
    let mut needed = multiple;
    // For each direction, find the smallest step whose remainders all behave like the multiple itself.
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
    // Then check both directions combined.
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

/// The walk, if its layouts and scale match those of the first one; `None` if they differ or it failed.
fn alike(walk: Result<Walk, Stop>, first: &Walk) -> Result<Option<Walk>, Stop> {
    match walk {
        Ok(walk) if walk.layouts == first.layouts && scale(&walk) == scale(first) => Ok(Some(walk)),
        Ok(_) | Err(Stop::Global(_)) => Ok(None),
        Err(multiple @ Stop::Multiple(..)) => Err(multiple),
    }
}

/// The scale, which must be an integer.
fn scale(walk: &Walk) -> Result<u32, Stop> {
    let planes = walk.output.planes()?;
    let [rows, columns] = planes.spans.map(|span| span.len.whole_ratio(walk.sizes.length(span.axis)));
    match (rows, columns) {
        (Some(rows), Some(columns)) if rows == columns => {
            u32::try_from(rows).map_or_else(|_| sizes::global("a scale too large"), Ok)
        }
        _ => sizes::global("its output is not the input times a whole number"),
    }
}

/// Height and width as a size.
fn pixels(sides: [i128; 2]) -> Size {
    let [height, width] = sides.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    Size { width, height }
}

/// Merges the walks, one for each remainder modulo `modulus` (height, width) that is a multiple of `multiple`.
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

/// The receptive field along one axis, before and behind.
///
/// The output element `scale * x + phase` belongs to input pixel `x`; the result covers the phase that sees furthest.
fn sides(span: &InputSpan, border: Border, scale: u32) -> Result<[u32; 2], Stop> {
    if span.step != Ratio::new(1, i128::from(scale)) {
        return sizes::global("its output is not aligned with its input");
    }
    let phase = span.step * whole(scale - 1);
    let field = border.widened([-span.low, span.high + phase]);
    let side = |side: sizes::Rational| u32::try_from(side.floor().to_integer().max(0));
    match (side(field[0]), side(field[1])) {
        (Ok(before), Ok(behind)) if before.max(behind) < 1 << 20 => Ok([before, behind]),
        _ => sizes::global("a receptive field too large"),
    }
}

/// The grid of all tensors' elements and of everything that depends on the remainder, such as the network's own
/// padding. A part that begins off the grid would have another remainder than the picture.
fn alignment(walk: &Walk, modulus: [i128; 2]) -> Result<Size, Stop> {
    let [mut height, mut width] = modulus;
    for atom in walk.layouts.iter().flatten().flatten() {
        let Atom::Along(InputSpan { axis, step, .. }) = atom else { continue };
        // A shift by `n` pixels shifts by `n / step` elements, an integer for multiples of the step's numerator.
        let side = if *axis == Axis::Horizontal { &mut width } else { &mut height };
        *side = common_multiple(*side, *step.numer());
        if *side > 1 << 16 {
            return sizes::global(format!("it works in blocks of {side} pixels"));
        }
    }
    Ok(pixels([height, width]))
}

fn common_multiple(a: i128, b: i128) -> i128 {
    // `Ratio` reduces `b / a`, so its numerator is `b / gcd(a, b)`.
    a * *Ratio::new(b, a).numer()
}

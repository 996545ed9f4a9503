//! Operators that move elements without arithmetic: padding, slicing, concatenation, reordering.

use super::border::Borders;
use super::fold;
use super::known::{Known, Number};
use super::node::{Call, Value};
use super::picture::{Dim, InputSpan, Picture, Planes, position};
use super::reshape::reshape as reshape_picture;
use super::sizes::{Affine, Stop, global, whole};

/// `Reshape`
pub(super) fn reshape(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["allowzero", "shape"])?;
    // The shape is an attribute before version 5.
    let attribute;
    let target: &[Number] = match (call.node.ints("shape"), call.known(1)?) {
        (Some(shape), _) => {
            attribute = shape.iter().map(|&len| Number::constant(Some(Affine::whole(len)))).collect::<Vec<_>>();
            &attribute
        }
        (None, Some(shape)) => shape.numbers()?,
        (None, None) => return global("no shape is given"),
    };
    let copies = call.node.int("allowzero", 0) == 0;
    match call.required(0)? {
        Value::Known(known) => {
            let sized = target.iter().any(|number| number.sized);
            known.reshaped(known_shape(known, target, copies)?).map(|known| Value::Known(known.sized_by(sized)))
        }
        Value::Picture(picture) => {
            let mut lens = Vec::with_capacity(target.len());
            for (at, number) in target.iter().enumerate() {
                lens.push(match number.value {
                    Some(len) if len == Affine::whole(0) && copies => match picture.dims.get(at).map(Dim::len) {
                        Some(len) => len,
                        None => return global("a shape that does not fit its input"),
                    },
                    Some(len) if len == Affine::whole(-1) => None,
                    len => len,
                });
            }
            reshape_picture(picture, &lens, call.sizes).map(Value::Picture)
        }
    }
}

/// The shape for constants: 0 copies a length, -1 is inferred.
fn known_shape(known: &Known, target: &[Number], copies: bool) -> Result<Vec<u64>, Stop> {
    let fits = || global("a shape that does not fit its input");
    let (mut shape, mut open) = (Vec::with_capacity(target.len()), None);
    for (at, number) in target.iter().enumerate() {
        shape.push(match number.value.and_then(Affine::as_whole) {
            Some(0) if copies => known.shape.get(at).copied().map_or_else(fits, Ok)?,
            Some(-1) if open.is_none() => {
                open = Some(at);
                1
            }
            Some(len) => u64::try_from(len).map_or_else(|_| fits(), Ok)?,
            None => return global("a shape that cannot be followed"),
        });
    }
    if let (Some(open), Some(all), Some(rest)) =
        (open, super::known::elements(&known.shape), super::known::elements(&shape).filter(|&rest| rest > 0))
    {
        shape[open] = all / rest;
    }
    Ok(shape)
}

/// `Flatten`: merges all dimensions before an axis, and all from it on.
pub(super) fn flatten(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axis"])?;
    let picture = call.picture(0)?;
    let axis = call.node.int("axis", 1);
    let axis = if axis == picture.dims.len() as i64 { picture.dims.len() } else { picture.position(axis)? };
    let flat = |dims: &[Dim]| Dim::new(dims.iter().flat_map(|dim| dim.atoms().iter().copied()));
    Picture::new(vec![flat(&picture.dims[..axis])?, flat(&picture.dims[axis..])?]).map(Value::Picture)
}

/// `Squeeze`: removes axes of length 1. They are an attribute before version 13.
pub(super) fn squeeze(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axes"])?;
    let axes = call.list("axes", 1, 13)?;
    let count = rank(call.required(0)?);
    let Some(axes) = axes.or_else(|| match call.input(0) {
        Some(Value::Known(known)) => Some((0..count as i64).filter(|&at| known.shape[at as usize] == 1).collect()),
        _ => None,
    }) else {
        return global("axes of length 1 that are not listed");
    };
    let mut gone = vec![false; count];
    for axis in axes {
        gone[position(axis, count)?] = true;
    }
    match call.required(0)? {
        Value::Known(known) => {
            let shape = known.shape.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(len, _)| *len).collect();
            known.reshaped(shape).map(Value::Known)
        }
        Value::Picture(picture) => {
            if picture.dims.iter().zip(&gone).any(|(dim, gone)| *gone && !dim.is_one()) {
                return global("an axis that is not of length 1");
            }
            let dims = picture.dims.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(dim, _)| dim.clone()).collect();
            Picture::new(dims).map(Value::Picture)
        }
    }
}

/// `Unsqueeze`: inserts axes of length 1. They are an attribute before version 13.
pub(super) fn unsqueeze(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axes"])?;
    let Some(axes) = call.list("axes", 1, 13)? else { return global("no axes are given") };
    let count = rank(call.required(0)?) + axes.len();
    if count > super::picture::MAX_DIMS {
        return global("a tensor of too many dimensions");
    }
    let mut new = vec![false; count];
    for axis in axes {
        new[position(axis, count)?] = true;
    }
    fn spread<T: Clone>(old: &[T], new: &[bool], one: &T) -> Vec<T> {
        let mut old = old.iter();
        new.iter().filter_map(|&new| if new { Some(one.clone()) } else { old.next().cloned() }).collect()
    }
    match call.required(0)? {
        Value::Known(known) => known.reshaped(spread(&known.shape, &new, &1)).map(Value::Known),
        Value::Picture(picture) => Picture::new(spread(&picture.dims, &new, &Dim::default())).map(Value::Picture),
    }
}

fn rank(value: &Value) -> usize {
    match value {
        Value::Known(known) => known.shape.len(),
        Value::Picture(picture) => picture.dims.len(),
    }
}

/// `Transpose`
pub(super) fn transpose(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["perm"])?;
    let count = rank(call.required(0)?);
    let order: Vec<usize> = match call.node.ints("perm") {
        Some(order) => order.iter().map(|&axis| position(axis, count)).collect::<Result<_, _>>()?,
        None => (0..count).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..count) {
        return global("an invalid order of axes");
    }
    match call.required(0)? {
        Value::Known(known) => fold::transpose(known, &order).map(Value::Known),
        Value::Picture(picture) => {
            Picture::new(order.iter().map(|&from| picture.dims[from].clone()).collect()).map(Value::Picture)
        }
    }
}

/// `DepthToSpace`: channels become blocks of pixels.
pub(super) fn depth_to_space(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["blocksize", "mode"])?;
    call.node.choice("mode", "DCR", &["DCR", "CRD"])?;
    let planes = call.picture(0)?.planes()?;
    let block = block(call)?;
    if !planes.channels.is_multiple_of(block * block) {
        return global("channels that do not make whole blocks");
    }
    let [rows, columns] = planes.spans;
    Planes { channels: planes.channels / (block * block), spans: [rows.divided(block)?, columns.divided(block)?] }
        .picture()
}

/// `SpaceToDepth`: blocks of pixels become channels.
pub(super) fn space_to_depth(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["blocksize"])?;
    let planes = call.picture(0)?.planes()?;
    let block = block(call)?;
    let [rows, columns] = planes.spans;
    let spans = [rows.grouped(block, call.sizes)?, columns.grouped(block, call.sizes)?];
    Planes { channels: planes.channels * block * block, spans }.picture()
}

fn block(call: &Call) -> Result<u64, Stop> {
    let block = u64::try_from(call.node.int("blocksize", 0)).ok().filter(|block| (1..=256).contains(block));
    block.map_or_else(|| global("its blocksize is out of range"), Ok)
}

/// `Concat`: pictures only along the channels.
pub(super) fn concat(call: &mut Call) -> Result<Value, Stop> {
    if call.is_constant() {
        return fold::concat(call).map(Value::Known);
    }
    call.node.allow(&["axis"])?;
    let Some(first) = call.inputs.iter().flatten().find_map(|value| match value {
        Value::Picture(picture) => Some(picture),
        Value::Known(_) => None,
    }) else {
        return global("an input is missing");
    };
    let axis = first.position(call.node.int("axis", 0))?;
    let (mut all, mut dims) = (0u64, first.dims.clone());
    for value in call.inputs.iter().flatten() {
        let other = super::pointwise::joined([*value])?;
        let Some(len) = other.dims.get(axis).and_then(Dim::as_plain) else {
            return global("parts of the picture put side by side");
        };
        all = all.saturating_add(len);
        if other.dims.len() != dims.len() {
            return global("parts of different shapes concatenated");
        }
        for (at, (dim, other)) in dims.iter_mut().zip(&other.dims).enumerate() {
            if at == axis {
                continue;
            }
            if dim.is_one() != other.is_one() {
                return global("parts of different shapes concatenated");
            }
            *dim = dim.joined(other)?;
        }
    }
    dims[axis] = Dim::plain(all)?;
    Picture::new(dims).map(Value::Picture)
}

/// `Split` along the channels. The lengths are an attribute before version 13.
pub(super) fn split(call: &mut Call) -> Result<Vec<Value>, Stop> {
    call.node.allow(&["axis", "num_outputs", "split"])?;
    let parts = call.node.outputs.len();
    let axis = position(call.node.int("axis", 0), rank(call.required(0)?))?;
    let whole = match call.required(0)? {
        Value::Known(known) => known.shape[axis],
        Value::Picture(picture) => match picture.dims[axis].as_plain() {
            Some(len) => len,
            None => return global("it cuts the picture into parts"),
        },
    };
    if parts == 0 || parts as u64 > whole.max(1) {
        return global("more parts than elements");
    }
    let lens: Vec<u64> = match call.list("split", 1, 13)? {
        Some(lens) => lens.iter().map(|&len| u64::try_from(len).unwrap_or(u64::MAX)).collect(),
        None => {
            // Equal parts; the last may be shorter.
            let each = whole.div_ceil(parts as u64);
            (0..parts as u64).map(|part| each.min(whole.saturating_sub(part.saturating_mul(each)))).collect()
        }
    };
    let sum = lens.iter().try_fold(0u64, |sum, &len| sum.checked_add(len));
    if lens.len() != parts || sum != Some(whole) {
        return global("parts that do not make the whole");
    }
    lens.into_iter()
        .scan(0u64, |start, len| {
            let at = *start;
            *start += len;
            Some((at, len))
        })
        .map(|(start, len)| match call.required(0)? {
            Value::Known(known) => {
                let mut ranges = vec![None; known.shape.len()];
                ranges[axis] = Some((start as i64, (start + len) as i64, 1));
                fold::slice(known, &ranges).map(Value::Known)
            }
            Value::Picture(picture) => {
                let mut dims = picture.dims.clone();
                dims[axis] = Dim::plain(len)?;
                Picture::new(dims).map(Value::Picture)
            }
        })
        .collect()
}

/// `Gather`: selects channels.
pub(super) fn gather(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axis"])?;
    let Some(indices) = call.known(1)? else { return global("an input is missing") };
    let axis = call.node.int("axis", 0);
    match call.required(0)? {
        Value::Known(known) => fold::gather(known, indices, axis).map(Value::Known),
        Value::Picture(picture) => {
            let axis = picture.position(axis)?;
            if picture.dims[axis].as_plain().is_none() {
                return global("it picks rows or columns of the picture");
            }
            if indices.is_sized() {
                return global("a number that depends on the picture's size");
            }
            let picked: Result<Vec<Dim>, Stop> = indices.shape.iter().map(|&len| Dim::plain(len)).collect();
            Picture::new([&picture.dims[..axis], &picked?, &picture.dims[axis + 1..]].concat()).map(Value::Picture)
        }
    }
}

/// The range of a `Slice` along one axis.
#[derive(Clone, Copy)]
struct Range {
    start: Number,
    end: Number,
    step: i64,
}

/// `Slice`: attributes before version 10, inputs since.
pub(super) fn slice(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axes", "ends", "starts"])?;
    let count = rank(call.required(0)?);
    let ranges = ranges(call, count)?;
    match call.required(0)? {
        Value::Known(known) => {
            let fixed =
                |range: Option<Range>| range.map(|Range { start, end, step }| Ok((fixed(start)?, fixed(end)?, step)));
            let sized = ranges.iter().flatten().any(|range| range.start.sized || range.end.sized);
            let ranges: Result<Vec<_>, Stop> = ranges.into_iter().map(|range| fixed(range).transpose()).collect();
            fold::slice(known, &ranges?).map(|known| Value::Known(known.sized_by(sized)))
        }
        Value::Picture(picture) => {
            let mut dims = picture.dims.clone();
            for (dim, range) in dims.iter_mut().zip(ranges) {
                if let Some(range) = range {
                    *dim = cut(dim, range, call)?;
                }
            }
            Picture::new(dims).map(Value::Picture)
        }
    }
}

/// The range of a `Slice` for each dimension; `None` if it takes everything.
fn ranges(call: &Call, count: usize) -> Result<Vec<Option<Range>>, Stop> {
    let list = |name: &str, input: usize| -> Result<Option<Vec<Number>>, Stop> {
        if call.opset < 10 {
            let number = |at: &i64| Number::constant(Some(Affine::whole(*at)));
            return Ok(call.node.ints(name).map(|numbers| numbers.iter().map(number).collect()));
        }
        Ok(call.known(input)?.map(Known::numbers).transpose()?.map(<[Number]>::to_vec))
    };
    let (Some(starts), Some(ends)) = (list("starts", 1)?, list("ends", 2)?) else {
        return global("no ends are given");
    };
    let axes = call.list("axes", 3, 10)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.opset < 10 { None } else { call.known(4)?.map(Known::integers).transpose()? };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return global("starts, ends, axes and steps of different lengths");
    }
    let mut ranges = vec![None; count];
    for (((axis, start), end), step) in axes.into_iter().zip(starts).zip(ends).zip(steps) {
        ranges[position(axis, count)?] = Some(Range { start, end, step });
    }
    Ok(ranges)
}

/// An integer that does not depend on the picture's size.
fn fixed(number: Number) -> Result<i64, Stop> {
    let number = number.value.and_then(Affine::as_whole).and_then(|number| i64::try_from(number).ok());
    number.map_or_else(|| global("a number that depends on the picture's size"), Ok)
}

/// Slices one dimension.
fn cut(dim: &Dim, range: Range, call: &mut Call) -> Result<Dim, Stop> {
    let Range { start, end, step } = range;
    if let Some(len) = dim.as_plain() {
        if start.sized || end.sized {
            return global("channels that depend on the picture's size");
        }
        return Dim::plain(fold::slice_range(fixed(start)?, fixed(end)?, step, len)?.2);
    }
    let (Some(start), Some(end)) = (start.value, end.value) else {
        return global("an end that cannot be compared with the picture's size");
    };
    let Some(span) = dim.as_span() else { return global("a part of rows and columns taken as one") };
    if step < 1 {
        return global("it turns the picture over");
    }
    let sizes = &mut *call.sizes;
    let mut from_start = |at: Affine| {
        let at = if sizes.at_least(at, Affine::whole(0))? { at } else { at.plus(span.len)? };
        let at = sizes.max(at, Affine::whole(0))?;
        sizes.min(at, span.len)
    };
    let (Some(start), Some(end)) = (from_start(start), from_start(end)) else {
        return global("an end that cannot be compared with the picture's size");
    };
    if start.plus(Affine::ONE).and_then(|next| sizes.at_least(end, next)) != Some(true) {
        return global("an end that may not be greater than the start");
    }
    let Some(first) = start.as_constant() else { return global("a start that depends on the picture's size") };
    let room = end.minus(start).and_then(|room| room.plus(Affine::whole(step - 1)));
    let Some(room) = room.and_then(|room| room.over(Affine::whole(step))) else {
        return global("lengths that cannot be followed");
    };
    let len = sizes.floor(room)?;
    Ok(Dim::along(InputSpan { len, step: span.step * whole(step), ..span.skipped(first) }.checked()?))
}

/// `Pad`: attributes before version 11, inputs since.
pub(super) fn pad(call: &mut Call, borders: &mut Borders) -> Result<Value, Stop> {
    call.node.allow(&["mode", "pads", "value"])?;
    let mode = call.node.choice("mode", "constant", &["constant", "reflect", "edge"])?;
    let picture = call.picture(0)?;
    let count = picture.dims.len();
    let pads = match call.node.ints("pads") {
        Some(pads) if call.opset < 11 => pads.iter().map(|&pad| Number::constant(Some(Affine::whole(pad)))).collect(),
        _ => call.known(1)?.map_or_else(|| global("no pads are given"), Known::numbers)?.to_vec(),
    };
    if call.known(2)?.is_some_and(Known::is_sized) {
        return global("a number that depends on the picture's size");
    }
    let axes = call.known(3)?.map(Known::integers).transpose()?.unwrap_or_else(|| (0..count as i64).collect());
    if pads.len() != 2 * axes.len() {
        return global("pads that do not match the dimensions");
    }
    let mut dims = picture.dims.clone();
    for (at, axis) in axes.iter().enumerate() {
        let dim = &mut dims[position(*axis, count)?];
        let pads = [pads[at], pads[at + axes.len()]];
        if dim.as_plain().is_some() && pads.iter().any(|pad| pad.sized) {
            return global("channels that depend on the picture's size");
        }
        *dim = padded(dim, [fixed(pads[0])?, fixed(pads[1])?], mode, call, borders)?;
    }
    Picture::new(dims).map(Value::Picture)
}

/// Pads one dimension before and behind; negative numbers crop it.
fn padded(dim: &Dim, pads: [i64; 2], mode: &str, call: &mut Call, borders: &mut Borders) -> Result<Dim, Stop> {
    let [before, behind] = pads;
    if pads == [0, 0] {
        return Ok(dim.clone());
    }
    let more = Affine::whole(i128::from(before) + i128::from(behind));
    if let Some(len) = dim.as_plain() {
        // Channels have no border.
        let len = Affine::whole(len).plus(more).and_then(Affine::as_whole).and_then(|len| u64::try_from(len).ok());
        return len.map_or_else(|| global("a negative length"), Dim::plain);
    }
    let Some(span) = dim.as_span() else { return global("a padding of rows and columns taken as one") };
    let Some(len) = span.len.plus(more) else { return global("lengths that cannot be followed") };
    let mut bordered = span;
    if before > 0 {
        bordered = bordered.bordered_before();
    }
    if behind > 0 {
        bordered = bordered.bordered_behind(call.sizes)?;
    }
    if before > 0 || behind > 0 {
        match mode {
            "edge" => borders.of(span.axis).repeat(&span, call.sizes)?,
            "reflect" => {
                // There must be enough elements besides the outermost one.
                if call.sizes.at_least(span.len, Affine::whole(before.max(behind) + 1)) != Some(true) {
                    return global("a reflection of more elements than there are");
                }
                borders.of(span.axis).reflect(&span, call.sizes)?;
            }
            _ => {}
        }
    }
    Ok(Dim::along(InputSpan { len, ..bordered.skipped(whole(-before)) }.checked()?))
}

/// `Expand`, `Tile`: must not change the dimensions along the picture.
pub(super) fn repeat(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&[])?;
    let Some(target) = call.known(1)? else { return global("an input is missing") };
    let expand = call.node.operator == "Expand";
    let numbers = target.values()?;
    match call.required(0)? {
        Value::Known(known) if expand => {
            let shape: Option<Vec<u64>> = numbers.iter().map(|len| u64::try_from(len.as_whole()?).ok()).collect();
            let Some(shape) = shape else { return global("a constant as large as the picture") };
            fold::spread(known, &shape).map(|known| Value::Known(known.sized_by(target.is_sized())))
        }
        Value::Known(_) => global("a constant repeated"),
        Value::Picture(picture) => {
            let Some(missing) = picture.dims.len().checked_sub(numbers.len()) else {
                return global("new dimensions");
            };
            let mut dims = picture.dims.clone();
            for (dim, number) in dims[missing..].iter_mut().zip(&numbers) {
                if *number == Affine::ONE || expand && dim.len() == Some(*number) {
                    continue;
                }
                let count = number.as_whole().and_then(|count| u64::try_from(count).ok());
                *dim = match (dim.as_plain(), count) {
                    (Some(1), Some(count)) => Dim::plain(count)?,
                    (Some(len), Some(count)) if !expand => Dim::plain(len.saturating_mul(count))?,
                    _ => return global("the picture repeated"),
                };
            }
            Picture::new(dims).map(Value::Picture)
        }
    }
}

//! Constant folding: operators on tensors that do not depend on the picture's content, such as exporters' size
//! arithmetic.

use super::known::{Known, MAX_NUMBERS, Number, elements, exact};
use super::node::{Call, Value};
use super::picture::position;
use super::sizes::{Affine, Sizes, Stop, global, whole};

/// `Shape`
pub(super) fn shape(call: &mut Call) -> Result<Known, Stop> {
    call.node.allow(&["start", "end"])?;
    let numbers: Vec<Number> = match call.required(0)? {
        Value::Known(known) => {
            let number = |len: &u64| Number { value: Some(Affine::whole(*len)), sized: known.is_sized() };
            known.shape.iter().map(number).collect()
        }
        Value::Picture(picture) => {
            picture.dims.iter().map(|dim| Number { value: dim.len(), sized: dim.as_plain().is_none() }).collect()
        }
    };
    let dims = numbers.len() as i64;
    let end = |name, default| {
        let at = call.node.int(name, default);
        let from_start = if at < 0 { at.saturating_add(dims) } else { at };
        from_start.clamp(0, dims) as usize
    };
    let picked = numbers.get(end("start", 0)..end("end", dims)).unwrap_or_default().to_vec();
    Ok(Known::new(vec![picked.len() as u64], true, picked))
}

/// `Constant`
pub(super) fn constant(call: &mut Call) -> Result<Known, Stop> {
    call.node.allow(&["value", "value_float", "value_floats", "value_int", "value_ints"])?;
    let integer = |number: &i64| Number::constant(Some(Affine::whole(*number)));
    let float = |number: &f32| Number::constant(exact((*number).into()));
    let node = call.node;
    if let Some(tensor) = node.tensor("value") {
        return Known::read(tensor);
    }
    let (scalar, integers, numbers): (_, _, Vec<Number>) = if node.has("value_int") {
        (true, true, vec![integer(&node.int("value_int", 0))])
    } else if let Some(number) = node.float("value_float") {
        (true, false, vec![float(&number)])
    } else if let Some(numbers) = node.ints("value_ints") {
        (false, true, numbers.iter().map(integer).collect())
    } else if let Some(numbers) = node.floats("value_floats") {
        (false, false, numbers.iter().map(float).collect())
    } else {
        return global("a constant without a value");
    };
    let shape = if scalar { Vec::new() } else { vec![numbers.len() as u64] };
    if numbers.len() as u64 > MAX_NUMBERS {
        return Ok(Known::shaped(shape, integers, false));
    }
    Ok(Known::new(shape, integers, numbers))
}

/// `ConstantOfShape`
pub(super) fn constant_of_shape(call: &mut Call) -> Result<Known, Stop> {
    call.node.allow(&["value"])?;
    let Some(shape) = call.known(0)? else { return global("an input is missing") };
    let sized = shape.is_sized();
    let lens: Option<Vec<u64>> = shape.values()?.iter().map(|len| u64::try_from(len.as_whole()?).ok()).collect();
    let Some(lens) = lens else { return global("a constant as large as the picture") };
    let fill = match call.node.tensor("value") {
        Some(tensor) => Known::read(tensor)?,
        None => Known::new(vec![1], false, vec![Number::constant(Some(Affine::whole(0)))]),
    };
    match (elements(&lens), fill.readable()) {
        (Some(count), Some([number])) if count <= MAX_NUMBERS => {
            Ok(Known::new(lens, fill.integer, vec![Number { sized, ..*number }; count as usize]))
        }
        _ => Ok(Known::shaped(lens, fill.integer, sized)),
    }
}

/// `Cast`: truncates numbers cast to integers.
pub(super) fn cast(known: &Known, to_integer: bool, sizes: &mut Sizes) -> Result<Known, Stop> {
    let Some(numbers) = known.readable() else {
        return Ok(Known::shaped(known.shape.clone(), to_integer, known.is_sized()));
    };
    let numbers: Result<Vec<Number>, Stop> = numbers
        .iter()
        .map(|number| {
            let value = match number.value {
                Some(value) if to_integer && !known.integer => truncated(value, sizes)?,
                value => value,
            };
            Ok(Number { value, ..*number })
        })
        .collect();
    Ok(Known::new(known.shape.clone(), to_integer, numbers?))
}

/// Rounds towards zero; `None` if the sign is unknown.
fn truncated(value: Affine, sizes: &mut Sizes) -> Result<Option<Affine>, Stop> {
    if value.is_whole() {
        return Ok(Some(value));
    }
    match sizes.at_least(value, Affine::whole(0)) {
        Some(true) => sizes.floor(value).map(Some),
        Some(false) => ceiling(value, sizes),
        None => Ok(None),
    }
}

fn ceiling(value: Affine, sizes: &Sizes) -> Result<Option<Affine>, Stop> {
    let minus = |value: Affine| value.times_constant(whole(-1));
    minus(value).map(|value| sizes.floor(value)).transpose().map(|floor| floor.and_then(minus))
}

/// Arithmetic on one number: `Floor`, `Ceil`, `Neg`. `None` for operators that are not followed.
pub(super) fn unary(operator: &str, a: Affine, sizes: &Sizes) -> Result<Option<Affine>, Stop> {
    match operator {
        "Identity" => Ok(Some(a)),
        "Floor" => sizes.floor(a).map(Some),
        "Ceil" => ceiling(a, sizes),
        "Neg" => Ok(a.times_constant(whole(-1))),
        _ => Ok(None),
    }
}

/// Arithmetic on two numbers. `None` if the result cannot be followed, and for operators that are not followed.
pub(super) fn binary(
    operator: &str,
    a: Affine,
    b: Affine,
    integer: bool,
    sizes: &mut Sizes,
) -> Result<Option<Affine>, Stop> {
    let truth = |yes: bool| Some(Affine::whole(i64::from(yes)));
    Ok(match operator {
        "Add" | "Sum" => a.plus(b),
        "Sub" => a.minus(b),
        "Mul" => a.times(b),
        "Div" => match a.over(b) {
            Some(quotient) if integer => truncated(quotient, sizes)?,
            quotient => quotient,
        },
        // The remainder has the divisor's sign; the caller excludes `fmod`, where it has the dividend's.
        "Mod" => match a.over(b) {
            Some(quotient) => sizes.floor(quotient)?.times(b).and_then(|below| a.minus(below)),
            None => None,
        },
        "Min" => sizes.min(a, b),
        "Max" => sizes.max(a, b),
        "Equal" => equal(a, b, sizes).and_then(truth),
        "GreaterOrEqual" => sizes.at_least(a, b).and_then(truth),
        "LessOrEqual" => sizes.at_least(b, a).and_then(truth),
        "Greater" => sizes.at_least(b, a).and_then(|not| truth(!not)),
        "Less" => sizes.at_least(a, b).and_then(|not| truth(!not)),
        _ => None,
    })
}

fn equal(a: Affine, b: Affine, sizes: &mut Sizes) -> Option<bool> {
    Some(sizes.at_least(a, b)? && sizes.at_least(b, a)?)
}

/// An element-wise operator such as `Add` on constants, with broadcasting.
pub(super) fn elementwise(call: &mut Call) -> Result<Known, Stop> {
    let mut inputs = Vec::new();
    for at in 0..call.inputs.len() {
        inputs.extend(call.known(at)?);
    }
    let Some(first) = inputs.first() else { return global("an input is missing") };
    let shape = inputs.iter().try_fold(Vec::new(), |shape, known| broadcast(&shape, &known.shape))?;
    let operator = call.node.operator.as_str();
    let integer = if operator == "Where" { inputs.last() } else { inputs.first() }.is_none_or(|known| known.integer);
    let sized = inputs.iter().any(|known| known.is_sized());
    // Only the default integer `Mod` is followed; with `fmod` the sign differs for negative inputs.
    let fmod = operator == "Mod" && call.node.int("fmod", 0) != 0;
    if fmod || elements(&shape).is_none_or(|count| count > MAX_NUMBERS) || inputs.len() > 3 {
        return Ok(Known::shaped(shape, integer, sized));
    }
    let spread: Result<Vec<Known>, Stop> = inputs.iter().map(|known| spread(known, &shape)).collect();
    let spread = spread?;
    let numbers: Option<Vec<&[Number]>> = spread.iter().map(Known::readable).collect();
    let (Some(numbers), Some(count)) = (numbers, elements(&shape)) else {
        return Ok(Known::shaped(shape, integer, sized));
    };
    let numbers: Result<Vec<Number>, Stop> = (0..count as usize)
        .map(|at| {
            let operands: Vec<Number> = numbers.iter().map(|numbers| numbers[at]).collect();
            let value = match operands.as_slice() {
                [Number { value: Some(a), .. }] => unary(operator, *a, call.sizes)?,
                [Number { value: Some(a), .. }, Number { value: Some(b), .. }] => {
                    binary(operator, *a, *b, first.integer, call.sizes)?
                }
                [Number { value: Some(condition), .. }, yes, no] if operator == "Where" => match condition.as_whole() {
                    Some(0) => no.value,
                    Some(_) => yes.value,
                    None => None,
                },
                _ => None,
            };
            Ok(Number { value, sized: operands.iter().any(|number| number.sized) })
        })
        .collect();
    Ok(Known::new(shape, integer, numbers?))
}

/// The broadcast shape of two tensors.
fn broadcast(a: &[u64], b: &[u64]) -> Result<Vec<u64>, Stop> {
    let dims = a.len().max(b.len());
    let at = |shape: &[u64], dim: usize| (dim + shape.len()).checked_sub(dims).map_or(1, |at| shape[at]);
    (0..dims)
        .map(|dim| match (at(a, dim), at(b, dim)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => global("constants of different shapes combined"),
        })
        .collect()
}

/// Broadcasts the tensor to a shape.
pub(super) fn spread(known: &Known, shape: &[u64]) -> Result<Known, Stop> {
    let shape = broadcast(&known.shape, shape)?;
    let skipped = shape.len() - known.shape.len();
    known.rearranged(shape, |index| {
        index[skipped..].iter().zip(&known.shape).map(|(index, len)| if *len == 1 { 0 } else { *index }).collect()
    })
}

/// `Concat` of constants.
pub(super) fn concat(call: &mut Call) -> Result<Known, Stop> {
    call.node.allow(&["axis"])?;
    let mut inputs = Vec::new();
    for at in 0..call.inputs.len() {
        inputs.extend(call.known(at)?);
    }
    let Some(first) = inputs.first() else { return global("an input is missing") };
    let axis = position(call.node.int("axis", 0), first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for known in &inputs {
        let same = |at: usize| at == axis || known.shape.get(at) == first.shape.get(at);
        if known.shape.len() != shape.len() || !(0..shape.len()).all(same) {
            return global("constants of different shapes concatenated");
        }
        shape[axis] = shape[axis].saturating_add(known.shape[axis]);
    }
    let sized = inputs.iter().any(|known| known.is_sized());
    let numbers: Option<Vec<&[Number]>> = inputs.iter().map(|known| known.readable()).collect();
    let few = elements(&shape).is_some_and(|count| count <= MAX_NUMBERS);
    match numbers {
        // Along the first dimension, the numbers are simply appended.
        Some(numbers) if few && axis == 0 => Ok(Known::new(shape, first.integer, numbers.concat())),
        _ => Ok(Known::shaped(shape, first.integer, sized)),
    }
}

/// `Gather` from constants, with constant indices.
pub(super) fn gather(known: &Known, indices: &Known, axis: i64) -> Result<Known, Stop> {
    let axis = position(axis, known.shape.len())?;
    let len = known.shape[axis];
    let shape = [&known.shape[..axis], &indices.shape, &known.shape[axis + 1..]].concat();
    if known.readable().is_none() || elements(&shape).is_none_or(|count| count > MAX_NUMBERS) {
        return Ok(Known::shaped(shape, known.integer, known.is_sized() || indices.is_sized()));
    }
    let from_start = |index: i64| u64::try_from(if index < 0 { index.saturating_add_unsigned(len) } else { index });
    let picked: Result<Vec<u64>, _> = indices.integers()?.into_iter().map(from_start).collect();
    let Some(picked) = picked.ok().filter(|picked| picked.iter().all(|&index| index < len)) else {
        return global("an index outside its input");
    };
    let inner = axis + indices.shape.len();
    known.rearranged(shape, |index| {
        let at = index[axis..inner].iter().zip(&indices.shape).fold(0, |at, (index, len)| at * len + index);
        let picked = usize::try_from(at).ok().and_then(|at| picked.get(at)).copied();
        [&index[..axis], &[picked.expect("the index is within the shape of the indices")], &index[inner..]].concat()
    })
}

/// The range that `Slice` selects in one dimension: first index, step and number of elements.
pub(super) fn slice_range(start: i64, end: i64, step: i64, len: u64) -> Result<(i64, i64, u64), Stop> {
    let Ok(len) = i64::try_from(len) else { return global("a tensor too large") };
    if len == 0 {
        return Ok((0, step, 0));
    }
    let from_start = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (first, end) = match step {
        1.. => (from_start(start).clamp(0, len), from_start(end).clamp(0, len)),
        0 => return global("a step of 0"),
        _ => (from_start(start).clamp(0, len - 1), from_start(end).clamp(-1, len - 1)),
    };
    let distance = if step > 0 { end - first } else { first - end };
    Ok((first, step, (distance.max(0) as u64).div_ceil(step.unsigned_abs())))
}

/// `Slice` of constants.
pub(super) fn slice(known: &Known, ranges: &[Option<(i64, i64, i64)>]) -> Result<Known, Stop> {
    let mut shape = known.shape.clone();
    let mut first = vec![(0, 1); shape.len()];
    for ((len, first), range) in shape.iter_mut().zip(&mut first).zip(ranges) {
        if let Some((start, end, step)) = *range {
            let (at, step, count) = slice_range(start, end, step, *len)?;
            (*first, *len) = ((at, step), count);
        }
    }
    known.rearranged(shape, |index| {
        index.iter().zip(&first).map(|(&index, (at, step))| (at + index as i64 * step) as u64).collect()
    })
}

/// `Transpose` of constants.
pub(super) fn transpose(known: &Known, order: &[usize]) -> Result<Known, Stop> {
    let shape = order.iter().map(|&from| known.shape[from]).collect();
    known.rearranged(shape, |index| {
        let mut source = vec![0; index.len()];
        for (&from, &index) in order.iter().zip(index) {
            source[from] = index;
        }
        source
    })
}

//! Operators on single elements or across channels, which do not widen the receptive field.

use super::fold;
use super::known::Known;
use super::node::{Call, Value};
use super::picture::{Dim, Picture};
use super::sizes::{Stop, global};

/// The attributes of an element-wise operator, whose inputs are broadcast to a common shape; `None` for other
/// operators.
pub(super) fn attributes(operator: &str) -> Option<&'static [&'static str]> {
    Some(match operator {
        "Abs" | "Add" | "And" | "Ceil" | "Cos" | "Div" | "Equal" | "Erf" | "Exp" | "Floor" | "Greater"
        | "GreaterOrEqual" | "HardSwish" | "Identity" | "IsNaN" | "Less" | "LessOrEqual" | "Log" | "Max" | "Mean"
        | "Min" | "Mish" | "Mul" | "Neg" | "Not" | "Or" | "PRelu" | "Pow" | "Reciprocal" | "Relu" | "Round"
        | "Sigmoid" | "Sign" | "Sin" | "Softplus" | "Softsign" | "Sqrt" | "Sub" | "Sum" | "Tanh" | "Where" | "Xor" => {
            &[]
        }
        // Attributes in older versions, inputs since.
        "Clip" => &["min", "max"],
        "Celu" | "Elu" | "LeakyRelu" | "ThresholdedRelu" => &["alpha"],
        "Swish" => &["alpha"],
        "Gelu" => &["approximate"],
        "HardSigmoid" => &["alpha", "beta"],
        "Mod" => &["fmod"],
        "Selu" => &["alpha", "gamma"],
        "Cast" => &["to", "saturate", "round_mode"],
        _ => return None,
    })
}

/// An element-wise operator.
pub(super) fn elementwise(call: &mut Call) -> Result<Value, Stop> {
    let attributes = attributes(&call.node.operator).unwrap_or_default();
    call.node.allow(attributes)?;
    if !call.is_constant() {
        return joined(call.inputs.iter().flatten().copied()).map(Value::Picture);
    }
    if call.node.operator == "Cast" {
        use super::proto::data_type::{BOOL, INT32, INT64};
        let to_integer = [INT32, INT64, BOOL].map(i64::from).contains(&call.node.int("to", 0));
        let Some(known) = call.known(0)? else { return global("an input is missing") };
        return fold::cast(known, to_integer, call.sizes).map(Value::Known);
    }
    fold::elementwise(call).map(Value::Known)
}

/// Combines tensors element by element, with ONNX's broadcasting from the last dimension.
pub(super) fn joined<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<Picture, Stop> {
    let mut dims: Vec<Dim> = Vec::new();
    for value in values {
        let other = match value {
            Value::Picture(picture) => picture.clone(),
            Value::Known(known) => constant(known)?,
        };
        let count = dims.len().max(other.dims.len());
        let padded = |dims: Vec<Dim>| {
            let missing = count - dims.len();
            std::iter::repeat_n(Dim::default(), missing).chain(dims)
        };
        dims = padded(dims).zip(padded(other.dims)).map(|(a, b)| a.joined(&b)).collect::<Result<_, _>>()?;
    }
    Picture::new(dims)
}

/// A constant combined with the picture: it must be the same at all positions and for all sizes.
fn constant(known: &Known) -> Result<Picture, Stop> {
    if known.is_sized() {
        return global("a number that depends on the picture's size");
    }
    Picture::new(known.shape.iter().map(|&len| Dim::plain(len)).collect::<Result<_, _>>()?)
}

/// `BatchNormalization` with learned mean and variance.
pub(super) fn batch_normalization(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["epsilon", "momentum", "spatial", "training_mode"])?;
    let node = call.node;
    if node.int("training_mode", 0) != 0 || node.int("spatial", 1) != 1 || outputs(call) > 1 {
        return global("a normalisation by the picture's own mean");
    }
    for at in 1..=4 {
        if call.known(at)?.is_some_and(Known::is_sized) {
            return global("a number that depends on the picture's size");
        }
    }
    call.picture(0).cloned()
}

/// `Dropout`, which is the identity at inference.
pub(super) fn dropout(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["ratio", "seed"])?;
    let training = call.known(2)?.map(Known::integers).transpose()?;
    if outputs(call) > 1 || training.is_some_and(|training| training != [0]) {
        return global("it drops elements at random");
    }
    call.picture(0).cloned()
}

/// The number of named outputs, that is, of those in use.
pub(super) fn outputs(call: &Call) -> usize {
    call.node.outputs.iter().filter(|name| !name.is_empty()).count()
}

/// `QuantizeLinear`, `DequantizeLinear` with a single scale, or one per channel.
pub(super) fn quantize(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axis", "saturate"])?;
    for at in [1, 2] {
        if call.known(at)?.is_some_and(Known::is_sized) {
            return global("a number that depends on the picture's size");
        }
    }
    let scale = call.known(1)?.map_or(&[][..], |scale| &scale.shape);
    match call.required(0)? {
        Value::Known(known) => Ok(Value::Known(Known::shaped(known.shape.clone(), false, known.is_sized()))),
        Value::Picture(picture) => {
            let along = picture.position(call.node.int("axis", 1))?;
            let one = scale.is_empty() || scale == [1];
            let each = scale.len() == 1 && picture.dims[along].as_plain() == Some(scale[0]);
            if one || each { Ok(Value::Picture(picture.clone())) } else { global("scales along the picture") }
        }
    }
}

/// `Softmax` and similar operators over whole dimensions, which must not be along the picture.
pub(super) fn softmax(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["axis"])?;
    let picture = call.picture(0)?;
    let axis = picture.position(call.node.int("axis", if call.opset < 13 { 1 } else { -1 }))?;
    // Before version 13, it covers all dimensions from the axis on.
    let end = if call.opset < 13 { picture.dims.len() } else { axis + 1 };
    across(&picture.dims[axis..end])?;
    Ok(picture.clone())
}

/// `LayerNormalization`, `RMSNormalization`: mean and variance over all dimensions from an axis on.
pub(super) fn layer_normalization(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["axis", "epsilon", "stash_type"])?;
    if outputs(call) > 1 {
        return global("it also returns mean and variance");
    }
    let picture = call.picture(0)?;
    let axis = picture.position(call.node.int("axis", -1))?;
    across(&picture.dims[axis..])?;
    let scales = call.inputs.iter().flatten().copied();
    let joined = joined(scales)?;
    if joined.dims == picture.dims { Ok(joined) } else { global("scales of another shape") }
}

/// `LpNormalization`
pub(super) fn lp_normalization(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["axis", "p"])?;
    let picture = call.picture(0)?;
    let axis = picture.position(call.node.int("axis", -1))?;
    across(&picture.dims[axis..=axis])?;
    Ok(picture.clone())
}

/// `LRN`: over neighbouring channels.
pub(super) fn local_response(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["alpha", "beta", "bias", "size"])?;
    call.picture(0)?.planes()?.picture()
}

/// `ReduceSum` and similar operators. The axes are an attribute before version 18, for `ReduceSum` before 13.
pub(super) fn reduce(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&["axes", "keepdims", "noop_with_empty_axes"])?;
    let since = if call.node.operator == "ReduceSum" { 13 } else { 18 };
    let axes = call.list("axes", 1, since)?.unwrap_or_default();
    let noop = call.node.int("noop_with_empty_axes", 0) != 0;
    let keep = call.node.int("keepdims", 1) != 0;
    let count = match call.required(0)? {
        Value::Known(known) => known.shape.len(),
        Value::Picture(picture) => picture.dims.len(),
    };
    let mut reduced = vec![axes.is_empty() && !noop; count];
    for axis in axes {
        reduced[super::picture::position(axis, count)?] = true;
    }
    match call.required(0)? {
        Value::Known(known) => {
            let shape = kept(&known.shape, &reduced, keep);
            Ok(Value::Known(Known::shaped(shape, known.integer, known.is_sized())))
        }
        Value::Picture(picture) => {
            for (dim, reduced) in picture.dims.iter().zip(&reduced) {
                if *reduced {
                    across(std::slice::from_ref(dim))?;
                }
            }
            Picture::new(kept(&picture.dims, &reduced, keep)).map(Value::Picture)
        }
    }
}

/// The dimensions without the reduced ones, or with length 1 instead.
fn kept<T: Clone + One>(dims: &[T], reduced: &[bool], keep: bool) -> Vec<T> {
    let dims = dims.iter().zip(reduced);
    dims.filter_map(|(dim, &reduced)| if reduced { keep.then(T::one) } else { Some(dim.clone()) }).collect()
}

/// A dimension of length 1.
trait One {
    fn one() -> Self;
}

impl One for u64 {
    fn one() -> Self {
        1
    }
}

impl One for Dim {
    fn one() -> Self {
        Dim::default()
    }
}

/// Refuses dimensions along the picture, because an operator over a whole dimension would see all of it.
fn across(dims: &[Dim]) -> Result<(), Stop> {
    if dims.iter().all(|dim| dim.as_plain().is_some()) {
        Ok(())
    } else {
        global("it reads whole rows or columns of the picture")
    }
}

/// `MatMul` with a constant matrix on either side: a 1x1 convolution if the inner dimension is the channels.
pub(super) fn matmul(call: &mut Call) -> Result<Value, Stop> {
    call.node.allow(&[])?;
    let matrix = |known: &Known| match known.shape.as_slice() {
        [ones @ .., rows, columns] if ones.iter().all(|&len| len == 1) && !known.is_sized() => Ok((*rows, *columns)),
        _ => global("a product with anything but a single matrix"),
    };
    let (picture, at, inner, outer) = match (call.required(0)?, call.required(1)?) {
        (Value::Picture(picture), Value::Known(known)) => {
            let (rows, columns) = matrix(known)?;
            (picture, picture.dims.len().checked_sub(1), rows, columns)
        }
        (Value::Known(known), Value::Picture(picture)) => {
            let (rows, columns) = matrix(known)?;
            (picture, picture.dims.len().checked_sub(2), columns, rows)
        }
        (Value::Known(_), Value::Known(_)) => return global("a product of constants"),
        (Value::Picture(_), Value::Picture(_)) => return global("a product of two tensors that depend on the picture"),
    };
    let mut dims = picture.dims.clone();
    let Some(dim) = at.and_then(|at| dims.get_mut(at)) else { return global("a product of too few dimensions") };
    match dim.as_plain() {
        Some(len) if len == inner => *dim = Dim::plain(outer)?,
        Some(_) => return global("a matrix that does not fit its input"),
        None => return global("it reads whole rows or columns of the picture"),
    }
    Picture::new(dims).map(Value::Picture)
}

//! `Resize` and the older `Upsample`.

use num_rational::Ratio;

use super::border::Borders;
use super::node::Call;
use super::picture::{Dim, InputSpan, Picture};
use super::sizes::{Affine, Rational, Sizes, Stop, global, whole};

/// The centre of output element `i` in the input, for scale `s`: `(i + shift) / s - back`.
#[derive(Clone, Copy, Debug)]
struct Centres {
    shift: Rational,
    back: Rational,
}

/// Which input elements around the centre `c` have a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taps {
    /// `floor(c)`
    Below,
    /// `ceil(c)`
    Above,
    /// The nearest element.
    Nearest,
    /// `floor(c)` and the next.
    Linear,
    /// `floor(c) - 1` to `floor(c) + 2`.
    Cubic,
}

/// `Resize`, `Upsample`
pub(super) fn resize(call: &mut Call, borders: &mut Borders) -> Result<Picture, Stop> {
    call.node.allow(&[
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
        "scales",
    ])?;
    let picture = call.picture(0)?;
    call.node.choice("keep_aspect_ratio_policy", "stretch", &["stretch"])?;
    let scales = scales(call, picture)?;
    if call.opset < 11 && scales.iter().any(|scale| *scale < whole(1)) {
        return global("a reduction before version 11, which implementations interpret differently");
    }
    let mut dims = Vec::with_capacity(picture.dims.len());
    for (dim, scale) in picture.dims.iter().zip(scales) {
        let same = scale == whole(1);
        dims.push(match dim.as_span() {
            _ if same => dim.clone(),
            Some(span) => {
                let taps = taps(call)?;
                borders.of(span.axis).repeat(&span, call.sizes)?;
                borders.rounded |= rounded(scale, taps);
                Dim::along(resized(span, scale, centres(call, scale)?, taps, call.sizes)?)
            }
            None => return global("a resize of anything but rows and columns"),
        });
    }
    Picture::new(dims)
}

/// The factor for each dimension, given directly or by sizes.
fn scales(call: &Call, picture: &Picture) -> Result<Vec<Rational>, Stop> {
    let count = picture.dims.len();
    // Before version 11 the scales are the second input, in version 7 an attribute.
    let (scales, sizes) = if call.opset < 11 { (1, None) } else { (2, Some(3)) };
    if let Some(scales) = call.node.floats("scales") {
        let scales: Option<Vec<_>> = scales.iter().map(|&scale| super::known::exact(scale.into())).collect();
        return placed(call, scales.unwrap_or_default(), count, |_, scale| scale.as_constant());
    }
    let given = call.known(scales)?.filter(|scales| scales.shape != [0]);
    match (given, sizes.map(|at| call.known(at)).transpose()?.flatten()) {
        (Some(scales), _) => placed(call, scales.values()?, count, |_, scale| scale.as_constant()),
        (None, Some(sizes)) => placed(call, sizes.values()?, count, |at, size| size.ratio(picture.dims[at].len()?)),
        (None, None) => global("no scales are given"),
    }
}

/// Assigns the numbers to their dimensions, as factors; 1 for the rest.
fn placed(
    call: &Call,
    numbers: Vec<Affine>,
    count: usize,
    factor: impl Fn(usize, Affine) -> Option<Rational>,
) -> Result<Vec<Rational>, Stop> {
    let mut factors = vec![whole(1); count];
    let axes: Vec<i64> = call.node.ints("axes").map_or_else(|| (0..count as i64).collect(), <[i64]>::to_vec);
    if axes.len() != numbers.len() {
        return global("scales that do not match the dimensions");
    }
    for (axis, number) in axes.into_iter().zip(numbers) {
        let at = super::picture::position(axis, count)?;
        match factor(at, number).filter(|factor| *factor > whole(0)) {
            Some(factor) => factors[at] = factor,
            None => return global("a scale that is not the same for all sizes"),
        }
    }
    Ok(factors)
}

fn centres(call: &Call, scale: Rational) -> Result<Centres, Stop> {
    let half = Rational::new(1, 2);
    let default = if call.opset < 11 { "asymmetric" } else { "half_pixel" };
    let known = ["asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "tf_half_pixel_for_nn"];
    // Not `align_corners` and `tf_crop_and_resize`, whose positions depend on the whole size.
    Ok(match call.node.choice("coordinate_transformation_mode", default, &known)? {
        "asymmetric" => Centres { shift: whole(0), back: whole(0) },
        "tf_half_pixel_for_nn" => Centres { shift: half, back: whole(0) },
        // It places an output of one element differently.
        "pytorch_half_pixel" if scale < whole(1) => return global("a reduction by pytorch_half_pixel"),
        _ => Centres { shift: half, back: half },
    })
}

fn taps(call: &Call) -> Result<Taps, Stop> {
    if call.node.int("antialias", 0) != 0 {
        return global("its attribute \"antialias\" is not known");
    }
    let default = if call.opset < 11 { "floor" } else { "round_prefer_floor" };
    Ok(match call.node.choice("mode", "nearest", &["nearest", "linear", "bilinear", "cubic"])? {
        "linear" | "bilinear" => Taps::Linear,
        "cubic" => Taps::Cubic,
        _ => match call.node.choice(
            "nearest_mode",
            default,
            &["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"],
        )? {
            "floor" => Taps::Below,
            "ceil" => Taps::Above,
            _ => Taps::Nearest,
        },
    })
}

fn resized(span: InputSpan, scale: Rational, centres: Centres, taps: Taps, sizes: &Sizes) -> Result<InputSpan, Stop> {
    // The length is rounded down. A scale that is not a short binary fraction would itself have been rounded before.
    let len = span.len.times_constant(scale).map(|len| sizes.floor(len)).transpose()?;
    let Some(len) = len.filter(|len| len.ratio(span.len) == Some(scale)) else {
        return global("lengths that cannot be followed");
    };
    // `Resize` repeats the edges, so they matter.
    let span = span.bordered_before().bordered_behind(sizes)?;
    let first = span.skipped(centres.shift / scale - centres.back);
    // Centres lie on a grid, so `c - floor(c)` is at most 1 minus the grid step. If centres are rounded, `floor` may be
    // one too small for an integer centre.
    let off = if is_power_of_two(scale) { whole(1) - Ratio::new(1, grid(scale, centres)) } else { whole(1) };
    let (below, above) = match taps {
        Taps::Below => (off, whole(0)),
        Taps::Above => (whole(0), off),
        Taps::Nearest => (Ratio::new(1, 2), Ratio::new(1, 2)),
        Taps::Linear => (off, off),
        Taps::Cubic => (whole(2), whole(2)),
    };
    let (low, high) = (first.low - span.step * below, first.high + span.step * above);
    InputSpan { len, step: span.step / scale, low, high, ..span }.checked()
}

/// Whether a runtime computes the centres without rounding.
fn is_power_of_two(scale: Rational) -> bool {
    scale.numer().count_ones() == 1 && scale.denom().count_ones() == 1
}

/// Whether an element's inputs or weights may depend on the rounding of its centre, which differs between parts of a
/// picture.
///
/// The nearest element of an integer scale does not: `i / s` and `(i + 1/2) / s` are rounded only strictly between the
/// values at which the nearest element changes.
fn rounded(scale: Rational, taps: Taps) -> bool {
    let nearest = matches!(taps, Taps::Below | Taps::Above | Taps::Nearest);
    !(is_power_of_two(scale) || nearest && scale.is_integer())
}

/// The denominator of the centres for a scale that is a power of 2: one of the two denominators divides the other.
fn grid(scale: Rational, centres: Centres) -> i128 {
    let first = centres.shift / scale - centres.back;
    (*scale.recip().denom()).max(*first.denom())
}

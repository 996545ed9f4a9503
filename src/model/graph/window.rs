//! Convolutions and pooling: operators that slide a window over the picture.

use super::node::Call;
use super::picture::{InputSpan, Picture, Planes};
use super::sizes::{Affine, Rational, Sizes, Stop, global, whole};

/// The window along one axis.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Distance from the first element to the last.
    extent: i64,
    stride: i64,
    /// Padding before the first and behind the last element of the input.
    pads: [i64; 2],
}

/// An attribute with one number for rows and one for columns, such as strides.
fn pair(call: &Call, name: &str, default: i64) -> Result<[i64; 2], Stop> {
    match call.node.ints(name) {
        None | Some([]) => Ok([default; 2]),
        Some(&[rows, columns]) if [rows, columns].iter().all(|number| (1..=1 << 20).contains(number)) => {
            Ok([rows, columns])
        }
        Some(_) => global(format!("its {name} are not those of a two-dimensional window")),
    }
}

/// The windows for rows and columns. `kernel` is the size without dilation.
fn windows(call: &Call, kernel: [i64; 2], spans: &[InputSpan; 2]) -> Result<[Window; 2], Stop> {
    let (strides, dilations) = (pair(call, "strides", 1)?, pair(call, "dilations", 1)?);
    let explicit = match call.node.ints("pads") {
        None | Some([]) => [0; 4],
        Some(pads) => match <[i64; 4]>::try_from(pads) {
            Ok(pads) if pads.iter().all(|pad| (0..=1 << 20).contains(pad)) => pads,
            _ => return global("its pads are not those of a two-dimensional window"),
        },
    };
    let auto = call.node.choice("auto_pad", "NOTSET", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])?;
    let mut windows = Vec::with_capacity(2);
    for axis in 0..2 {
        let (extent, stride) = ((kernel[axis] - 1) * dilations[axis], strides[axis]);
        let pads = match auto {
            "NOTSET" => [explicit[axis], explicit[axis + 2]],
            "VALID" => [0, 0],
            _ => {
                let all = same(extent, stride, &spans[axis], call.sizes)?;
                let (less, more) = (all / 2, all - all / 2);
                if auto == "SAME_UPPER" { [less, more] } else { [more, less] }
            }
        };
        windows.push(Window { extent, stride, pads });
    }
    Ok([windows[0], windows[1]])
}

/// The total padding for an output length of `ceil(len / stride)`.
fn same(extent: i64, stride: i64, span: &InputSpan, sizes: &Sizes) -> Result<i64, Stop> {
    let last = Affine::whole(stride - 1);
    let rounded = span.len.plus(last).and_then(|len| len.over(Affine::whole(stride)));
    let Some(rounded) = rounded else { return global("lengths that cannot be followed") };
    let steps = sizes.floor(rounded)?.minus(Affine::ONE).and_then(|steps| steps.times(Affine::whole(stride)));
    let needed = steps.and_then(|end| end.plus(Affine::whole(extent + 1))).and_then(|end| end.minus(span.len));
    match needed.and_then(Affine::as_whole).and_then(|needed| i64::try_from(needed).ok()) {
        Some(needed) => Ok(needed.max(0)),
        None => global("a padding that depends on the picture's size"),
    }
}

/// What the window sees at each position.
fn slid(span: InputSpan, window: Window, sizes: &Sizes) -> Result<InputSpan, Stop> {
    let Window { extent, stride, pads: [before, behind] } = window;
    let mut span = span;
    if before > 0 {
        span = span.bordered_before();
    }
    if behind > 0 {
        span = span.bordered_behind(sizes)?;
    }
    let steps = span
        .len
        .plus(Affine::whole(before + behind - extent - 1))
        .and_then(|room| room.over(Affine::whole(stride)))
        .map(|steps| sizes.floor(steps))
        .transpose()?;
    let Some(len) = steps.and_then(|steps| steps.plus(Affine::ONE)) else {
        return global("lengths that cannot be followed");
    };
    let first = span.skipped(whole(-before));
    InputSpan { len, step: span.step * whole(stride), high: first.high + span.step * whole(extent), ..first }.checked()
}

fn slide(planes: Planes, windows: [Window; 2], channels: u64, sizes: &Sizes) -> Result<Picture, Stop> {
    let [rows, columns] = planes.spans;
    let spans = [slid(rows, windows[0], sizes)?, slid(columns, windows[1], sizes)?];
    Planes { channels, spans }.picture()
}

/// Output channels and kernel size of a convolution, from its weights.
fn weights(call: &Call, channels: u64, transposed: bool) -> Result<(u64, [i64; 2]), Stop> {
    let Some(weights) = call.known(1)? else { return global("it has no weights") };
    let group = u64::try_from(call.node.int("group", 1)).unwrap_or(0);
    let &[first, second, rows, columns] = weights.shape.as_slice() else {
        return global("its weights are not those of a two-dimensional convolution");
    };
    let all = |each: u64| each.checked_mul(group).unwrap_or(0);
    let (takes, gives) = if transposed { (first, all(second)) } else { (all(second), first) };
    if takes != channels || gives == 0 || weights.is_sized() {
        return global(format!("its weights expect {takes} channels, not {channels}"));
    }
    let kernel = [rows, columns].map(|len| i64::try_from(len).unwrap_or(0));
    if !kernel.iter().all(|len| (1..=1 << 20).contains(len))
        || pair(call, "kernel_shape", 0)? != kernel && call.node.has("kernel_shape")
    {
        return global("its weights do not have the size of its kernel");
    }
    for at in 2..call.inputs.len() {
        if call.known(at)?.is_some_and(super::known::Known::is_sized) {
            return global("a number that depends on the picture's size");
        }
    }
    Ok((gives, kernel))
}

/// `Conv`
pub(super) fn conv(call: &mut Call) -> Result<Picture, Stop> {
    call.node.allow(&["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
    let planes = call.picture(0)?.planes()?;
    let (channels, kernel) = weights(call, planes.channels, false)?;
    let windows = windows(call, kernel, &planes.spans)?;
    slide(planes, windows, channels, call.sizes)
}

/// `MaxPool`, `AveragePool`, `LpPool`
pub(super) fn pool(call: &mut Call) -> Result<Picture, Stop> {
    let known = [
        "auto_pad",
        "ceil_mode",
        "count_include_pad",
        "dilations",
        "kernel_shape",
        "p",
        "pads",
        "storage_order",
        "strides",
    ];
    call.node.allow(&known)?;
    if super::pointwise::outputs(call) > 1 {
        return global("it also returns the indices of the maxima");
    }
    let planes = call.picture(0)?.planes()?;
    if !call.node.has("kernel_shape") {
        return global("it has no kernel");
    }
    let kernel = pair(call, "kernel_shape", 1)?;
    let windows = windows(call, kernel, &planes.spans)?;
    if call.node.int("ceil_mode", 0) != 0 {
        for (span, window) in planes.spans.iter().zip(windows) {
            let room = span.len.plus(Affine::whole(window.pads[0] + window.pads[1] - window.extent - 1));
            let steps = room.and_then(|room| room.over(Affine::whole(window.stride)));
            let Some(steps) = steps else { return global("lengths that cannot be followed") };
            if call.sizes.floor(steps)? != steps {
                return global("a last window that extends beyond the edge (ceil_mode)");
            }
        }
    }
    slide(planes, windows, planes.channels, call.sizes)
}

/// `ConvTranspose`: input element `i` contributes to the output elements from `stride * i - pad` to `extent` further.
pub(super) fn conv_transpose(call: &mut Call) -> Result<Picture, Stop> {
    // Not `output_shape`, which does not grow with the picture. Implementations interpret `auto_pad=SAME_*`
    // differently.
    call.node.allow(&["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "pads", "strides"])?;
    let auto = call.node.choice("auto_pad", "NOTSET", &["NOTSET", "VALID"])?;
    let extra = match call.node.ints("output_padding") {
        None | Some([]) => [0; 2],
        Some(&[rows, columns]) if [rows, columns].iter().all(|extra| (0..=1 << 20).contains(extra)) => [rows, columns],
        Some(_) => return global("its output_padding is not that of a two-dimensional window"),
    };
    let planes = call.picture(0)?.planes()?;
    let (channels, kernel) = weights(call, planes.channels, true)?;
    let windows = windows(call, kernel, &planes.spans)?;
    let mut spans = planes.spans;
    for (axis, span) in spans.iter_mut().enumerate() {
        let window = if auto == "VALID" { Window { pads: [0, 0], ..windows[axis] } } else { windows[axis] };
        *span = scattered(*span, window, extra[axis], call.sizes)?;
    }
    Planes { channels, spans }.picture()
}

fn scattered(span: InputSpan, window: Window, extra: i64, sizes: &Sizes) -> Result<InputSpan, Stop> {
    let Window { extent, stride, pads: [before, behind] } = window;
    // At the edges, the sums lack the elements outside.
    let span = span.bordered_before().bordered_behind(sizes)?;
    let step = span.step / whole(stride);
    let len = span
        .len
        .minus(Affine::ONE)
        .and_then(|len| len.times(Affine::whole(stride)))
        .and_then(|len| len.plus(Affine::whole(extra + extent + 1 - before - behind)));
    let Some(len) = len else { return global("lengths that cannot be followed") };
    // Output `j` depends on the inputs `i` with `j + before - extent <= stride * i <= j + before`.
    let before: Rational = whole(before);
    InputSpan { len, step, low: span.low + step * (before - extent as i128), high: span.high + step * before, ..span }
        .checked()
}

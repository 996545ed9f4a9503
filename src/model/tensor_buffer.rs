//! Tensor memory in a network's own element type, converted from and to the floats of callers.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Element, RunError};
use crate::types::Size;

/// Tensor memory in the network's own type, reused by each run. [`Element::Float32`] needs none.
pub(super) enum Buffer {
    Float32,
    Float16(Vec<f16>),
    Uint8(Vec<u8>),
}

/// An input tensor's elements.
pub(super) enum Numbers<'a> {
    Float32(&'a [f32]),
    Float16(&'a [f16]),
    Uint8(&'a [u8]),
}

/// An output tensor's elements.
pub(super) enum NumbersMut<'a> {
    Float32(&'a mut [f32]),
    Float16(&'a mut [f16]),
    Uint8(&'a mut [u8]),
}

impl Buffer {
    pub fn new(element: Element) -> Self {
        match element {
            Element::Float32 => Buffer::Float32,
            Element::Float16 => Buffer::Float16(Vec::new()),
            Element::Uint8 => Buffer::Uint8(Vec::new()),
        }
    }

    /// Bytes of the buffer per element.
    pub fn bytes(&self) -> usize {
        match self {
            Buffer::Float32 => 0,
            Buffer::Float16(_) => size_of::<f16>(),
            Buffer::Uint8(_) => size_of::<u8>(),
        }
    }

    /// `values` in the network's type: borrowed, or converted into the buffer.
    pub fn input<'a>(&'a mut self, values: &'a [f32]) -> Numbers<'a> {
        match self {
            Buffer::Float32 => Numbers::Float32(values),
            Buffer::Float16(buffer) => {
                buffer.resize(values.len(), f16::ZERO);
                buffer.convert_from_f32_slice(values);
                Numbers::Float16(buffer)
            }
            Buffer::Uint8(buffer) => {
                buffer.clear();
                // Rounds to nearest; `as` saturates and turns NaN into 0.
                buffer.extend(values.iter().map(|value| (value * 255.0 + 0.5) as u8));
                Numbers::Uint8(buffer)
            }
        }
    }

    /// The memory that the network writes: `values`, or the buffer, which [`Buffer::finish`] converts.
    pub fn output<'a>(&'a mut self, values: &'a mut [f32]) -> NumbersMut<'a> {
        match self {
            Buffer::Float32 => NumbersMut::Float32(values),
            Buffer::Float16(buffer) => {
                buffer.resize(values.len(), f16::ZERO);
                NumbersMut::Float16(buffer)
            }
            Buffer::Uint8(buffer) => {
                buffer.resize(values.len(), 0);
                NumbersMut::Uint8(buffer)
            }
        }
    }

    /// Converts the network's output to `values`.
    pub fn finish(&self, values: &mut [f32]) {
        match self {
            Buffer::Float32 => {}
            Buffer::Float16(buffer) => buffer.convert_to_f32_slice(values),
            Buffer::Uint8(buffer) => {
                for (value, byte) in values.iter_mut().zip(buffer) {
                    *value = f32::from(*byte) / 255.0;
                }
            }
        }
    }
}

/// Checks that `input` is a picture of `size`, and resizes `output` for its result. Returns the number of input values
/// and the result's size.
pub(super) fn prepare_run(
    input: &[f32],
    channels: usize,
    size: Size,
    scale: u32,
    output: &mut Vec<f32>,
) -> Result<(usize, Size), RunError> {
    let count = elements(channels, size);
    if input.len() != count || count == 0 {
        let Size { width, height } = size;
        let given = input.len();
        return Err(RunError::Failed(format!(
            "{given} values do not make a {width}x{height} picture of {channels} channels"
        )));
    }
    let result_size = Size { width: size.width * scale, height: size.height * scale };
    let expected = elements(channels, result_size);
    if output.try_reserve_exact(expected.saturating_sub(output.len())).is_err() {
        return Err(RunError::OutOfMemory(format!("cannot allocate an output of {expected} values")));
    }
    output.resize(expected, 0.0);
    Ok((count, result_size))
}

fn elements(channels: usize, size: Size) -> usize {
    channels * size.width as usize * size.height as usize
}

/// The shape of a picture's tensor.
pub(super) fn shape(channels: usize, size: Size) -> [i64; 4] {
    [1, channels as i64, i64::from(size.height), i64::from(size.width)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(element: Element, values: &[f32]) -> Vec<f32> {
        let mut buffer = Buffer::new(element);
        let mut result = vec![0.0; values.len()];
        buffer.input(values);
        buffer.finish(&mut result);
        result
    }

    #[test]
    fn bytes_are_rounded_and_saturated() {
        let given = [0.0, 1.0, -0.5, 1.5, f32::NAN, 0.501 / 255.0, 0.499 / 255.0, 254.6 / 255.0];
        let bytes: Vec<f32> = through(Element::Uint8, &given).iter().map(|value| value * 255.0).collect();
        assert_eq!(bytes, [0.0, 255.0, 0.0, 255.0, 0.0, 1.0, 0.0, 255.0]);
    }

    #[test]
    fn float16_keeps_eleven_bits() {
        let given: Vec<f32> = (0..1000).map(|i| i as f32 / 999.0 * 1.2 - 0.1).collect();
        for (given, got) in given.iter().zip(through(Element::Float16, &given)) {
            assert!((given - got).abs() <= given.abs() / 2048.0, "{given} {got}");
        }
    }
}

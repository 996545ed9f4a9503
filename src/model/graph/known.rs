//! Tensors that do not depend on the picture's content: weights, constants, and numbers computed from its size.

use half::f16;

use super::proto::{self, data_type};
use super::sizes::{Affine, Rational, Stop, bounded, global, whole};

/// Maximum number of elements whose values are followed; size tensors have a handful. For larger tensors the shape is
/// enough.
pub(super) const MAX_NUMBERS: u64 = 256;

/// One number of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// `None` if it cannot be followed.
    pub value: Option<Affine>,
    /// Whether it was computed from the picture's size, even if the result is constant.
    pub sized: bool,
}

impl Number {
    pub fn constant(value: Option<Affine>) -> Self {
        Number { value, sized: false }
    }
}

/// A tensor that does not depend on the picture's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub shape: Vec<u64>,
    /// Whether its numbers are integers or booleans, which are divided with rounding.
    pub integer: bool,
    /// Its numbers in order, if there are at most [`MAX_NUMBERS`] and they were read.
    numbers: Option<Vec<Number>>,
    /// Whether any of them was computed from the picture's size.
    sized: bool,
    /// Why the numbers cannot be read, if the user can fix it.
    unreadable: Option<&'static str>,
}

impl Known {
    /// A tensor with these numbers; their count must match the shape.
    pub fn new(shape: Vec<u64>, integer: bool, numbers: Vec<Number>) -> Self {
        debug_assert_eq!(elements(&shape), Some(numbers.len() as u64));
        let sized = numbers.iter().any(|number| number.sized);
        Known { shape, integer, numbers: Some(numbers), sized, unreadable: None }
    }

    /// A tensor of which only the shape is known.
    pub fn shaped(shape: Vec<u64>, integer: bool, sized: bool) -> Self {
        Known { shape, integer, numbers: None, sized, unreadable: None }
    }

    pub fn is_sized(&self) -> bool {
        self.sized
    }

    /// Marks the tensor as computed from the picture's size if `sized`, because its selection or shape was.
    pub fn sized_by(mut self, sized: bool) -> Known {
        self.sized |= sized;
        for number in self.numbers.iter_mut().flatten() {
            number.sized |= sized;
        }
        self
    }

    /// Its numbers.
    pub fn numbers(&self) -> Result<&[Number], Stop> {
        match (&self.numbers, self.unreadable) {
            (Some(numbers), _) => Ok(numbers),
            (None, Some(reason)) => global(reason),
            (None, None) => global("numbers that cannot be followed"),
        }
    }

    /// Its numbers, if they can be followed.
    pub fn readable(&self) -> Option<&[Number]> {
        self.numbers.as_deref()
    }

    /// Its numbers, if all can be followed.
    pub fn values(&self) -> Result<Vec<Affine>, Stop> {
        let values: Option<Vec<Affine>> = self.numbers()?.iter().map(|number| number.value).collect();
        values.map_or_else(|| global("numbers that depend on the picture's size in a way that cannot be followed"), Ok)
    }

    /// Its numbers as integers, if they do not depend on the picture's size.
    pub fn integers(&self) -> Result<Vec<i64>, Stop> {
        if self.sized {
            return global("numbers that depend on the picture's size instead of constants");
        }
        let integer = |value: &Affine| i64::try_from(value.as_whole()?).ok();
        let integers: Option<Vec<i64>> = self.values()?.iter().map(integer).collect();
        integers.map_or_else(|| global("numbers that are not whole"), Ok)
    }

    /// A tensor of the new shape whose element at each index is this tensor's element at `source(index)`.
    pub fn rearranged(&self, shape: Vec<u64>, source: impl Fn(&[u64]) -> Vec<u64>) -> Result<Known, Stop> {
        let count = counted(&shape)?;
        let Some(numbers) = self.numbers.as_ref().filter(|_| count <= MAX_NUMBERS) else {
            return Ok(Known { shape, numbers: None, ..self.clone() });
        };
        let picked: Option<Vec<Number>> = indices(&shape, count)
            .map(|index| {
                let mut source = source(&index).into_iter().zip(&self.shape);
                let at = source.try_fold(0u64, |at, (index, len)| at.checked_mul(*len)?.checked_add(index))?;
                numbers.get(usize::try_from(at).ok()?).copied()
            })
            .collect();
        match picked {
            Some(picked) => Ok(Known::new(shape, self.integer, picked)),
            None => global("an index outside its input"),
        }
    }

    /// The same elements in another shape with the same number of elements.
    pub fn reshaped(&self, shape: Vec<u64>) -> Result<Known, Stop> {
        if elements(&shape) != elements(&self.shape) {
            return global("a shape that does not fit its input");
        }
        Ok(Known { shape, ..self.clone() })
    }

    /// Reads a tensor of the file.
    pub fn read(tensor: &proto::Tensor) -> Result<Known, Stop> {
        let shape: Result<Vec<u64>, _> = tensor.dims.iter().map(|&len| u64::try_from(len)).collect();
        let Ok(shape) = shape else { return global("a constant with a negative length") };
        let count = counted(&shape)?;
        let integer = matches!(tensor.data_type, data_type::INT32 | data_type::INT64 | data_type::BOOL);
        if tensor.data_location == proto::EXTERNAL {
            let reason = "numbers that are in another file, which the analysis does not read";
            return Ok(Known { unreadable: Some(reason), ..Known::shaped(shape, integer, false) });
        }
        if count > MAX_NUMBERS {
            return Ok(Known::shaped(shape, integer, false));
        }
        match numbers(tensor) {
            Some(numbers) if numbers.len() as u64 == count => {
                let numbers = numbers.into_iter().map(Number::constant).collect();
                Ok(Known::new(shape, integer, numbers))
            }
            Some(_) => global("a constant whose data does not match its shape"),
            None => Ok(Known::shaped(shape, integer, false)),
        }
    }
}

/// The number of elements; `None` on overflow.
pub(super) fn elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |count, &len| count.checked_mul(len))
}

fn counted(shape: &[u64]) -> Result<u64, Stop> {
    match elements(shape) {
        Some(count) if shape.len() <= super::picture::MAX_DIMS => Ok(count),
        _ => global("a tensor too large"),
    }
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[u64], count: u64) -> impl Iterator<Item = Vec<u64>> {
    (0..count).map(move |mut at| {
        let mut index = vec![0; shape.len()];
        for (index, len) in index.iter_mut().zip(shape).rev() {
            *index = at % len;
            at /= len;
        }
        index
    })
}

/// The numbers of a small tensor; `None` for unsupported types.
fn numbers(tensor: &proto::Tensor) -> Option<Vec<Option<Affine>>> {
    fn raw<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> Option<Affine>) -> Vec<Option<Affine>> {
        bytes.as_chunks::<N>().0.iter().map(|bytes| value(*bytes)).collect()
    }
    let integer = |number: i64| Some(Affine::whole(number));
    let bytes = tensor.raw_data.as_ref();
    let typed = bytes.is_empty();
    Some(match tensor.data_type {
        data_type::INT64 if typed => tensor.int64_data.iter().map(|&number| integer(number)).collect(),
        data_type::INT64 => raw(bytes, |bytes| integer(i64::from_le_bytes(bytes))),
        data_type::INT32 | data_type::BOOL if typed => {
            tensor.int32_data.iter().map(|&number| integer(number.into())).collect()
        }
        data_type::INT32 => raw(bytes, |bytes| integer(i32::from_le_bytes(bytes).into())),
        data_type::BOOL => raw(bytes, |[byte]| integer(byte.into())),
        data_type::FLOAT if typed => tensor.float_data.iter().map(|&number| exact(number.into())).collect(),
        data_type::FLOAT => raw(bytes, |bytes| exact(f32::from_le_bytes(bytes).into())),
        data_type::DOUBLE if typed => tensor.double_data.iter().map(|&number| exact(number)).collect(),
        data_type::DOUBLE => raw(bytes, |bytes| exact(f64::from_le_bytes(bytes))),
        // Typed float16 values are stored as bits, one per int32.
        data_type::FLOAT16 if typed => {
            let half = |bits: &i32| exact(f16::from_bits(u16::try_from(*bits).ok()?).to_f64());
            tensor.int32_data.iter().map(half).collect()
        }
        data_type::FLOAT16 => raw(bytes, |bytes| exact(f16::from_le_bytes(bytes).to_f64())),
        _ => return None,
    })
}

/// A floating-point number as an exact fraction, unless that is too fine to be followed.
pub(super) fn exact(number: f64) -> Option<Affine> {
    // The largest denominator that is followed is 2^20. Scaling is exact, because it only changes the exponent.
    const SCALE: f64 = 1_048_576.0;
    let scaled = number * SCALE;
    if !(scaled.fract() == 0.0 && scaled.abs() < 1e18) {
        return None;
    }
    bounded(Rational::new(scaled as i128, whole(SCALE as i64).to_integer())).map(Affine::constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact_or_refused() {
        assert_eq!(exact(0.25).and_then(Affine::as_constant), Some(Rational::new(1, 4)));
        assert_eq!(exact(-3.0).and_then(Affine::as_whole), Some(-3));
        for number in [f64::from(1.0f32 / 3.0), f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            assert_eq!(exact(number), None, "{number}");
        }
    }

    #[test]
    fn typed_and_raw_numbers_are_the_same() {
        let typed = proto::Tensor {
            dims: vec![2],
            data_type: data_type::INT64,
            int64_data: vec![7, -1],
            ..proto::Tensor::default()
        };
        let bytes: Vec<u8> = [7i64, -1].iter().flat_map(|number| number.to_le_bytes()).collect();
        let raw = proto::Tensor { int64_data: Vec::new(), raw_data: bytes.into(), ..typed.clone() };
        assert_eq!(Known::read(&typed), Known::read(&raw));
        assert_eq!(Known::read(&raw).unwrap().integers(), Ok(vec![7, -1]));
        let half = proto::Tensor {
            dims: vec![1],
            data_type: data_type::FLOAT16,
            int32_data: vec![0x4400],
            ..proto::Tensor::default()
        };
        assert_eq!(Known::read(&half).unwrap().values().unwrap()[0].as_whole(), Some(4));
    }

    #[test]
    fn external_data_is_named_as_the_reason() {
        let tensor =
            proto::Tensor { dims: vec![1], data_type: data_type::FLOAT, data_location: 1, ..proto::Tensor::default() };
        let known = Known::read(&tensor).unwrap();
        assert_eq!(known.shape, [1]);
        assert!(matches!(known.numbers(), Err(Stop::Global(reason)) if reason.contains("another file")));
    }

    #[test]
    fn rearranging_follows_the_indices() {
        let numbers = (0..6).map(|number| Number::constant(Some(Affine::whole(number)))).collect();
        let known = Known::new(vec![2, 3], true, numbers);
        let turned = known.rearranged(vec![3, 2], |index| vec![index[1], index[0]]).unwrap();
        assert_eq!(turned.integers(), Ok(vec![0, 3, 1, 4, 2, 5]));
        assert!(known.rearranged(vec![1], |_| vec![2, 0]).is_err());
    }
}

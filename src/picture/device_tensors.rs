//! Tensors exchanged with a device that converts pictures: samples as they lie in memory, and the positions of
//! subsampled chroma.

use super::colour::Colour;
use super::format::PixelFormat;

/// How to interpret a picture's samples: everything that a converting session needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelEncoding {
    pub format: PixelFormat,
    pub colour: Colour,
}

/// A tensor's values, in one of the exchanged types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TensorData {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I32(Vec<i32>),
}

/// A tensor in memory, in row-major order; it keeps its memory from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTensor {
    pub shape: Vec<i64>,
    /// Their number is the product of `shape`.
    pub numbers: TensorData,
}

/// The inputs and outputs of `Upscaler::run_converting`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceTensors {
    pub inputs: Vec<DeviceTensor>,
    /// The shapes are set in advance; the run writes the values.
    pub outputs: Vec<DeviceTensor>,
}

impl Default for DeviceTensor {
    fn default() -> Self {
        DeviceTensor { shape: Vec::new(), numbers: TensorData::U8(Vec::new()) }
    }
}

impl DeviceTensor {
    /// Sets the shape and returns the values as bytes, with unspecified contents.
    pub fn set_u8(&mut self, shape: &[i64]) -> &mut [u8] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::U8(_)) {
            self.numbers = TensorData::U8(Vec::new());
        }
        let TensorData::U8(numbers) = &mut self.numbers else { unreachable!("it was set to U8") };
        numbers.resize(count, 0);
        numbers
    }

    /// Sets the shape and returns the values as 16-bit integers, with unspecified contents.
    pub fn set_u16(&mut self, shape: &[i64]) -> &mut [u16] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::U16(_)) {
            self.numbers = TensorData::U16(Vec::new());
        }
        let TensorData::U16(numbers) = &mut self.numbers else { unreachable!("it was set to U16") };
        numbers.resize(count, 0);
        numbers
    }

    /// Sets the shape and returns the values as 32-bit integers, with unspecified contents.
    pub fn set_i32(&mut self, shape: &[i64]) -> &mut [i32] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::I32(_)) {
            self.numbers = TensorData::I32(Vec::new());
        }
        let TensorData::I32(numbers) = &mut self.numbers else { unreachable!("it was set to I32") };
        numbers.resize(count, 0);
        numbers
    }

    /// Makes this a one-dimensional tensor of `list`.
    pub fn set_list(&mut self, list: Vec<i32>) {
        self.reshape(&[list.len() as i64]);
        self.numbers = TensorData::I32(list);
    }

    fn reshape(&mut self, shape: &[i64]) -> usize {
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        shape.iter().product::<i64>() as usize
    }

    /// The size of the values in bytes.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            TensorData::U8(numbers) => size_of_val(numbers.as_slice()),
            TensorData::U16(numbers) => size_of_val(numbers.as_slice()),
            TensorData::I32(numbers) => size_of_val(numbers.as_slice()),
        }
    }
}

impl DeviceTensors {
    /// Bytes transferred in both directions.
    pub fn bytes(&self) -> usize {
        self.inputs.iter().chain(&self.outputs).map(DeviceTensor::bytes).sum()
    }
}

/// The tensor at index `at` of a list, which grows if needed.
pub(crate) fn place(list: &mut Vec<DeviceTensor>, at: usize) -> &mut DeviceTensor {
    if list.len() <= at {
        list.resize(at + 1, DeviceTensor::default());
    }
    &mut list[at]
}

//! What crosses to the device and back where the pictures are converted there: codes as they lie in memory, and the places of
//! subsampled chroma.

use super::colour::Colour;
use super::format::PixelFormat;

/// How a picture's samples are to be read: all that a session which converts must know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelEncoding {
    pub format: PixelFormat,
    pub colour: Colour,
}

/// The numbers of a tensor, in one of the types that cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TensorData {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I32(Vec<i32>),
}

/// A tensor in memory, in the order of rows; it keeps its memory from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTensor {
    pub shape: Vec<i64>,
    /// As many as the shape says.
    pub numbers: TensorData,
}

/// What a run of `Upscaler::run_converting` is given and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceTensors {
    pub inputs: Vec<DeviceTensor>,
    /// Of the shapes that are due; the run writes the numbers.
    pub outputs: Vec<DeviceTensor>,
}

impl Default for DeviceTensor {
    fn default() -> Self {
        DeviceTensor { shape: Vec::new(), numbers: TensorData::U8(Vec::new()) }
    }
}

impl DeviceTensor {
    /// Makes it one of bytes, and gives these; what they hold is of no meaning.
    pub fn set_u8(&mut self, shape: &[i64]) -> &mut [u8] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::U8(_)) {
            self.numbers = TensorData::U8(Vec::new());
        }
        let TensorData::U8(numbers) = &mut self.numbers else { unreachable!("it was made so") };
        numbers.resize(count, 0);
        numbers
    }

    /// The same of 16-bit numbers.
    pub fn set_u16(&mut self, shape: &[i64]) -> &mut [u16] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::U16(_)) {
            self.numbers = TensorData::U16(Vec::new());
        }
        let TensorData::U16(numbers) = &mut self.numbers else { unreachable!("it was made so") };
        numbers.resize(count, 0);
        numbers
    }

    /// The same of 32-bit numbers.
    pub fn set_i32(&mut self, shape: &[i64]) -> &mut [i32] {
        let count = self.reshape(shape);
        if !matches!(self.numbers, TensorData::I32(_)) {
            self.numbers = TensorData::I32(Vec::new());
        }
        let TensorData::I32(numbers) = &mut self.numbers else { unreachable!("it was made so") };
        numbers.resize(count, 0);
        numbers
    }

    /// Makes it a list of numbers.
    pub fn set_list(&mut self, list: Vec<i32>) {
        self.reshape(&[list.len() as i64]);
        self.numbers = TensorData::I32(list);
    }

    fn reshape(&mut self, shape: &[i64]) -> usize {
        self.shape.clear();
        self.shape.extend_from_slice(shape);
        shape.iter().product::<i64>() as usize
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            TensorData::U8(numbers) => size_of_val(numbers.as_slice()),
            TensorData::U16(numbers) => size_of_val(numbers.as_slice()),
            TensorData::I32(numbers) => size_of_val(numbers.as_slice()),
        }
    }
}

impl DeviceTensors {
    /// Bytes that cross, both ways.
    pub fn bytes(&self) -> usize {
        self.inputs.iter().chain(&self.outputs).map(DeviceTensor::bytes).sum()
    }
}

/// The tensor at a place of a list that grows by one at most.
pub(crate) fn place(list: &mut Vec<DeviceTensor>, at: usize) -> &mut DeviceTensor {
    if list.len() <= at {
        list.resize(at + 1, DeviceTensor::default());
    }
    &mut list[at]
}

//! Converts pictures to and from device tensors: copied windows of planes, and the positions of subsampled chroma in
//! them.
//!
//! With [`DeviceTensors`] it does what `to_tensor` and `from_tensor` do with tensors of `f32`. The format and the
//! network's channels determine the tensors and their order: see the module `model::extend`.

use std::ops::Range;

use super::colour::Levels;
use super::convert::{Converter, Scratch, rows};
use super::device_tensors::{DeviceTensor, DeviceTensors, PixelEncoding, TensorData, place};
use super::format::{Kind, Layout, PictureMut, PictureRef};
use super::region::Region;
use super::siting;
use crate::types::Channels;

/// How many planes of a format a network of `channels` reads, starting with the first.
pub fn planes_seen(layout: &Layout, channels: Channels) -> usize {
    if channels == Channels::Luma && layout.kind != Kind::Rgb { 1 } else { layout.planes }
}

/// One direction of a plane's window.
struct Window {
    /// The samples to read from the plane.
    read: Range<usize>,
    /// The window's length. If it exceeds `read`, the last sample is repeated.
    length: usize,
    /// For subsampled chroma, the nearest sample and the other contributing sample of each tensor pixel, relative to
    /// the window.
    taps: Option<[Vec<i32>; 2]>,
}

impl Window {
    /// For a plane that has a sample for each pixel.
    fn full(read: Range<usize>, tensor: usize) -> Self {
        Self { read, length: tensor, taps: None }
    }

    /// For subsampled chroma; `samples` is their number in the picture.
    fn subsampled(pixels: Range<usize>, tensor: usize, samples: usize, cosited: bool) -> Self {
        let last = pixels.end - 1;
        let taps = |pixel: usize| siting::upsample_taps(pixel.min(last), samples, cosited);
        let begin = taps(pixels.start).into_iter().min().unwrap_or(0);
        let end = taps(last).into_iter().max().unwrap_or(0) + 1;
        let list = |which: usize| {
            (pixels.start..pixels.start + tensor).map(|pixel| (taps(pixel)[which] - begin) as i32).collect()
        };
        Self { read: begin..end, length: end - begin, taps: Some([list(0), list(1)]) }
    }
}

/// One direction of a plane of the result.
struct Target {
    /// Samples in the returned tensor.
    length: usize,
    /// Where the kept part starts in it.
    skip: usize,
    /// The kept samples of the plane.
    kept: Range<usize>,
    /// The pixels that make each sample of subsampled chroma, relative to the network's result: two or three lists.
    taps: Option<Vec<Vec<i32>>>,
}

impl Target {
    /// `read` and `keep` are pixels of the result; its tensor starts at `read`.
    fn full(keep: &Range<usize>, read: &Range<usize>, tensor: usize) -> Self {
        Self { length: tensor, skip: keep.start - read.start, kept: keep.clone(), taps: None }
    }

    /// A sample belongs to the region that keeps its first pixel. If there is none, one unused sample is requested,
    /// because some devices reject empty tensors.
    fn subsampled(keep: &Range<usize>, read: &Range<usize>, cosited: bool) -> Self {
        let kept = keep.start.div_ceil(2)..keep.end.div_ceil(2);
        let asked = if kept.is_empty() { keep.start / 2..keep.start / 2 + 1 } else { kept.clone() };
        let taps = |k: usize| siting::downsample_taps(k, cosited, read.start, read.end - 1);
        let list = |which: usize| asked.clone().map(|k| (taps(k)[which] - read.start) as i32).collect();
        // Chroma midway between two pixels depends only on those two.
        let lists = if cosited { 0..3 } else { 1..3 };
        Self { length: asked.len(), skip: 0, kept, taps: Some(lists.map(list).collect()) }
    }
}

/// Both directions of a plane: rows and columns.
type Both<T> = [T; 2];

impl Converter {
    /// The pixel encoding for a session that converts.
    pub fn encoding(&self) -> PixelEncoding {
        PixelEncoding { format: self.format, colour: self.colour }
    }

    /// Whether a plane holds subsampled chroma, by rows and columns.
    fn subsampled(&self, plane: usize) -> Both<bool> {
        let chroma = self.layout.kind == Kind::Yuv && plane > 0;
        [chroma && self.layout.v_sub, chroma && self.layout.h_sub]
    }

    /// Whether the network's chroma is subsampled, by rows and columns.
    fn resampled(&self) -> Both<bool> {
        self.subsampled(planes_seen(&self.layout, self.channels) - 1)
    }

    fn cosited(&self) -> Both<bool> {
        [self.colour.chroma_site.v_cosited, self.colour.chroma_site.h_cosited]
    }

    /// The windows of full-size or subsampled planes.
    fn windows(&self, region: &Region, subsampled: bool) -> Both<Window> {
        let Region { read, tensor, .. } = region;
        let pixels = [(read.y, read.height, tensor.height), (read.x, read.width, tensor.width)];
        let frame = [self.input.height, self.input.width];
        std::array::from_fn(|direction| {
            let (start, length, tensor) = pixels[direction];
            let (pixels, tensor) = (start as usize..(start + length) as usize, tensor as usize);
            if subsampled && self.resampled()[direction] {
                let samples = frame[direction].div_ceil(2) as usize;
                Window::subsampled(pixels, tensor, samples, self.cosited()[direction])
            } else {
                Window::full(pixels, tensor)
            }
        })
    }

    fn targets(&self, region: &Region, subsampled: bool) -> Both<Target> {
        let Region { keep, read, tensor, .. } = region;
        let scale = self.scale as usize;
        let pixels = |start: u32, length: u32| start as usize * scale..(start + length) as usize * scale;
        let lines = [
            (pixels(keep.y, keep.height), pixels(read.y, read.height), tensor.height),
            (pixels(keep.x, keep.width), pixels(read.x, read.width), tensor.width),
        ];
        std::array::from_fn(|direction| {
            let (keep, read, tensor) = &lines[direction];
            if subsampled && self.resampled()[direction] {
                Target::subsampled(keep, read, self.cosited()[direction])
            } else {
                Target::full(keep, read, *tensor as usize * scale)
            }
        })
    }

    /// Fills the inputs with what `region` reads and sets the shapes of the outputs.
    ///
    /// If the tensor is larger than what is read, the last column and row are repeated, as in [`Converter::to_tensor`].
    pub fn to_device_tensors(&self, src: &PictureRef, region: &Region, exchange: &mut DeviceTensors) {
        self.check_source(src);
        self.check_region(region);
        let (full, chroma) = (self.windows(region, false), self.windows(region, true));
        let (full_target, chroma_target) = (self.targets(region, false), self.targets(region, true));
        let planes = planes_seen(&self.layout, self.channels);
        let mut at = 0;
        for plane in 0..planes {
            let is_chroma = self.layout.kind == Kind::Yuv && plane > 0;
            let windows = if is_chroma { &chroma } else { &full };
            self.copy_window(src, plane, windows, place(&mut exchange.inputs, at));
            at += 1;
        }
        let lists = chroma.into_iter().filter_map(|window| window.taps).flatten();
        let target_lists = chroma_target.iter().filter_map(|target| target.taps.clone()).flatten();
        for list in lists.chain(target_lists) {
            place(&mut exchange.inputs, at).set_list(list);
            at += 1;
        }
        exchange.inputs.truncate(at);
        if self.combines() {
            let [rows, columns] = full_target.map(|target| target.length as i64);
            let (luma, shape) = (place(&mut exchange.outputs, 0), [1, 1, rows, columns]);
            if Levels::crosses_as_u16(self.layout.depth) {
                luma.set_u16(&shape);
            } else {
                luma.set_i32(&shape);
            }
            exchange.outputs.truncate(1);
            return;
        }
        for plane in 0..planes {
            let is_chroma = self.layout.kind == Kind::Yuv && plane > 0;
            let targets = if is_chroma { &chroma_target } else { &full_target };
            let shape = shape(targets[0].length, targets[1].length, self.crossing_samples(plane));
            let tensor = place(&mut exchange.outputs, plane);
            if self.layout.bytes == 1 {
                tensor.set_u8(&shape);
            } else {
                tensor.set_u16(&shape);
            }
        }
        exchange.outputs.truncate(planes);
    }

    /// Whether the device returns luma that must be combined with chroma from [`Converter::resize_passthrough_planes`].
    fn combines(&self) -> bool {
        self.channels == Channels::Luma && self.layout.kind == Kind::Rgb
    }

    /// Samples returned per pixel of a plane; alpha and padding are not returned.
    fn crossing_samples(&self, plane: usize) -> usize {
        self.layout.components.iter().filter(|component| component.plane == plane).count().min(self.samples(plane))
    }

    fn samples(&self, plane: usize) -> usize {
        self.layout.plane_step(plane).map_or(1, |step| step / self.layout.bytes)
    }

    fn copy_window(&self, src: &PictureRef, plane: usize, windows: &Both<Window>, tensor: &mut DeviceTensor) {
        let samples = self.samples(plane);
        let [rows, columns] = windows;
        let shape = shape(rows.length, columns.length, samples);
        let row_length = columns.length * samples;
        let bytes = |row: usize| {
            let y = (rows.read.start + row).min(rows.read.end - 1);
            let step = samples * self.layout.bytes;
            &src.row(plane, y)[columns.read.start * step..columns.read.end * step]
        };
        if self.layout.bytes == 1 {
            for (row, out) in tensor.set_u8(&shape).chunks_exact_mut(row_length).enumerate() {
                let (read, beyond) = out.split_at_mut(columns.read.len() * samples);
                read.copy_from_slice(bytes(row));
                repeat_last(read, beyond, samples);
            }
        } else {
            for (row, out) in tensor.set_u16(&shape).chunks_exact_mut(row_length).enumerate() {
                let (read, beyond) = out.split_at_mut(columns.read.len() * samples);
                for (number, bytes) in read.iter_mut().zip(bytes(row).as_chunks::<2>().0) {
                    *number = u16::from_le_bytes(*bytes);
                }
                repeat_last(read, beyond, samples);
            }
        }
    }

    /// Writes the kept part of a run's outputs for `region` into the picture that
    /// [`Converter::resize_passthrough_planes`] prepared with `scratch`.
    ///
    /// # Panics
    /// As for all methods of [`Converter`], and if the outputs do not have the shapes that
    /// [`Converter::to_device_tensors`] set.
    pub fn from_device_tensors(
        &self,
        outputs: &[DeviceTensor],
        region: &Region,
        scratch: &mut Scratch,
        dst: &mut PictureMut,
    ) {
        self.check_result(dst);
        self.check_region(region);
        let (full, chroma) = (self.targets(region, false), self.targets(region, true));
        if self.combines() {
            self.combine_luma(&outputs[0], &full, scratch, dst);
            return;
        }
        for (plane, tensor) in outputs.iter().enumerate() {
            let is_chroma = self.layout.kind == Kind::Yuv && plane > 0;
            let [rows, columns] = if is_chroma { &chroma } else { &full };
            let samples = self.crossing_samples(plane);
            let stride = columns.length * samples;
            for (row, y) in rows.kept.clone().enumerate() {
                let begin = (rows.skip + row) * stride + columns.skip * samples;
                let place = begin..begin + columns.kept.len() * samples;
                let step = self.samples(plane) * self.layout.bytes;
                let bytes = &mut dst.row_mut(plane, y)[columns.kept.start * step..columns.kept.end * step];
                match &tensor.numbers {
                    TensorData::U8(numbers) if self.samples(plane) == samples => bytes.copy_from_slice(&numbers[place]),
                    TensorData::U8(numbers) => self.store_pixels::<1>(numbers[place].iter().map(|code| [*code]), bytes),
                    TensorData::U16(numbers) if self.samples(plane) == samples => {
                        for (bytes, number) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(&numbers[place]) {
                            *bytes = number.to_le_bytes();
                        }
                    }
                    TensorData::U16(numbers) => {
                        self.store_pixels::<2>(numbers[place].iter().map(|code| code.to_le_bytes()), bytes);
                    }
                    TensorData::I32(_) => unreachable!("planes have 8-bit or 16-bit samples"),
                }
            }
        }
    }

    /// Writes three samples into each pixel. Keeps alpha and sets padding to 255.
    fn store_pixels<const BYTES: usize>(&self, mut codes: impl Iterator<Item = [u8; BYTES]>, bytes: &mut [u8]) {
        let layout = &self.layout;
        // The three samples are adjacent.
        let first = layout.components.iter().map(|component| component.offset).min().unwrap_or(0);
        for pixel in bytes.chunks_exact_mut(layout.components[0].step) {
            for (sample, code) in pixel[first..].as_chunks_mut::<BYTES>().0.iter_mut().take(3).zip(&mut codes) {
                *sample = code;
            }
            if let Some(padding) = layout.padding {
                pixel[padding.offset] = 255;
            }
        }
    }

    /// Combines an RGB picture's upscaled luma with its resized chroma.
    fn combine_luma(&self, tensor: &DeviceTensor, targets: &Both<Target>, scratch: &mut Scratch, dst: &mut PictureMut) {
        let ([lines, columns], width) = (targets, self.output.width as usize);
        let levels = Levels::crossing(self.layout.depth);
        let [luma, r, g, b] = rows::<4>(&mut scratch.rows, columns.kept.len());
        for (row, y) in lines.kept.clone().enumerate() {
            let begin = (lines.skip + row) * columns.length + columns.skip;
            match &tensor.numbers {
                TensorData::U16(numbers) => {
                    decode(numbers[begin..].iter().map(|number| f32::from(*number)), levels, luma);
                }
                TensorData::I32(numbers) => decode(numbers[begin..].iter().map(|number| *number as f32), levels, luma),
                TensorData::U8(_) => unreachable!("luma is never returned as 8-bit samples"),
            }
            let chroma = scratch.chroma.each_ref().map(|plane| &plane[y * width..][columns.kept.clone()]);
            self.matrix.rgb(luma, chroma, [&mut *r, &mut *g, &mut *b]);
            self.store_rgb([r, g, b], y, columns.kept.start, dst);
        }
    }
}

/// Converts returned luma to normalised values: see [`Levels::crossing`].
fn decode(codes: impl Iterator<Item = f32>, levels: Levels, luma: &mut [f32]) {
    let unit = 1.0 / levels.scale;
    for (luma, code) in luma.iter_mut().zip(codes) {
        let value = (code - levels.offset) * unit;
        let value = if code > 0.0 { value } else { f32::NEG_INFINITY };
        *luma = if code < levels.max { value } else { f32::INFINITY };
    }
}

/// The shape of a window; if a pixel has several samples, they are the last dimension.
fn shape(rows: usize, columns: usize, samples: usize) -> [i64; 4] {
    let (rows, columns) = (rows as i64, columns as i64);
    if samples == 1 { [1, 1, rows, columns] } else { [1, rows, columns, samples as i64] }
}

fn repeat_last<T: Copy>(read: &[T], beyond: &mut [T], samples: usize) {
    let last = &read[read.len() - samples..];
    beyond.chunks_exact_mut(samples).for_each(|pixel| pixel.copy_from_slice(last));
}

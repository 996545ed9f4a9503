//! Picture tests: helpers here, one file per subject.

mod colours;
mod feather;
mod formats;
mod lanczos;
mod networks;
mod regions;
mod siting;
mod sizes;
mod smooth;
mod solid;
mod strides;
mod tiles;

use super::convert::{Converter, Scratch};
use super::feather::Feather;
use super::format::*;
use super::region::{Blend, Limits, Region, cover};
use crate::types::Channels;
use crate::types::Size;

pub const CHANNELS: [Channels; 2] = [Channels::Luma, Channels::Rgb];
pub const RANGES: [Range; 2] = [Range::Limited, Range::Full];
pub const SITES: [ChromaSite; 4] =
    [ChromaSite::JPEG, ChromaSite::MPEG2, ChromaSite::COSITED, ChromaSite { h_cosited: false, v_cosited: true }];
pub const MATRICES: [Matrix; 5] = [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::SMPTE240M, Matrix::FCC];

/// The value of bytes outside the visible pixels.
const GUARD: u8 = 0xa5;

pub fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

pub fn colour(matrix: Matrix, range: Range, chroma_site: ChromaSite) -> Colour {
    Colour { matrix, range, chroma_site }
}

pub fn hd() -> Colour {
    colour(Matrix::BT709, Range::Limited, ChromaSite::MPEG2)
}

/// A small pseudo-random generator with the same sequence in each run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

/// A picture with its own memory: each plane starts at byte `offset`, and `gap` bytes follow each row.
#[derive(Clone)]
pub struct Owned {
    pub format: PixelFormat,
    pub size: Size,
    offset: usize,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Owned {
    pub fn with_gaps(format: PixelFormat, size: Size, offset: usize, gap: usize) -> Self {
        let planes = (0..format.planes()).map(|plane| {
            let (row_bytes, rows) = format.visible(plane, size);
            let stride = row_bytes + gap;
            (vec![GUARD; offset + stride * (rows - 1) + row_bytes], stride)
        });
        Self { format, size, offset, planes: planes.collect() }
    }

    pub fn new(format: PixelFormat, size: Size) -> Self {
        Self::with_gaps(format, size, 0, 0)
    }

    pub fn random(format: PixelFormat, size: Size, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut picture = Self::new(format, size);
        let limit = format.layout().max_code() + 1;
        picture.fill(|_, _, _| random.below(limit));
        picture
    }

    pub fn view(&self) -> PictureRef<'_> {
        let planes: Vec<_> = self.planes.iter().map(|(bytes, stride)| (&bytes[self.offset..], *stride)).collect();
        PictureRef::new(self.format, self.size, &planes).unwrap()
    }

    pub fn view_mut(&mut self) -> PictureMut<'_> {
        let offset = self.offset;
        let planes = self.planes.iter_mut().map(|(bytes, stride)| (&mut bytes[offset..], *stride));
        PictureMut::new(self.format, self.size, planes).unwrap()
    }

    /// The format's components: three, or four with alpha; gray has one.
    pub fn components(&self) -> Vec<Component> {
        let layout = self.format.layout();
        let colour = if layout.kind == Kind::Gray { 1 } else { 3 };
        layout.components[..colour].iter().copied().chain(layout.alpha).collect()
    }

    /// Columns and rows of a component.
    pub fn extent(&self, index: usize) -> (usize, usize) {
        self.format.layout().plane_size(self.components()[index].plane, self.size)
    }

    pub fn code(&self, index: usize, x: usize, y: usize) -> u32 {
        let (component, layout) = (self.components()[index], self.format.layout());
        let bytes = &self.view().row(component.plane, y)[x * component.step + component.offset..][..layout.bytes];
        let code = bytes.iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte));
        assert_eq!(code & ((1 << layout.shift) - 1), 0, "low bits of {}", self.format.name());
        code >> layout.shift
    }

    pub fn set_code(&mut self, index: usize, x: usize, y: usize, code: u32) {
        let (component, layout) = (self.components()[index], self.format.layout());
        let bytes = (code << layout.shift).to_le_bytes();
        let start = x * component.step + component.offset;
        self.view_mut().row_mut(component.plane, y)[start..start + layout.bytes]
            .copy_from_slice(&bytes[..layout.bytes]);
    }

    /// Sets each sample of each component to `code(index, x, y)`.
    pub fn fill(&mut self, mut code: impl FnMut(usize, usize, usize) -> u32) {
        for index in 0..self.components().len() {
            let (columns, rows) = self.extent(index);
            for y in 0..rows {
                for x in 0..columns {
                    self.set_code(index, x, y, code(index, x, y));
                }
            }
        }
        self.set_padding();
    }

    /// Sets padding bytes as the converter does, so that pictures compare equal.
    fn set_padding(&mut self) {
        let Some(padding) = self.format.layout().padding else { return };
        for y in 0..self.size.height as usize {
            for pixel in self.view_mut().row_mut(0, y).chunks_exact_mut(padding.step) {
                pixel[padding.offset] = 255;
            }
        }
    }

    /// All visible bytes, plane by plane.
    pub fn visible(&self) -> Vec<u8> {
        let view = self.view();
        let rows = |plane| 0..self.format.visible(plane, self.size).1;
        (0..self.format.planes())
            .flat_map(|plane| rows(plane).flat_map(move |y| view.row(plane, y).iter().copied()))
            .collect()
    }

    /// Whether the bytes outside the visible pixels are untouched.
    pub fn is_guarded(&self) -> bool {
        self.planes.iter().enumerate().all(|(plane, (bytes, stride))| {
            let row_bytes = self.format.visible(plane, self.size).0;
            let outside = |at: usize| at < self.offset || (at - self.offset) % stride >= row_bytes;
            bytes.iter().enumerate().all(|(at, &byte)| !outside(at) || byte == GUARD)
        })
    }
}

/// A network that repeats each pixel.
pub fn nearest(input: &[f32], size: Size, channels: Channels, scale: u32) -> Vec<f32> {
    let (width, height, scale) = (size.width as usize, size.height as usize, scale as usize);
    let mut output = Vec::new();
    for plane in 0..channels.count() {
        for y in 0..height * scale {
            for x in 0..width * scale {
                output.push(input[(plane * height + y / scale) * width + x / scale]);
            }
        }
    }
    output
}

/// Upscales a picture with `regions` and `network` into `dst`, blending where the regions require it.
pub fn upscale(
    converter: &Converter,
    src: &Owned,
    regions: &[Region],
    mut network: impl FnMut(&[f32], Size) -> Vec<f32>,
    dst: &mut Owned,
) {
    let mut scratch = Scratch::default();
    let mut feather = Feather::new(src.size, converter.scale, converter.channels);
    let mut tensor = Vec::new();
    converter.resize_passthrough_planes(&src.view(), &mut dst.view_mut(), &mut scratch);
    for region in regions {
        converter.to_tensor(&src.view(), region, &mut scratch, &mut tensor);
        let mut result = network(&tensor, region.tensor);
        feather.blend(&mut result, region);
        converter.from_tensor(&result, region, &mut scratch, &mut dst.view_mut());
    }
}

/// Upscales a picture with `regions` and the nearest network into `dst`.
pub fn convert_into(converter: &Converter, src: &Owned, regions: &[Region], channels: Channels, dst: &mut Owned) {
    let scale = dst.size.width / src.size.width;
    upscale(converter, src, regions, |tensor, size| nearest(tensor, size, channels, scale), dst);
}

pub fn whole(frame: Size) -> Vec<Region> {
    cover(frame, Limits::default())
}

/// The picture upscaled by the nearest network as a single region.
pub fn convert(src: &Owned, colour: Colour, channels: Channels, scale: u32) -> Owned {
    let converter = Converter::new(src.format, colour, src.size, channels, scale);
    let mut dst = Owned::new(src.format, converter.output_size());
    convert_into(&converter, src, &whole(src.size), channels, &mut dst);
    dst
}

//! Conversion from pixels to tensors.

use super::convert::{Converter, Scratch, rows};
use super::format::{Kind, PictureRef};
use super::region::Region;
use super::{samples, siting};
use crate::types::{Channels, Rect, Size};

/// The memory for a tensor could not be allocated.
#[derive(Debug, thiserror::Error)]
#[error("no room for a tensor of {channels}x{height}x{width}")]
pub struct NoRoom {
    channels: usize,
    height: u32,
    width: u32,
}

impl Converter {
    /// Reserves memory in `tensor` for what [`Converter::to_tensor`] writes for `region`, so that running out of memory
    /// is an error and does not abort the process.
    pub fn try_reserve(&self, region: &Region, tensor: &mut Vec<f32>) -> Result<(), NoRoom> {
        let (Size { width, height }, channels) = (region.tensor, self.channels.count());
        let values = usize::try_from(region.tensor.pixels()).ok().and_then(|pixels| pixels.checked_mul(channels));
        match values.map(|values| tensor.try_reserve_exact(values.saturating_sub(tensor.len()))) {
            Some(Ok(())) => Ok(()),
            _ => Err(NoRoom { channels, height, width }),
        }
    }

    /// Fills `tensor` with what `region` reads: planar, `channels * tensor.height * tensor.width` values.
    ///
    /// If the tensor is larger than what is read, the last column and row are repeated.
    pub fn to_tensor(&self, src: &PictureRef, region: &Region, scratch: &mut Scratch, tensor: &mut Vec<f32>) {
        self.check_source(src);
        self.check_region(region);
        let (width, height) = (region.tensor.width as usize, region.tensor.height as usize);
        let plane = width * height;
        tensor.resize(self.channels.count() * plane, 0.0);
        match self.channels {
            Channels::Luma => self.luma_to_tensor(src, region.read, scratch, width, tensor),
            Channels::Rgb => self.rgb_to_tensor(src, region.read, scratch, width, tensor),
        }
        for plane in tensor.chunks_exact_mut(plane) {
            pad(plane, width, region.read);
        }
    }

    fn luma_to_tensor(&self, src: &PictureRef, read: Rect, scratch: &mut Scratch, width: usize, tensor: &mut [f32]) {
        let columns = read.width as usize;
        let luma = self.layout.components[0];
        let [r, g, b] = rows::<3>(&mut scratch.rows, columns);
        for (row, out) in tensor.chunks_exact_mut(width).take(read.height as usize).enumerate() {
            let (y, out) = (read.y as usize + row, &mut out[..columns]);
            if self.layout.kind == Kind::Rgb {
                self.load_rgb(src, read, y, [&mut *r, &mut *g, &mut *b]);
                self.matrix.luma([r, g, b], out);
            } else {
                let bytes = &src.row(luma.plane, y)[read.x as usize * luma.step..];
                samples::load(&self.layout, luma, self.luma, bytes, out);
            }
        }
    }

    fn rgb_to_tensor(&self, src: &PictureRef, read: Rect, scratch: &mut Scratch, width: usize, tensor: &mut [f32]) {
        let (columns, plane) = (read.width as usize, tensor.len() / 3);
        let luma = self.layout.components[0];
        let (r, rest) = tensor.split_at_mut(plane);
        let (g, b) = rest.split_at_mut(plane);
        for row in 0..read.height as usize {
            let y = read.y as usize + row;
            let place = row * width..row * width + columns;
            let (r, g, b) = (&mut r[place.clone()], &mut g[place.clone()], &mut b[place]);
            if self.layout.kind == Kind::Rgb {
                self.load_rgb(src, read, y, [r, g, b]);
                continue;
            }
            let bytes = &src.row(luma.plane, y)[read.x as usize * luma.step..];
            samples::load(&self.layout, luma, self.luma, bytes, r);
            if self.layout.kind == Kind::Gray {
                g.copy_from_slice(r);
                b.copy_from_slice(r);
            } else {
                self.load_chroma(src, read, y, 1, scratch, g);
                self.load_chroma(src, read, y, 2, scratch, b);
                self.matrix.rgb_in_place(r, g, b);
            }
        }
    }

    fn load_rgb(&self, src: &PictureRef, read: Rect, y: usize, [r, g, b]: [&mut [f32]; 3]) {
        let skip = read.x as usize * self.layout.components[0].step;
        samples::load_rgb(&self.layout, self.luma, |plane| &src.row(plane, y)[skip..], r, g, b);
    }

    /// Loads Cb (`index` 1) or Cr (2) of luma row `y` for the columns read, interpolating from samples beyond them
    /// where the picture has any.
    fn load_chroma(
        &self,
        src: &PictureRef,
        read: Rect,
        y: usize,
        index: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let component = self.layout.components[index];
        let site = self.colour.chroma_site;
        let (columns, lines) = self.layout.plane_size(component.plane, self.input);
        let [near, other_line] =
            if self.layout.v_sub { siting::upsample_taps(y, lines, site.v_cosited) } else { [y, y] };
        let weight = siting::other_weight(site.v_cosited);
        let load = |line: usize, column: usize, out: &mut [f32]| {
            let bytes = &src.row(component.plane, line)[column * component.step..];
            samples::load(&self.layout, component, self.chroma, bytes, out);
        };
        let x = read.x as usize;
        if !self.layout.h_sub {
            load(near, x, out);
            if other_line != near {
                let [other] = rows::<1>(&mut scratch.rows, out.len());
                load(other_line, x, other);
                siting::blend(out, other, weight);
            }
            return;
        }
        // The samples k to k + n - 1 and one more on each side, as far as they exist.
        let (k, end) = (x / 2, (x + out.len()).div_ceil(2));
        let n = end - k;
        let [chroma, other, wide] = rows::<3>(&mut scratch.rows, 2 * n + 2);
        let begin = k.saturating_sub(1);
        let present = begin + 1 - k..(end + 1).min(columns) + 1 - k;
        load(near, begin, &mut chroma[present.clone()]);
        if other_line != near {
            load(other_line, begin, &mut other[present.clone()]);
            siting::blend(&mut chroma[present.clone()], &other[present.clone()], weight);
        }
        if present.start == 1 {
            chroma[0] = chroma[1];
        }
        if present.end == n + 1 {
            chroma[n + 1] = chroma[n];
        }
        siting::upsample(&chroma[..n + 2], site.h_cosited, &mut wide[..2 * n]);
        out.copy_from_slice(&wide[x - 2 * k..][..out.len()]);
    }
}

/// Fills the tensor's plane by repeating the last column and row that were read.
fn pad(plane: &mut [f32], width: usize, read: Rect) {
    let (columns, lines) = (read.width as usize, read.height as usize);
    if columns < width {
        for row in plane.chunks_exact_mut(width).take(lines) {
            let last = row[columns - 1];
            row[columns..].fill(last);
        }
    }
    let last = (lines - 1) * width;
    for y in lines..plane.len() / width {
        plane.copy_within(last..last + width, y * width);
    }
}

//! Integer networks that stand in for real ones: their results are bit-identical for any tensor size.

use super::*;

/// An offset from a pixel (columns, rows) and its weight.
type Tap = (isize, isize, i32);

/// Taps at the corners, edges and centre of a kernel of `2 * r + 1` pixels; the others would only take time.
fn kernel(r: isize) -> [Tap; 7] {
    [(-r, -r, 5), (r, -r, -3), (0, -r, 7), (-r, 0, -2), (0, 0, 11), (r, 1 - r, 3), (r, r, -4)]
}

#[derive(Clone)]
struct Plane {
    width: usize,
    height: usize,
    values: Vec<i32>,
}

impl Plane {
    /// The value, or 0 beyond the edge: the zero padding of convolutions.
    fn at(&self, x: isize, y: isize) -> i32 {
        match (usize::try_from(x), usize::try_from(y)) {
            (Ok(x), Ok(y)) if x < self.width && y < self.height => self.values[y * self.width + x],
            _ => 0,
        }
    }

    fn new(width: usize, height: usize, value: impl Fn(isize, isize) -> i32) -> Self {
        let (columns, rows) = (width as isize, height as isize);
        Self {
            width,
            height,
            values: (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect(),
        }
    }
}

/// A zero-padded convolution, with a bias (so that padding differs from every value) and wrap-around: each result
/// depends on all inputs.
fn convolve(planes: &[Plane], radius: isize) -> Vec<Plane> {
    let taps = kernel(radius);
    let convolve = |(index, plane): (usize, &Plane)| {
        let other = &planes[(index + 1) % planes.len()];
        Plane::new(plane.width, plane.height, |x, y| {
            let sum: i32 = taps.iter().map(|&(dx, dy, weight)| weight * plane.at(x + dx, y + dy)).sum();
            (sum + 2 * other.at(x, y) + 77).rem_euclid(4099)
        })
    };
    planes.iter().enumerate().map(convolve).collect()
}

/// Makes four half-size planes from each plane; a missing column or row is zero.
fn unshuffle(planes: &[Plane]) -> Vec<Plane> {
    let phase = |plane: &Plane, dx: isize, dy: isize| {
        Plane::new(plane.width.div_ceil(2), plane.height.div_ceil(2), |x, y| plane.at(2 * x + dx, 2 * y + dy))
    };
    planes.iter().flat_map(|plane| [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| phase(plane, dx, dy))).collect()
}

fn shuffle(planes: &[Plane], width: usize, height: usize) -> Vec<Plane> {
    let join = |four: &[Plane]| Plane::new(width, height, |x, y| four[(x % 2 + y % 2 * 2) as usize].at(x / 2, y / 2));
    planes.chunks_exact(4).map(join).collect()
}

/// Networks with a receptive field radius of [`RADIUS`] pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Local {
    /// 7x7, then 5x5.
    Plain,
    /// Pixel unshuffle by 2, 3x3 twice, pixel shuffle.
    Unshuffled,
}

pub const RADIUS: u32 = 5;

impl Local {
    /// The period of its grid.
    pub fn align(self) -> u32 {
        match self {
            Local::Plain => 1,
            Local::Unshuffled => 2,
        }
    }

    /// Runs the network. Every output value depends on a different mix of inputs.
    pub fn run(self, input: &[f32], size: Size, scale: u32) -> Vec<f32> {
        let (width, height, scale) = (size.width as usize, size.height as usize, scale as usize);
        let plane = |values: &[f32]| Plane {
            width,
            height,
            values: values.iter().map(|value| (value * 4096.0).round() as i32).collect(),
        };
        let planes: Vec<_> = input.chunks_exact(width * height).map(plane).collect();
        let planes = match self {
            Local::Plain => convolve(&convolve(&planes, 3), 2),
            Local::Unshuffled => shuffle(&convolve(&convolve(&unshuffle(&planes), 1), 1), width, height),
        };
        let mut output = Vec::with_capacity(input.len() * scale * scale);
        for plane in planes {
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let phase = (y % scale * 5 + x % scale * 3) as i32;
                    let value = plane.values[y / scale * width + x / scale] * (phase + 3);
                    output.push((value % 1021) as f32 / 1020.0);
                }
            }
        }
        output
    }
}

/// A zero-padded network that is not local: a 3x3 mean plus a share of the whole tensor's mean.
pub fn global(input: &[f32], size: Size, channels: Channels, scale: u32) -> Vec<f32> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut output = Vec::with_capacity(input.len());
    for plane in input.chunks_exact(width * height) {
        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
        for y in 0..height {
            for x in 0..width {
                let columns = x.saturating_sub(1)..(x + 2).min(width);
                let rows = y.saturating_sub(1)..(y + 2).min(height);
                let sum: f32 = rows.map(|y| plane[y * width..][columns.clone()].iter().sum::<f32>()).sum();
                output.push(sum / 9.0 + 0.2 * (mean - 0.5));
            }
        }
    }
    nearest(&output, size, channels, scale)
}

//! Pictures that span all levels of detail, made from numbers alone and the same everywhere.
//!
//! A picture is a mosaic of cells. Each shows discs that lie on one another ("dead leaves"), a model of natural
//! pictures in which edges of every contrast and direction meet at every distance. The cells differ in contrast, in the
//! softness of edges, and in noise.

use crate::types::{Channels, Rect, Size};

/// Side of a cell in pixels.
const CELL: u32 = 48;
/// Cells next to each other, and one above the other.
const COLUMNS: u32 = 4;
const ROWS: u32 = 3;
/// Discs in a cell.
const DISCS: usize = 48;

/// Over how many pixels the edges of a disc fade; one for each row of cells.
const SOFTNESS: [f64; ROWS as usize] = [1.0, 2.0, 4.0];
/// Contrast, one for each column of cells.
const CONTRAST: [f64; COLUMNS as usize] = [0.05, 0.15, 0.4, 0.9];
/// Noise in code values: no network was trained on pictures without any, and few videos are.
const NOISE: [f64; 3] = [0.0, 0.5, 1.5];

/// The size of a picture for a network that takes at least `least`.
pub(super) fn size(least: Size) -> Size {
    Size { width: (COLUMNS * CELL).max(least.width), height: (ROWS * CELL).max(least.height) }
}

/// Parts of a picture of `size` that share no edge with it, where the contrast is highest: for a network's effective
/// receptive field.
pub(super) fn parts(size: Size) -> [Rect; 2] {
    let half = |length: u32| length / 4 * 2;
    let (x, width) = (half(size.width) + 8, size.width - half(size.width) - 24);
    let height = half(size.height) - 24;
    [16, half(size.height) + 8].map(|y| Rect { x, y, width, height })
}

/// The samples of a picture of `size`: one plane for luma, or R, G and B.
pub(super) fn planes(size: Size, channels: Channels) -> Vec<Vec<u8>> {
    let mut planes = vec![vec![0; size.pixels() as usize]; channels.count()];
    for row in 0..size.height.div_ceil(CELL) {
        for column in 0..size.width.div_ceil(CELL) {
            let number = row * size.width.div_ceil(CELL) + column;
            let cell = Cell::new(number, SOFTNESS[(row % ROWS) as usize], CONTRAST[(column % COLUMNS) as usize]);
            cell.draw(Size { width: column * CELL, height: row * CELL }, size, &mut planes);
        }
    }
    planes
}

/// Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

struct Disc {
    x: f64,
    y: f64,
    radius: f64,
    /// Over how many pixels its edge fades.
    softness: f64,
    colour: [f64; 3],
    /// By how much it is brighter from pixel to pixel.
    slope: f64,
}

struct Cell {
    discs: Vec<Disc>,
    contrast: f64,
    noise: f64,
    random: Random,
}

impl Cell {
    fn new(number: u32, softness: f64, contrast: f64) -> Self {
        let mut random = Random(u64::from(number) + 1);
        let discs = (0..DISCS).map(|_| {
            let [x, y] = [0; 2].map(|_| random.next() * f64::from(CELL));
            let [size, soft, slope, gray] = [0; 4].map(|_| random.next());
            // Most colours in videos are near gray.
            let colour = [0; 3].map(|_| gray + 0.3 * (random.next() - 0.5));
            Disc {
                x,
                y,
                radius: 2.0 + 40.0 * size.powi(3),
                softness: softness * (0.5 + soft),
                colour,
                slope: 0.004 * (slope - 0.5),
            }
        });
        Cell { discs: discs.collect(), contrast, noise: NOISE[number as usize % NOISE.len()], random }
    }

    /// Draws the cell where it begins in a picture of `size`.
    fn draw(mut self, begin: Size, size: Size, planes: &mut [Vec<u8>]) {
        for y in 0..CELL.min(size.height - begin.height) {
            for x in 0..CELL.min(size.width - begin.width) {
                let colour = self.colour(f64::from(x), f64::from(y));
                let noise = self.noise * 2.0 * (self.random.next() + self.random.next() - 1.0);
                let at = u64::from(begin.height + y) * u64::from(size.width) + u64::from(begin.width + x);
                let gray = planes.len() == 1;
                for (plane, value) in planes.iter_mut().zip(colour) {
                    let value = if gray { (colour[0] + colour[1] + colour[2]) / 3.0 } else { value };
                    let value = 0.5 + self.contrast * (value - 0.5);
                    plane[at as usize] = (value * 255.0 + noise).round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }

    fn colour(&self, x: f64, y: f64) -> [f64; 3] {
        let mut colour = [0.5; 3];
        for disc in &self.discs {
            let (dx, dy) = (x - disc.x, y - disc.y);
            let inside = disc.radius - (dx * dx + dy * dy).sqrt();
            let weight = (inside / disc.softness + 0.5).clamp(0.0, 1.0);
            for (colour, disc_colour) in colour.iter_mut().zip(disc.colour) {
                *colour += weight * (disc_colour + disc.slope * dx - *colour);
            }
        }
        colour
    }
}

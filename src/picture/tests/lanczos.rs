//! Planes that the network does not process, compared with Lanczos-3 in double precision, rounded once at the end.

use std::f64::consts::PI;

use super::*;

/// sinc(x) sinc(x / 3) between -3 and 3.
fn kernel(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// Source samples and their weights for sample `index` of the result, in one direction. Samples beyond the source have
/// no weight; if the result extends further, the last sample is repeated up to its end.
fn taps(index: usize, pixels: u32, scale: u32, sub: bool, cosited: bool) -> Vec<(usize, f64)> {
    let samples = |pixels: u32| if sub { pixels.div_ceil(2) } else { pixels };
    let (source, result, scale) = (samples(pixels) as usize, samples(pixels * scale), f64::from(scale));
    // Cosited sample K lies at 2 K + 1/2 pixels of its own picture.
    let start = if sub && cosited { (1.0 - 1.0 / scale) / 4.0 } else { 0.0 };
    let padded = source.max((start + f64::from(result) / scale).ceil() as usize);
    let centre = start + (index as f64 + 0.5) / scale;
    let taps: Vec<(usize, f64)> = (0..padded)
        .map(|at| (at.min(source - 1), kernel(at as f64 + 0.5 - centre)))
        .filter(|tap| tap.1 != 0.0)
        .collect();
    let sum: f64 = taps.iter().map(|tap| tap.1).sum();
    taps.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
}

/// The maximum error, in sample steps, over the components that the network does not process.
fn off(src: &Owned, site: ChromaSite, scale: u32) -> f64 {
    let layout = src.format.layout();
    let dst = convert(src, colour(Matrix::BT709, Range::Limited, site), Channels::Luma, scale);
    let chroma = if layout.kind == Kind::Yuv { 1..3 } else { 0..0 };
    let alpha = src.components().len() - usize::from(layout.alpha.is_some())..src.components().len();
    error_of(src, &dst, chroma.chain(alpha), site)
}

/// The maximum error, in sample steps, over some components of a resized picture.
pub fn error_of(src: &Owned, dst: &Owned, components: impl Iterator<Item = usize>, site: ChromaSite) -> f64 {
    let (layout, scale) = (src.format.layout(), dst.size.width / src.size.width);
    let mut most = 0f64;
    for index in components {
        let sub = |sub: bool| sub && src.components()[index].plane > 0;
        let (columns, rows) = dst.extent(index);
        let across: Vec<_> =
            (0..columns).map(|x| taps(x, src.size.width, scale, sub(layout.h_sub), site.h_cosited)).collect();
        for y in 0..rows {
            let down = taps(y, src.size.height, scale, sub(layout.v_sub), site.v_cosited);
            for (x, across) in across.iter().enumerate() {
                let row =
                    |y: usize| across.iter().map(|(x, weight)| weight * f64::from(src.code(index, *x, y))).sum::<f64>();
                let exact: f64 = down.iter().map(|(y, weight)| weight * row(*y)).sum();
                let exact = exact.clamp(0.0, f64::from(layout.max_code()));
                most = most.max((exact - f64::from(dst.code(index, x, y))).abs());
            }
        }
    }
    most
}

const SIZES: [(u32, u32); 4] = [(41, 31), (40, 32), (6, 9), (1, 3)];

#[test]
fn noise_and_pictures_are_resized_to_the_nearest_sample_value() {
    let beside = |format: &PixelFormat| format.layout().kind == Kind::Yuv || format.layout().alpha.is_some();
    for (number, &format) in PixelFormat::ALL.iter().filter(|format| beside(format)).enumerate() {
        let max = f64::from(format.layout().max_code());
        for (scale, (width, height)) in (2..).zip(SIZES) {
            let site = SITES[(number + scale as usize) % SITES.len()];
            let noise = Owned::random(format, size(width, height), 7 + number as u64);
            // Black and white samples side by side overshoot the most.
            let mut random = Random(number as u64);
            let mut extremes = noise.clone();
            extremes.fill(|_, _, _| random.below(2) * max as u32);
            let mut slope = noise.clone();
            slope.fill(|_, x, y| (max * (0.5 + 0.3 * (x as f64 / 5.0).sin() + 0.2 * (y as f64 / 7.0).cos())) as u32);
            for (name, src) in [("noise", noise), ("extremes", extremes), ("a slope", slope)] {
                let off = off(&src, site, scale);
                // Half a step from rounding; with 16 bits, a few hundredths more from single precision.
                assert!(off < 0.55, "{} {width}x{height} x{scale} {site:?}, {name}: {off:.3} codes off", format.name());
            }
        }
    }
}

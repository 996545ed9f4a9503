//! Chroma does not move, whatever its siting.

use super::*;

const FORMATS: [PixelFormat; 5] =
    [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::P01010Le, PixelFormat::I42012Le, PixelFormat::I42210Le];

/// The position of sample `k` of a component, in pixels from the frame's edge.
fn place(k: usize, subsampled: bool, cosited: bool) -> f64 {
    match (subsampled, cosited) {
        (false, _) => k as f64 + 0.5,
        (true, true) => 2.0 * k as f64 + 0.5,
        (true, false) => 2.0 * k as f64 + 1.0,
    }
}

fn places(format: PixelFormat, site: ChromaSite, x: usize, y: usize) -> (f64, f64) {
    let layout = format.layout();
    (place(x, layout.h_sub, site.h_cosited), place(y, layout.v_sub, site.v_cosited))
}

/// A ramp's sample value at a position: Cb (1) rises to the right, Cr (2) to the bottom; both also rise slightly in the
/// other direction, so that rounding averages out.
fn ramp(format: PixelFormat, index: usize, (px, py): (f64, f64)) -> f64 {
    let (along, across) = [(0.0, 0.0), (px, py), (py, px)][index];
    f64::from(1 << (format.layout().depth - 8)) * (32.0 + SLOPE * along + 0.137 * across)
}

/// 8-bit sample steps per pixel.
const SLOPE: f64 = 1.73;

fn ramps(format: PixelFormat, frame: Size, site: ChromaSite) -> Owned {
    let mut src = Owned::new(format, frame);
    src.fill(|index, x, y| ramp(format, index, places(format, site, x, y)).round() as u32);
    src
}

/// Uses deep formats: the rounding of 8-bit samples would hide the phase.
#[test]
fn resized_ramps_keep_their_phase() {
    for format in FORMATS.into_iter().filter(|format| format.layout().depth > 8) {
        for site in SITES {
            for scale in 2..=4 {
                for frame in [size(80, 80), size(79, 77)] {
                    let colour = colour(Matrix::BT709, Range::Limited, site);
                    let src = ramps(format, frame, site);
                    let dst = convert(&src, colour, Channels::Luma, scale);
                    for index in [1, 2] {
                        let shift = mean_shift(&src, &dst, index, site);
                        let name = format.name();
                        assert!(shift.abs() < 0.05, "{name} {site:?} x{scale} {index}: shifted by {shift} pixels");
                    }
                }
            }
        }
    }
}

/// By how many input pixels a ramp moved, averaged over the inner part of the frame.
fn mean_shift(src: &Owned, dst: &Owned, index: usize, site: ChromaSite) -> f64 {
    let scale = f64::from(dst.size.width / src.size.width);
    let (columns, rows) = dst.extent(index);
    let mut sum = 0.0;
    let mut count = 0.0;
    for y in rows / 4..rows * 3 / 4 {
        for x in columns / 4..columns * 3 / 4 {
            let (px, py) = places(src.format, site, x, y);
            let expected = ramp(src.format, index, (px / scale, py / scale));
            let unit = SLOPE * f64::from(1 << (src.format.layout().depth - 8));
            sum += (f64::from(dst.code(index, x, y)) - expected) / unit;
            count += 1.0;
        }
    }
    sum / count
}

/// A blob's centre of mass in input pixels.
fn centroid(picture: &Owned, site: ChromaSite, scale: f64) -> (f64, f64) {
    let (columns, rows) = picture.extent(1);
    let neutral = f64::from(128 << (picture.format.layout().depth - 8));
    let (mut mass, mut mx, mut my) = (0.0, 0.0, 0.0);
    for y in 0..rows {
        for x in 0..columns {
            let (px, py) = places(picture.format, site, x, y);
            let value = f64::from(picture.code(1, x, y)) - neutral;
            mass += value;
            mx += value * px / scale;
            my += value * py / scale;
        }
    }
    (mx / mass, my / mass)
}

#[test]
fn a_resized_blob_stays_in_place() {
    for format in FORMATS {
        for site in SITES {
            for scale in [2, 3, 4] {
                let mut src = Owned::new(format, size(65, 63));
                src.fill(|index, x, y| {
                    let (px, py) = places(format, site, x, y);
                    let distance = (px - 30.3).powi(2) + (py - 33.8).powi(2);
                    let blob = if index == 1 { 100.0 * (-distance / 50.0).exp() } else { 0.0 };
                    (f64::from(1 << (format.layout().depth - 8)) * (128.0 + blob)).round() as u32
                });
                let before = centroid(&src, site, 1.0);
                let dst = convert(&src, colour(Matrix::BT709, Range::Limited, site), Channels::Luma, scale);
                let after = centroid(&dst, site, f64::from(scale));
                let (dx, dy) = (after.0 - before.0, after.1 - before.1);
                assert!(dx.abs() < 0.05 && dy.abs() < 0.05, "{} {site:?} x{scale}: {dx} {dy}", format.name());
            }
        }
    }
}

/// An ideal network's output has the ramp of Cb (or Cr) at every pixel; `from_tensor` must sample it at the chroma
/// site.
#[test]
fn subsampled_results_lie_at_the_site() {
    for format in FORMATS {
        for site in SITES {
            let frame = size(40, 40);
            let converter =
                Converter::new(format, colour(Matrix::BT709, Range::Limited, site), frame, Channels::Rgb, 2);
            // Only R - Y' and B - Y': Y' = 0 gives R = 1.5748 Cr, B = 1.8556 Cb and G from both.
            let mut tensor = vec![0.0f32; 3 * 80 * 80];
            for pixel in 0..80 * 80 {
                let (cb, cr) = ((pixel % 80) as f32 / 160.0 - 0.25, (pixel / 80) as f32 / 160.0 - 0.25);
                let (r, b) = (1.5748 * cr, 1.8556 * cb);
                tensor[pixel] = r;
                tensor[6400 + pixel] = -(0.2126 * r + 0.0722 * b) / 0.7152;
                tensor[2 * 6400 + pixel] = b;
            }
            let mut dst = Owned::new(format, converter.output_size());
            converter.from_tensor(&tensor, &whole(frame)[0], &mut Scratch::default(), &mut dst.view_mut());
            let unit = f64::from(224 << (format.layout().depth - 8));
            for index in [1, 2] {
                let (columns, rows) = dst.extent(index);
                for y in 1..rows - 1 {
                    for x in 1..columns - 1 {
                        let (px, py) = places(format, site, x, y);
                        let value = ([px, py][index - 1] - 0.5) / 160.0 - 0.25;
                        let expected = value * unit + unit * 128.0 / 224.0;
                        let got = f64::from(dst.code(index, x, y));
                        assert!(
                            (got - expected).abs() < 0.51,
                            "{} {site:?} {index} {x} {y}: {got} {expected}",
                            format.name()
                        );
                    }
                }
            }
        }
    }
}

//! The built-in networks: each has the scale in its name and the quality that was measured when it was trained.
//!
//! Needs ONNX Runtime (`./script/env cargo test` finds it).

mod common;

use gstupscale::model::builtin::{self, Builtin, Speed};
use gstupscale::model::{self, LoadOptions, Source};
use gstupscale::types::{Channels, Precision, Provider, Size};

/// The size of the large picture, a multiple of 2, 3 and 4.
const LARGE: Size = Size { width: 192, height: 144 };
/// Samples per pixel in each direction.
const SAMPLES: usize = 4;

/// PSNR in dB of each built-in network on [`picture`], measured when it was trained.
const FIGURES: [(&str, f64); 9] = [
    ("fast2x", 25.435),
    ("fast2x-compressed", 26.559),
    ("quality2x", 26.176),
    ("quality2x-compressed", 26.852),
    ("quality3x", 19.902),
    ("quality3x-compressed", 19.825),
    ("quality4x", 18.035),
    ("quality4x-compressed", 17.912),
    ("lanczos2x", 21.758),
];

/// Luma at a point of the picture, 0..1: a soft background with a disc, slanted stripes, thin lines and letter-like strokes.
fn luma(x: f64, y: f64) -> f64 {
    let ground = 0.35 + 0.25 * (x / 61.0).sin() * (y / 47.0).cos();
    let (dx, dy) = (x - 52.0, y - 50.0);
    if dx.hypot(dy) < 34.0 {
        return 0.85 - 0.004 * dx;
    }
    if x > 104.0 && y < 66.0 {
        // Stripes that become finer to the right, down to a period of 7 pixels.
        let phase = (x - 104.0) * (0.04 + (x - 104.0) * 0.0006) + y * 0.05;
        return if phase.fract() < 0.5 { 0.2 } else { 0.8 };
    }
    if y > 104.0 && x < 96.0 {
        let (column, row) = ((x / 9.0).fract() * 9.0, (y - 104.0) % 13.0);
        let stroke = column < 2.2 || (row < 2.2 && column < 6.5) || (row - column).abs() < 1.2;
        return if stroke { 0.05 } else { 0.95 };
    }
    let slanted = ((x + 1.7 * y) / 23.0).fract() * 23.0;
    if slanted < 1.5 { 0.1 } else { ground }
}

/// The anti-aliased picture, row by row.
fn picture() -> Vec<f32> {
    let sample = |n: usize, subpixel: usize| n as f64 + (subpixel as f64 + 0.5) / SAMPLES as f64;
    let pixel = |x: usize, y: usize| -> f64 {
        let sum: f64 = (0..SAMPLES * SAMPLES).map(|n| luma(sample(x, n % SAMPLES), sample(y, n / SAMPLES))).sum();
        sum / (SAMPLES * SAMPLES) as f64
    };
    let (width, height) = (LARGE.width as usize, LARGE.height as usize);
    (0..width * height).map(|n| pixel(n % width, n / width) as f32).collect()
}

/// The picture reduced by `scale`: each pixel is the mean of `scale` x `scale`, rounded to 8 bits.
fn reduced(large: &[f32], scale: usize) -> (Vec<f32>, Size) {
    let size = Size { width: LARGE.width / scale as u32, height: LARGE.height / scale as u32 };
    let at = |x: usize, y: usize| large[y * LARGE.width as usize + x];
    let pixel = |x: usize, y: usize| {
        let sum: f32 = (0..scale * scale).map(|n| at(x * scale + n % scale, y * scale + n / scale)).sum();
        (sum / (scale * scale) as f32 * 255.0).round() / 255.0
    };
    let (width, height) = (size.width as usize, size.height as usize);
    ((0..width * height).map(|n| pixel(n % width, n / width)).collect(), size)
}

/// PSNR in dB of 8-bit pictures, without a border of 8 pixels.
fn psnr(result: &[f32], large: &[f32]) -> f64 {
    let (width, height) = (LARGE.width as usize, LARGE.height as usize);
    let inner = (8..height - 8).flat_map(|y| (8..width - 8).map(move |x| y * width + x));
    let sample = |value: f32| f64::from((value * 255.0).round().clamp(0.0, 255.0));
    let errors: Vec<f64> = inner.map(|n| (sample(result[n]) - sample(large[n])).powi(2)).collect();
    10.0 * (255.0f64.powi(2) / (errors.iter().sum::<f64>() / errors.len() as f64)).log10()
}

fn enlarged(builtin: &'static Builtin, precision: Precision, large: &[f32]) -> Vec<f32> {
    let options = LoadOptions { provider: Provider::Cpu, precision, ..LoadOptions::default() };
    let model = model::load(&Source::Builtin(builtin), options).unwrap();
    assert_eq!(model.info().channels, Channels::Luma, "{}", builtin.name);
    assert_eq!(model.info().scale, builtin.scale, "{}", builtin.name);
    let (small, size) = reduced(large, builtin.scale as usize);
    let mut result = Vec::new();
    model.open_session().unwrap().run(&small, size, &mut result).unwrap();
    result
}

/// The same with the int8 form.
fn enlarged_int8(builtin: &'static Builtin, large: &[f32]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("int8.onnx");
    std::fs::write(&path, builtin.int8.unwrap()).unwrap();
    let options = LoadOptions { provider: Provider::Cpu, precision: Precision::Fp32, ..LoadOptions::default() };
    let model = model::load(&Source::File(path), options).unwrap();
    let (small, size) = reduced(large, builtin.scale as usize);
    let mut result = Vec::new();
    model.open_session().unwrap().run(&small, size, &mut result).unwrap();
    result
}

#[test]
fn each_network_has_the_quality_measured_in_training() {
    if !common::have_runtime() {
        return;
    }
    assert_eq!(FIGURES.map(|(name, _)| name).to_vec(), builtin::BUILTINS.iter().map(|b| b.name).collect::<Vec<_>>());
    let large = picture();
    let quality = |name, precision| psnr(&enlarged(builtin::find(name).unwrap(), precision, &large), &large);
    let measured = FIGURES.map(|(name, _)| quality(name, Precision::Fp32));
    for ((name, stored), measured) in FIGURES.into_iter().zip(measured) {
        println!("{name}: {measured:.3} dB, in training {stored:.3} dB");
    }
    for ((name, stored), measured) in FIGURES.into_iter().zip(measured) {
        assert!((measured - stored).abs() <= 0.05, "{name}: {measured:.3} dB, but {stored:.3} dB in training");
    }
    // What processors without 8-bit dot products compute of the int8 forms: the same values rounded, in floats.
    for (name, stored) in FIGURES.into_iter().filter(|(name, _)| builtin::find(name).unwrap().int8.is_some()) {
        let int8 = psnr(&enlarged_int8(builtin::find(name).unwrap(), &large), &large);
        println!("{name} in int8: {int8:.3} dB, in fp32 {stored:.3} dB");
        assert!(int8 >= stored - 0.1, "{name}: {int8:.3} dB in int8, but {stored:.3} dB in fp32");
    }
}

#[test]
fn trained_networks_beat_the_filter_and_the_default_is_fast() {
    if !common::have_runtime() {
        return;
    }
    assert_eq!(builtin::find(builtin::DEFAULT).unwrap().speed, Speed::Fast);
    let large = picture();
    let quality = |name| psnr(&enlarged(builtin::find(name).unwrap(), Precision::Auto, &large), &large);
    let (filter, fast, best) = (quality("lanczos2x"), quality("fast2x"), quality("quality2x"));
    assert!(filter + 1.0 < fast && fast < best, "{filter} {fast} {best}");
}

/// A network that adds a pattern to flat areas fails.
#[test]
fn flat_areas_stay_flat() {
    if !common::have_runtime() {
        return;
    }
    for builtin in builtin::BUILTINS {
        let model = model::load(&Source::Builtin(builtin), LoadOptions::default()).unwrap();
        let mut session = model.open_session().unwrap();
        let size = Size { width: 48, height: 48 };
        for value in [0.0f32, 16.0, 60.0, 128.0, 200.0, 235.0, 255.0].map(|sample| sample / 255.0) {
            let mut result = Vec::new();
            session.run(&[value; 48 * 48], size, &mut result).unwrap();
            let scale = builtin.scale as usize;
            // Beyond the receptive field of the border.
            let (width, margin) = (48 * scale, 16 * scale);
            let inner = (margin..width - margin).flat_map(|y| (margin..width - margin).map(move |x| y * width + x));
            let worst = inner.map(|n| ((result[n].clamp(0.0, 1.0) - value) * 255.0).abs()).fold(0.0, f32::max);
            assert!(worst <= 1.0, "{} at {value}: {worst} code values off", builtin.name);
        }
    }
}

#[test]
fn the_embedded_networks_are_small() {
    let bytes: usize =
        builtin::BUILTINS.iter().map(|builtin| builtin.onnx.len() + builtin.int8.map_or(0, <[u8]>::len)).sum();
    assert!(bytes < 2_000_000, "{bytes} bytes");
}

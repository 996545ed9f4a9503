//! Adjacent regions with different results are blended.

use super::networks::{Local, RADIUS, global};
use super::*;

const OVERLAP: u32 = 8;

fn blending(tile: u32, halo: u32) -> Limits {
    Limits { tile: Some(size(tile, tile)), halo, local: false, overlap: OVERLAP, ..Limits::default() }
}

/// The part of a result that a region keeps, from `columns` and `rows` on.
fn values(output: &[f32], region: &Region, scale: u32) -> Vec<Vec<f32>> {
    let Region { keep, read, tensor, .. } = *region;
    let row = |y: u32| {
        let start = (y * tensor.width * scale + (keep.x - read.x) * scale) as usize;
        output[start..start + (keep.width * scale) as usize].to_vec()
    };
    ((keep.y - read.y) * scale..(keep.y - read.y + keep.height) * scale).map(row).collect()
}

/// The regions' kept values if region number n returns n everywhere.
fn blend_numbers(frame: Size, regions: &[Region], scale: u32) -> Vec<Vec<Vec<f32>>> {
    let mut feather = Feather::new(frame, scale, Channels::Luma);
    let blend = |(number, region): (usize, &Region)| {
        let mut output = vec![number as f32; (region.tensor.width * region.tensor.height * scale * scale) as usize];
        feather.blend(&mut output, region);
        values(&output, region, scale)
    };
    regions.iter().enumerate().map(blend).collect()
}

#[test]
fn two_constants_make_a_linear_ramp() {
    for scale in 1..=3 {
        let ramp: Vec<f32> = (0..OVERLAP * scale).map(|at| (at as f32 + 0.5) / (OVERLAP * scale) as f32).collect();
        for (frame, across) in [(size(40, 6), true), (size(6, 40), false)] {
            let regions = cover(frame, blending(24, 0));
            assert_eq!(regions.len(), 2);
            let kept = blend_numbers(frame, &regions, scale);
            assert!(kept[0].iter().flatten().all(|&value| value == 0.0));
            for (y, row) in kept[1].iter().enumerate() {
                for (x, &value) in row.iter().enumerate() {
                    let expected = ramp.get(if across { x } else { y }).copied().unwrap_or(1.0);
                    assert!((value - expected).abs() < 1e-6, "{value} at {x}, {y} for {expected}");
                }
            }
        }
    }
}

#[test]
fn four_constants_are_blended_bilinearly() {
    let frame = size(40, 40);
    let regions = cover(frame, blending(24, 0));
    assert_eq!(regions.len(), 4);
    // 0 1 / 2 3: the sum of the horizontal and the vertical ramp.
    let ramp = |at: usize| ((at as f32 + 0.5) / OVERLAP as f32).min(1.0);
    for (y, row) in blend_numbers(frame, &regions, 1)[3].iter().enumerate() {
        for (x, &value) in row.iter().enumerate() {
            let expected = ramp(x) + 2.0 * ramp(y);
            assert!((value - expected).abs() < 1e-6, "{value} at {x}, {y} for {expected}");
        }
    }
}

#[test]
fn a_new_frame_may_start_before_the_last_is_finished() {
    let frame = size(70, 70);
    let regions = cover(frame, blending(32, 0));
    let expected = blend_numbers(frame, &regions, 1);
    for stop in 0..regions.len() {
        let mut feather = Feather::new(frame, 1, Channels::Luma);
        let mut run = |number: usize, value: f32| {
            let region = &regions[number];
            let mut output = vec![value; (region.tensor.width * region.tensor.height) as usize];
            feather.blend(&mut output, region);
            values(&output, region, 1)
        };
        for number in 0..stop {
            run(number, f32::NAN);
        }
        for (number, expected) in expected.iter().enumerate() {
            assert!(run(number, number as f32) == *expected, "region {number} after {stop}");
        }
    }
}

/// The whole frame's result, computed value by value from the results of the regions.
fn compose(regions: &[Region], results: &[Vec<f32>], converter: &Converter) -> Vec<f32> {
    let (scale, frame) = (converter.scale, converter.output_size());
    let columns = regions.iter().take_while(|region| region.keep.y == 0).count();
    let mix =
        |before: f32, behind: f32, at: u32, length: u32| before + (at as f32 + 0.5) / length as f32 * (behind - before);
    let raw = |index: usize, channel: usize, x: u32, y: u32| {
        let Region { read, tensor, .. } = regions[index];
        let (x, y) = ((x - read.x * scale) as usize, (y - read.y * scale) as usize);
        let (width, height) = ((tensor.width * scale) as usize, (tensor.height * scale) as usize);
        results[index][(channel * height + y) * width + x]
    };
    let across = |index: usize, channel: usize, x: u32, y: u32| {
        let (begin, length) = (regions[index].keep.x * scale, regions[index].blend.left * scale);
        let here = raw(index, channel, x, y);
        if x < begin + length { mix(raw(index - 1, channel, x, y), here, x - begin, length) } else { here }
    };
    let value = |channel: usize, x: u32, y: u32| {
        let holds = |region: &Region| {
            let keep = region.keep;
            (keep.x * scale..(keep.x + keep.width) * scale).contains(&x)
                && (keep.y * scale..(keep.y + keep.height) * scale).contains(&y)
        };
        let index = regions.iter().position(holds).unwrap();
        let (begin, length) = (regions[index].keep.y * scale, regions[index].blend.top * scale);
        let here = across(index, channel, x, y);
        if y < begin + length { mix(across(index - columns, channel, x, y), here, y - begin, length) } else { here }
    };
    let pixels = |channel: usize| (0..frame.height).flat_map(move |y| (0..frame.width).map(move |x| (channel, x, y)));
    (0..converter.channels.count()).flat_map(pixels).map(|(channel, x, y)| value(channel, x, y)).collect()
}

/// Regions pass through the feather one by one; the reference uses all results at once.
fn assert_composed(src: &Owned, channels: Channels, scale: u32, site: ChromaSite, regions: &[Region]) {
    let converter = Converter::new(src.format, colour(Matrix::BT709, Range::Limited, site), src.size, channels, scale);
    let mut results = Vec::new();
    let mut dst = Owned::new(src.format, converter.output_size());
    let network = |tensor: &[f32], size: Size| {
        results.push(global(tensor, size, channels, scale));
        results[results.len() - 1].clone()
    };
    upscale(&converter, src, regions, network, &mut dst);
    let composed = compose(regions, &results, &converter);
    let mut expected = Owned::new(src.format, converter.output_size());
    upscale(&converter, src, &whole(src.size), |_, _| composed.clone(), &mut expected);
    assert!(dst.visible() == expected.visible(), "{} {channels:?} x{scale} {site:?}", src.format.name());
}

#[test]
fn strips_give_the_same_as_all_results_at_once() {
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            for site in SITES {
                for (scale, halo) in [(1, 1), (2, 3)] {
                    let src = Owned::random(format, size(59, 47), 21);
                    let regions = cover(src.size, blending(24, halo));
                    assert!(regions.len() >= 9);
                    assert_composed(&src, channels, scale, site, &regions);
                }
            }
        }
    }
}

#[test]
fn odd_strips_and_fixed_sizes_are_blended() {
    let src = Owned::random(PixelFormat::I420, size(61, 83), 22);
    // A fixed size blends over an even number of pixels: 3 becomes 2.
    for overlap in [2, 3, 16] {
        for halo in [1, 7] {
            let limits = Limits { overlap, ..blending(40, halo) };
            assert_composed(&src, Channels::Rgb, 2, ChromaSite::MPEG2, &cover(src.size, limits));
            let fixed = Limits { fixed: Some(size(30, 25)), ..limits };
            assert_composed(&src, Channels::Rgb, 3, ChromaSite::COSITED, &cover(src.size, fixed));
            let multiple = Limits { multiple: size(4, 8), align: size(4, 8), ..limits };
            assert_composed(&src, Channels::Rgb, 1, ChromaSite::JPEG, &cover(src.size, multiple));
        }
    }
}

#[test]
fn tiles_without_an_unblended_part_are_blended() {
    let src = Owned::random(PixelFormat::I420, size(50, 46), 24);
    for channels in CHANNELS {
        let regions = cover(src.size, blending(1, 1));
        assert_eq!(regions[0].blend.bottom, OVERLAP);
        assert!(regions.iter().any(|region| region.keep.height == OVERLAP && region.blend.top == OVERLAP));
        assert_composed(&src, channels, 1, ChromaSite::COSITED, &regions);
    }
}

#[test]
fn equal_results_are_unchanged() {
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            let src = Owned::random(format, size(69, 47), 23);
            let converter = Converter::new(format, hd(), src.size, channels, 2);
            let run = |limits: Limits| {
                let mut dst = Owned::new(format, converter.output_size());
                let network = |tensor: &[f32], size: Size| Local::Plain.run(tensor, size, 2);
                upscale(&converter, &src, &cover(src.size, limits), network, &mut dst);
                dst.visible()
            };
            let name = format.name();
            assert!(run(blending(40, RADIUS + converter.halo())) == run(Limits::default()), "{name} {channels:?}");
        }
    }
}

/// The largest difference between neighbouring luma samples of a gradient after a network that is not local. The
/// frame's edges are excluded, because the network's padding always shows there.
fn worst_step(limits: Limits, channels: Channels) -> u32 {
    let mut src = Owned::new(PixelFormat::Y444, size(200, 150));
    src.fill(|index, x, y| if index == 0 { 30 + (x / 2 + y / 2) as u32 } else { 128 });
    let converter = Converter::new(src.format, hd(), src.size, channels, 2);
    let mut dst = Owned::new(src.format, converter.output_size());
    let network = |tensor: &[f32], size: Size| global(tensor, size, channels, 2);
    upscale(&converter, &src, &cover(src.size, limits), network, &mut dst);
    let (width, height) = dst.extent(0);
    let luma = dst.view();
    let luma: Vec<_> = (4..height - 4).map(|y| &luma.row(0, y)[4..width - 4]).collect();
    let across = luma.iter().flat_map(|row| row.windows(2).map(|pair| pair[0].abs_diff(pair[1])));
    let down = luma.windows(2).flat_map(|rows| rows[0].iter().zip(rows[1]).map(|(a, b)| a.abs_diff(*b)));
    u32::from(across.chain(down).max().unwrap())
}

#[test]
fn a_gradient_shows_no_seam() {
    for channels in CHANNELS {
        for limits in [
            Limits { overlap: 16, ..blending(64, 1) },
            Limits { overlap: 16, ..blending(64, 4) },
            Limits { overlap: 16, fixed: Some(size(64, 72)), ..blending(64, 2) },
        ] {
            let step = worst_step(limits, channels);
            assert!(step <= 2, "{step} with {limits:?}");
            let cut = worst_step(Limits { overlap: 0, ..limits }, channels);
            assert!(cut > 4, "without blending, seams must show, or this test proves nothing: {cut} with {limits:?}");
        }
    }
}

//! Regions give the same result as the whole frame.

use proptest::prelude::*;

use super::networks::{Local, RADIUS};
use super::*;
use crate::types::Rect;

fn assert_same(src: &Owned, colour: Colour, channels: Channels, scale: u32, regions: &[Region]) {
    let expected = convert(src, colour, channels, scale);
    let converter = Converter::new(src.format, colour, src.size, channels, scale);
    let mut dst = Owned::new(src.format, expected.size);
    convert_into(&converter, src, regions, channels, &mut dst);
    assert!(dst.visible() == expected.visible(), "{} {channels:?} x{scale} {:?}", src.format.name(), src.size);
}

#[test]
fn tiles_equal_the_whole_frame_at_every_format() {
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            for site in SITES {
                for (scale, (width, height)) in [(1, (33, 31)), (2, (40, 26)), (3, (33, 25))] {
                    let src = Owned::random(format, size(width, height), 8);
                    let limits = Limits { fixed: Some(size(16, 13)), halo: 2, ..Limits::default() };
                    let regions = cover(src.size, limits);
                    assert_same(&src, colour(Matrix::BT601, Range::Limited, site), channels, scale, &regions);
                }
            }
        }
    }
}

/// Upscales the picture with a local network.
fn run(src: &Owned, converter: &Converter, network: Local, regions: &[Region]) -> Vec<u8> {
    let mut dst = Owned::new(src.format, converter.output_size());
    upscale(converter, src, regions, |tensor, size| network.run(tensor, size, converter.scale), &mut dst);
    dst.visible()
}

/// The limits of such a network, with or without tiles.
fn limits(network: Local, converter: &Converter, multiple: u32, tile: Option<u32>) -> Limits {
    Limits {
        multiple: size(multiple, multiple),
        align: size(network.align(), network.align()),
        halo: RADIUS + converter.halo(),
        tile: tile.map(|tile| size(tile, tile)),
        ..Limits::default()
    }
}

#[test]
fn a_local_network_gives_the_same_from_tiles_at_every_format() {
    for (index, &format) in PixelFormat::ALL.iter().enumerate() {
        for channels in CHANNELS {
            for network in [Local::Plain, Local::Unshuffled] {
                for (scale, multiple, (width, height)) in [(1, 1, (67, 53)), (2, 2, (75, 49)), (3, 4, (41, 66))] {
                    let src = Owned::random(format, size(width, height), 31);
                    let site = SITES[index % SITES.len()];
                    let colour = colour(Matrix::BT601, Range::Limited, site);
                    let converter = Converter::new(format, colour, src.size, channels, scale);
                    let expected =
                        run(&src, &converter, network, &cover(src.size, limits(network, &converter, multiple, None)));
                    for tile in [32, 45] {
                        let regions = cover(src.size, limits(network, &converter, multiple, Some(tile)));
                        assert!(regions.len() > 1);
                        let same = run(&src, &converter, network, &regions) == expected;
                        assert!(same, "{} {channels:?} x{scale} {network:?} {:?} tile {tile}", format.name(), src.size);
                    }
                }
            }
        }
    }
}

/// Without this, the tests of tiles would prove nothing.
#[test]
fn the_test_networks_have_their_full_radius_and_grid() {
    let src = Owned::random(PixelFormat::Gray8, size(80, 60), 32);
    let converter = Converter::new(src.format, hd(), src.size, Channels::Luma, 1);
    // With cuts and halos on its grid, the second network needs one pixel less.
    for (network, halo) in [(Local::Plain, RADIUS - 1), (Local::Unshuffled, RADIUS - 3)] {
        let limits = limits(network, &converter, 1, Some(40));
        let expected = run(&src, &converter, network, &whole(src.size));
        assert!(run(&src, &converter, network, &cover(src.size, limits)) == expected);
        let short = Limits { halo, ..limits };
        assert!(run(&src, &converter, network, &cover(src.size, short)) != expected, "{network:?}");
        let off = Limits { align: size(1, 1), ..limits };
        assert_eq!(run(&src, &converter, network, &cover(src.size, off)) == expected, network == Local::Plain);
    }
}

/// Cuts of `length`, also at odd positions.
fn cuts(length: u32, random: &mut Random) -> Vec<(u32, u32)> {
    let mut cuts = Vec::new();
    let mut start = 0;
    while start < length {
        let step = (1 + random.below(9)).min(length - start);
        cuts.push((start, step));
        start += step;
    }
    cuts
}

proptest! {
    /// The converter's own halo is enough for a network without neighbours, wherever the cuts are.
    #[test]
    fn any_cut_equals_the_whole_frame(
        format in proptest::sample::select(PixelFormat::ALL),
        rgb in any::<bool>(),
        site in proptest::sample::select(&SITES[..]),
        width in 1u32..30,
        height in 1u32..30,
        scale in 1u32..4,
        multiple in 1u32..5,
        seed in any::<u64>(),
    ) {
        let channels = if rgb { Channels::Rgb } else { Channels::Luma };
        let src = Owned::random(format, size(width, height), seed);
        let colour = colour(Matrix::BT709, Range::Full, site);
        let halo = Converter::new(format, colour, src.size, channels, scale).halo();
        let mut random = Random(seed);
        let mut regions = Vec::new();
        let columns = cuts(width, &mut random);
        for (y, height) in cuts(height, &mut random) {
            for &(x, width) in &columns {
                let keep = Rect { x, y, width, height };
                let limits = Limits { multiple: size(multiple, multiple), halo, ..Limits::default() };
                regions.push(Region::around(keep, src.size, limits));
            }
        }
        assert_same(&src, colour, channels, scale, &regions);
    }

    /// Tiles, and regions cut anywhere, for any local network.
    #[test]
    fn any_tile_of_a_local_network_equals_the_whole_frame(
        format in proptest::sample::select(PixelFormat::ALL),
        rgb in any::<bool>(),
        unshuffled in any::<bool>(),
        site in proptest::sample::select(&SITES[..]),
        width in 1u32..110,
        height in 1u32..80,
        scale in 1u32..4,
        multiple in 1u32..5,
        min in 0u32..8,
        tile in 8u32..100,
        seed in any::<u64>(),
    ) {
        let channels = if rgb { Channels::Rgb } else { Channels::Luma };
        let network = if unshuffled { Local::Unshuffled } else { Local::Plain };
        let src = Owned::random(format, size(width, height), seed);
        let converter = Converter::new(format, colour(Matrix::BT709, Range::Full, site), src.size, channels, scale);
        let whole = Limits {
            min: size(min * multiple, min * multiple),
            ..limits(network, &converter, multiple, None)
        };
        let expected = run(&src, &converter, network, &cover(src.size, whole));
        let tiles = cover(src.size, Limits { tile: Some(size(tile, tile)), ..whole });
        prop_assert!(run(&src, &converter, network, &tiles) == expected);
        let step = 1 + tile / 3;
        let starts = |length: u32| (0..length).step_by(step as usize).map(move |start| (start, step.min(length - start)));
        let parts: Vec<_> = starts(height)
            .flat_map(|(y, height)| starts(width).map(move |(x, width)| Rect { x, y, width, height }))
            .map(|keep| Region::around(keep, src.size, whole))
            .collect();
        prop_assert!(run(&src, &converter, network, &parts) == expected);
    }
}

//! Regions give the same as the whole frame.

use proptest::prelude::*;

use super::*;
use crate::picture::Rect;
use crate::picture::region::{Limits, cover};

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
                    let limits = Limits { fixed: Some(size(16, 13)), multiple: size(1, 1), halo: 2 };
                    let regions = cover(src.size, limits);
                    assert_same(&src, colour(Matrix::BT601, Range::Limited, site), channels, scale, &regions);
                }
            }
        }
    }
}

/// Cuts of `length` at odd places, too.
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
    /// The converter's own halo is enough for a network that looks at no neighbours, wherever the cuts are.
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
                regions.push(Region::around(keep, src.size, halo, size(multiple, multiple)));
            }
        }
        assert_same(&src, colour, channels, scale, &regions);
    }
}

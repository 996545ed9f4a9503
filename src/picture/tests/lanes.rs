//! The two passes of 8-bit planes against the library's own way.

use fast_image_resize::Resizer;
use fast_image_resize::pixels::{U8, U8x2};

use super::*;
use crate::picture::lanes::Lanes;
use crate::picture::resize::{Axes, Axis, Buffers, fill_source, resize};

fn axes(frame: Size, scale: u32, subsampled: bool, site: ChromaSite) -> Axes {
    Axes {
        x: Axis::new(frame.width, scale, subsampled, site.h_cosited),
        y: Axis::new(frame.height, scale, subsampled, site.v_cosited),
    }
}

#[test]
fn lanes_give_what_the_library_gives() {
    let (mut resizer, mut lanes, mut random) = (Resizer::new(), Lanes::default(), Random(12));
    for frame in [size(1, 1), size(2, 3), size(9, 6), size(33, 21), size(40, 40)] {
        for site in SITES {
            for scale in 2..=4 {
                let pairs_axes = axes(frame, scale, true, site);
                let mut pairs = Buffers::<U8x2>::default();
                fill_source(&mut pairs, pairs_axes, |_, row| {
                    row.fill_with(|| U8x2::new([random.below(256) as u8, random.below(256) as u8]));
                });
                resize(&mut resizer, pairs_axes, &mut pairs);
                lanes.resize(&mut resizer, pairs_axes, &pairs.source);
                let width = pairs_axes.x.result;
                for (y, expected) in pairs.result.chunks_exact(width).enumerate() {
                    let mut row = vec![0; 2 * width];
                    lanes.write_pairs(y, &mut row);
                    assert!(
                        row.chunks_exact(2).zip(expected).all(|(row, pair)| row == pair.0),
                        "{frame:?} {site:?} {y}"
                    );
                }

                let axes = axes(frame, scale, false, site);
                let mut samples = Buffers::<U8>::default();
                fill_source(&mut samples, axes, |_, row| row.fill_with(|| U8::new(random.below(256) as u8)));
                resize(&mut resizer, axes, &mut samples);
                lanes.resize(&mut resizer, axes, &samples.source);
                for (y, expected) in samples.result.chunks_exact(axes.x.result).enumerate() {
                    let mut row = vec![0; axes.x.result];
                    lanes.write_sample(y, 0, &mut row, 1);
                    assert!(row.iter().zip(expected).all(|(&row, sample)| row == sample.0), "{frame:?} {y}");
                }
            }
        }
    }
}

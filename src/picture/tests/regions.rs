//! Regions cover the frame.

use proptest::prelude::*;

use super::size;
use crate::picture::region::{Limits, Region, cover};
use crate::picture::{Rect, Size};

fn contains(outer: Rect, inner: Rect) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

/// Checks that `keep`s tile the frame, left to right and top to bottom, without overlap.
fn assert_tiles(frame: Size, regions: &[Region]) {
    let (mut x, mut y, mut area) = (0, 0, 0);
    for Region { keep, .. } in regions {
        assert_eq!((keep.x, keep.y), (x, y));
        assert!(keep.width > 0 && keep.height > 0);
        area += u64::from(keep.width) * u64::from(keep.height);
        x += keep.width;
        if x == frame.width {
            x = 0;
            y += keep.height;
        }
    }
    assert_eq!((x, y), (0, frame.height));
    assert_eq!(area, u64::from(frame.width) * u64::from(frame.height));
}

proptest! {
    #[test]
    fn one_region_where_any_size_goes(width in 1u32..500, height in 1u32..500, mw in 1u32..20, mh in 1u32..20, halo in 0u32..50) {
        let frame = size(width, height);
        let regions = cover(frame, Limits { fixed: None, multiple: size(mw, mh), halo });
        prop_assert_eq!(regions.len(), 1);
        let Region { keep, read, tensor } = regions[0];
        prop_assert_eq!(keep, Rect { x: 0, y: 0, width, height });
        prop_assert_eq!(read, keep);
        prop_assert!(tensor.width.is_multiple_of(mw) && tensor.width >= width && tensor.width < width + mw);
        prop_assert!(tensor.height.is_multiple_of(mh) && tensor.height >= height && tensor.height < height + mh);
    }

    #[test]
    fn fixed_regions_tile_the_frame(
        width in 1u32..300, height in 1u32..300, fw in 1u32..80, fh in 1u32..80, halo in 0u32..60,
    ) {
        let (frame, fixed) = (size(width, height), size(fw, fh));
        let regions = cover(frame, Limits { fixed: Some(fixed), multiple: size(1, 1), halo });
        assert_tiles(frame, &regions);
        let all = Rect { x: 0, y: 0, width, height };
        // What is left of the halo in each direction.
        let room = |fixed: u32| halo.min(fixed.saturating_sub(2) / 2);
        for Region { keep, read, tensor } in regions {
            prop_assert_eq!(tensor, fixed);
            prop_assert!(contains(all, read) && contains(read, keep));
            prop_assert!(read.width <= fw && read.height <= fh);
            // Padding only where the frame itself is smaller.
            prop_assert!(read.width == fw.min(width) && read.height == fh.min(height));
            prop_assert!(read.x <= keep.x.saturating_sub(room(fw)) && read.y <= keep.y.saturating_sub(room(fh)));
            prop_assert!(read.x + read.width >= (keep.x + keep.width + room(fw)).min(width));
            prop_assert!(read.y + read.height >= (keep.y + keep.height + room(fh)).min(height));
            prop_assert!(fw == 1 || keep.x.is_multiple_of(2));
            prop_assert!(fh == 1 || keep.y.is_multiple_of(2));
        }
    }

    #[test]
    fn a_region_around_a_part_reads_the_halo(
        x in 0u32..100, y in 0u32..100, width in 1u32..50, height in 1u32..50, halo in 0u32..30, multiple in 1u32..9,
    ) {
        let frame = size(150, 150);
        let keep = Rect { x, y, width, height };
        let region = Region::around(keep, frame, halo, size(multiple, multiple));
        prop_assert_eq!(region.keep, keep);
        prop_assert_eq!(region.read.x, x.saturating_sub(halo));
        prop_assert_eq!(region.read.x + region.read.width, (x + width + halo).min(150));
        prop_assert_eq!(region.read.y + region.read.height, (y + height + halo).min(150));
        prop_assert!(region.tensor.width >= region.read.width && region.tensor.width.is_multiple_of(multiple));
    }
}

#[test]
fn an_empty_frame_has_no_regions() {
    assert!(cover(size(0, 5), Limits { fixed: Some(size(4, 4)), multiple: size(1, 1), halo: 0 }).is_empty());
}

#[test]
fn a_halo_is_kept_whole_where_it_leaves_a_step() {
    let regions = cover(size(40, 10), Limits { fixed: Some(size(10, 10)), multiple: size(1, 1), halo: 4 });
    // 6 at first, then 2 at a time, and the rest at the end.
    assert_eq!(regions[0].keep.width, 6);
    assert_eq!(regions[1].keep, Rect { x: 6, y: 0, width: 2, height: 10 });
    assert_eq!(regions[1].read, Rect { x: 2, y: 0, width: 10, height: 10 });
}

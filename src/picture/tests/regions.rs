//! Regions cover the frame.

use proptest::prelude::*;

use super::*;
use crate::types::Rect;

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

/// One direction of a region.
#[derive(Clone, Copy, Debug)]
struct Line {
    keep: (u32, u32),
    read: (u32, u32),
    tensor: (u32, u32),
    before: u32,
    behind: u32,
}

/// Start and end of the parts that a region keeps, reads and has as tensor, for columns and rows.
fn lines(region: &Region) -> [Line; 2] {
    let Region { keep, read, tensor, blend } = *region;
    let line = |keep: (u32, u32), read: (u32, u32), tensor: u32, before: u32, behind: u32| Line {
        keep: (keep.0, keep.0 + keep.1),
        read: (read.0, read.0 + read.1),
        tensor: (read.0, read.0 + tensor),
        before,
        behind,
    };
    [
        line((keep.x, keep.width), (read.x, read.width), tensor.width, blend.left, blend.right),
        line((keep.y, keep.height), (read.y, read.height), tensor.height, blend.top, blend.bottom),
    ]
}

/// The conditions under which a tensor gives a local network the whole frame's result, in one direction.
fn assert_window(line: Line, length: u32, limits: Limits) {
    let (multiple, align, min) = (limits.multiple.width, limits.align.width, limits.min.width);
    let whole = length.max(min).next_multiple_of(multiple);
    let (begin, end) = line.tensor;
    // On the grid, with a size that the network accepts.
    assert!(begin.is_multiple_of(align) && begin.is_multiple_of(multiple), "{line:?}");
    assert!((end - begin).is_multiple_of(multiple) && end - begin >= min, "{line:?}");
    assert!(end == whole || (end - begin).is_multiple_of(align), "{line:?}");
    // A window of the whole frame's tensor, with padding only where that has padding.
    assert!(end <= whole, "{line:?} of {whole}");
    assert_eq!(line.read, (begin, end.min(length)));
    // Includes the halo, up to the ends of the whole tensor.
    assert!(begin <= line.keep.0.saturating_sub(limits.halo), "{line:?}");
    assert!(end >= (line.keep.1 + line.behind + limits.halo).min(whole), "{line:?} of {whole}");
}

fn limits() -> impl Strategy<Value = Limits> {
    let align = proptest::sample::select(&[1, 1, 2, 3, 4, 8][..]);
    let multiple = proptest::sample::select(&[1, 1, 2, 3, 4, 8, 16][..]);
    (multiple, align, 0u32..4, 0u32..40, 1u32..160, any::<bool>(), 0u32..40).prop_map(
        |(multiple, align, min, halo, tile, local, overlap)| Limits {
            fixed: None,
            multiple: size(multiple, multiple),
            align: size(align, align),
            min: size(min * multiple, min * multiple),
            halo,
            tile: Some(size(tile, tile)),
            local,
            overlap,
        },
    )
}

proptest! {
    #[test]
    fn one_region_if_any_size_is_accepted(
        width in 1u32..500, height in 1u32..500, mw in 1u32..20, mh in 1u32..20, min in 0u32..5, halo in 0u32..50,
    ) {
        let frame = size(width, height);
        let limits = Limits { multiple: size(mw, mh), min: size(min * mw, min * mh), halo, ..Limits::default() };
        let regions = cover(frame, limits);
        prop_assert_eq!(regions.len(), 1);
        let Region { keep, read, tensor, blend } = regions[0];
        prop_assert_eq!(keep, Rect { x: 0, y: 0, width, height });
        prop_assert_eq!(read, keep);
        prop_assert_eq!(blend, Blend::default());
        prop_assert_eq!(tensor.width, width.next_multiple_of(mw).max(min * mw));
        prop_assert_eq!(tensor.height, height.next_multiple_of(mh).max(min * mh));
        // The same holds for a tile as large as the frame.
        let enough = Limits { tile: Some(tensor), ..limits };
        prop_assert_eq!(cover(frame, enough), regions);
    }

    #[test]
    fn tiles_are_windows_of_the_whole_tensor(width in 1u32..400, height in 1u32..400, limits in limits()) {
        let frame = size(width, height);
        let regions = cover(frame, limits);
        assert_tiles(frame, &regions);
        for region in &regions {
            for (line, length) in lines(region).into_iter().zip([width, height]) {
                assert_window(line, length, limits);
            }
        }
    }

    #[test]
    fn tiles_fit_the_limit_and_are_as_few_as_possible(width in 1u32..400, height in 1u32..400, limits in limits()) {
        let frame = size(width, height);
        let regions = cover(frame, limits);
        let (tile, least) = (limits.tile.unwrap(), limits.min_tile());
        let most = size(tile.width.max(least.width), tile.height.max(least.height));
        let first = regions[0].tensor;
        let (multiple, align) = (limits.multiple.width, limits.align.width);
        let unit = (1..).map(|n| n * multiple).find(|n| n.is_multiple_of(align)).unwrap();
        for Region { tensor, keep, .. } in &regions {
            prop_assert!(tensor.width <= most.width && tensor.height <= most.height, "{:?} of {:?}", tensor, most);
            // All the same size, except the last if the frame ends off the grid.
            let last = keep.x + keep.width == width;
            prop_assert!(tensor.width == first.width || last && first.width - tensor.width < unit);
        }
        // Dividing again with the resulting size gives the same number of tiles.
        let again = Limits { tile: Some(first), ..limits };
        prop_assert_eq!(cover(frame, again).len(), regions.len());
        // With one tile less, the tiles would have to be larger.
        let columns = regions.iter().filter(|region| region.keep.y == 0).count() as u32;
        let step = 2 * unit;
        let overlap = if limits.local { 0 } else { limits.overlap };
        let halo = 2 * limits.halo + overlap;
        if columns > 1 {
            let room = (columns - 1) * most.width.saturating_sub(halo) + halo;
            // Each tile may lose up to a step to the grid in its size and on each side.
            prop_assert!(room <= width.next_multiple_of(multiple) + (columns + 1) * 3 * step);
        }
    }

    #[test]
    fn borders_lie_on_even_pixels_and_on_the_grid(width in 1u32..400, height in 1u32..400, limits in limits()) {
        let step = [2, limits.multiple.width, limits.align.width];
        for Region { keep, .. } in cover(size(width, height), limits) {
            prop_assert!(step.iter().all(|&step| keep.x.is_multiple_of(step) && keep.y.is_multiple_of(step)));
        }
    }

    #[test]
    fn blended_parts_are_read_by_both_and_do_not_meet(
        width in 1u32..300, height in 1u32..300, limits in limits(), fixed in proptest::option::of((1u32..80, 1u32..80)),
    ) {
        let limits = Limits { fixed: fixed.map(|(width, height)| size(width, height)), ..limits };
        let frame = size(width, height);
        let regions = cover(frame, limits);
        let columns = regions.iter().filter(|region| region.keep.y == 0).count();
        let full = if limits.local { 0 } else { limits.overlap };
        for (index, region) in regions.iter().enumerate() {
            let neighbours = [
                (index % columns + 1 < columns).then(|| &regions[index + 1]),
                regions.get(index + columns),
            ];
            for (side, neighbour) in neighbours.into_iter().enumerate() {
                let line = lines(region)[side];
                let Some(next) = neighbour.map(|next| lines(next)[side]) else {
                    prop_assert_eq!(line.behind, 0);
                    continue;
                };
                prop_assert_eq!(line.behind, next.before);
                prop_assert!(line.tensor.1 >= line.keep.1 + line.behind);
                prop_assert!(next.tensor.0 <= next.keep.0 && next.tensor.1 >= next.keep.0 + next.before);
                prop_assert!(line.keep.0 + line.before <= line.keep.1, "{:?}", line);
                prop_assert!(limits.fixed.is_some() || line.behind == full.min([width, height][side]));
            }
            let [column, row] = lines(region);
            prop_assert!(index % columns != 0 || column.before == 0);
            prop_assert!(index >= columns || row.before == 0);
        }
    }

    #[test]
    fn fixed_regions_tile_the_frame(
        width in 1u32..300, height in 1u32..300, fw in 1u32..80, fh in 1u32..80, halo in 0u32..60,
    ) {
        let (frame, fixed) = (size(width, height), size(fw, fh));
        let regions = cover(frame, Limits { fixed: Some(fixed), halo, ..Limits::default() });
        assert_tiles(frame, &regions);
        let all = Rect { x: 0, y: 0, width, height };
        // The remaining halo in each direction.
        let room = |fixed: u32| halo.min(fixed.saturating_sub(2) / 2);
        for Region { keep, read, tensor, blend } in regions {
            prop_assert_eq!(tensor, fixed);
            prop_assert_eq!(blend, Blend::default());
            prop_assert!(contains(all, read) && contains(read, keep));
            prop_assert!(read.width <= fw && read.height <= fh);
            // Padding only if the frame itself is smaller.
            prop_assert!(read.width == fw.min(width) && read.height == fh.min(height));
            prop_assert!(read.x <= keep.x.saturating_sub(room(fw)) && read.y <= keep.y.saturating_sub(room(fh)));
            prop_assert!(read.x + read.width >= (keep.x + keep.width + room(fw)).min(width));
            prop_assert!(read.y + read.height >= (keep.y + keep.height + room(fh)).min(height));
            prop_assert!(fw == 1 || keep.x.is_multiple_of(2));
            prop_assert!(fh == 1 || keep.y.is_multiple_of(2));
        }
    }

    #[test]
    fn fixed_regions_that_blend_tile_the_frame(
        width in 1u32..300, height in 1u32..300, fw in 1u32..80, fh in 1u32..80, halo in 0u32..60, overlap in 0u32..40,
    ) {
        let (frame, fixed) = (size(width, height), size(fw, fh));
        let limits = Limits { fixed: Some(fixed), halo, overlap, local: false, ..Limits::default() };
        let regions = cover(frame, limits);
        assert_tiles(frame, &regions);
        for Region { keep, read, tensor, .. } in regions {
            prop_assert_eq!(tensor, fixed);
            prop_assert!(contains(read, keep) && read.width == fw.min(width) && read.height == fh.min(height));
            prop_assert!(fw == 1 || keep.x.is_multiple_of(2));
        }
    }

    #[test]
    fn a_region_around_a_part_is_a_window_of_the_whole_tensor(
        x in 0u32..100, y in 0u32..100, width in 1u32..50, height in 1u32..50, limits in limits(),
    ) {
        let frame = size(151, 150);
        let keep = Rect { x, y, width, height };
        let region = Region::around(keep, frame, limits);
        prop_assert_eq!(region.keep, keep);
        for (line, length) in lines(&region).into_iter().zip([frame.width, frame.height]) {
            assert_window(line, length, limits);
        }
        // No more than the grid requires.
        let slack = 2 * limits.multiple.width * limits.align.width + limits.min.width;
        prop_assert!(region.tensor.width <= width + 2 * limits.halo + slack);
    }
}

#[test]
fn an_empty_frame_has_no_regions() {
    assert!(cover(size(0, 5), Limits { fixed: Some(size(4, 4)), ..Limits::default() }).is_empty());
    assert!(cover(size(5, 0), Limits { tile: Some(size(4, 4)), ..Limits::default() }).is_empty());
}

#[test]
fn a_halo_that_leaves_a_step_is_not_cut() {
    let regions = cover(size(40, 10), Limits { fixed: Some(size(10, 10)), halo: 4, ..Limits::default() });
    // 6 first, then 2 at a time, and the rest at the end.
    assert_eq!(regions[0].keep.width, 6);
    assert_eq!(regions[1].keep, Rect { x: 6, y: 0, width: 2, height: 10 });
    assert_eq!(regions[1].read, Rect { x: 2, y: 0, width: 10, height: 10 });
}

#[test]
fn a_fixed_size_with_room_for_the_halo_does_not_blend_and_one_without_does() {
    let limits = Limits { fixed: Some(size(32, 32)), halo: 15, overlap: 16, ..Limits::default() };
    assert!(cover(size(100, 100), limits).iter().all(|region| region.blend == Blend::default()));
    let regions = cover(size(100, 100), Limits { halo: 16, ..limits });
    assert_eq!(regions[0].blend, Blend { left: 0, top: 0, right: 6, bottom: 6 });
}

#[test]
fn a_row_is_split_evenly() {
    let tile = Some(size(128, 128));
    let regions = cover(size(130, 100), Limits { tile, ..Limits::default() });
    assert_eq!(regions.iter().map(|region| region.keep.width).collect::<Vec<_>>(), [66, 64]);
    let regions = cover(size(130, 100), Limits { tile, halo: 10, ..Limits::default() });
    assert_eq!(regions.iter().map(|region| region.tensor.width).collect::<Vec<_>>(), [76, 76]);
}

#[test]
fn a_tile_that_is_too_small_grows_to_the_minimum() {
    let limits = Limits { tile: Some(size(16, 16)), halo: 18, align: size(4, 4), ..Limits::default() };
    assert_eq!(limits.min_tile(), size(20 + 4 + 20, 20 + 4 + 20));
    assert!(cover(size(200, 200), limits).iter().all(|region| region.tensor == size(44, 44)));
}

//! Tests of the rectangles that cover changed blocks.

use std::ops::Range;

use proptest::prelude::*;

use super::Chance;
use crate::picture::region::Limits;
use crate::reuse::{BLOCK_SIZE, BlockMap, Cost, DirtyArea, dirty_area};
use crate::types::{Rect, Size};

const FRAME: Size = Size { width: 640, height: 360 };

fn cost(fixed_pixels: u64, halo: u32) -> Cost {
    Cost { fixed_pixels, limits: Limits { halo, ..Limits::default() } }
}

/// Checks the dirty area, and returns its cost.
fn check(changed: &BlockMap, frame: Size, dilation: u32, cost: Cost) -> u64 {
    let found = dirty_area(changed, frame, dilation, |rect| cost.of(rect, frame));
    assert_eq!(found, dirty_area(changed, frame, dilation, |rect| cost.of(rect, frame)), "the same every time");
    let whole = cost.of(Rect { x: 0, y: 0, width: frame.width, height: frame.height }, frame);
    let parts = match found {
        DirtyArea::Nothing => {
            assert!(changed.is_empty());
            return 0;
        }
        DirtyArea::Whole => return whole,
        DirtyArea::Rects(parts) => parts,
    };
    let mut kept = vec![false; (frame.width * frame.height) as usize];
    for part in &parts {
        let (right, bottom) = (part.x + part.width, part.y + part.height);
        assert!(part.width > 0 && part.height > 0 && right <= frame.width && bottom <= frame.height, "{part:?}");
        assert!(part.x % 2 == 0 && part.y % 2 == 0, "{part:?}");
        assert!((right % 2 == 0 || right == frame.width) && (bottom % 2 == 0 || bottom == frame.height), "{part:?}");
        for y in part.y..bottom {
            kept[(y * frame.width + part.x) as usize..(y * frame.width + right) as usize].fill(true);
        }
    }
    for (column, row) in changed.iter() {
        let side = |block: u32, length: u32| -> Range<u32> {
            (block * BLOCK_SIZE).saturating_sub(dilation)..((block + 1) * BLOCK_SIZE + dilation).min(length)
        };
        for y in side(row, frame.height) {
            let columns = side(column, frame.width);
            let line = &kept[(y * frame.width + columns.start) as usize..(y * frame.width + columns.end) as usize];
            assert!(line.iter().all(|kept| *kept), "block {column} {row}, line {y}");
        }
    }
    let cost = parts.iter().map(|part| cost.of(*part, frame)).sum();
    assert!(cost < whole);
    cost
}

fn map(frame: Size, set: impl Fn(u32, u32) -> bool) -> BlockMap {
    let mut map = BlockMap::new(frame);
    for row in 0..map.rows() {
        (0..map.columns()).filter(|column| set(*column, row)).for_each(|column| map.set(column, row));
    }
    map
}

#[test]
fn no_change_needs_no_work() {
    assert_eq!(dirty_area(&BlockMap::new(FRAME), FRAME, 8, |_| 1), DirtyArea::Nothing);
}

#[test]
fn a_fully_changed_frame_is_the_whole_frame() {
    let all = map(FRAME, |_, _| true);
    assert_eq!(dirty_area(&all, FRAME, 8, |rect| cost(0, 8).of(rect, FRAME)), DirtyArea::Whole);
}

#[test]
fn one_block_is_one_rectangle_grown_to_even_pixels_within_the_frame() {
    let frame = Size { width: 101, height: 75 };
    let by = |column, row| {
        dirty_area(&map(frame, |x, y| (x, y) == (column, row)), frame, 7, |rect| cost(10, 7).of(rect, frame))
    };
    assert_eq!(by(5, 4), DirtyArea::Rects(vec![Rect { x: 32, y: 24, width: 24, height: 24 }]));
    assert_eq!(by(0, 0), DirtyArea::Rects(vec![Rect { x: 0, y: 0, width: 16, height: 16 }]));
    assert_eq!(by(12, 9), DirtyArea::Rects(vec![Rect { x: 88, y: 64, width: 13, height: 11 }]));
}

#[test]
fn distant_blocks_stay_apart_and_near_ones_are_merged() {
    let parts =
        |blocks: [(u32, u32); 2]| match dirty_area(&map(FRAME, |x, y| blocks.contains(&(x, y))), FRAME, 8, |rect| {
            cost(2000, 8).of(rect, FRAME)
        }) {
            DirtyArea::Rects(parts) => parts.len(),
            other => panic!("{other:?}"),
        };
    assert_eq!(parts([(2, 2), (70, 40)]), 2);
    assert_eq!(parts([(20, 20), (23, 21)]), 1);
}

/// The cost of the dirty area as a fraction of the whole frame's cost.
fn share(set: impl Fn(u32, u32) -> bool) -> f64 {
    let frame = Size { width: 1920, height: 1080 };
    let cost = cost(4000, 10);
    let whole = cost.of(Rect { x: 0, y: 0, width: frame.width, height: frame.height }, frame);
    check(&map(frame, set), frame, 10, cost) as f64 / whole as f64
}

#[test]
fn shapes_are_followed() {
    let corner = share(|x, y| (x < 6 && y > 10) || (y > 125 && x < 200));
    assert!(corner < 0.16, "an L: {corner}");
    let frame = share(|x, y| !(20..220).contains(&x) || !(20..115).contains(&y));
    assert!(frame < 0.55, "a frame around nothing: {frame}");
    let diagonal = share(|x, y| x.abs_diff(y) < 4);
    assert!(diagonal < 0.17, "a diagonal: {diagonal}");
    let disc = share(|x, y| x.abs_diff(120).pow(2) + y.abs_diff(67).pow(2) < 60 * 60);
    assert!(disc < 0.47, "a disc: {disc}");
    let alone = share(|x, y| x % 60 == 30 && y % 45 == 20);
    assert!(alone < 0.05, "twelve blocks: {alone}");
}

#[test]
fn noise_everywhere_is_the_whole_frame() {
    for bound in [2, 10] {
        let mut chance = Chance(bound);
        let frame = Size { width: 1920, height: 1080 };
        let mut noise = BlockMap::new(frame);
        for row in 0..noise.rows() {
            (0..noise.columns()).filter(|_| chance.below(bound as u32) == 0).for_each(|column| noise.set(column, row));
        }
        assert_eq!(dirty_area(&noise, frame, 10, |rect| cost(4000, 10).of(rect, frame)), DirtyArea::Whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn dirty_rectangles_cover_each_dilated_block_and_cost_no_more_than_the_frame(
        (width, height) in (1u32..300, 1u32..300), rarity in 1u32..200, dilation in 0u32..40, fixed in 0u64..5000,
        (halo, multiple, align, min) in (0u32..20, 1u32..9, 1u32..5, 1u32..70), seed in any::<u64>(),
    ) {
        let frame = Size { width, height };
        let mut chance = Chance(seed);
        let mut changed = BlockMap::new(frame);
        for row in 0..changed.rows() {
            (0..changed.columns()).filter(|_| chance.below(rarity) == 0).for_each(|column| changed.set(column, row));
        }
        let square = |side| Size { width: side, height: side };
        let limits = Limits {
            halo, multiple: square(multiple), align: square(align), min: square(min), ..Limits::default()
        };
        check(&changed, frame, dilation, Cost { fixed_pixels: fixed, limits });
    }
}

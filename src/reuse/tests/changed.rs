//! Tests of comparing a frame with what was upscaled before.

use proptest::prelude::*;

use super::Chance;
use super::frames::Frame;
use crate::picture::format::{Kind, PixelFormat};
use crate::reuse::{BLOCK_SIZE, BlockMap, Changes, Compare, History};
use crate::types::{Rect, Size};

const SIMILAR: Compare = Compare::Similar { tolerance: 2 };
const SIZE: Size = Size { width: 40, height: 24 };

fn history(frame: &Frame) -> History {
    let mut history = History::new(frame.format, frame.size);
    history.keep_all(&frame.picture());
    history
}

/// The block that contains a sample.
fn block(format: PixelFormat, plane: usize, (x, y): (usize, usize)) -> (u32, u32) {
    let layout = format.layout();
    let chroma = layout.kind == Kind::Yuv && plane > 0;
    let side = |sub: bool| if chroma && sub { BLOCK_SIZE / 2 } else { BLOCK_SIZE };
    let parts = layout.plane_step(plane).unwrap() / layout.bytes;
    ((x / parts) as u32 / side(layout.h_sub), y as u32 / side(layout.v_sub))
}

/// Compares block by block, straight from the definition.
fn naive(old: &Frame, new: &Frame, mode: Compare) -> Changes {
    let mut changes = Changes { luma: BlockMap::new(old.size), chroma: BlockMap::new(old.size) };
    let layout = old.format.layout();
    let code = i64::from(1u32 << (layout.depth - 8));
    for plane in 0..layout.planes {
        let map = if layout.kind == Kind::Yuv && plane > 0 { &mut changes.chroma } else { &mut changes.luma };
        let parts = layout.plane_step(plane).unwrap() / layout.bytes;
        // The largest difference per block; the sum and the count per group of 2x2 blocks and component.
        let mut blocks = std::collections::BTreeMap::<_, i64>::new();
        let mut groups = std::collections::BTreeMap::<_, (i64, i64)>::new();
        for (x, y) in old.samples(plane) {
            let off = i64::from(new.get(plane, x, y)) - i64::from(old.get(plane, x, y));
            let (column, row) = block(old.format, plane, (x, y));
            let most = blocks.entry((column, row)).or_default();
            *most = off.abs().max(*most);
            let (sum, count) = groups.entry((column / 2, row / 2, x % parts)).or_default();
            (*sum, *count) = (*sum + off, *count + 1);
        }
        let (tolerance, means) = match mode {
            Compare::Exact => (0, false),
            Compare::Similar { tolerance } => (i64::from(tolerance) * code, true),
        };
        let drifted = |column: u32, row: u32| {
            let sums = (0..parts).filter_map(|part| groups.get(&(column / 2, row / 2, part)));
            sums.into_iter().any(|(sum, count)| 2 * sum.abs() > count * code)
        };
        for ((column, row), most) in &blocks {
            if *most > tolerance || means && drifted(*column, *row) {
                map.set(*column, *row);
            }
        }
    }
    changes
}

fn check_naive(format: PixelFormat, size: Size, padding: [usize; 2], seed: u64) {
    let mut chance = Chance(seed);
    let mut old = Frame::new(format, size, padding[0], &mut chance);
    let layout = format.layout();
    let code = 1 << (layout.depth - 8);
    for plane in 0..layout.planes {
        for (x, y) in old.samples(plane) {
            let sample = old.get(plane, x, y) & layout.max_code();
            old.put(plane, x, y, sample.clamp(3 * code, layout.max_code() - 3 * code));
        }
    }
    let mut new = old.padded_anew(padding[1], &mut chance);
    for plane in 0..layout.planes {
        // Single samples in some blocks, and noise with a shifted mean in others.
        let places: Vec<_> = old.samples(plane).collect();
        let noisy = chance.below(4);
        for (x, y) in places {
            let (column, row) = block(format, plane, (x, y));
            let off = match (column * 5 + row * 3 + noisy) % 4 {
                0 if chance.below(200) == 0 => chance.below(6 * code + 1) as i32 - 3 * code as i32,
                1 => chance.below(3 * code) as i32 - code as i32 * (column % 2) as i32,
                2 => code as i32 / 2 * (1 + x as i32 % 2),
                _ => 0,
            };
            new.put(plane, x, y, (old.get(plane, x, y) as i32 + off) as u32);
        }
    }
    let history = history(&old);
    for mode in [Compare::Exact, SIMILAR, Compare::Similar { tolerance: 0 }] {
        let (got, due) = (history.compare(&new.picture(), mode), naive(&old, &new, mode));
        assert_eq!(got, due, "{} {mode:?}", format.name());
    }
}

#[test]
fn comparing_agrees_with_the_naive_comparison() {
    for (seed, &format) in (1..).zip(PixelFormat::ALL) {
        check_naive(format, Size { width: 61, height: 43 }, [0, 5], seed);
        check_naive(format, Size { width: 32, height: 16 }, [2, 0], seed);
        check_naive(format, Size { width: 1, height: 1 }, [1, 7], seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn comparing_is_right_for_every_size(
        format in proptest::sample::select(PixelFormat::ALL),
        (width, height) in (1u32..50, 1u32..50), padding in any::<[bool; 2]>(), seed in any::<u64>(),
    ) {
        check_naive(format, Size { width, height }, padding.map(|padded| if padded { 6 } else { 0 }), seed);
    }

    #[test]
    fn what_is_kept_is_unchanged(
        format in proptest::sample::select(PixelFormat::ALL),
        (x, y, width, height) in (0u32..20, 0u32..12, 1u32..30, 1u32..30), seed in any::<u64>(),
    ) {
        let size = Size { width: 41, height: 27 };
        let mut chance = Chance(seed);
        let old = Frame::new(format, size, 0, &mut chance);
        let mut new = Frame::new(format, size, 4, &mut chance);
        let mut history = history(&old);
        let rect = Rect { x: 2 * x, y: 2 * y, width, height };
        history.keep(&new.picture(), rect);
        // Where the rectangle contains a sample's first pixel, the new sample was kept.
        let layout = format.layout();
        for plane in 0..layout.planes {
            let (step, chroma) = (layout.plane_step(plane).unwrap(), layout.kind == Kind::Yuv && plane > 0);
            let first = |at: usize, sub: bool| if chroma && sub { 2 * at } else { at } as u32;
            for (x, y) in old.samples(plane) {
                let pixel = first(x * layout.bytes / step, layout.h_sub);
                let row = first(y, layout.v_sub);
                if !(rect.x..rect.x + width).contains(&pixel) || !(rect.y..rect.y + height).contains(&row) {
                    new.put(plane, x, y, old.get(plane, x, y));
                }
            }
        }
        let changes = history.compare(&new.picture(), Compare::Exact);
        prop_assert!(changes.luma.is_empty() && changes.chroma.is_empty());
    }
}

#[test]
fn everything_counts_as_changed_before_the_first_frame_is_kept() {
    let frame = Frame::flat(PixelFormat::I420, SIZE, 80);
    let mut history = History::new(frame.format, frame.size);
    for mode in [Compare::Exact, SIMILAR] {
        let changes = history.compare(&frame.picture(), mode);
        assert_eq!((changes.luma.share(), changes.chroma.share()), (1.0, 1.0));
    }
    history.keep(&frame.picture(), Rect { x: 0, y: 0, width: 40, height: 24 });
    assert_eq!(history.compare(&frame.picture(), Compare::Exact).luma.share(), 1.0);
    history.keep_all(&frame.picture());
    assert!(history.compare(&frame.picture(), Compare::Exact).luma.is_empty());
}

#[test]
fn chroma_is_kept_separately() {
    let mut frame = Frame::flat(PixelFormat::Nv12, SIZE, 80);
    let mut history = history(&frame);
    frame.put(0, 3, 3, 90);
    frame.put(1, 19, 11, 90);
    let changes = history.compare(&frame.picture(), Compare::Exact);
    assert_eq!(changes.luma.iter().collect::<Vec<_>>(), [(0, 0)]);
    assert_eq!(changes.chroma.iter().collect::<Vec<_>>(), [(2, 2)]);
    history.keep_chroma(&frame.picture());
    let changes = history.compare(&frame.picture(), Compare::Exact);
    assert_eq!((changes.luma.count(), changes.chroma.count()), (1, 0));
}

#[test]
fn if_nearly_all_blocks_change_the_rest_count_as_changed() {
    let size = Size { width: 64, height: 256 };
    let mut frame = Frame::flat(PixelFormat::I420, size, 80);
    let history = history(&frame);
    // A video in the upper half does not count as nearly all.
    for (x, y) in frame.samples(0).filter(|(_, y)| *y < 128) {
        frame.put(0, x, y, 90);
    }
    let changes = history.compare(&frame.picture(), SIMILAR);
    assert_eq!((changes.luma.share(), changes.chroma.share()), (0.5, 0.0));
    for (x, y) in frame.samples(0).filter(|(_, y)| *y < 250) {
        frame.put(0, x, y, 90);
    }
    let changes = history.compare(&frame.picture(), Compare::Exact);
    assert_eq!((changes.luma.share(), changes.chroma.share()), (1.0, 1.0));
}

#[test]
fn a_slow_fade_is_followed_to_half_a_code_value() {
    for (format, code) in [(PixelFormat::I420, 1), (PixelFormat::P01010Le, 4), (PixelFormat::Gray16Le, 256)] {
        let mut history = history(&Frame::flat(format, SIZE, 80 * code));
        // One 8-bit code value in 4 frames, within the precision of the format.
        for step in 1..=80 {
            let level = 80 * code + step * code / 4;
            let frame = Frame::flat(format, SIZE, level);
            let refreshed = history.compare(&frame.picture(), SIMILAR).luma;
            assert!(refreshed.is_empty() || refreshed.share() == 1.0);
            if !refreshed.is_empty() {
                history.keep_all(&frame.picture());
            }
            let due = if code == 1 { step % 4 == 0 } else { step % 3 == 0 };
            assert_eq!(!refreshed.is_empty(), due, "{} frame {step}", format.name());
        }
    }
}

#[test]
fn components_that_drift_apart_do_not_cancel() {
    for (format, plane) in [(PixelFormat::Nv12, 1), (PixelFormat::Rgb, 0), (PixelFormat::Bgrx, 0)] {
        let mut frame = Frame::flat(format, SIZE, 80);
        let history = history(&frame);
        let parts = format.layout().plane_step(plane).unwrap();
        for (x, y) in frame.samples(plane) {
            frame.put(plane, x, y, [81, 79, 80, 80][x % parts]);
        }
        let changes = history.compare(&frame.picture(), SIMILAR);
        assert_eq!(changes.luma.share().max(changes.chroma.share()), 1.0, "{}", format.name());
    }
}

#[test]
fn noise_within_the_tolerance_is_no_change_for_any_number_of_frames() {
    let history = history(&Frame::flat(PixelFormat::I420, SIZE, 80));
    for step in 0..50 {
        let mut frame = Frame::flat(PixelFormat::I420, SIZE, 80);
        for plane in 0..3 {
            for (x, y) in frame.samples(plane) {
                frame.put(plane, x, y, [78, 82][(x + y + step) % 2]);
            }
        }
        let changes = history.compare(&frame.picture(), SIMILAR);
        assert!(changes.luma.is_empty() && changes.chroma.is_empty());
    }
}

#[test]
fn a_moving_dot_is_never_lost() {
    for mode in [Compare::Exact, SIMILAR] {
        let mut history = history(&Frame::flat(PixelFormat::I420, SIZE, 80));
        let mut shown = Frame::flat(PixelFormat::I420, SIZE, 80);
        for step in 0..200 {
            let mut frame = Frame::flat(PixelFormat::I420, SIZE, 80);
            frame.put(0, step * 7 % 40, step * 5 % 24, 200);
            for (column, row) in history.compare(&frame.picture(), mode).luma.iter() {
                let (left, top) = (column * BLOCK_SIZE, row * BLOCK_SIZE);
                history.keep(&frame.picture(), Rect { x: left, y: top, width: BLOCK_SIZE, height: BLOCK_SIZE });
                for y in top..top + BLOCK_SIZE {
                    for x in left..left + BLOCK_SIZE {
                        let (x, y) = (x as usize, y as usize);
                        shown.put(0, x, y, frame.get(0, x, y));
                    }
                }
            }
            assert!(frame.samples(0).all(|(x, y)| shown.get(0, x, y) == frame.get(0, x, y)), "frame {step}");
        }
    }
}

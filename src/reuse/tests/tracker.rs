//! Tests of following a clip: the output if only rectangles are upscaled, by a network that changes nothing.

use proptest::prelude::*;

use crate::picture::format::{PictureRef, PixelFormat};
use crate::picture::region::Limits;
use crate::reuse::FrameWork::{self, ChromaOnly, Nothing, Whole};
use crate::reuse::{Mode, Rules, Tracker};
use crate::types::{Rect, Size};

const SIZE: Size = Size { width: 150, height: 300 };

/// Adds a difference to a box, or subtracts it again.
#[derive(Clone, Debug)]
struct Toggle {
    number: usize,
    add: bool,
}

fn rules(dilation: u32, fixed_pixels: u64) -> Rules {
    let one = Size { width: 1, height: 1 };
    let limits = Limits { multiple: one, halo: dilation, ..Limits::default() };
    Rules { radius: dilation, dilation, limits, fixed_pixels, nominal_pixels: fixed_pixels, bucket: 2, exact: true }
}

/// Follows the frames, and returns the largest difference between a frame and its output.
fn worst(frames: &[Vec<u8>], mode: Mode, rules: Rules) -> u8 {
    let mut tracker = Tracker::new(PixelFormat::Gray8, SIZE, Some(rules), false, Some(mode), None).unwrap();
    let mut shown = vec![0; frames[0].len()];
    let mut worst = 0;
    for frame in frames {
        let stride = SIZE.width as usize;
        let picture = PictureRef::new(PixelFormat::Gray8, SIZE, &[(frame, stride)]).unwrap();
        let work = tracker.compare(&picture);
        match &work {
            FrameWork::Nothing | FrameWork::ChromaOnly => {}
            FrameWork::Mixed(_) => unreachable!("these trackers measure no detail"),
            FrameWork::Whole => shown.copy_from_slice(frame),
            FrameWork::DirtyRects(rects) => {
                for &Rect { x, y, width, height } in rects.iter() {
                    for y in y..y + height {
                        let row = y as usize * stride + x as usize..(y * SIZE.width + x + width) as usize;
                        shown[row.clone()].copy_from_slice(&frame[row]);
                    }
                }
            }
        }
        tracker.note(&picture, &work);
        worst = shown.iter().zip(frame).map(|(a, b)| a.abs_diff(*b)).max().unwrap().max(worst);
    }
    worst
}

/// Each frame adds to or subtracts from some of the boxes of the previous one.
fn frames(boxes: &[(u32, u32, u32, u32)], steps: &[Vec<Toggle>], by: u8) -> Vec<Vec<u8>> {
    let mut frame: Vec<u8> = (0..SIZE.pixels()).map(|n| 100 + (n * 7919 % 50) as u8).collect();
    let mut frames = vec![frame.clone()];
    for step in steps {
        for Toggle { number, add } in step {
            let (x, y, width, height) = boxes[number % boxes.len()];
            for y in y..(y + height).min(SIZE.height) {
                for x in x..(x + width).min(SIZE.width) {
                    let code = &mut frame[(y * SIZE.width + x) as usize];
                    *code = if *add { code.wrapping_add(by) } else { code.wrapping_sub(by) };
                }
            }
        }
        frames.push(frame.clone());
    }
    frames
}

/// The work for I420 frames of 16x16 pixels, each with a single luma and a single chroma value.
fn follow(mode: Mode, rules: Option<Rules>, frames: &[(u8, u8)]) -> Vec<FrameWork> {
    let size = Size { width: 16, height: 16 };
    let mut tracker = Tracker::new(PixelFormat::I420, size, rules, true, Some(mode), None).unwrap();
    let work = |(luma, chroma): &(u8, u8)| {
        let (luma, chroma) = ([*luma; 256], [*chroma; 64]);
        let planes = [(&luma[..], 16), (&chroma[..], 8), (&chroma[..], 8)];
        let picture = PictureRef::new(PixelFormat::I420, size, &planes).unwrap();
        let work = tracker.compare(&picture);
        tracker.note(&picture, &work);
        work
    };
    frames.iter().map(work).collect()
}

#[test]
fn a_change_in_chroma_alone_is_distinguished() {
    let frames = [(50, 90), (50, 91), (50, 91), (51, 91), (51, 90), (51, 200)];
    let exact = [Whole, ChromaOnly, Nothing, Whole, ChromaOnly, ChromaOnly];
    assert_eq!(follow(Mode::Exact, Some(rules(0, 0)), &frames), exact);
    let similar = Mode::Similar { tolerance: 2, max_age: 0 };
    let steps = [Whole, ChromaOnly, Nothing, Whole, ChromaOnly, ChromaOnly];
    assert_eq!(follow(similar, Some(rules(0, 0)), &frames), steps, "a mean that changes by one code value is followed");
    // Without regions, and with regions that would not produce the same bytes.
    let inexact = Rules { exact: false, ..rules(0, 0) };
    for (mode, rules) in [(Mode::Exact, None), (similar, None), (Mode::Exact, Some(inexact))] {
        assert_eq!(follow(mode, rules, &frames), exact);
    }
}

#[test]
fn whole_frames_alone_need_no_tracker() {
    let inexact = Rules { exact: false, ..rules(0, 0) };
    let new = |rules, mode| Tracker::new(PixelFormat::Gray8, SIZE, rules, false, Some(mode), None).is_some();
    assert!(!new(None, Mode::Exact) && !new(Some(inexact), Mode::Exact));
    assert!(new(Some(inexact), Mode::Similar { tolerance: 0, max_age: 0 }));
}

/// If two dirty rectangles overlap, one of them is trimmed; the trimmed area must still be followed.
#[test]
fn a_trimmed_area_may_change_back_on_its_own() {
    let boxes = [(0, 0, 9, 300), (27, 21, 4, 7), (0, 34, 9, 12)];
    let toggle = |number, add| Toggle { number, add };
    let steps = [vec![toggle(0, true), toggle(1, true)], vec![toggle(2, false)], vec![toggle(2, true)]];
    assert_eq!(worst(&frames(&boxes, &steps, 60), Mode::Exact, rules(8, 75)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_output_is_the_frame_or_close_to_it(
        boxes in prop::collection::vec((0u32..150, 0u32..300, 1u32..40, 1u32..300), 1..6),
        steps in prop::collection::vec(
            prop::collection::vec((0usize..6, any::<bool>()).prop_map(|(number, add)| Toggle { number, add }), 0..4),
            1..20,
        ),
        dilation in 0u32..24,
        fixed in prop::sample::select(&[0u64, 100, 1000][..]),
    ) {
        prop_assert_eq!(worst(&frames(&boxes, &steps, 60), Mode::Exact, rules(dilation, fixed)), 0);
        // In steps of one code value, some changes are tolerated.
        let similar = Mode::Similar { tolerance: 2, max_age: 0 };
        let worst = worst(&frames(&boxes, &steps, 1), similar, rules(dilation, fixed));
        // Around a rectangle, the output is newer than the history.
        prop_assert!(worst <= 4, "{worst}");
    }
}

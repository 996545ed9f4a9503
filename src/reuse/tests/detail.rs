//! Tests of following a clip of which smooth blocks are resized.

use proptest::prelude::*;

use crate::picture::detail::DetailMeter;
use crate::picture::format::{PictureRef, PixelFormat};
use crate::picture::region::Limits;
use crate::reuse::detail::DetailFilter;
use crate::reuse::{BLOCK_SIZE, FrameWork, Mixed, Mode, Rules, Threshold, Tracker};
use crate::types::{Channels, Rect, Size};

const SIZE: Size = Size { width: 150, height: 90 };
const THRESHOLD: Threshold = Threshold { enter: 40, leave: 30 };

fn rules(dilation: u32) -> Rules {
    let one = Size { width: 1, height: 1 };
    let limits = Limits { multiple: one, halo: dilation, ..Limits::default() };
    Rules { radius: dilation, dilation, limits, fixed_pixels: 100, nominal_pixels: 100, bucket: 2, exact: true }
}

fn tracker(mode: Option<Mode>, dilation: u32) -> Tracker {
    let filter = DetailFilter::new(SIZE, Channels::Luma, THRESHOLD, rules(dilation + 4));
    Tracker::new(PixelFormat::Gray8, SIZE, Some(rules(dilation)), false, mode, Some(filter)).unwrap()
}

/// What the output shows at a pixel: the input's value, and whether the network made it.
type Shown = Option<(u8, bool)>;

fn write(shown: &mut [Shown], frame: &[u8], rect: Rect, network: bool) {
    for y in rect.y..rect.y + rect.height {
        for x in rect.x..rect.x + rect.width {
            let at = (y * SIZE.width + x) as usize;
            shown[at] = Some((frame[at], network));
        }
    }
}

/// Passes a frame to the tracker, and does to `shown` what it asks for. Returns the work.
fn follow(tracker: &mut Tracker, frame: &[u8], shown: &mut Vec<Shown>) -> FrameWork {
    let picture = picture(frame);
    let work = tracker.compare(&picture);
    match &work {
        FrameWork::Nothing => {}
        FrameWork::Mixed(Mixed { network, resized, needs_previous, audited, .. }) => {
            if !needs_previous {
                shown.fill(None);
            }
            network.iter().for_each(|rect| write(shown, frame, *rect, true));
            resized.iter().for_each(|rect| write(shown, frame, *rect, false));
            for rect in audited.iter() {
                let at = (rect.y * SIZE.width + rect.x) as usize;
                assert_eq!(shown[at].map(|(_, network)| network), Some(false), "{rect:?} was not skipped");
            }
        }
        FrameWork::Whole => *shown = frame.iter().map(|value| Some((*value, true))).collect(),
        other => panic!("{other:?} with detail"),
    }
    tracker.note(&picture, &work);
    work
}

fn picture(frame: &[u8]) -> PictureRef<'_> {
    PictureRef::new(PixelFormat::Gray8, SIZE, &[(frame, SIZE.width as usize)]).unwrap()
}

/// Whether each block shows the network's result; panics if one shows both, or anything but `frame`.
fn blocks(frame: &[u8], shown: &[Shown]) -> Vec<bool> {
    let mut blocks = Vec::new();
    for y in (0..SIZE.height).step_by(BLOCK_SIZE as usize) {
        for x in (0..SIZE.width).step_by(BLOCK_SIZE as usize) {
            let kind = shown[(y * SIZE.width + x) as usize].expect("every pixel is written").1;
            for y in y..(y + BLOCK_SIZE).min(SIZE.height) {
                for x in x..(x + BLOCK_SIZE).min(SIZE.width) {
                    let at = (y * SIZE.width + x) as usize;
                    assert_eq!(shown[at], Some((frame[at], kind)), "{x},{y}");
                }
            }
            blocks.push(kind);
        }
    }
    blocks
}

fn detail(frame: &[u8]) -> Vec<u16> {
    let mut detail = Vec::new();
    DetailMeter::default().measure(&picture(frame), Channels::Luma, BLOCK_SIZE, &mut detail);
    detail
}

/// A slope, with boxes of vertical stripes of this contrast.
fn frame(boxes: &[(u32, u32, u32, u32, u8)]) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..SIZE.pixels()).map(|at| 60 + (at % u64::from(SIZE.width)) as u8 / 2).collect();
    for &(x, y, width, height, contrast) in boxes {
        for y in y..(y + height).min(SIZE.height) {
            for x in (x..(x + width).min(SIZE.width)).step_by(2) {
                frame[(y * SIZE.width + x) as usize] += contrast;
            }
        }
    }
    frame
}

#[test]
fn a_block_near_the_threshold_keeps_what_it_shows() {
    for mode in [None, Some(Mode::Exact)] {
        let (mut tracker, mut shown) = (tracker(mode, 4), vec![None; SIZE.pixels() as usize]);
        let mut kinds = Vec::new();
        // A single brighter pixel has a detail of eight times its difference: 32, 48, 32, 24, 32.
        for value in [4, 6, 4, 3, 4] {
            let frame = frame(&[(36, 20, 1, 1, value)]);
            follow(&mut tracker, &frame, &mut shown);
            kinds.push(blocks(&frame, &shown)[2 * 19 + 4]);
        }
        assert_eq!(kinds, [false, true, true, false, false], "{mode:?}");
    }
}

#[test]
fn a_smooth_frame_needs_no_network_and_a_detailed_one_nothing_else() {
    let (mut tracker, mut shown) = (tracker(None, 4), vec![None; SIZE.pixels() as usize]);
    let work = follow(&mut tracker, &frame(&[]), &mut shown);
    assert_eq!((work.pixels(SIZE.pixels()), work.skipped_pixels()), (0, SIZE.pixels()), "{work:?}");
    let work = follow(&mut tracker, &frame(&[(0, 0, SIZE.width, SIZE.height, 50)]), &mut shown);
    assert_eq!(work, FrameWork::Whole);
}

#[test]
fn a_frame_with_few_smooth_blocks_is_upscaled_whole_until_clearly_more_are_smooth() {
    let (mut tracker, mut shown) = (tracker(None, 4), vec![None; SIZE.pixels() as usize]);
    let mut is_whole = |columns| {
        let frame = frame(&[(0, 0, columns, SIZE.height, 50)]);
        follow(&mut tracker, &frame, &mut shown) == FrameWork::Whole
    };
    // 80 % costs more than staying whole allows, and less than going whole needs.
    let found = [112, 140, 112, 80, 112].map(&mut is_whole);
    assert_eq!(found, [false, true, true, false, false]);
}

#[test]
fn audits_take_at_most_a_hundredth_of_the_area() {
    let (mut tracker, mut shown) = (tracker(None, 4), vec![None; SIZE.pixels() as usize]);
    let mut audited = Vec::new();
    for _ in 0..200 {
        if let FrameWork::Mixed(mixed) = follow(&mut tracker, &frame(&[]), &mut shown) {
            audited.extend(mixed.audited.iter().copied());
        }
    }
    // With 8 pixels around a block.
    let most = 200 * SIZE.pixels() / 100 / (8 * 8 + 100);
    assert!((20..=most as usize).contains(&audited.len()), "{}", audited.len());
    audited.sort_unstable_by_key(|rect| (rect.y, rect.x));
    audited.dedup();
    assert!(audited.len() > 15, "different blocks, not {audited:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_block_shows_the_present_frame_by_one_means_chosen_by_its_detail(
        places in prop::collection::vec((0u32..150, 0u32..90, 1u32..60, 1u32..40), 1..5),
        steps in prop::collection::vec(prop::collection::vec((0usize..5, 0u8..24), 0..3), 1..12),
        dilation in 0u32..12,
        exact in any::<bool>(),
    ) {
        let mode = exact.then_some(Mode::Exact);
        let (mut tracker, mut shown) = (tracker(mode, dilation), vec![None; SIZE.pixels() as usize]);
        let mut boxes: Vec<_> = places.iter().map(|&(x, y, width, height)| (x, y, width, height, 9)).collect();
        let mut before: Option<Vec<bool>> = None;
        for step in steps {
            for (number, contrast) in step {
                let count = boxes.len();
                boxes[number % count].4 = contrast;
            }
            let frame = frame(&boxes);
            follow(&mut tracker, &frame, &mut shown);
            let kinds = blocks(&frame, &shown);
            // Frames that hardly have smooth blocks go through the network as a whole.
            if kinds.iter().all(|network| *network) {
                before = Some(kinds);
                continue;
            }
            for (at, (kind, detail)) in kinds.iter().zip(detail(&frame)).enumerate() {
                let was = before.as_ref().is_some_and(|before| before[at]);
                let expected = detail > if was { THRESHOLD.leave } else { THRESHOLD.enter };
                prop_assert_eq!(*kind, expected, "block {} with {} after {}", at, detail, was);
            }
            before = Some(kinds);
        }
    }
}

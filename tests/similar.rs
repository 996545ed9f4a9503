//! `duplicates=similar`: regions that hardly change are not upscaled again, and differences never accumulate.

mod common;

use std::sync::Arc;

use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

use common::clip::{Clip, drawn, enlarged};
use common::{dummy_element, element, have_runtime};

fn similar(clip: &Clip, extra: &[(&str, &str)]) -> (Vec<Vec<u8>>, f64) {
    let model = Arc::new(DummyModel::new(Channels::Luma, 2));
    let properties = [&[("duplicates", "similar"), ("workers", "2"), ("max-in-flight", "64")], extra].concat();
    let (frames, stats) = clip.upscaled(&dummy_element(&model, &properties));
    (frames, stats.get("reused-percentage").unwrap())
}

/// The largest difference of a sample from what upscaling every frame gives, in any frame.
fn worst(clip: &Clip, frames: &[Vec<u8>]) -> u8 {
    let whole = clip.frames.iter().map(|frame| enlarged(&gst::Buffer::from_slice(frame.clone())));
    let differences = whole.zip(frames).flat_map(|(whole, got)| {
        assert_eq!(whole.len(), got.len());
        whole.into_iter().zip(got.clone()).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>()
    });
    differences.max().unwrap()
}

#[test]
fn noise_within_the_tolerance_is_not_upscaled_again_and_does_not_accumulate() {
    let clip = drawn(60, |n, x, y| 100 + (((n * 7 + u64::from(x * 13 + y * 29)) * 2_654_435_761) >> 13) as u8 % 3);
    let (frames, reused) = similar(&clip, &[("similarity-max-age", "0")]);
    assert!(reused > 90.0, "{reused}");
    assert!(worst(&clip, &frames) <= 2);
    let (frames, reused) = similar(&clip, &[("similarity-tolerance", "1")]);
    assert!(reused < 50.0, "{reused}");
    assert!(worst(&clip, &frames) <= 1);
    let (frames, _) = similar(&clip, &[("similarity-tolerance", "0")]);
    assert_eq!(worst(&clip, &frames), 0);
}

#[test]
fn slow_fades_and_single_dots_are_followed() {
    let fade = drawn(100, |n, x, _| (n / 4 + u64::from(x) / 4) as u8);
    let (frames, reused) = similar(&fade, &[]);
    assert_eq!(worst(&fade, &frames), 0, "a mean difference of 1 exceeds the limit of 0.5");
    assert!(reused > 60.0, "{reused}");
    let dot = drawn(60, |n, x, y| if (u64::from(x), u64::from(y)) == (n, 30) { 255 } else { 16 });
    assert_eq!(worst(&dot, &similar(&dot, &[]).0), 0);
}

#[test]
fn every_region_is_refreshed_within_the_maximum_age() {
    // A few samples differ by one, which is within the tolerance, but only up to the maximum age.
    let clip = drawn(40, |n, x, y| 100 + u8::from(n > 0 && x % 8 == 0 && y % 8 == 0));
    let whole = similar(&clip, &[("similarity-max-age", "10")]).0;
    assert!(whole[12] == enlarged(&gst::Buffer::from_slice(clip.frames[12].clone())));
    let never = similar(&clip, &[("similarity-max-age", "0")]).0;
    assert!(never[39] == never[0]);
}

#[test]
fn a_similar_result_is_not_cached_for_later_duplicates() {
    // B is similar to A in one half and new in the other. When B returns after C, it must not reuse what B took from A.
    let clip = drawn(5, |n, x, y| {
        let scene = [0, 1, 2, 1, 3][n as usize];
        match scene {
            2 => 200,
            _ => {
                50 + (x % 7) as u8 + u8::from(scene > 0 && x < 32 && y % 8 == 0) + if x >= 48 { 20 * scene } else { 0 }
            }
        }
    });
    let (frames, _) = similar(&clip, &[]);
    assert!(worst(&clip, &frames) <= 1);
    assert_eq!(
        frames[3],
        enlarged(&gst::Buffer::from_slice(clip.frames[3].clone())),
        "after a cut the whole frame is upscaled"
    );
}

#[test]
fn slow_changes_around_a_dirty_region_are_followed() {
    if !have_runtime() {
        return;
    }
    // A flickering dot makes the same region dirty in every frame, while its surroundings rise by one every two frames.
    let clip = drawn(40, |n, x, y| {
        let rise = if (20..44).contains(&x) && (20..44).contains(&y) { n / 2 } else { 0 };
        if (x, y) == (32, 32) { 200 * (n % 2) as u8 } else { 60 + rise as u8 }
    });
    let with = |mode| {
        let properties =
            [("model", "fast2x"), ("duplicates", mode), ("similarity-max-age", "0"), ("max-in-flight", "64")];
        clip.upscaled(&element(&properties)).0
    };
    for (n, (whole, similar)) in with("off").iter().zip(with("similar")).enumerate() {
        let worst = whole.iter().zip(&similar).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 8, "frame {n}: {worst}");
    }
}

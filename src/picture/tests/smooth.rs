//! Parts of frames that are resized instead of upscaled.

use proptest::prelude::*;

use super::lanczos::error_of;
use super::*;
use crate::picture::smooth::Snapshot;
use crate::types::Rect;

fn resized(src: &Owned, channels: Channels, scale: u32, site: ChromaSite, rects: &[Rect]) -> Owned {
    let converter = Converter::new(src.format, colour(Matrix::BT709, Range::Limited, site), src.size, channels, scale);
    let mut dst = Owned::with_gaps(src.format, converter.output_size(), 3, 5);
    converter.resize_smooth(&src.view(), rects, &mut Scratch::default(), &mut dst.view_mut());
    assert!(dst.is_guarded());
    dst
}

fn whole_rect(size: Size) -> Rect {
    Rect { x: 0, y: 0, width: size.width, height: size.height }
}

#[test]
fn what_the_network_would_process_is_resized_to_the_nearest_sample_value() {
    for (number, &format) in PixelFormat::ALL.iter().enumerate() {
        let layout = format.layout();
        for (scale, (width, height)) in (2..).zip([(19, 13), (14, 16), (1, 3)]) {
            let src = Owned::random(format, size(width, height), number as u64);
            let site = SITES[(number + scale as usize) % SITES.len()];
            for channels in CHANNELS {
                let dst = resized(&src, channels, scale, site, &[whole_rect(src.size)]);
                let chroma_is_apart = channels == Channels::Luma && layout.kind == Kind::Yuv;
                let colours = src.components().len() - usize::from(layout.alpha.is_some());
                let off = error_of(&src, &dst, 0..if chroma_is_apart { 1 } else { colours }, site);
                // Half a step from rounding, and more from single precision, which is normalised here.
                let limit = if layout.depth == 16 { 0.6 } else { 0.51 };
                assert!(off < limit, "{} {width}x{height} x{scale} {channels:?}: {off:.3} steps off", format.name());
            }
        }
    }
}

#[test]
fn a_snapshot_tells_how_far_a_picture_has_changed_since() {
    for (format, unit) in [(PixelFormat::I420, 1), (PixelFormat::P01010Le, 4), (PixelFormat::Gray16Le, 256)] {
        let mut picture = Owned::new(format, size(16, 16));
        picture.fill(|_, _, _| 10 * unit);
        let snapshot = Snapshot::new(&mut picture.view_mut(), Rect { x: 4, y: 2, width: 5, height: 2 });
        picture.set_code(0, 6, 3, 13 * unit);
        picture.set_code(0, 6, 4, 99 * unit);
        let found = snapshot.compare(&mut picture.view_mut());
        assert_eq!((found.samples, found.mean(), found.largest), (10, 0.3, 3.0), "{}", format.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn parts_are_the_same_bytes_as_in_the_whole_and_nothing_else_is_written(
        format in prop::sample::select(PixelFormat::ALL),
        (width, height) in (2u32..60, 2u32..40),
        scale in 1u32..5,
        site in prop::sample::select(&SITES[..]),
        channels in prop::sample::select(&CHANNELS[..]),
        parts in prop::collection::vec((0u32..30, 0u32..20, 1u32..30, 1u32..20), 1..4),
    ) {
        let src = Owned::random(format, size(width, height), 5);
        let rects: Vec<Rect> = parts.into_iter().map(|(x, y, columns, rows)| {
            let span = |begin: u32, length: u32, whole: u32| {
                let begin = (2 * begin) % whole / 2 * 2;
                (begin, (2 * length).min(whole - begin))
            };
            let ((x, width), (y, height)) = (span(x, columns, width), span(y, rows, height));
            Rect { x, y, width, height }
        }).collect();
        let whole = resized(&src, channels, scale, site, &[whole_rect(src.size)]);
        let parts = resized(&src, channels, scale, site, &rects);
        let untouched = resized(&src, channels, scale, site, &[]);
        let layout = format.layout();
        for index in 0..parts.components().len() {
            let (columns, rows) = parts.extent(index);
            let halved = |sub: bool| 1 + usize::from(sub && layout.kind == Kind::Yuv && index > 0);
            let sub = (halved(layout.h_sub), halved(layout.v_sub));
            let within = |at: usize, begin: u32, length: u32, sub: usize| {
                // A sample goes with its first pixel, in the output as in the input.
                let (begin, end) = ((begin as usize).div_ceil(sub), ((begin + length) as usize).div_ceil(sub));
                (begin * scale as usize..end * scale as usize).contains(&at)
            };
            for (x, y) in (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))) {
                let inside = rects.iter().any(|rect| {
                    within(x, rect.x, rect.width, sub.0) && within(y, rect.y, rect.height, sub.1)
                });
                let expected = if inside { &whole } else { &untouched };
                let (step, plane) = (parts.components()[index].step, parts.components()[index].plane);
                let bytes = |picture: &Owned| picture.view().row(plane, y)[x * step..][..step].to_vec();
                prop_assert_eq!(bytes(&parts), bytes(expected), "{} component {} at {},{}", format.name(), index, x, y);
            }
        }
    }
}

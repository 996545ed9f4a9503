//! Arbitrary parts of frames.

use proptest::prelude::*;

use super::*;
use crate::picture::format::{Matrix, Range};
use crate::picture::region::cover;
use crate::picture::tests::{SITES, colour};

const FORMATS: [PixelFormat; 6] = [
    PixelFormat::I420,
    PixelFormat::P01010Le,
    PixelFormat::I42210Le,
    PixelFormat::Nv21,
    PixelFormat::Bgrx,
    PixelFormat::Gbr10Le,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Regions need not begin or end on even pixels.
    #[test]
    fn any_part_equals_that_of_the_whole(
        (channels, scale, unit) in prop::sample::select(&[
            (Channels::Luma, 1, 1), (Channels::Rgb, 1, 1), (Channels::Rgb, 2, 1), (Channels::Rgb, 3, 1),
            (Channels::Rgb, 2, 2),
        ][..]),
        format in prop::sample::select(&FORMATS[..]),
        site in prop::sample::select(&SITES[..]),
        (width, height) in (1u32..40, 1u32..30),
        corners in (0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64),
    ) {
        let frame = size(width, height);
        let model = load(if unit == 1 { plain(channels, scale) } else { networks::unshuffling(scale) });
        let colour = colour(Matrix::BT709, Range::Limited, site);
        let mut pair = Pair::new(&model, format, colour, frame);
        let src = Owned::random(format, frame, 5);
        let side = |length: u32, begin: f64, end: f64| {
            let begin = (begin * f64::from(length)) as u32;
            (begin, 1 + (end * f64::from(length - begin)) as u32 % (length - begin))
        };
        let (x, width) = side(frame.width, corners.0, corners.1);
        let (y, height) = side(frame.height, corners.2, corners.3);
        let keep = Rect { x, y, width, height };
        let region = [Region::around(keep, frame, pair.limits)];
        pair.compare(&src, &region, &format!("{} {keep:?} of {frame:?}", format.name()));
        let whole = pair.on_device(&src, &cover(frame, pair.limits));
        let part = pair.on_device(&src, &region);
        let mut completed = whole.clone();
        // The part, completed with the rest of the whole, equals the whole.
        pair.converter.copy_unchanged(&part.view(), &[], &mut completed.view_mut());
        pair.converter.copy_unchanged(&whole.view(), &[keep], &mut completed.view_mut());
        prop_assert!(completed.visible() == whole.visible(), "{} {region:?} of {frame:?}", format.name());
    }
}

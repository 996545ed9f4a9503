//! All formats, with all colour ranges, matrices and chroma sites that affect them.

use super::*;
use crate::picture::format::Kind;
use crate::picture::region::cover;
use crate::picture::tests::{CHANNELS, MATRICES, RANGES, SITES, colour};

/// Odd, so that the last subsampled chroma sample covers one pixel.
const FRAME: (u32, u32) = (23, 17);

/// The colour descriptions that affect a format's samples.
fn colours(format: PixelFormat) -> Vec<Colour> {
    let layout = format.layout();
    let sites = if layout.h_sub || layout.v_sub { &SITES[..] } else { &SITES[..1] };
    let colours = sites.iter().flat_map(|site| RANGES.map(|range| (range, *site)));
    colours.flat_map(|(range, site)| [MATRICES[0], MATRICES[1]].map(|matrix| colour(matrix, range, site))).collect()
}

#[test]
fn device_and_host_agree_within_one() {
    let frame = size(FRAME.0, FRAME.1);
    for channels in CHANNELS {
        let model = load(plain(channels, 2));
        for &format in PixelFormat::ALL {
            let mut counts = Counts::default();
            for colour in colours(format) {
                let mut pair = Pair::new(&model, format, colour, frame);
                let tile = Limits { tile: Some(size(14, 12)), ..pair.limits };
                let (whole, tiles) = (cover(frame, pair.limits), cover(frame, tile));
                assert!(whole.len() == 1 && tiles.len() > 3);
                for (which, src) in pictures(format, frame).iter().enumerate() {
                    let what = format!("{} {channels:?} {colour:?}, picture {which}", format.name());
                    counts += pair.compare(src, &whole, &what);
                    let parts = pair.on_device(src, &tiles);
                    assert!(
                        parts.visible() == pair.on_device(src, &whole).visible(),
                        "{what}: parts differ from the whole"
                    );
                }
            }
            let Counts { samples, differ } = counts;
            println!("{} {channels:?}: {differ} of {samples} samples differ by one", format.name());
        }
    }
}

/// Only the picture's samples, once each way, and index lists are transferred.
#[test]
fn only_integers_are_transferred() {
    let frame = size(64, 48);
    for channels in CHANNELS {
        for &format in PixelFormat::ALL {
            let converter = Converter::new(format, colours(format)[0], frame, channels, 2);
            let src = Owned::random(format, frame, 1);
            let mut tensors = DeviceTensors::default();
            converter.to_device_tensors(&src.view(), &cover(frame, Limits::default())[0], &mut tensors);
            let picture = |size: Size| {
                let planes = crate::picture::device_conversion::planes_seen(&format.layout(), channels);
                (0..planes).map(|plane| format.visible(plane, size)).map(|(row, rows)| row * rows).sum::<usize>()
            };
            let mut most = picture(frame) + picture(size(128, 96)) + 5 * 4 * (64 + 48);
            if channels == Channels::Luma && format.layout().kind == Kind::Rgb {
                // Only luma is returned.
                let bytes = if format.layout().depth <= 12 { 2 } else { 4 };
                most = picture(frame) + bytes * 128 * 96;
            }
            assert!(tensors.bytes() <= most, "{} {channels:?}: {} bytes", format.name(), tensors.bytes());
        }
    }
}

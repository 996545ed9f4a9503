//! A solid colour is unchanged.

use super::*;

/// Extreme and neutral sample values, and some outside the nominal range.
fn codes(format: PixelFormat, random: &mut Random) -> Vec<[u32; 4]> {
    let max = format.layout().max_code();
    let mut codes = vec![[0; 4], [max; 4], [max, 0, 0, max], [0, max, max, 0]];
    codes.extend((0..6).map(|_| [0; 4].map(|_| random.below(max + 1))));
    codes
}

fn assert_solid(format: PixelFormat, colour: Colour, channels: Channels, scale: u32, codes: [u32; 4]) {
    let mut src = Owned::new(format, size(13, 7));
    src.fill(|index, _, _| codes[index]);
    let dst = convert(&src, colour, channels, scale);
    let mut expected = Owned::new(format, dst.size);
    expected.fill(|index, _, _| codes[index]);
    assert!(
        dst.visible() == expected.visible(),
        "{} {channels:?} x{scale} {colour:?}: {codes:?} became {:?}",
        format.name(),
        (0..dst.components().len()).map(|index| dst.code(index, 5, 3)).collect::<Vec<_>>()
    );
}

#[test]
fn solid_colours_are_unchanged_for_every_format_scale_range_and_matrix() {
    let mut random = Random(1);
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            for scale in 1..=4 {
                for range in RANGES {
                    // Gray, and YUV with a luma model, do not use the matrix.
                    let luma_alone = channels == Channels::Luma && format.layout().kind != Kind::Rgb;
                    for &matrix in if luma_alone { &MATRICES[..1] } else { &MATRICES } {
                        for code in codes(format, &mut random) {
                            assert_solid(format, colour(matrix, range, ChromaSite::MPEG2), channels, scale, code);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn solid_colours_are_unchanged_for_every_siting() {
    let mut random = Random(2);
    for &format in PixelFormat::ALL.iter().filter(|format| format.layout().kind == Kind::Yuv) {
        for channels in CHANNELS {
            for scale in [1, 2, 3] {
                for site in SITES {
                    for code in codes(format, &mut random) {
                        assert_solid(format, colour(Matrix::BT709, Range::Limited, site), channels, scale, code);
                    }
                }
            }
        }
    }
}

#[test]
fn values_out_of_range_are_clamped_and_nan_is_zero() {
    for &format in PixelFormat::ALL {
        let max = format.layout().max_code();
        for (value, code) in [(9.0, max), (-9.0, 0), (f32::INFINITY, max), (f32::NEG_INFINITY, 0), (f32::NAN, 0)] {
            let src = Owned::random(format, size(9, 2), 3);
            let converter = Converter::new(format, hd(), src.size, Channels::Rgb, 1);
            let (mut dst, mut scratch) = (src.clone(), Scratch::default());
            converter.from_tensor(&[value; 54], &whole(src.size)[0], &mut scratch, &mut dst.view_mut());
            assert_eq!(dst.code(0, 8, 1), code, "{} {value}", format.name());
        }
    }
}

//! Strides and offsets do not affect the result.

use super::*;

#[test]
fn odd_strides_and_offsets_do_not_matter_and_padding_is_untouched() {
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            for scale in [1, 2] {
                let tight = Owned::random(format, size(21, 11), 4);
                let expected = convert(&tight, hd(), channels, scale);
                for (offset, gap) in [(1, 0), (0, 1), (3, 5), (2, 6), (0, 64)] {
                    let mut src = Owned::with_gaps(format, tight.size, offset, gap);
                    src.fill(|index, x, y| tight.code(index, x, y));
                    let converter = Converter::new(format, hd(), src.size, channels, scale);
                    let mut dst = Owned::with_gaps(format, expected.size, offset, gap);
                    convert_into(&converter, &src, &whole(src.size), channels, &mut dst);
                    let name = format.name();
                    assert!(dst.visible() == expected.visible(), "{name} {channels:?} x{scale} {offset} {gap}");
                    assert!(dst.is_guarded(), "{name} {channels:?} x{scale} {offset} {gap}: wrote into padding");
                }
            }
        }
    }
}

#[test]
fn one_scratch_serves_frames_of_any_format() {
    let mut scratch = Scratch::default();
    let mut tensor = Vec::new();
    for (seed, &format) in PixelFormat::ALL.iter().enumerate() {
        for (channels, edge) in CHANNELS.into_iter().zip([17, 9]) {
            let src = Owned::random(format, size(edge, edge + 4), seed as u64);
            let converter = Converter::new(format, hd(), src.size, channels, 2);
            let region = whole(src.size)[0];
            let mut dst = Owned::new(format, converter.output_size());
            converter.resize_passthrough_planes(&src.view(), &mut dst.view_mut(), &mut scratch);
            converter.to_tensor(&src.view(), &region, &mut scratch, &mut tensor);
            let result = nearest(&tensor, region.tensor, channels, 2);
            converter.from_tensor(&result, &region, &mut scratch, &mut dst.view_mut());
            assert!(dst.visible() == convert(&src, hd(), channels, 2).visible(), "{}", format.name());
        }
    }
}

#[test]
#[should_panic(expected = "not of the converter's kind")]
fn a_picture_of_another_format_is_refused() {
    let src = Owned::random(PixelFormat::Y444, size(4, 4), 0);
    let converter = Converter::new(PixelFormat::I420, hd(), size(4, 4), Channels::Luma, 2);
    converter.to_tensor(&src.view(), &whole(src.size)[0], &mut Scratch::default(), &mut Vec::new());
}

//! All sizes, starting at one pixel.

use proptest::prelude::*;

use super::*;

/// Checks that the nearest network left the picture unchanged, except where the result depends on a filter.
fn assert_enlarged(src: &Owned, channels: Channels, scale: u32) {
    let dst = convert(src, hd(), channels, scale);
    let layout = src.format.layout();
    // A luma model makes only luma, which is just part of RGB; subsampled chroma is filtered.
    let exact = match (channels, layout.kind) {
        (_, Kind::Gray) => 1,
        (Channels::Rgb, Kind::Rgb) => 3,
        (Channels::Rgb, Kind::Yuv) if !layout.h_sub => 3,
        (_, Kind::Yuv) => 1,
        (Channels::Luma, Kind::Rgb) => 0,
    };
    for index in 0..exact {
        let (columns, rows) = dst.extent(index);
        for y in 0..rows {
            for x in 0..columns {
                let expected = src.code(index, x / scale as usize, y / scale as usize);
                let name = src.format.name();
                assert_eq!(
                    dst.code(index, x, y),
                    expected,
                    "{name} {:?} {channels:?} x{scale}: {index} {x} {y}",
                    src.size
                );
            }
        }
    }
    if scale == 1 && (channels == Channels::Luma || !layout.h_sub) {
        assert!(dst.visible() == src.visible(), "{} {channels:?} x1", src.format.name());
    }
}

#[test]
fn odd_and_tiny_sizes_are_enlarged() {
    for &format in PixelFormat::ALL {
        for channels in CHANNELS {
            for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (31, 17)] {
                for scale in 1..=4 {
                    assert_enlarged(&Owned::random(format, size(width, height), 5), channels, scale);
                }
            }
            assert_enlarged(&Owned::random(format, size(161, 121), 6), channels, 2);
        }
    }
}

#[test]
fn a_larger_tensor_repeats_the_last_column_and_row() {
    let src = Owned::random(PixelFormat::Gray8, size(5, 3), 7);
    let converter = Converter::new(src.format, hd(), src.size, Channels::Rgb, 2);
    let limits = Limits { multiple: size(4, 4), ..Limits::default() };
    let region = cover(src.size, limits)[0];
    let mut tensor = vec![f32::NAN; 1000];
    converter.to_tensor(&src.view(), &region, &mut Scratch::default(), &mut tensor);
    assert_eq!(tensor.len(), 3 * 8 * 4);
    for plane in tensor.chunks_exact(32) {
        for (y, row) in plane.chunks_exact(8).enumerate() {
            for (x, value) in row.iter().enumerate() {
                let code = src.code(0, x.min(4), y.min(2)) as f32;
                assert!((value - (code - 16.0) / 219.0).abs() < 1e-6);
            }
        }
    }
    let expected = convert(&src, hd(), Channels::Rgb, 2);
    let mut dst = Owned::new(src.format, expected.size);
    convert_into(&converter, &src, &[region], Channels::Rgb, &mut dst);
    assert!(dst.visible() == expected.visible());
}

proptest! {
    #[test]
    fn any_size_and_format_is_enlarged(
        format in proptest::sample::select(PixelFormat::ALL),
        rgb in any::<bool>(),
        width in 1u32..40,
        height in 1u32..40,
        scale in 1u32..5,
        seed in any::<u64>(),
    ) {
        let channels = if rgb { Channels::Rgb } else { Channels::Luma };
        assert_enlarged(&Owned::random(format, size(width, height), seed), channels, scale);
    }
}

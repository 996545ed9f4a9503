//! Colours, compared with independent references.

use super::*;

/// Encodes an RGB network's solid output as Y'CbCr and returns one pixel's sample values.
fn encode(format: PixelFormat, colour: Colour, rgb: [f32; 3]) -> [u32; 3] {
    let frame = size(4, 4);
    let converter = Converter::new(format, colour, frame, Channels::Rgb, 1);
    let mut dst = Owned::new(format, frame);
    let tensor: Vec<f32> = rgb.iter().flat_map(|&value| [value; 16]).collect();
    converter.from_tensor(&tensor, &whole(frame)[0], &mut Scratch::default(), &mut dst.view_mut());
    [0, 1, 2].map(|index| dst.code(index, 1, 1))
}

const PRIMARIES: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// The sample values of 100 % primaries in the standards' digital form, as in test patterns and waveform monitors.
#[test]
fn primaries_have_their_standard_sample_values() {
    let limited = |matrix| colour(matrix, Range::Limited, ChromaSite::MPEG2);
    let check = |format, colour, expected: [[u32; 3]; 3]| {
        for (rgb, expected) in PRIMARIES.into_iter().zip(expected) {
            assert_eq!(encode(format, colour, rgb), expected, "{colour:?} {rgb:?}");
        }
        let layout = format.layout();
        let (white, neutral) = match colour.range {
            Range::Limited => (235 << (layout.depth - 8), 128 << (layout.depth - 8)),
            Range::Full => (layout.max_code(), 128 << (layout.depth - 8)),
        };
        assert_eq!(encode(format, colour, [1.0; 3]), [white, neutral, neutral]);
    };
    check(PixelFormat::I420, limited(Matrix::BT601), [[81, 90, 240], [145, 54, 34], [41, 240, 110]]);
    check(PixelFormat::Nv12, limited(Matrix::BT709), [[63, 102, 240], [173, 42, 26], [32, 240, 118]]);
    check(PixelFormat::P01010Le, limited(Matrix::BT709), [[250, 409, 960], [691, 167, 105], [127, 960, 471]]);
    check(PixelFormat::I42010Le, limited(Matrix::BT2020), [[294, 387, 960], [658, 189, 100], [116, 960, 476]]);
    let jpeg = colour(Matrix::BT601, Range::Full, ChromaSite::JPEG);
    check(PixelFormat::Y444, jpeg, [[76, 85, 255], [150, 44, 21], [29, 255, 107]]);
}

/// Y'CbCr to R'G'B', compared with GStreamer's converter over random pictures.
#[test]
fn rgb_matches_gstreamers_converter() {
    gst::init().unwrap();
    let matrices = [
        (Matrix::BT601, gst_video::VideoColorMatrix::Bt601),
        (Matrix::BT709, gst_video::VideoColorMatrix::Bt709),
        (Matrix::BT2020, gst_video::VideoColorMatrix::Bt2020),
        (Matrix::SMPTE240M, gst_video::VideoColorMatrix::Smpte240m),
        (Matrix::FCC, gst_video::VideoColorMatrix::Fcc),
    ];
    let ranges = [
        (Range::Limited, gst_video::VideoColorRange::Range16_235),
        (Range::Full, gst_video::VideoColorRange::Range0_255),
    ];
    let frame = size(64, 16);
    let src = Owned::random(PixelFormat::Y44410Le, frame, 9);
    for (matrix, their_matrix) in matrices {
        for (range, their_range) in ranges {
            let theirs = gstreamer_rgb(&src, their_matrix, their_range);
            let colour = colour(matrix, range, ChromaSite::JPEG);
            let converter = Converter::new(src.format, colour, frame, Channels::Rgb, 1);
            let mut tensor = Vec::new();
            converter.to_tensor(&src.view(), &whole(frame)[0], &mut Scratch::default(), &mut tensor);
            for (pixel, theirs) in theirs.chunks_exact(8).enumerate() {
                for channel in 0..3 {
                    let ours = (tensor[channel * 64 * 16 + pixel] * 255.0).clamp(0.0, 255.0);
                    let theirs = u16::from_le_bytes([theirs[2 * channel], theirs[2 * channel + 1]]);
                    let theirs = f32::from(theirs) / 257.0;
                    // GStreamer computes in integers.
                    assert!(
                        (ours - theirs).abs() <= 1.0,
                        "{colour:?} pixel {pixel} channel {channel}: {ours}, {theirs}"
                    );
                }
            }
        }
    }
}

/// Converts a Y444_10LE picture to RGBA64_LE with GStreamer, whose 8-bit to 8-bit conversion is off by up to three.
fn gstreamer_rgb(src: &Owned, matrix: gst_video::VideoColorMatrix, range: gst_video::VideoColorRange) -> Vec<u8> {
    use gst_video::{
        VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoFormat, VideoTransferFunction,
    };
    let Size { width, height } = src.size;
    let colorimetry =
        |range, matrix| VideoColorimetry::new(range, matrix, VideoTransferFunction::Bt709, VideoColorPrimaries::Bt709);
    let input = gst_video::VideoInfo::builder(VideoFormat::Y44410le, width, height)
        .colorimetry(&colorimetry(range, matrix))
        .build()
        .unwrap();
    let output = gst_video::VideoInfo::builder(VideoFormat::Rgba64Le, width, height)
        .colorimetry(&colorimetry(VideoColorRange::Range0_255, VideoColorMatrix::Rgb))
        .build()
        .unwrap();
    assert_eq!(input.size(), src.visible().len());
    let converter = gst_video::VideoConverter::new(&input, &output, None).unwrap();
    let buffer = gst::Buffer::from_slice(src.visible());
    let source = gst_video::VideoFrame::from_buffer_readable(buffer, &input).unwrap();
    let buffer = gst::Buffer::with_size(output.size()).unwrap();
    let mut result = gst_video::VideoFrame::from_buffer_writable(buffer, &output).unwrap();
    converter.frame(&source, &mut result);
    result.plane_data(0).unwrap().to_vec()
}

/// Chroma at each pixel, interpolated between the surrounding samples by an independent implementation.
fn chroma_at(src: &Owned, index: usize, x: usize, y: usize, site: ChromaSite) -> f64 {
    let layout = src.format.layout();
    let place = |pixel: usize, sub: bool, cosited: bool| match (sub, cosited) {
        (false, _) => pixel as f64,
        (true, true) => pixel as f64 / 2.0,
        (true, false) => (pixel as f64 + 0.5) / 2.0 - 0.5,
    };
    let (columns, rows) = src.extent(index);
    let (cx, cy) = (place(x, layout.h_sub, site.h_cosited), place(y, layout.v_sub, site.v_cosited));
    let at = |dx: f64, dy: f64| {
        let clamp = |place: f64, count: usize| place.clamp(0.0, count as f64 - 1.0) as usize;
        f64::from(src.code(index, clamp(cx.floor() + dx, columns), clamp(cy.floor() + dy, rows)))
    };
    let (fx, fy) = (cx - cx.floor(), cy - cy.floor());
    let top = at(0.0, 0.0) * (1.0 - fx) + at(1.0, 0.0) * fx;
    let bottom = at(0.0, 1.0) * (1.0 - fx) + at(1.0, 1.0) * fx;
    top * (1.0 - fy) + bottom * fy
}

#[test]
fn chroma_is_interpolated_at_its_site() {
    let formats =
        [PixelFormat::I420, PixelFormat::Nv21, PixelFormat::Y42b, PixelFormat::P01010Le, PixelFormat::I42012Le];
    for format in formats {
        for site in SITES {
            let src = Owned::random(format, size(15, 9), 10);
            let colour = colour(Matrix::BT709, Range::Limited, site);
            let converter = Converter::new(format, colour, src.size, Channels::Rgb, 1);
            let read = crate::types::Rect { x: 3, y: 1, width: 12, height: 7 };
            let region = Region { keep: read, read, tensor: size(12, 7), blend: Blend::default() };
            let mut tensor = Vec::new();
            converter.to_tensor(&src.view(), &region, &mut Scratch::default(), &mut tensor);
            let depth = f64::from(1 << (format.layout().depth - 8));
            for y in 0..7 {
                for x in 0..12 {
                    let luma = (f64::from(src.code(0, x + 3, y + 1)) / depth - 16.0) / 219.0;
                    let [cb, cr] = [1, 2].map(|i| (chroma_at(&src, i, x + 3, y + 1, site) / depth - 128.0) / 224.0);
                    let (r, b) = (luma + 1.5748 * cr, luma + 1.8556 * cb);
                    let g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152;
                    for (channel, expected) in [r, g, b].into_iter().enumerate() {
                        let got = f64::from(tensor[(channel * 7 + y) * 12 + x]);
                        assert!(
                            (got - expected).abs() < 1e-5,
                            "{} {site:?} {channel} {x} {y}: {got} {expected}",
                            format.name()
                        );
                    }
                }
            }
        }
    }
}

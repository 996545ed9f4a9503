//! Names, layouts and views.

use super::*;

#[test]
fn names_round_trip() {
    assert_eq!(PixelFormat::ALL.len(), 27);
    for &format in PixelFormat::ALL {
        assert_eq!(PixelFormat::from_name(format.name()), Some(format));
    }
    assert_eq!(PixelFormat::from_name("i420"), None);
    assert_eq!(PixelFormat::from_name("AYUV"), None);
}

/// GStreamer's own description is the reference.
#[test]
fn layouts_match_gstreamer() {
    gst::init().unwrap();
    for &format in PixelFormat::ALL {
        let name = format.name();
        let theirs = gst_video::VideoFormatInfo::from_format(gst_video::VideoFormat::from_string(name));
        let layout = format.layout();
        assert_eq!(theirs.name(), name);
        assert_eq!(theirs.n_planes() as usize, layout.planes, "{name}");
        assert_eq!(theirs.has_alpha(), layout.alpha.is_some(), "{name}");
        let kind = match layout.kind {
            Kind::Gray => theirs.is_gray(),
            Kind::Yuv => theirs.is_yuv(),
            Kind::Rgb => theirs.is_rgb(),
        };
        assert!(kind, "{name}");
        let components = Owned::new(format, size(2, 2)).components();
        for (index, component) in components.iter().enumerate() {
            assert_eq!(theirs.plane()[index] as usize, component.plane, "{name} {index}");
            // GStreamer 1.22 says 1 for P010's Cr, but its own code does not use that; see the next test.
            if format != PixelFormat::P01010Le {
                assert_eq!(theirs.poffset()[index] as usize, component.offset, "{name} {index}");
            }
            assert_eq!(theirs.pixel_stride()[index] as usize, component.step, "{name} {index}");
            assert_eq!(theirs.depth()[index], layout.depth, "{name} {index}");
            // RGBA64_LE is also described as whole little-endian samples.
            assert_eq!(theirs.shift()[index], layout.shift, "{name} {index}");
            let picture = size(161, 121);
            let (columns, rows) = layout.plane_size(component.plane, picture);
            assert_eq!(theirs.scale_width(index as u8, picture.width) as usize, columns, "{name} {index}");
            assert_eq!(theirs.scale_height(index as u8, picture.height) as usize, rows, "{name} {index}");
        }
    }
}

/// GStreamer reads the sample values that the layout describes.
#[test]
fn gstreamer_reads_the_same_samples() {
    gst::init().unwrap();
    for &format in PixelFormat::ALL {
        let (name, frame) = (format.name(), size(16, 2));
        let picture = Owned::random(format, frame, 11);
        let info = gst_video::VideoFormatInfo::from_format(gst_video::VideoFormat::from_string(name));
        let view = picture.view();
        let rows: Vec<Vec<u8>> = (0..format.planes())
            .map(|plane| (0..format.visible(plane, frame).1).flat_map(|y| view.row(plane, y).to_vec()).collect())
            .collect();
        let planes: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let strides: Vec<i32> = (0..format.planes()).map(|plane| format.visible(plane, frame).0 as i32).collect();
        let wide = format.layout().depth > 8;
        let mut unpacked = vec![0; if wide { 8 } else { 4 } * 16];
        info.unpack(gst_video::VideoPackFlags::TRUNCATE_RANGE, &mut unpacked, &planes, &strides, 0, 0, 16);
        for x in 0..16 {
            for index in 0..picture.components().len() {
                // In the unpacked format, alpha is first and chroma is repeated for each pixel.
                let place = if index == 3 { 0 } else { index + 1 } + 4 * x;
                let column = if picture.extent(index).0 == 8 { x / 2 } else { x };
                let ours = picture.code(index, column, 0);
                let theirs = if wide {
                    let code = u16::from_le_bytes([unpacked[2 * place], unpacked[2 * place + 1]]);
                    u32::from(code >> (16 - format.layout().depth))
                } else {
                    u32::from(unpacked[place])
                };
                assert_eq!(theirs, ours, "{name} {index} {x}");
            }
        }
    }
}

#[test]
fn visible_bytes_of_odd_sizes() {
    let odd = size(5, 3);
    assert_eq!(PixelFormat::I420.visible(0, odd), (5, 3));
    assert_eq!(PixelFormat::I420.visible(2, odd), (3, 2));
    assert_eq!(PixelFormat::I420.visible(3, odd), (0, 0));
    assert_eq!(PixelFormat::Nv12.visible(1, odd), (6, 2));
    assert_eq!(PixelFormat::P01010Le.visible(1, odd), (12, 2));
    assert_eq!(PixelFormat::Y42b.visible(1, odd), (3, 3));
    assert_eq!(PixelFormat::Rgb.visible(0, odd), (15, 3));
    assert_eq!(PixelFormat::Rgba64Le.visible(0, odd), (40, 3));
}

#[test]
fn errors_for_invalid_planes_name_the_plane() {
    let frame = size(4, 4);
    let bytes = [0u8; 64];
    let error = |planes: &[(&[u8], usize)]| PictureRef::new(PixelFormat::I420, frame, planes).unwrap_err().to_string();
    let (luma, chroma) = ((&bytes[..16], 4), (&bytes[..4], 2));
    assert!(PictureRef::new(PixelFormat::I420, frame, &[luma, chroma, chroma]).is_ok());
    assert_eq!(error(&[luma, chroma]), "I420 has 3 planes, not 2");
    assert_eq!(error(&[luma; 5]), "I420 has 3 planes, not 5");
    assert!(error(&[(&bytes, 3), chroma, chroma]).contains("plane 0 of I420: a stride of 3 bytes"));
    assert!(error(&[luma, (&bytes[..3], 2), chroma]).contains("plane 1 of I420 holds 3 bytes, but 4 are needed"));
    assert!(error(&[luma, chroma, (&bytes, usize::MAX)]).contains("plane 2"));
    assert!(PictureRef::new(PixelFormat::Gray8, size(0, 4), &[(&bytes, 4)]).is_err());
    // The last row may end with its last pixel; the stride of a single row does not matter.
    assert!(PictureRef::new(PixelFormat::Gray8, frame, &[(&bytes[..34], 10)]).is_ok());
    assert!(PictureRef::new(PixelFormat::Gray8, frame, &[(&bytes[..33], 10)]).is_err());
    assert!(PictureRef::new(PixelFormat::Gray8, size(4, 1), &[(&bytes[..4], 0)]).is_ok());
    let mut memory = [0u8; 15];
    assert!(PictureMut::new(PixelFormat::Gray8, frame, vec![(&mut memory[..], 4)]).is_err());
    assert!(PictureMut::new(PixelFormat::Gray8, frame, vec![]).is_err());
}

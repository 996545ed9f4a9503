//! Frames that describe their own rows, also wrongly: nothing is read beyond their memory.

mod common;

use common::*;
use glib::translate::IntoGlib;
use gst::prelude::*;
use gst_video::VideoFormat;

const NV12: &str = "video/x-raw,format=NV12,width=4,height=4,framerate=25/1";
const MARK: u8 = 40;

/// Memory in pieces of these sizes, and a description of its rows that the binding would not let pass.
fn frame(pieces: &[usize], format: VideoFormat, (width, height): (u32, u32), layout: [(usize, i32); 2]) -> gst::Buffer {
    init();
    let mut buffer = gst::Buffer::new();
    let frame = buffer.get_mut().unwrap();
    for piece in pieces {
        frame.append_memory(gst::Memory::from_mut_slice(vec![MARK; *piece]));
    }
    frame.set_pts(gst::ClockTime::from_mseconds(120));
    let offsets = [layout[0].0, layout[1].0, 0, 0];
    let strides = [layout[0].1, layout[1].1, 0, 0];
    // SAFETY: the buffer is writable, and the arrays are of the length that C asks for.
    unsafe {
        gst_video::ffi::gst_buffer_add_video_meta_full(
            frame.as_mut_ptr(),
            gst_video::ffi::GST_VIDEO_FRAME_FLAG_NONE,
            format.into_glib(),
            width,
            height,
            2,
            &raw const offsets,
            &raw const strides,
        );
    }
    buffer
}

/// What comes of a frame: the bytes of its output, or the text of the error.
fn outcome(buffer: gst::Buffer, duplicates: &str) -> Result<Vec<u8>, String> {
    let element = dummy_element(&model(), &[("workers", "1"), ("duplicates", duplicates)]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_src_caps_str(NV12);
    let taken = harness.push(buffer).is_ok();
    let result = if taken {
        Ok(harness.pull().unwrap().map_readable().unwrap().to_vec())
    } else {
        let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("the reason is told");
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        Err(error.error().to_string())
    };
    element.set_bus(None);
    result
}

#[test]
fn a_plane_across_pieces_of_memory_is_read_whole() {
    let same = frame(&[24], VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
    let expected = outcome(same, "off").unwrap();
    assert!(expected.iter().all(|byte| *byte == MARK), "{expected:?}");
    for pieces in [&[1, 23][..], &[10, 10, 4], &[17, 7], &[16, 8], &[2; 12]] {
        for duplicates in ["off", "exact", "similar"] {
            let in_pieces = frame(pieces, VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
            assert_eq!(outcome(in_pieces, duplicates).as_ref(), Ok(&expected), "{pieces:?}, {duplicates}");
        }
    }
    // The last row may end with its last pixel.
    let short = frame(&[7 * 3 + 4 + 7 + 4], VideoFormat::Nv12, (4, 4), [(0, 7), (25, 7)]);
    assert_eq!(outcome(short, "exact"), Ok(expected));
}

#[test]
fn rows_outside_of_the_memory_are_an_error_that_names_the_frame() {
    for (pieces, layout) in [
        (&[23][..], [(0, 4), (16, 4)]),
        (&[], [(0, 4), (16, 4)]),
        (&[24], [(0, 4), (1 << 40, 4)]),
        (&[24], [(usize::MAX - 3, 4), (16, 4)]),
        (&[24], [(0, i32::MAX), (16, 4)]),
        (&[24], [(12, -4), (16, 4)]),
        (&[24], [(0, 3), (16, 4)]),
    ] {
        for duplicates in ["off", "exact"] {
            let error = outcome(frame(pieces, VideoFormat::Nv12, (4, 4), layout), duplicates).unwrap_err();
            assert!(error.starts_with("Frame 0 (PTS 0:00:00.120000000): "), "{error}");
        }
    }
}

#[test]
fn a_description_of_other_frames_is_an_error() {
    for (format, size) in [(VideoFormat::Nv21, (4, 4)), (VideoFormat::Nv12, (3, 4)), (VideoFormat::Nv12, (4, 2))] {
        let error = outcome(frame(&[24], format, size, [(0, 4), (16, 4)]), "off").unwrap_err();
        assert!(error.contains("video meta"), "{error}");
    }
    // A decoder's may be larger: it tells of what is coded, the caps of what is seen.
    let coded = frame(&[64 + 32], VideoFormat::Nv12, (8, 8), [(0, 8), (64, 8)]);
    assert!(outcome(coded, "off").unwrap().iter().all(|byte| *byte == MARK));
}

#[test]
fn a_hardware_decoders_layout_is_read_as_it_is_told() {
    // 4x4 visible of 16x8 coded, rows 64 bytes apart, with a description of what is visible.
    let mut decoded = frame(&[64 * 12], VideoFormat::Nv12, (16, 8), [(0, 64), (64 * 8, 64)]);
    {
        let frame = decoded.get_mut().unwrap();
        let mut map = frame.map_writable().unwrap();
        map.fill(0xEE);
        for row in (0..4).map(|row| 64 * row).chain((0..2).map(|row| 64 * (8 + row))) {
            map[row..row + 4].fill(MARK);
        }
        drop(map);
        // SAFETY: the buffer is writable; the meta is filled in before anybody looks at it.
        unsafe {
            let meta = gst::ffi::gst_buffer_add_meta(
                frame.as_mut_ptr(),
                gst_video::ffi::gst_video_crop_meta_get_info(),
                std::ptr::null_mut(),
            );
            let crop = meta.cast::<gst_video::ffi::GstVideoCropMeta>();
            ((*crop).x, (*crop).y, (*crop).width, (*crop).height) = (0, 0, 4, 4);
        }
    }
    for duplicates in ["off", "exact"] {
        let out = outcome(decoded.clone(), duplicates).unwrap();
        assert!(out.iter().all(|byte| *byte == MARK), "{out:?}");
    }
}

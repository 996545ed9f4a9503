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

/// What comes of a frame: the bytes of its output, or the text of the warning with which it is left out.
fn outcome(buffer: gst::Buffer, duplicates: &str) -> Result<Vec<u8>, String> {
    let element = dummy_element(&model(), &[("workers", "1"), ("duplicates", duplicates)]);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = harness(&element);
    harness.set_src_caps_str(NV12);
    assert_eq!(harness.push(buffer), Ok(gst::FlowSuccess::Ok));
    let result = match bus.pop_filtered(&[gst::MessageType::Warning]) {
        None => Ok(harness.pull().unwrap().map_readable().unwrap().to_vec()),
        Some(message) => {
            let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
            assert!(warning.error().matches(gst::ResourceError::Read));
            goes_on_after_a_gap(&element, &mut harness);
            Err(warning.error().to_string())
        }
    };
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    element.set_bus(None);
    result
}

/// After one frame was left out.
fn goes_on_after_a_gap(element: &gst::Element, harness: &mut gst_check::Harness) {
    for n in 4..6 {
        let mut good = frame(&[24], VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
        good.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
        let out = harness.push_and_pull(good).unwrap();
        assert_eq!((pts_ms(&out), out.flags().contains(gst::BufferFlags::DISCONT)), (40 * n, n == 4));
    }
    element.set_state(gst::State::Null).unwrap();
    let stats = element.property::<gst::Structure>("stats");
    let figures = ["frames-in", "frames-out", "unreadable", "dropped"].map(|name| stats.get::<u64>(name).unwrap());
    assert_eq!(figures, [3, 2, 1, 0]);
}

/// Memory that cannot be mapped: it is locked by somebody who writes into it.
#[test]
fn a_frame_that_cannot_be_mapped_is_left_out() {
    init();
    for duplicates in ["off", "exact", "similar"] {
        let memory = gst::Memory::from_mut_slice(vec![MARK; 24]);
        let mut buffer = gst::Buffer::new();
        let memory = {
            let pointer = memory.as_mut_ptr();
            buffer.get_mut().unwrap().append_memory(memory);
            pointer
        };
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(120));
        let mut map = std::mem::MaybeUninit::uninit();
        // SAFETY: the buffer holds the memory for longer than it is mapped.
        let mapped = unsafe { gst::ffi::gst_memory_map(memory, map.as_mut_ptr(), gst::ffi::GST_MAP_WRITE) };
        assert_ne!(mapped, 0);
        let warning = outcome(buffer.clone(), duplicates).unwrap_err();
        assert!(warning.starts_with("Frame 0 (PTS 0:00:00.120000000): "), "{warning}");
        // SAFETY: as it was mapped.
        unsafe { gst::ffi::gst_memory_unmap(memory, map.as_mut_ptr()) };
        assert!(outcome(buffer, duplicates).is_ok());
    }
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
fn rows_outside_of_the_memory_are_a_warning_that_names_the_frame() {
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
            let warning = outcome(frame(pieces, VideoFormat::Nv12, (4, 4), layout), duplicates).unwrap_err();
            assert!(warning.starts_with("Frame 0 (PTS 0:00:00.120000000): "), "{warning}");
        }
    }
}

#[test]
fn frames_with_a_description_of_others_are_left_out() {
    for (format, size) in [(VideoFormat::Nv21, (4, 4)), (VideoFormat::Nv12, (3, 4)), (VideoFormat::Nv12, (4, 2))] {
        let warning = outcome(frame(&[24], format, size, [(0, 4), (16, 4)]), "off").unwrap_err();
        assert!(warning.contains("video meta"), "{warning}");
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

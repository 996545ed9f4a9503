//! Frames with a video meta, right or wrong: nothing is read outside their memory.

mod common;

use common::*;
use glib::translate::IntoGlib;
use gst::prelude::*;
use gst_video::VideoFormat;

const NV12: &str = "video/x-raw,format=NV12,width=4,height=4,framerate=25/1";
const MARK: u8 = 40;

/// A frame in memory blocks of these sizes, with a video meta that the binding would refuse.
fn frame(blocks: &[usize], format: VideoFormat, (width, height): (u32, u32), layout: [(usize, i32); 2]) -> gst::Buffer {
    init();
    let mut buffer = gst::Buffer::new();
    let frame = buffer.get_mut().unwrap();
    for size in blocks {
        frame.append_memory(gst::Memory::from_mut_slice(vec![MARK; *size]));
    }
    frame.set_pts(gst::ClockTime::from_mseconds(120));
    let offsets = [layout[0].0, layout[1].0, 0, 0];
    let strides = [layout[0].1, layout[1].1, 0, 0];
    // SAFETY: the buffer is writable, and the arrays have the length that C expects.
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

/// Pushes one frame; returns the bytes of its output, or the warning with which it is dropped.
fn outcome(buffer: gst::Buffer, duplicates: &str) -> Result<Vec<u8>, String> {
    let element = dummy_element(&model(), &[("workers", "1"), ("duplicates", duplicates)]);
    let bus = with_bus(&element);
    let mut harness = harness(&element);
    harness.set_src_caps_str(NV12);
    assert_eq!(harness.push(buffer), Ok(gst::FlowSuccess::Ok));
    let result = match bus.pop_filtered(&[gst::MessageType::Warning]) {
        None => Ok(harness.pull().unwrap().map_readable().unwrap().to_vec()),
        Some(message) => {
            let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
            assert!(warning.error().matches(gst::ResourceError::Read));
            check_gap(&element, &mut harness);
            Err(warning.error().to_string())
        }
    };
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    element.set_bus(None);
    result
}

/// After a dropped frame, the stream continues with a discontinuity.
fn check_gap(element: &gst::Element, harness: &mut gst_check::Harness) {
    for n in 4..6 {
        let mut good = frame(&[24], VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
        good.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
        let out = harness.push_and_pull(good).unwrap();
        assert_eq!(pts_ms(&out), 40 * n);
        assert_eq!(out.flags().contains(gst::BufferFlags::DISCONT), n == 4);
    }
    element.set_state(gst::State::Null).unwrap();
    assert_stats(element, &[("frames-in", 3), ("frames-out", 2), ("unreadable", 1), ("dropped", 0)]);
}

/// The memory is mapped for writing, so that the element cannot map it.
#[test]
fn a_frame_that_cannot_be_mapped_is_dropped() {
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
        // SAFETY: it is mapped with this map.
        unsafe { gst::ffi::gst_memory_unmap(memory, map.as_mut_ptr()) };
        assert!(outcome(buffer, duplicates).is_ok());
    }
}

#[test]
fn a_plane_may_span_memory_blocks() {
    let same = frame(&[24], VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
    let expected = outcome(same, "off").unwrap();
    assert!(expected.iter().all(|byte| *byte == MARK), "{expected:?}");
    for blocks in [&[1, 23][..], &[10, 10, 4], &[17, 7], &[16, 8], &[2; 12]] {
        for duplicates in ["off", "exact", "similar"] {
            let split = frame(blocks, VideoFormat::Nv12, (4, 4), [(0, 4), (16, 4)]);
            assert_eq!(outcome(split, duplicates).as_ref(), Ok(&expected), "{blocks:?}, {duplicates}");
        }
    }
    // The last row may end with its last pixel.
    let short = frame(&[7 * 3 + 4 + 7 + 4], VideoFormat::Nv12, (4, 4), [(0, 7), (25, 7)]);
    assert_eq!(outcome(short, "exact"), Ok(expected));
}

#[test]
fn rows_outside_the_memory_are_a_warning_that_names_the_frame() {
    for (blocks, layout) in [
        (&[23][..], [(0, 4), (16, 4)]),
        (&[], [(0, 4), (16, 4)]),
        (&[24], [(0, 4), (1 << 40, 4)]),
        (&[24], [(usize::MAX - 3, 4), (16, 4)]),
        (&[24], [(0, i32::MAX), (16, 4)]),
        (&[24], [(12, -4), (16, 4)]),
        (&[24], [(0, 3), (16, 4)]),
    ] {
        for duplicates in ["off", "exact"] {
            let warning = outcome(frame(blocks, VideoFormat::Nv12, (4, 4), layout), duplicates).unwrap_err();
            assert!(warning.starts_with("Frame 0 (PTS 0:00:00.120000000): "), "{warning}");
        }
    }
}

#[test]
fn frames_whose_video_meta_contradicts_the_caps_are_dropped() {
    for (format, size) in [(VideoFormat::Nv21, (4, 4)), (VideoFormat::Nv12, (3, 4)), (VideoFormat::Nv12, (4, 2))] {
        let warning = outcome(frame(&[24], format, size, [(0, 4), (16, 4)]), "off").unwrap_err();
        assert!(warning.contains("video meta"), "{warning}");
    }
    // A decoder's meta may be larger: it has the coded size, the caps have the visible size.
    let coded = frame(&[64 + 32], VideoFormat::Nv12, (8, 8), [(0, 8), (64, 8)]);
    assert!(outcome(coded, "off").unwrap().iter().all(|byte| *byte == MARK));
}

#[test]
fn a_hardware_decoders_layout_is_read_by_its_metas() {
    // 4x4 visible of 16x8 coded, rows 64 bytes apart, with a crop meta.
    let mut decoded = frame(&[64 * 12], VideoFormat::Nv12, (16, 8), [(0, 64), (64 * 8, 64)]);
    {
        let frame = decoded.get_mut().unwrap();
        let mut map = frame.map_writable().unwrap();
        map.fill(0xEE);
        for row in (0..4).map(|row| 64 * row).chain((0..2).map(|row| 64 * (8 + row))) {
            map[row..row + 4].fill(MARK);
        }
        drop(map);
        // SAFETY: the buffer is writable; the meta is filled in before anything reads it.
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

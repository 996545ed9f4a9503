//! Every pixel format, at odd sizes, through the whole element.

mod common;

use std::sync::Arc;

use common::*;
use gst_video::VideoFrameExt;
use gst_video::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::picture::format::PixelFormat;
use gstupscale::types::Channels;

/// The byte offset of a component's first sample in its plane. GStreamer 1.22 returns 1 for V of P010, whose samples have two bytes.
fn offset(info: &gst_video::VideoInfo, component: usize) -> usize {
    if info.format() == gst_video::VideoFormat::P01010le && component == 2 {
        2
    } else {
        info.comp_poffset(component as u8) as usize
    }
}

/// A frame of one colour that is inside the RGB gamut of any matrix and range.
fn solid(info: &gst_video::VideoInfo, format: PixelFormat) -> gst::Buffer {
    let mut frame =
        gst_video::VideoFrame::from_buffer_writable(gst::Buffer::with_size(info.size()).unwrap(), info).unwrap();
    let values: [u64; 4] = if info.is_rgb() { [60, 120, 200, 90] } else { [110, 100, 150, 90] };
    for (component, value) in values.into_iter().enumerate().take(info.n_components() as usize) {
        let depth = info.format_info().depth()[component];
        let shift = info.format_info().shift()[component];
        let (w, h) = (frame.comp_width(component as u32) as usize, frame.comp_height(component as u32) as usize);
        let (plane, offset) = (frame.comp_plane(component as u32), offset(info, component));
        let (step, stride) =
            (frame.comp_pstride(component as u32) as usize, frame.plane_stride()[plane as usize] as usize);
        let value = (value << (depth - 8)) << shift;
        let data = frame.plane_data_mut(plane).unwrap();
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let at = y * stride + x * step + offset;
            let bytes = if depth > 8 { 2 } else { 1 };
            data[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
    }
    assert_eq!(info.format().to_str(), format.name());
    frame.into_buffer()
}

/// All visible samples of a component.
fn samples(buffer: &gst::Buffer, info: &gst_video::VideoInfo, component: u32) -> Vec<u16> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let deep = info.format_info().depth()[component as usize] > 8;
    let plane = frame.comp_plane(component);
    let (step, stride) = (frame.comp_pstride(component) as usize, frame.plane_stride()[plane as usize] as usize);
    let data = frame.plane_data(plane).unwrap();
    let at = |x, y| y * stride + x * step + offset(info, component as usize);
    let sample = |at: usize| if deep { u16::from_le_bytes([data[at], data[at + 1]]) } else { u16::from(data[at]) };
    let (w, h) = (frame.comp_width(component) as usize, frame.comp_height(component) as usize);
    (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| sample(at(x, y))).collect()
}

fn check(element: &gst::Element, format: PixelFormat, (width, height): (u32, u32), extra: &str, scale: u32) {
    let mut harness = harness(element);
    let caps = format!("video/x-raw,format={},width={width},height={height},framerate=25/1{extra}", format.name());
    let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
    harness.set_src_caps_str(&caps);
    let input = solid(&info, format);
    let expected: Vec<u16> = (0..info.n_components()).map(|component| samples(&input, &info, component)[0]).collect();
    let output = harness.push_and_pull(input).unwrap();
    let out_caps = harness.sinkpad().unwrap().current_caps().unwrap();
    let out_info = gst_video::VideoInfo::from_caps(&out_caps).unwrap();
    assert_eq!(out_info.width(), width * scale, "{caps}");
    assert_eq!(out_info.height(), height * scale, "{caps}");
    for component in 0..out_info.n_components() {
        let values = samples(&output, &out_info, component);
        let other = values.iter().find(|value| **value != expected[component as usize]);
        assert_eq!(other, None, "{caps}, component {component}: expected {}", expected[component as usize]);
    }
}

const SIZES: [(u32, u32); 4] = [(1, 1), (7, 1), (5, 3), (34, 18)];
const COLOURS: [&str; 4] =
    ["", ",colorimetry=bt709", ",colorimetry=bt2020,chroma-site=v-cosited+h-cosited", ",colorimetry=1:3:5:1"];

#[test]
fn a_solid_colour_does_not_change() {
    for channels in [Channels::Luma, Channels::Rgb] {
        for scale in [1, 2, 3] {
            let element = dummy_element(&Arc::new(DummyModel::new(channels, scale)), &[("workers", "1")]);
            for format in PixelFormat::ALL {
                let colours = if format.name().contains("420") || format.name().starts_with('N') {
                    &COLOURS[..]
                } else {
                    &COLOURS[..1]
                };
                for extra in colours {
                    SIZES.iter().for_each(|size| check(&element, *format, *size, extra, scale));
                }
            }
        }
    }
}

#[test]
fn a_solid_colour_does_not_change_with_a_real_network() {
    if !have_runtime() {
        return;
    }
    let element = element(&[("model", "lanczos2x"), ("workers", "1")]);
    for format in PixelFormat::ALL {
        SIZES.iter().for_each(|size| check(&element, *format, *size, "", 2));
    }
}

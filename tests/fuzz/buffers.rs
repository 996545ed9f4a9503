//! Frames with any memory layout: the output is that of the same rows packed, or the frame is dropped with a warning that names it.

use glib::translate::IntoGlib;
use gst_video::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

use crate::Target;
use crate::common::clip::visible;
use crate::random::Random;
use crate::stage::{Out, Stage, glib_warnings, listen};

/// Decisions, each from a byte of the input; zero after its end.
struct Decisions<'a>(&'a [u8]);

impl Decisions<'_> {
    fn byte(&mut self) -> usize {
        self.0.split_off_first().copied().unwrap_or(0).into()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.byte() % limit
    }
}

const FORMATS: [&str; 12] =
    ["GRAY8", "I420", "NV12", "YV12", "RGB", "BGRA", "Y42B", "Y444", "GRAY16_LE", "I420_10LE", "P010_10LE", "GBR"];

/// The layout of a frame in memory.
struct Layout {
    offsets: [usize; 4],
    strides: [i32; 4],
    bytes: usize,
    blocks: Vec<usize>,
    /// The other fields of the video meta. Without one, the caps define the layout.
    meta: Option<MetaFields>,
}

/// Fields of a video meta, except offsets and strides.
struct MetaFields {
    format: gst_video::VideoFormat,
    width: u32,
    height: u32,
    planes: u32,
}

pub struct Buffers;

impl Target for Buffers {
    const NAME: &str = "buffers";

    fn attempt(&mut self, input: &[u8]) -> String {
        listen();
        let mut decisions = Decisions(input);
        let format = FORMATS[decisions.below(FORMATS.len())];
        let (width, height) = (1 + decisions.below(24), 1 + decisions.below(24));
        let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=25/1");
        let caps: gst::Caps = caps.parse().unwrap();
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let layout = layout(&mut decisions, &info);
        let duplicates = ["exact", "off", "similar"][decisions.below(3)];
        let memory: Vec<u8> = (0..layout.bytes).map(|n| (n * 37 + n / 61 + decisions.byte()) as u8).collect();
        let frame = frame(&layout, &memory);
        let packed = packed(&layout, &info, &memory);
        let valid = is_valid(&layout, &info, packed.is_some());

        let make = || {
            let properties = [("workers", "1"), ("duplicates", duplicates)];
            Stage::new(DummyModel::new(Channels::Luma, 2), &properties, &caps)
        };
        glib_warnings();
        let first = make();
        let flow = first.sink.chain(frame.clone());
        let out = first.next();
        let what = format!("{caps}, {:?} {:?} of {} bytes", layout.offsets, layout.strides, layout.bytes);
        let outcome = match (&out, packed) {
            (Out::Error(error), _) => panic!("{what} stops the stream: {error}"),
            (Out::Warning(warning), packed) => {
                assert!(warning.contains("PTS 0:00:01.000000000") && flow.is_ok(), "{what}: {warning}, {flow:?}");
                assert!(!valid, "{what} is valid, in {:?}: {warning}", layout.blocks);
                format!("dropped {}", packed.is_some())
            }
            (Out::Buffer(_), None) => panic!("{what} has rows outside its memory and was accepted"),
            (Out::Buffer(out), Some(packed)) => {
                let second = make();
                second.sink.chain(packed).unwrap();
                let Out::Buffer(expected) = second.next() else { panic!("{what}: the packed frame fails") };
                let info = gst_video::VideoInfo::from_caps(&first.src.current_caps().unwrap()).unwrap();
                assert!(visible(out, &info) == visible(&expected, &info), "{what} changes the output");
                format!("accepted {format} {} {valid}", layout.meta.is_some())
            }
        };
        drop(first);
        let glib_warnings = glib_warnings();
        // GStreamer itself warns when it maps a frame that does not fit; see `is_valid`.
        assert!(!valid || glib_warnings.is_empty(), "{what}: {glib_warnings:?}");
        outcome
    }

    fn mutate(random: &mut Random, from: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = random.pick(from).clone();
        if random.once_in(3) {
            bytes = (0..4 + random.below(28)).map(|_| random.next() as u8).collect();
        }
        random.mutate(&mut bytes);
        bytes.truncate(48);
        bytes
    }
}

fn layout(decisions: &mut Decisions, info: &gst_video::VideoInfo) -> Layout {
    let planes = info.n_planes() as usize;
    let (mut offsets, mut strides) = ([0; 4], [0; 4]);
    offsets[..planes].copy_from_slice(info.offset());
    strides[..planes].copy_from_slice(info.stride());
    let mut bytes = info.size();
    let mut meta = None;
    if decisions.below(4) > 0 {
        let mut end = decisions.below(9);
        for plane in 0..planes {
            let (row, rows) = plane_size(info, plane);
            strides[plane] = match decisions.below(16) {
                0 => row as i32 - 1,
                1 => -(row as i32),
                2 => i32::MAX,
                3 => 0,
                _ => row as i32 + decisions.below(20) as i32,
            };
            offsets[plane] = match decisions.below(16) {
                0 => usize::MAX - decisions.below(64),
                1 => decisions.byte(),
                _ => end,
            };
            end += rows * strides[plane].clamp(0, 64 << 10) as usize + decisions.below(7);
        }
        bytes = end.min(1 << 16);
        let odd = decisions.below(32);
        meta = Some(MetaFields {
            format: if odd == 1 { gst_video::VideoFormat::Rgbx } else { info.format() },
            width: info.width() + u32::from(odd == 2),
            height: info.height().saturating_sub(u32::from(odd == 3)),
            planes: if odd == 4 { 1 } else { planes as u32 },
        });
    }
    match decisions.below(12) {
        0 => bytes = bytes.saturating_sub(1 + decisions.byte()),
        1 => bytes = 0,
        2 => bytes += decisions.byte(),
        _ => {}
    }
    let blocks = (0..decisions.below(20)).map(|_| 1 + decisions.byte()).collect();
    Layout { offsets, strides, bytes, blocks, meta }
}

/// Bytes per row, and number of rows.
fn plane_size(info: &gst_video::VideoInfo, plane: usize) -> (usize, usize) {
    let component = (0..info.n_components()).find(|c| info.comp_plane(*c as u8) as usize == plane).unwrap() as u8;
    (info.comp_width(component) as usize * info.comp_pstride(component) as usize, info.comp_height(component) as usize)
}

/// The frame as upstream would send it.
fn frame(layout: &Layout, memory: &[u8]) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    let frame = buffer.get_mut().unwrap();
    let mut rest = memory;
    for size in &layout.blocks {
        if let Some(block) = rest.split_off(..(*size).min(rest.len()))
            && !block.is_empty()
        {
            frame.append_memory(gst::Memory::from_slice(block.to_vec()));
        }
    }
    if !rest.is_empty() {
        frame.append_memory(gst::Memory::from_slice(rest.to_vec()));
    }
    frame.set_pts(gst::ClockTime::SECOND);
    if let Some(meta) = &layout.meta {
        // SAFETY: the buffer is writable, and the arrays have the length that C expects. The binding would refuse most of these.
        unsafe {
            gst_video::ffi::gst_buffer_add_video_meta_full(
                frame.as_mut_ptr(),
                gst_video::ffi::GST_VIDEO_FRAME_FLAG_NONE,
                meta.format.into_glib(),
                meta.width,
                meta.height,
                meta.planes,
                &raw const layout.offsets,
                &raw const layout.strides,
            );
        }
    }
    buffer
}

/// The same rows in the default layout of the caps, if all of them are inside the memory.
fn packed(layout: &Layout, info: &gst_video::VideoInfo, memory: &[u8]) -> Option<gst::Buffer> {
    let mut bytes = vec![0; info.size()];
    for plane in 0..info.n_planes() as usize {
        let (length, rows) = plane_size(info, plane);
        for row in 0..rows {
            let place = layout.offsets[plane] as i128 + row as i128 * i128::from(layout.strides[plane]);
            let from = usize::try_from(place).ok().filter(|from| *from <= memory.len())?;
            let to = info.offset()[plane] + row * info.stride()[plane] as usize;
            bytes[to..to + length].copy_from_slice(memory[from..].get(..length)?);
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::SECOND);
    Some(buffer)
}

/// Whether the element must accept the frame. It may also accept rows that overlap, run backwards, or end with the memory.
fn is_valid(layout: &Layout, info: &gst_video::VideoInfo, complete: bool) -> bool {
    let rows_apart = (0..info.n_planes() as usize).all(|plane| {
        let (row, rows) = plane_size(info, plane);
        let whole = layout.offsets[plane].saturating_add(rows.saturating_mul(layout.strides[plane].max(0) as usize));
        layout.strides[plane] >= row as i32 && whole <= layout.bytes
    });
    let meta_matches = layout.meta.as_ref().is_none_or(|meta| {
        meta.format == info.format()
            && (meta.width, meta.height) == (info.width(), info.height())
            && meta.planes == info.n_planes()
    });
    // Without a video meta, a frame needs the size that the caps define.
    complete && rows_apart && meta_matches && (layout.meta.is_some() || layout.bytes >= info.size())
}

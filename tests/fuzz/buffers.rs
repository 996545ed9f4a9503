//! Frames whose rows lie anywhere: what comes out is what the same rows give when they are packed, or an error that names the frame.

use glib::translate::IntoGlib;
use gst_video::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;

use crate::Target;
use crate::common::clip::visible;
use crate::random::Random;
use crate::stage::{Out, Stage, complaints, listen};

/// Decisions, each a byte of the input; all nought when that has ended.
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

/// How the rows of a frame lie in its memory, and in how many pieces that is.
struct Layout {
    offsets: [usize; 4],
    strides: [i32; 4],
    bytes: usize,
    pieces: Vec<usize>,
    /// Whether the frame says so itself; else it has to be as the caps say.
    meta: Option<Told>,
}

/// What the frame's own description says beside that.
struct Told {
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
        let sound = is_sound(&layout, &info, packed.is_some());

        let make = || {
            let properties = [("workers", "1"), ("duplicates", duplicates)];
            Stage::new(DummyModel::new(Channels::Luma, 2), &properties, &caps)
        };
        complaints();
        let first = make();
        let flow = first.sink.chain(frame.clone());
        let out = first.next();
        let what = format!("{caps}, {:?} {:?} of {} bytes", layout.offsets, layout.strides, layout.bytes);
        let outcome = match (&out, packed) {
            (Out::Error(error), _) => panic!("{what} ends the stream: {error}"),
            (Out::Warning(warning), packed) => {
                assert!(warning.contains("PTS 0:00:01.000000000") && flow.is_ok(), "{what}: {warning}, {flow:?}");
                assert!(!sound, "{what} is sound, in {:?}: {warning}", layout.pieces);
                format!("left out {}", packed.is_some())
            }
            (Out::Buffer(_), None) => panic!("{what} has rows outside of the memory, and was taken"),
            (Out::Buffer(out), Some(packed)) => {
                let second = make();
                second.sink.chain(packed).unwrap();
                let Out::Buffer(expected) = second.next() else { panic!("{what}: packed it fails") };
                let info = gst_video::VideoInfo::from_caps(&first.src.current_caps().unwrap()).unwrap();
                assert!(visible(out, &info) == visible(&expected, &info), "{what} gives another picture");
                format!("taken {format} {} {sound}", layout.meta.is_some())
            }
        };
        drop(first);
        let complaints = complaints();
        // GStreamer's own, where it maps what does not fit; see `is_sound`.
        assert!(!sound || complaints.is_empty(), "{what}: {complaints:?}");
        outcome
    }

    fn bend(random: &mut Random, from: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = random.pick(from).clone();
        if random.once_in(3) {
            bytes = (0..4 + random.below(28)).map(|_| random.next() as u8).collect();
        }
        random.bend(&mut bytes);
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
        meta = Some(Told {
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
    let pieces = (0..decisions.below(20)).map(|_| 1 + decisions.byte()).collect();
    Layout { offsets, strides, bytes, pieces, meta }
}

/// Bytes of a row, and rows.
fn plane_size(info: &gst_video::VideoInfo, plane: usize) -> (usize, usize) {
    let component = (0..info.n_components()).find(|c| info.comp_plane(*c as u8) as usize == plane).unwrap() as u8;
    (info.comp_width(component) as usize * info.comp_pstride(component) as usize, info.comp_height(component) as usize)
}

/// The frame as upstream would send it.
fn frame(layout: &Layout, memory: &[u8]) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    let frame = buffer.get_mut().unwrap();
    let mut rest = memory;
    for piece in &layout.pieces {
        if let Some(part) = rest.split_off(..(*piece).min(rest.len()))
            && !part.is_empty()
        {
            frame.append_memory(gst::Memory::from_slice(part.to_vec()));
        }
    }
    if !rest.is_empty() {
        frame.append_memory(gst::Memory::from_slice(rest.to_vec()));
    }
    frame.set_pts(gst::ClockTime::SECOND);
    if let Some(told) = &layout.meta {
        // SAFETY: the buffer is writable, and the arrays are of the length that C asks for. The binding would refuse most of these.
        unsafe {
            gst_video::ffi::gst_buffer_add_video_meta_full(
                frame.as_mut_ptr(),
                gst_video::ffi::GST_VIDEO_FRAME_FLAG_NONE,
                told.format.into_glib(),
                told.width,
                told.height,
                told.planes,
                &raw const layout.offsets,
                &raw const layout.strides,
            );
        }
    }
    buffer
}

/// The same rows as the caps alone say, if all of them are there.
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

/// Whether it has to be taken. One whose rows overlap, run backwards, or of which the last row ends with the memory may be.
fn is_sound(layout: &Layout, info: &gst_video::VideoInfo, complete: bool) -> bool {
    let rows_apart = (0..info.n_planes() as usize).all(|plane| {
        let (row, rows) = plane_size(info, plane);
        let whole = layout.offsets[plane].saturating_add(rows.saturating_mul(layout.strides[plane].max(0) as usize));
        layout.strides[plane] >= row as i32 && whole <= layout.bytes
    });
    let told_right = layout.meta.as_ref().is_none_or(|told| {
        told.format == info.format()
            && (told.width, told.height) == (info.width(), info.height())
            && told.planes == info.n_planes()
    });
    // Without a description of its own a frame has to have the caps' size.
    complete && rows_apart && told_right && (layout.meta.is_some() || layout.bytes >= info.size())
}

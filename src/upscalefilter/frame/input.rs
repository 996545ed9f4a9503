//! Frames from upstream, mapped for reading after validation.
//!
//! Mapping trusts the frame's `GstVideoMeta`: it takes each plane from the single memory block in which the plane
//! starts, without checking that the block contains all rows. So this module checks before it maps.

use std::ops::Range;

use gst_video::prelude::*;

use crate::types::Size;

use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::config::{StreamConfig, picture};

/// A frame that stays readable as long as it lives.
pub(in crate::upscalefilter) type MappedFrame = gst_video::VideoFrame<gst_video::video_frame::Readable>;

/// Maps a frame, which must be progressive.
pub(in crate::upscalefilter) fn map(buffer: gst::Buffer, config: &StreamConfig) -> Result<MappedFrame, FrameError> {
    // In mixed video, each frame is flagged.
    let mixed = config.in_info.interlace_mode() == gst_video::VideoInterlaceMode::Mixed;
    if mixed && buffer.video_flags().contains(gst_video::VideoBufferFlags::INTERLACED) {
        return Err(FrameError::Interlaced);
    }
    let unmappable = |_| FrameError::Input("it cannot be mapped".into());
    let frame = MappedFrame::from_buffer_readable(mappable(buffer, config)?, &config.in_info).map_err(unmappable)?;
    picture(config.format, &frame.as_video_frame_ref()).map_err(|error| FrameError::Input(error.to_string()))?;
    Ok(frame)
}

/// Where the rows of a plane are, in bytes of the buffer.
struct Rows {
    offset: usize,
    stride: usize,
    /// Visible bytes per row, and the number of rows.
    length: usize,
    count: usize,
}

impl Rows {
    /// From the first visible byte to the last; `None` if that overflows.
    fn visible(&self) -> Option<Range<usize>> {
        let last = self.stride.checked_mul(self.count.checked_sub(1)?)?;
        Some(self.offset..self.offset.checked_add(last)?.checked_add(self.length)?)
    }

    /// Whether all rows, including the padding of the last one, are in a single memory block.
    fn are_in_one_block(&self, buffer: &gst::BufferRef) -> bool {
        let first = self.offset..self.offset.saturating_add(1);
        let Some((blocks, skipped)) = buffer.find_memory(first) else { return false };
        let rest = buffer.peek_memory(blocks.start).size() - skipped;
        self.stride.checked_mul(self.count).is_some_and(|whole| whole <= rest)
    }
}

/// Returns the frame in a form that can be mapped: unchanged, or a copy with packed rows if the rows span memory
/// blocks, end at the end of one without padding, or are part of a larger picture.
fn mappable(buffer: gst::Buffer, config: &StreamConfig) -> Result<gst::Buffer, FrameError> {
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else {
        // The layout follows the caps; mapping checks the size.
        return Ok(buffer);
    };
    let planes = described(&meta, config)?;
    for (plane, rows) in planes.iter().enumerate() {
        if rows.visible().is_none_or(|visible| visible.end > buffer.size()) {
            let text = format!("the rows of plane {plane} do not lie within its {} bytes", buffer.size());
            return Err(FrameError::Input(text));
        }
    }
    // Mapping a frame uses the size in its meta.
    let same_size = (meta.width(), meta.height()) == (config.in_info.width(), config.in_info.height());
    if same_size && planes.iter().all(|rows| rows.are_in_one_block(&buffer)) {
        Ok(buffer)
    } else {
        packed(&buffer, &planes, config)
    }
}

/// The rows of each plane, if the meta matches the caps.
fn described(meta: &gst_video::VideoMeta, config: &StreamConfig) -> Result<Vec<Rows>, FrameError> {
    let info = &config.in_info;
    let fits = meta.format() == info.format()
        && meta.n_planes() >= info.n_planes()
        && meta.width() >= info.width()
        && meta.height() >= info.height();
    if !fits {
        let (format, width, height) = (meta.format(), meta.width(), meta.height());
        return Err(FrameError::Input(format!("its video meta is of {format}, {width}x{height}, the caps are not")));
    }
    let size = Size { width: info.width(), height: info.height() };
    (0..config.format.planes())
        .map(|plane| {
            let (length, count) = config.format.visible(plane, size);
            let stride = meta.stride()[plane];
            let stride = usize::try_from(stride).ok().filter(|stride| *stride >= length || count == 1);
            let stride = stride.ok_or_else(|| {
                let text = format!("plane {plane} has a stride of {} bytes for rows of {length}", meta.stride()[plane]);
                FrameError::Input(text)
            })?;
            Ok(Rows { offset: meta.offset()[plane], stride, length, count })
        })
        .collect()
}

fn packed(buffer: &gst::BufferRef, planes: &[Rows], config: &StreamConfig) -> Result<gst::Buffer, FrameError> {
    let unreadable = |error: glib::BoolError| FrameError::Input(error.to_string());
    let map = buffer.map_readable().map_err(unreadable)?;
    let info = &config.in_info;
    let mut bytes = vec![0; info.size()];
    for (plane, rows) in planes.iter().enumerate() {
        for row in 0..rows.count {
            let to = info.offset()[plane] + row * info.stride()[plane] as usize;
            bytes[to..to + rows.length].copy_from_slice(&map[rows.offset + row * rows.stride..][..rows.length]);
        }
    }
    let mut packed = gst::Buffer::from_mut_slice(bytes);
    let frame = packed.get_mut().expect("nobody else has it yet");
    let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    buffer.copy_into(frame, kept, ..).map_err(unreadable)?;
    // The copy has the layout that the caps imply.
    if let Some(meta) = frame.meta_mut::<gst_video::VideoMeta>() {
        meta.remove().map_err(unreadable)?;
    }
    Ok(packed)
}

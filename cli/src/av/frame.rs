//! Decoded pictures and sound.

use std::ffi::c_int;

use super::{Result, check, text};

owned! {
    /// A frame: a reference to shared data.
    Frame, AVFrame, av_frame_free
}

impl Frame {
    pub fn new() -> Result<Self> {
        // SAFETY: it allocates, or returns null.
        Frame::own(unsafe { ffi::av_frame_alloc() })
    }

    /// An uninitialised picture.
    pub fn picture(format: PixelFormat, width: i32, height: i32) -> Result<Self> {
        let mut frame = Frame::new()?;
        (frame.format, frame.width, frame.height) = (format.0 as c_int, width, height);
        // SAFETY: the frame is new and described.
        check(unsafe { ffi::av_frame_get_buffer(frame.as_ptr(), 0) })?;
        Ok(frame)
    }

    /// A new reference to the same data.
    pub fn share(&self) -> Result<Self> {
        let frame = Frame::new()?;
        // SAFETY: both are ours.
        check(unsafe { ffi::av_frame_ref(frame.as_ptr(), self.as_ptr()) })?;
        Ok(frame)
    }

    /// Copies another frame's properties: timestamps, colours, side data.
    pub fn copy_description(&mut self, from: &Frame) -> Result<()> {
        // SAFETY: both are ours.
        check(unsafe { ffi::av_frame_copy_props(self.as_ptr(), from.as_ptr()) }).map(drop)
    }

    /// A frame with the same properties and no pixels.
    pub fn description(&self) -> Result<Self> {
        let mut frame = Frame::new()?;
        frame.format = self.format;
        frame.copy_description(self).map(|()| frame)
    }

    pub fn pixel_format(&self) -> PixelFormat {
        PixelFormat::from_raw(self.format)
    }

    /// The decoder's best guess of the presentation time.
    pub fn time(&self) -> Option<i64> {
        let times = [self.best_effort_timestamp, self.pts];
        times.into_iter().find(|time| *time != ffi::AV_NOPTS_VALUE)
    }

    /// The duration in ticks; 0 if unknown.
    pub fn ticks(&self) -> i64 {
        #[cfg(ffmpeg_6_0)]
        return self.duration;
        #[cfg(not(ffmpeg_6_0))]
        return self.pkt_duration;
    }

    pub fn set_ticks(&mut self, ticks: i64) {
        #[cfg(ffmpeg_6_0)]
        (self.duration = ticks);
        #[cfg(not(ffmpeg_6_0))]
        (self.pkt_duration = ticks);
    }

    /// Whether the decoder found errors in it.
    pub fn is_damaged(&self) -> bool {
        self.decode_error_flags != 0 || self.flags & ffi::AV_FRAME_FLAG_CORRUPT as c_int != 0
    }

    pub fn side_data(&self, kind: ffi::AVFrameSideDataType) -> Option<&[u8]> {
        // SAFETY: the frame is ours; the data lives as long as it.
        unsafe {
            let data = ffi::av_frame_get_side_data(self.as_ptr(), kind);
            if data.is_null() { None } else { Some(std::slice::from_raw_parts((*data).data, (*data).size)) }
        }
    }

    pub fn remove_side_data(&mut self, kind: ffi::AVFrameSideDataType) {
        // SAFETY: the frame is ours.
        unsafe { ffi::av_frame_remove_side_data(self.as_ptr(), kind) };
    }

    /// The rows of a plane, without padding.
    pub fn rows(&self, plane: usize) -> impl Iterator<Item = &[u8]> {
        let (length, rows) = self.pixel_format().plane(plane, self.width, self.height);
        let (data, stride) = (self.data[plane], self.linesize[plane] as isize);
        // SAFETY: the plane holds so many rows, `stride` bytes apart, each of at least `length` bytes.
        (0..rows as isize).map(move |row| unsafe { std::slice::from_raw_parts(data.offset(row * stride), length) })
    }

    /// The same, mutable.
    pub fn rows_mut(&mut self, plane: usize) -> impl Iterator<Item = &mut [u8]> {
        let (length, rows) = self.pixel_format().plane(plane, self.width, self.height);
        let (data, stride) = (self.data[plane], self.linesize[plane] as isize);
        // SAFETY: as above, and the rows do not overlap.
        (0..rows as isize).map(move |row| unsafe { std::slice::from_raw_parts_mut(data.offset(row * stride), length) })
    }
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat(pub ffi::AVPixelFormat);

impl PixelFormat {
    pub fn from_raw(format: c_int) -> Self {
        // SAFETY: FFmpeg's own number for a format; the bindings were made from the headers of the library.
        PixelFormat(unsafe { std::mem::transmute::<c_int, ffi::AVPixelFormat>(format) })
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let name = super::c_string(name);
        // SAFETY: a text.
        let format = unsafe { ffi::av_get_pix_fmt(name.as_ptr()) };
        (format != ffi::AVPixelFormat::AV_PIX_FMT_NONE).then_some(PixelFormat(format))
    }

    /// A format that FFmpeg has had for years.
    pub fn known(name: &str) -> Self {
        PixelFormat::from_name(name).expect("FFmpeg has it")
    }

    pub fn name(self) -> String {
        // SAFETY: the name is FFmpeg's own, or null.
        unsafe { text(ffi::av_get_pix_fmt_name(self.0)) }
    }

    /// The format itself if listed, otherwise the listed one that loses least.
    pub fn nearest(self, formats: &[PixelFormat]) -> Self {
        if formats.is_empty() || formats.contains(&self) {
            return self;
        }
        let alpha = i32::from(self.has_alpha());
        let better = |best: PixelFormat, other: PixelFormat| {
            // SAFETY: plain arithmetic on descriptions.
            PixelFormat(unsafe { ffi::av_find_best_pix_fmt_of_2(best.0, other.0, self.0, alpha, &mut 0) })
        };
        formats.iter().copied().reduce(better).unwrap_or(self)
    }

    fn description(self) -> &'static ffi::AVPixFmtDescriptor {
        // SAFETY: the descriptors are static; NONE alone has none.
        unsafe { ffi::av_pix_fmt_desc_get(self.0).as_ref() }.expect("a frame has a format")
    }

    fn has(self, flag: c_int) -> bool {
        self.description().flags & flag as u64 != 0
    }

    pub fn is_rgb(self) -> bool {
        self.has(ffi::AV_PIX_FMT_FLAG_RGB) || self.has(ffi::AV_PIX_FMT_FLAG_PAL)
    }

    pub fn is_grey(self) -> bool {
        let description = self.description();
        description.nb_components - u8::from(self.has_alpha()) == 1 && !self.is_rgb()
    }

    pub fn has_alpha(self) -> bool {
        self.has(ffi::AV_PIX_FMT_FLAG_ALPHA) || self.has(ffi::AV_PIX_FMT_FLAG_PAL)
    }

    /// Whether frames of this format are in a device's memory.
    pub fn is_hardware(self) -> bool {
        self.has(ffi::AV_PIX_FMT_FLAG_HWACCEL)
    }

    /// Bits per sample.
    pub fn depth(self) -> i32 {
        self.description().comp[0].depth
    }

    /// Whether chroma is subsampled horizontally, and vertically.
    pub fn is_subsampled(self) -> (bool, bool) {
        let description = self.description();
        (description.log2_chroma_w > 0, description.log2_chroma_h > 0)
    }

    /// The bytes per row of a plane, and its rows.
    pub fn plane(self, plane: usize, width: i32, height: i32) -> (usize, usize) {
        let description = self.description();
        // SAFETY: plain arithmetic on the description.
        let length = unsafe { ffi::av_image_get_linesize(self.0, width, plane as c_int) };
        let chroma = (plane == 1 || plane == 2) && !self.is_rgb();
        let shift = if chroma { description.log2_chroma_h } else { 0 };
        let rows = -((-height) >> shift);
        (usize::try_from(length).unwrap_or(0), usize::try_from(rows).unwrap_or(0))
    }

    pub fn planes(self) -> usize {
        // SAFETY: plain arithmetic on the description.
        usize::try_from(unsafe { ffi::av_pix_fmt_count_planes(self.0) }).unwrap_or(0)
    }
}

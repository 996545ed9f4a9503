//! The element in a small pipeline: FFmpeg's frames go in and come out upscaled, in order.

use std::collections::VecDeque;

use gst::prelude::*;
use gst_video::VideoFrameExt;
use parking_lot::Mutex;

use crate::args::Upscale;
use crate::av::{self, Frame, PixelFormat, Rational, rational};
use crate::colour::{self, Colour};
use crate::failure::{Context, Failure, Result};
use crate::progress::Counts;

/// The element's factory.
pub const FACTORY: &str = "upscalefilter";
/// How many frames wait in front of the element, and behind it.
const WAITING: u32 = 2;

/// The time base of GStreamer's timestamps.
pub const NANOSECONDS: Rational = rational(1, 1_000_000_000);

/// The element's formats, by FFmpeg's and GStreamer's names.
const FORMATS: [(&str, gst_video::VideoFormat); 25] = {
    use gst_video::VideoFormat as V;
    [
        ("gray", V::Gray8),
        ("gray16le", V::Gray16Le),
        ("yuv420p", V::I420),
        ("nv12", V::Nv12),
        ("nv21", V::Nv21),
        ("yuv422p", V::Y42b),
        ("yuv444p", V::Y444),
        ("yuv420p10le", V::I42010le),
        ("yuv422p10le", V::I42210le),
        ("yuv444p10le", V::Y44410le),
        ("p010le", V::P01010le),
        ("yuv420p12le", V::I42012le),
        ("rgb24", V::Rgb),
        ("bgr24", V::Bgr),
        ("rgb0", V::Rgbx),
        ("bgr0", V::Bgrx),
        ("0rgb", V::Xrgb),
        ("0bgr", V::Xbgr),
        ("rgba", V::Rgba),
        ("bgra", V::Bgra),
        ("argb", V::Argb),
        ("abgr", V::Abgr),
        ("gbrp", V::Gbr),
        ("gbrp10le", V::Gbr10le),
        ("rgba64le", V::Rgba64Le),
    ]
};

/// The element's format that loses least of this one.
pub fn format_for(format: PixelFormat) -> PixelFormat {
    // XYZ is closer to R'G'B'.
    let is_rgb = |format: PixelFormat| format.is_rgb() || format.has_alpha() || format.name().starts_with("xyz");
    let is_grey = |format: PixelFormat| format.is_grey() && !format.has_alpha();
    let formats = FORMATS.iter().map(|(name, _)| PixelFormat::known(name));
    let like = |other: &PixelFormat| is_rgb(*other) == is_rgb(format) && is_grey(*other) == is_grey(format);
    format.nearest(&formats.filter(like).collect::<Vec<_>>())
}

fn video_format(format: PixelFormat) -> gst_video::VideoFormat {
    let name = format.name();
    FORMATS.iter().find(|(known, _)| *known == name).map_or(gst_video::VideoFormat::Unknown, |(_, video)| *video)
}

/// GStreamer's description of frames like this one.
pub fn video_info(frame: &Frame) -> Result<gst_video::VideoInfo> {
    let format = frame.pixel_format();
    let colour = Colour::of(frame);
    let (width, height) = (frame.width.max(0) as u32, frame.height.max(0) as u32);
    let mut info = gst_video::VideoInfo::builder(video_format(format), width, height)
        .fps(gst::Fraction::new(0, 1))
        .colorimetry(&colour::colorimetry(colour, format, frame.height));
    if format.is_subsampled().0 {
        info = info.chroma_site(colour::chroma_site(colour));
    }
    info.build().context(format_args!("{width}x{height} {} pictures cannot be upscaled", format.name()))
}

/// Copies a frame into a buffer, and updates the source's caps if necessary.
pub fn describe(source: &gst_app::AppSrc, frame: &Frame) -> Result<gst::Buffer> {
    let info = video_info(frame)?;
    let caps = info.to_caps().context("a frame cannot be described")?;
    if source.caps().as_ref() != Some(&caps) {
        source.set_caps(Some(&caps));
    }
    to_buffer(frame, &info)
}

/// Copies a frame's pixels.
pub fn to_buffer(frame: &Frame, info: &gst_video::VideoInfo) -> Result<gst::Buffer> {
    const WRONG: &str = "there is no memory for a frame";
    let mut buffer = gst::Buffer::with_size(info.size()).context(WRONG)?;
    let writable = buffer.get_mut().expect("it is new");
    let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, info).context(WRONG)?;
    for plane in 0..frame.pixel_format().planes() {
        let stride = to.plane_stride()[plane].max(0) as usize;
        let data = to.plane_data_mut(plane as u32).context(WRONG)?;
        for (to, from) in data.chunks_mut(stride).zip(frame.rows(plane)) {
            to[..from.len()].copy_from_slice(from);
        }
    }
    drop(to);
    Ok(buffer)
}

/// Copies a sample's pixels.
fn to_frame(sample: &gst::Sample, format: PixelFormat) -> Result<Frame> {
    const WRONG: &str = "the upscaled frame cannot be read";
    let info = gst_video::VideoInfo::from_caps(sample.caps().context(WRONG)?).context(WRONG)?;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().context(WRONG)?, &info);
    let from = from.context(WRONG)?;
    let mut frame = Frame::picture(format, info.width() as i32, info.height() as i32).context(WRONG)?;
    for plane in 0..format.planes() {
        let stride = from.plane_stride()[plane].max(0) as usize;
        let data = from.plane_data(plane as u32).context(WRONG)?;
        for (to, from) in frame.rows_mut(plane).zip(data.chunks(stride)) {
            to.copy_from_slice(&from[..to.len()]);
        }
    }
    Ok(frame)
}

/// The running element.
pub struct Upscaler {
    pipeline: gst::Pipeline,
    element: gst::Element,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    /// The frames inside the element; without pixels unless `keeps_pixels`.
    inside: Mutex<VecDeque<Frame>>,
    keeps_pixels: bool,
}

impl Upscaler {
    /// With `keeps_pixels`, [`Upscaler::pull`] also returns the source frames' pixels.
    pub fn new(args: &Upscale, size: Option<(i32, i32)>, keeps_pixels: bool, detail_tolerance: u32) -> Result<Self> {
        let element = make(args, detail_tolerance)?;
        let source = gst_app::AppSrc::builder()
            .format(gst::Format::Time)
            .block(true)
            .max_buffers(u64::from(WAITING))
            .max_bytes(0)
            .build();
        let sink = gst_app::AppSink::builder().sync(false).max_buffers(WAITING).build();
        if let Some((width, height)) = size {
            let caps = gst::Caps::builder("video/x-raw").field("width", width).field("height", height).build();
            sink.set_caps(Some(&caps));
        }
        let pipeline = gst::Pipeline::new();
        let all = [source.upcast_ref::<gst::Element>(), &element, sink.upcast_ref()];
        let linked = pipeline.add_many(all).and_then(|()| gst::Element::link_many(all));
        linked.context(format_args!("{FACTORY} cannot be used"))?;
        let upscaler = Upscaler { pipeline, element, source, sink, inside: Mutex::default(), keeps_pixels };
        if upscaler.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(upscaler.error());
        }
        Ok(upscaler)
    }

    /// Pushes a frame; blocks while the element is full.
    pub fn push(&self, frame: &Frame) -> Result<()> {
        let mut buffer = describe(&self.source, frame)?;
        let kept = if self.keeps_pixels { frame.share() } else { frame.description() };
        self.inside.lock().push_back(kept.context("a frame cannot be kept")?);
        let pts = av::rescale(frame.pts, frame.time_base, NANOSECONDS).max(0) as u64;
        let writable = buffer.get_mut().expect("it is new");
        writable.set_pts(gst::ClockTime::from_nseconds(pts));
        self.source.push_buffer(buffer).map(drop).map_err(|_| self.error())
    }

    /// Signals the end of the stream.
    pub fn end(&self) -> Result<()> {
        self.source.end_of_stream().map(drop).map_err(|_| self.error())
    }

    /// Waits for the next upscaled frame; returns it and its source. `None` after the last one.
    pub fn pull(&self) -> Result<Option<(Frame, Frame)>> {
        let Ok(sample) = self.sink.pull_sample() else {
            // The end, or an error.
            return if self.sink.is_eos() { Ok(None) } else { Err(self.error()) };
        };
        let source = self.inside.lock().pop_front().context("more frames came out than went in")?;
        let mut frame = to_frame(&sample, source.pixel_format())?;
        frame.copy_description(&source).context("a frame cannot be described")?;
        Ok(Some((frame, source)))
    }

    /// Frames that went in and did not come out.
    pub fn left_inside(&self) -> usize {
        self.inside.lock().len()
    }

    /// Unblocks `push` and `pull`.
    pub fn stop(&self) {
        // This cannot fail: NULL can be reached from any state.
        self.pipeline.set_state(gst::State::Null).ok();
    }

    /// The element's warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        std::iter::from_fn(|| self.message(gst::MessageType::Warning)).collect()
    }

    fn message(&self, kind: gst::MessageType) -> Option<String> {
        match self.pipeline.bus()?.pop_filtered(&[kind])?.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().message().to_owned()),
            gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
            _ => None,
        }
    }

    /// The element's error.
    fn error(&self) -> Failure {
        let message = self.message(gst::MessageType::Error);
        Failure::Failed(message.unwrap_or_else(|| "upscaling ended early (GST_DEBUG=3 tells more)".into()))
    }

    /// The element's statistics so far.
    pub fn counts(&self) -> Counts {
        let structure = self.element.property::<Option<gst::Structure>>("stats");
        let Some(stats) = structure else { return Counts::default() };
        Counts {
            unique: stats.get("unique").unwrap_or(0),
            duplicates: stats.get("duplicates").unwrap_or(0),
            reused: stats.get("reused-percentage").unwrap_or(0.0),
            resized: stats.get("resized-percentage").unwrap_or(0.0),
            saved: stats.get("saved-seconds").ok(),
        }
    }
}

impl Drop for Upscaler {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes the element, configured from the command line.
fn make(args: &Upscale, detail_tolerance: u32) -> Result<gst::Element> {
    gst::ElementFactory::make(FACTORY)
        .property_if_some("model", args.model.as_ref())
        .property_if_some("plan-location", args.plan.as_ref())
        .property_if_some("cache-size", args.cache_size)
        .property_if_some("vram-limit", args.memory_limit)
        .property_if_some("similarity-tolerance", args.similarity_tolerance)
        .property("detail-tolerance", detail_tolerance)
        .property("tile-size", args.tile_size)
        .property("fallback", args.fallback)
        .property("device-id", &args.device_id)
        .property("workers", args.workers)
        .property("max-in-flight", args.max_in_flight)
        .property_from_str("execution-provider", &args.execution_provider)
        .property_from_str("precision", &args.precision)
        .property_from_str("duplicates", &args.duplicates)
        .build()
        .context(format_args!("{FACTORY} cannot be made"))
}

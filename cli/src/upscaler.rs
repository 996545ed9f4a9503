//! The element that does the work: frames of FFmpeg's go in and come out again, in order.

use std::collections::VecDeque;

use gst::prelude::*;
use gst_video::VideoFrameExt;
use parking_lot::Mutex;

use crate::args::{self, Upscale};
use crate::av::{self, Frame, PixelFormat};
use crate::colour::{self, Colour};
use crate::failure::{Failure, Result, failed};
use crate::progress::Counts;

/// The element's factory.
pub const FACTORY: &str = "upscalefilter";
/// Frames that wait before the element, and behind it.
const WAITING: u32 = 2;

/// FFmpeg's formats that the element takes as they are, and GStreamer's names for them.
const FORMATS: [(&str, gst_video::VideoFormat); 26] = {
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
        ("rgb48le", V::Unknown),
    ]
};

/// What the element takes in place of a format, with the least loss.
pub fn format_for(format: PixelFormat) -> PixelFormat {
    let name = format.name();
    if FORMATS.iter().any(|(known, video)| *known == name && *video != gst_video::VideoFormat::Unknown) {
        return format;
    }
    let deep = format.depth() > 8;
    let name = if format.is_grey() {
        match (format.has_alpha(), deep) {
            (true, false) => "rgba",
            (true, true) => "rgba64le",
            (false, true) => "gray16le",
            (false, false) => "gray",
        }
    } else if format.is_rgb() || format.has_alpha() {
        match (format.depth(), format.has_alpha()) {
            (..=8, true) => "rgba",
            (..=8, false) => "rgb24",
            (9 | 10, false) if format.name().starts_with("gbrp") => "gbrp10le",
            _ => "rgba64le",
        }
    } else {
        match (format.is_subsampled(), format.depth()) {
            ((true, true), ..=8) => "yuv420p",
            ((true, true), 9 | 10) => "yuv420p10le",
            ((true, true), _) => "yuv420p12le",
            ((true, false), ..=8) => "yuv422p",
            ((true, false), _) => "yuv422p10le",
            (_, ..=8) => "yuv444p",
            (_, _) => "yuv444p10le",
        }
    };
    PixelFormat::from_name(name).expect("FFmpeg has had these formats for years")
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
    info.build().or_else(|_| failed(format!("{width}x{height} {} pictures cannot be upscaled", format.name())))
}

/// Copies a frame's pixels.
pub fn to_buffer(frame: &Frame, info: &gst_video::VideoInfo) -> Result<gst::Buffer> {
    let no_memory = || Failure::Failed("there is no memory for a frame".into());
    let mut buffer = gst::Buffer::with_size(info.size()).map_err(|_| no_memory())?;
    let writable = buffer.get_mut().expect("it is new");
    let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, info).map_err(|_| no_memory())?;
    for plane in 0..frame.pixel_format().planes() {
        let stride = to.plane_stride()[plane].max(0) as usize;
        let data = to.plane_data_mut(plane as u32).map_err(|_| no_memory())?;
        for (to, from) in data.chunks_mut(stride).zip(frame.rows(plane)) {
            to[..from.len()].copy_from_slice(from);
        }
    }
    drop(to);
    Ok(buffer)
}

/// Copies a sample's pixels.
fn to_frame(sample: &gst::Sample, format: PixelFormat) -> Result<Frame> {
    let wrong = || Failure::Failed("the upscaled frame cannot be read".into());
    let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()).ok_or_else(wrong)?;
    let buffer = sample.buffer().ok_or_else(wrong)?;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|_| wrong())?;
    let mut frame = Frame::picture(format, info.width() as i32, info.height() as i32)
        .map_err(|error| Failure::Failed(format!("no room for the upscaled frame: {error}")))?;
    for plane in 0..format.planes() {
        let stride = from.plane_stride()[plane].max(0) as usize;
        let data = from.plane_data(plane as u32).map_err(|_| wrong())?;
        for (to, from) in frame.rows_mut(plane).zip(data.chunks(stride)) {
            to.copy_from_slice(&from[..to.len()]);
        }
    }
    Ok(frame)
}

/// What the frames that go in are like.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    width: i32,
    height: i32,
    format: PixelFormat,
    colour: Colour,
}

/// The running element.
pub struct Upscaler {
    pipeline: gst::Pipeline,
    element: gst::Element,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    /// The frames inside, without their pixels unless they are wanted again.
    inside: Mutex<VecDeque<Frame>>,
    keeps_pixels: bool,
    kind: Mutex<Option<(Kind, gst_video::VideoInfo)>>,
}

impl Upscaler {
    /// With `keeps_pixels`, [`Upscaler::pull`] gives the source of each frame, too.
    pub fn new(args: &Upscale, size: Option<(i32, i32)>, keeps_pixels: bool) -> Result<Self> {
        let element = make(args)?;
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
        linked.map_err(|error| Failure::Failed(format!("{FACTORY} cannot be used: {error}")))?;
        let upscaler = Upscaler {
            pipeline,
            element,
            source,
            sink,
            inside: Mutex::default(),
            keeps_pixels,
            kind: Mutex::default(),
        };
        if upscaler.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(upscaler.error());
        }
        Ok(upscaler)
    }

    /// Puts a frame in; waits while there is no room.
    pub fn push(&self, frame: &Frame) -> Result<()> {
        let kind =
            Kind { width: frame.width, height: frame.height, format: frame.pixel_format(), colour: Colour::of(frame) };
        let mut known = self.kind.lock();
        let info = match &*known {
            Some((before, info)) if *before == kind => info.clone(),
            _ => {
                let info = video_info(frame)?;
                let caps = info.to_caps().or_else(|_| failed("the frames have no description"))?;
                self.source.set_caps(Some(&caps));
                *known = Some((kind, info.clone()));
                info
            }
        };
        drop(known);
        let mut buffer = to_buffer(frame, &info)?;
        let described = if self.keeps_pixels {
            frame.share()
        } else {
            let mut described = Frame::new();
            described.copy_description(frame).map(|()| described)
        };
        let mut inside = self.inside.lock();
        inside.push_back(described.map_err(|error| Failure::Failed(error.to_string()))?);
        drop(inside);
        let nanoseconds = ffi::AVRational { num: 1, den: 1_000_000_000 };
        let pts = av::rescale(frame.pts, frame.time_base, nanoseconds).max(0) as u64;
        let writable = buffer.get_mut().expect("it is new");
        writable.set_pts(gst::ClockTime::from_nseconds(pts));
        self.source.push_buffer(buffer).map_err(|_| self.error())?;
        Ok(())
    }

    /// No more frames come.
    pub fn end(&self) -> Result<()> {
        self.source.end_of_stream().map(drop).map_err(|_| self.error())
    }

    /// Takes the next frame out, with its description and its source; waits for it. `None` after the last.
    pub fn pull(&self) -> Result<Option<(Frame, Frame)>> {
        let Ok(sample) = self.sink.pull_sample() else {
            // The end, or an error.
            return if self.sink.is_eos() { Ok(None) } else { Err(self.error()) };
        };
        let source = self.inside.lock().pop_front();
        let source = source.ok_or_else(|| Failure::Failed("more frames came out than went in".into()))?;
        let format = self.kind.lock().as_ref().map(|(kind, _)| kind.format);
        let format = format.expect("a frame went in");
        let mut frame = to_frame(&sample, format)?;
        frame.copy_description(&source).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Some((frame, source)))
    }

    /// Frames that went in and did not come out.
    pub fn left_inside(&self) -> usize {
        self.inside.lock().len()
    }

    /// Ends waiting, everywhere.
    pub fn stop(&self) {
        // It cannot fail: NULL can be reached from any state.
        self.pipeline.set_state(gst::State::Null).ok();
    }

    /// What the element warned of since the last call.
    pub fn warnings(&self) -> Vec<String> {
        let Some(bus) = self.pipeline.bus() else { return Vec::new() };
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]))
            .filter_map(|message| match message.view() {
                gst::MessageView::Warning(warning) => Some(warning.error().message().to_owned()),
                _ => None,
            })
            .collect()
    }

    /// What it says is wrong.
    fn error(&self) -> Failure {
        let bus = self.pipeline.bus();
        let message = bus.and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Failure::Failed(error.error().message().to_owned()),
            _ => Failure::Failed("upscaling ended early (GST_DEBUG=3 tells more)".into()),
        }
    }

    /// What the element counted so far.
    pub fn counts(&self) -> Counts {
        let structure = self.element.property::<Option<gst::Structure>>("stats");
        let Some(stats) = structure else { return Counts::default() };
        Counts {
            unique: stats.get("unique").unwrap_or(0),
            duplicates: stats.get("duplicates").unwrap_or(0),
            reused: stats.get("reused-percentage").unwrap_or(0.0),
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
fn make(args: &Upscale) -> Result<gst::Element> {
    let element = gst::ElementFactory::make(FACTORY)
        .build()
        .map_err(|error| Failure::Failed(format!("{FACTORY} cannot be made: {error}")))?;
    if let Some(model) = &args.model {
        element.set_property("model", model);
    }
    if let Some(plan) = &args.plan {
        element.set_property("plan-location", plan);
    }
    if let Some(size) = args.cache_size {
        element.set_property("cache-size", size);
    }
    if let Some(limit) = args.memory_limit {
        element.set_property("vram-limit", limit);
    }
    element.set_property("tile-size", args.tile_size);
    element.set_property("fallback", args.fallback);
    element.set_property_from_str("execution-provider", &args::nick(args.execution_provider));
    element.set_property_from_str("precision", &args::nick(args.precision));
    element.set_property_from_str("duplicates", &args::nick(args.duplicates));
    if let Some(tolerance) = args.similarity_tolerance {
        element.set_property("similarity-tolerance", tolerance);
    }
    element.set_property("device-id", &args.device_id);
    element.set_property("workers", args.workers);
    element.set_property("max-in-flight", args.max_in_flight);
    Ok(element)
}

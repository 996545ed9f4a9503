//! Filters.

use std::ffi::CStr;
use std::ptr;

use super::{
    Device, Error, Frame, PixelFormat, Rational, Result, c_string, check, layout_name, output, sample_format_name,
};

owned! {
    FilterGraph, AVFilterGraph, avfilter_graph_free
}

/// A chain of filters with one input and one output.
pub struct Graph {
    /// Owns `source` and `sink`.
    _graph: FilterGraph,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
    /// The time base of output frames.
    base: Rational,
}

// SAFETY: a graph is used by one thread at a time.
unsafe impl Send for Graph {}

/// What a video graph needs to know besides the first frame.
#[derive(Clone, Copy, Debug)]
pub struct PictureInput {
    /// The time base of input frames.
    pub base: Rational,
    /// 0/1 if unknown or variable.
    pub rate: Rational,
    /// The time base of output frames.
    pub out_base: Rational,
}

impl Graph {
    /// Filters in the syntax of `ffmpeg -vf`, for frames like this one. `device` is for filters that upload frames to it.
    pub fn video(device: Option<&Device>, filters: &str, frame: &Frame, input: PictureInput) -> Result<Self> {
        let PictureInput { base, rate, out_base } = input;
        let shape = frame.sample_aspect_ratio;
        #[allow(unused_mut)]
        let mut source = format!(
            "buffer@in=width={}:height={}:pix_fmt={}:sar={}/{}:time_base={}/{}:frame_rate={}/{}",
            frame.width,
            frame.height,
            frame.pixel_format().name(),
            shape.num,
            shape.den.max(1),
            base.num,
            base.den,
            rate.num,
            rate.den
        );
        #[cfg(ffmpeg_7_0)]
        (source += &format!(":colorspace={}:range={}", frame.colorspace as i32, frame.color_range as i32));
        Graph::build(device, &format!("{source},{filters},buffersink@out"), out_base)
    }

    /// Filters in the syntax of `ffmpeg -af`, for frames like this one with times in `base`. Output frames have `samples` samples (0: any
    /// number) and times in `out_base`.
    pub fn audio(filters: &str, frame: &Frame, base: Rational, samples: i32, out_base: Rational) -> Result<Self> {
        let source = format!(
            "abuffer@in=sample_rate={}:sample_fmt={}:channel_layout={}:time_base={}/{}",
            frame.sample_rate,
            sample_format_name(frame.format),
            layout_name(&frame.ch_layout),
            base.num,
            base.den
        );
        let graph = Graph::build(None, &format!("{source},{filters},abuffersink@out"), out_base)?;
        if samples > 0 {
            // SAFETY: the sink is the graph's.
            unsafe { ffi::av_buffersink_set_frame_size(graph.sink, samples as u32) };
        }
        Ok(graph)
    }

    fn build(device: Option<&Device>, filters: &str, base: Rational) -> Result<Self> {
        let text = c_string(filters);
        let (mut inputs, mut outputs) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: all filters belong to the graph; no input and no output stays open.
        unsafe {
            let graph = FilterGraph::own(ffi::avfilter_graph_alloc())?;
            check(ffi::avfilter_graph_parse2(graph.as_ptr(), text.as_ptr(), &mut inputs, &mut outputs))?;
            if let Some(device) = device {
                for index in 0..graph.nb_filters as usize {
                    (**graph.filters.add(index)).hw_device_ctx = ffi::av_buffer_ref(device.as_ptr());
                }
            }
            check(ffi::avfilter_graph_config(graph.as_ptr(), ptr::null_mut()))?;
            let find = |names: [&CStr; 2]| {
                let filters = names.map(|name| ffi::avfilter_graph_get_filter(graph.as_ptr(), name.as_ptr()));
                filters.into_iter().find(|filter| !filter.is_null()).ok_or(Error::NO_MEMORY)
            };
            let (source, sink) = (find([c"buffer@in", c"abuffer@in"])?, find([c"buffersink@out", c"abuffersink@out"])?);
            Ok(Graph { _graph: graph, source, sink, base })
        }
    }

    /// Takes the next frame (`None` at the end) and returns those that are ready.
    pub fn filter(&mut self, frame: Option<&Frame>) -> Result<Vec<Frame>> {
        let frame = frame.map_or(ptr::null_mut(), Frame::as_ptr);
        // SAFETY: all are alive; the graph takes a share of the frame.
        let base = unsafe {
            check(ffi::av_buffersrc_add_frame_flags(self.source, frame, ffi::AV_BUFFERSRC_FLAG_KEEP_REF as i32))?;
            ffi::av_buffersink_get_time_base(self.sink)
        };
        let mut frames = Vec::new();
        loop {
            let frame = Frame::new()?;
            // SAFETY: both are alive.
            let code = unsafe { ffi::av_buffersink_get_frame(self.sink, frame.as_ptr()) };
            let Some(mut frame) = output(code, frame)? else { return Ok(frames) };
            frame.pts = super::rescale(frame.pts, base, self.base);
            let ticks = super::rescale(frame.ticks(), base, self.base);
            frame.set_ticks(ticks);
            frame.time_base = self.base;
            frames.push(frame);
        }
    }

    /// The pixel format of output frames.
    pub fn format(&self) -> PixelFormat {
        // SAFETY: the sink is the graph's.
        PixelFormat::from_raw(unsafe { ffi::av_buffersink_get_format(self.sink) })
    }

    /// The device's frame pool, for the encoder; null if frames are in main memory.
    pub fn hardware_frames(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: the sink is the graph's.
        unsafe { ffi::av_buffersink_get_hw_frames_ctx(self.sink) }
    }
}

//! Filters.

use std::ffi::CStr;
use std::ptr;

use super::{Error, Frame, PixelFormat, Result, c_string, check, output};

/// A chain of filters with one input and one output.
pub struct Graph {
    graph: *mut ffi::AVFilterGraph,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
}

// SAFETY: a graph is used by one thread at a time.
unsafe impl Send for Graph {}

/// What a video graph needs to know beyond the first frame.
#[derive(Clone, Copy, Debug)]
pub struct PictureInput {
    pub base: ffi::AVRational,
    /// 0/1 where it is not known, or varies.
    pub rate: ffi::AVRational,
}

impl Graph {
    /// Filters as `ffmpeg -vf` takes them, for frames like this one.
    pub fn video(filters: &str, frame: &Frame, input: PictureInput) -> Result<Self> {
        Graph::video_on(ptr::null_mut(), filters, frame, input)
    }

    /// The same, with filters that put pictures into a device's memory; null where there are none.
    pub fn video_on(device: *mut ffi::AVBufferRef, filters: &str, frame: &Frame, input: PictureInput) -> Result<Self> {
        Graph::build((c"buffer", c"buffersink"), device, filters, |parameters| {
            parameters.format = frame.format;
            (parameters.width, parameters.height) = (frame.width, frame.height);
            parameters.sample_aspect_ratio = frame.sample_aspect_ratio;
            parameters.time_base = input.base;
            parameters.frame_rate = input.rate;
            parameters.hw_frames_ctx = frame.hw_frames_ctx;
            #[cfg(ffmpeg_7_0)]
            {
                parameters.color_space = frame.colorspace;
                parameters.color_range = frame.color_range;
            }
        })
    }

    /// Filters as `ffmpeg -af` takes them, for sound like this.
    pub fn audio(filters: &str, frame: &Frame, base: ffi::AVRational) -> Result<Self> {
        Graph::build((c"abuffer", c"abuffersink"), ptr::null_mut(), filters, |parameters| {
            parameters.format = frame.format;
            parameters.sample_rate = frame.sample_rate;
            parameters.time_base = base;
            // SAFETY: the layout is only read, before the frame goes.
            unsafe { parameters.ch_layout = ptr::read(&frame.ch_layout) };
        })
    }

    fn build(
        (source, sink): (&CStr, &CStr),
        device: *mut ffi::AVBufferRef,
        filters: &str,
        describe: impl FnOnce(&mut ffi::AVBufferSrcParameters),
    ) -> Result<Self> {
        // SAFETY: what is allocated belongs to the graph, which is freed when it is dropped; names are texts.
        unsafe {
            let graph = ffi::avfilter_graph_alloc();
            if graph.is_null() {
                return Err(Error::NO_MEMORY);
            }
            let mut this = Graph { graph, source: ptr::null_mut(), sink: ptr::null_mut() };
            this.source =
                ffi::avfilter_graph_alloc_filter(graph, ffi::avfilter_get_by_name(source.as_ptr()), c"in".as_ptr());
            let parameters = ffi::av_buffersrc_parameters_alloc();
            if this.source.is_null() || parameters.is_null() {
                return Err(Error::NO_MEMORY);
            }
            describe(&mut *parameters);
            let set = check(ffi::av_buffersrc_parameters_set(this.source, parameters));
            ffi::av_free(parameters.cast());
            set?;
            check(ffi::avfilter_init_str(this.source, ptr::null()))?;
            let sink = ffi::avfilter_get_by_name(sink.as_ptr());
            check(ffi::avfilter_graph_create_filter(
                &mut this.sink,
                sink,
                c"out".as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                graph,
            ))?;
            this.link(filters)?;
            if !device.is_null() {
                for index in 0..(*graph).nb_filters as usize {
                    (**(*graph).filters.add(index)).hw_device_ctx = ffi::av_buffer_ref(device);
                }
            }
            check(ffi::avfilter_graph_config(graph, ptr::null_mut()))?;
            Ok(this)
        }
    }

    /// Puts the filters between the source and the sink.
    unsafe fn link(&mut self, filters: &str) -> Result<()> {
        let filters = c_string(filters);
        // SAFETY: the lists are freed again, whatever comes of them; the filters are the graph's.
        unsafe {
            let (mut outputs, mut inputs) = (ffi::avfilter_inout_alloc(), ffi::avfilter_inout_alloc());
            if outputs.is_null() || inputs.is_null() {
                return Err(Error::NO_MEMORY);
            }
            (*outputs).name = ffi::av_strdup(c"in".as_ptr());
            (*outputs).filter_ctx = self.source;
            (*inputs).name = ffi::av_strdup(c"out".as_ptr());
            (*inputs).filter_ctx = self.sink;
            let parsed =
                ffi::avfilter_graph_parse_ptr(self.graph, filters.as_ptr(), &mut inputs, &mut outputs, ptr::null_mut());
            ffi::avfilter_inout_free(&mut inputs);
            ffi::avfilter_inout_free(&mut outputs);
            check(parsed)?;
        }
        Ok(())
    }

    /// Takes the next frame; `None` is the end.
    pub fn push(&mut self, frame: Option<&mut Frame>) -> Result<()> {
        let frame = frame.map_or(ptr::null_mut(), Frame::as_mut_ptr);
        // SAFETY: both are alive; the graph takes a share of the frame.
        check(unsafe {
            ffi::av_buffersrc_add_frame_flags(self.source, frame, ffi::AV_BUFFERSRC_FLAG_KEEP_REF as i32)
        })?;
        Ok(())
    }

    /// The next frame, if there is one yet.
    pub fn pull(&mut self) -> Result<Option<Frame>> {
        let mut frame = Frame::new();
        // SAFETY: both are alive.
        let code = unsafe { ffi::av_buffersink_get_frame(self.sink, frame.as_mut_ptr()) };
        Ok(output(code)?.map(|()| frame))
    }

    /// So many samples of sound, fewer at the end alone.
    pub fn pull_samples(&mut self, samples: i32) -> Result<Option<Frame>> {
        let mut frame = Frame::new();
        // SAFETY: both are alive.
        let code = unsafe { ffi::av_buffersink_get_samples(self.sink, frame.as_mut_ptr(), samples) };
        Ok(output(code)?.map(|()| frame))
    }

    /// What the times of frames that come out count.
    pub fn base(&self) -> ffi::AVRational {
        // SAFETY: the sink is the graph's.
        unsafe { ffi::av_buffersink_get_time_base(self.sink) }
    }

    /// The kind of pictures that come out.
    pub fn format(&self) -> PixelFormat {
        // SAFETY: the sink is the graph's.
        PixelFormat::from_raw(unsafe { ffi::av_buffersink_get_format(self.sink) })
    }

    /// The device's frames that come out, for the encoder; null where they are in memory.
    pub fn hardware_frames(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: the sink is the graph's.
        unsafe { ffi::av_buffersink_get_hw_frames_ctx(self.sink) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it is ours, and so is all that it holds.
        unsafe { ffi::avfilter_graph_free(&mut self.graph) };
    }
}

//! Reading containers.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use super::{Error, Packet, Rational, Result, c_string, check, entries, text};
use crate::signals::Stop;

owned! {
    Context, AVFormatContext, avformat_close_input
}

/// An open file or stream.
pub struct Demuxer {
    context: Context,
    /// Read by the context's callback.
    _stop: Arc<Stop>,
}

/// Called by FFmpeg while it waits for data: whether to give up.
unsafe extern "C" fn is_stopped(stop: *mut c_void) -> c_int {
    // SAFETY: it points to the flag that the demuxer holds a share of.
    c_int::from(unsafe { &*stop.cast::<Stop>() }.is_set())
}

impl Demuxer {
    /// Opens a URL (`file:...` for a file) and reads until its streams are known. Reading ends early when `stop` is set.
    /// `format` names the demuxer; without it, FFmpeg detects the format.
    pub fn open(url: &str, format: Option<&CStr>, stop: &Arc<Stop>) -> Result<Self> {
        let url = c_string(url);
        // SAFETY: the context is ours until opening it fails, which frees it; the flag outlives it.
        unsafe {
            let mut context = ffi::avformat_alloc_context();
            if context.is_null() {
                return Err(Error::NO_MEMORY);
            }
            (*context).interrupt_callback =
                ffi::AVIOInterruptCB { callback: Some(is_stopped), opaque: Arc::as_ptr(stop).cast_mut().cast() };
            let format = format.map_or(ptr::null(), |name| ffi::av_find_input_format(name.as_ptr()));
            check(ffi::avformat_open_input(&mut context, url.as_ptr(), format, ptr::null_mut()))?;
            let demuxer = Demuxer { context: Context::own(context)?, _stop: Arc::clone(stop) };
            check(ffi::avformat_find_stream_info(context, ptr::null_mut()))?;
            Ok(demuxer)
        }
    }

    pub fn context(&self) -> &ffi::AVFormatContext {
        &self.context
    }

    pub fn streams(&self) -> Vec<Stream<'_>> {
        let context = self.context();
        // SAFETY: the list holds so many streams, which live as long as the context.
        (0..context.nb_streams as usize).map(|index| Stream(unsafe { &**context.streams.add(index) })).collect()
    }

    pub fn stream(&self, index: usize) -> Stream<'_> {
        self.streams()[index]
    }

    /// The container's tags.
    pub fn metadata(&self) -> Vec<(String, String)> {
        // SAFETY: nothing changes it during the call.
        unsafe { entries(self.context().metadata) }
    }

    /// Skips a stream's packets.
    pub fn discard(&mut self, index: usize) {
        // SAFETY: the context is ours, and has this stream.
        unsafe { (**self.context.streams.add(index)).discard = ffi::AVDiscard::AVDISCARD_ALL };
    }

    /// The next packet; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Packet>> {
        let packet = Packet::new()?;
        // SAFETY: both are alive.
        match check(unsafe { ffi::av_read_frame(self.context.as_ptr(), packet.as_ptr()) }) {
            Ok(_) => Ok(Some(packet)),
            Err(Error::EOF) => {
                // A failed read looks like the end of the file, except here.
                let io = self.context().pb;
                // SAFETY: null, or the context's own.
                let error = unsafe { io.as_ref() }.map_or(0, |io| io.error);
                if error < 0 && error != ffi::AVERROR_EOF { Err(Error(error)) } else { Ok(None) }
            }
            Err(error) => Err(error),
        }
    }

    /// Seeks to the last key frame before a time in microseconds.
    pub fn seek(&mut self, time: i64) -> Result<()> {
        let flags = ffi::AVSEEK_FLAG_BACKWARD;
        // SAFETY: the context is ours.
        check(unsafe { ffi::av_seek_frame(self.context.as_ptr(), -1, time, flags as c_int) }).map(drop)
    }

    /// Seeks to the last key frame of a stream before a time in its ticks.
    pub fn seek_stream(&mut self, index: usize, time: i64) -> Result<()> {
        let (index, flags) = (index as c_int, ffi::AVSEEK_FLAG_BACKWARD);
        // SAFETY: the context is ours; an index that it lacks is an error.
        check(unsafe { ffi::av_seek_frame(self.context.as_ptr(), index, time, flags as c_int) }).map(drop)
    }
}

/// A stream of a container.
#[derive(Clone, Copy)]
pub struct Stream<'a>(pub &'a ffi::AVStream);

impl<'a> Stream<'a> {
    pub fn index(self) -> usize {
        usize::try_from(self.0.index).unwrap_or(0)
    }

    pub fn parameters(self) -> &'a ffi::AVCodecParameters {
        // SAFETY: every stream has some.
        unsafe { &*self.0.codecpar }
    }

    pub fn kind(self) -> ffi::AVMediaType {
        self.parameters().codec_type
    }

    pub fn base(self) -> Rational {
        self.0.time_base
    }

    pub fn tags(self) -> Vec<(String, String)> {
        // SAFETY: nothing changes it during the call.
        unsafe { entries(self.0.metadata) }
    }

    pub fn tag(self, name: &str) -> Option<String> {
        self.tags().into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn has_disposition(self, flag: c_int) -> bool {
        self.0.disposition & flag != 0
    }

    /// A still picture such as a cover.
    pub fn is_cover(self) -> bool {
        self.has_disposition(ffi::AV_DISPOSITION_ATTACHED_PIC)
    }

    /// A cover's bytes: a picture file.
    pub fn attached_picture(self) -> &'a [u8] {
        let picture = &self.0.attached_pic;
        match usize::try_from(picture.size) {
            // SAFETY: the packet holds so many bytes, and lives as long as the stream.
            Ok(size) if !picture.data.is_null() => unsafe { std::slice::from_raw_parts(picture.data, size) },
            _ => &[],
        }
    }

    /// The codec's name, such as "aac".
    pub fn codec_name(self) -> String {
        // SAFETY: the name is static.
        unsafe { text(ffi::avcodec_get_name(self.parameters().codec_id)) }
    }

    pub fn side_data(self, kind: ffi::AVPacketSideDataType) -> Option<&'a [u8]> {
        // SAFETY: the stream is alive, and so is its data.
        unsafe {
            #[cfg(ffmpeg_6_1)]
            {
                let parameters = self.parameters();
                let data =
                    ffi::av_packet_side_data_get(parameters.coded_side_data, parameters.nb_coded_side_data, kind);
                data.as_ref().map(|data| std::slice::from_raw_parts(data.data, data.size))
            }
            #[cfg(not(ffmpeg_6_1))]
            {
                let mut size = 0;
                let data = ffi::av_stream_get_side_data(self.0, kind, &mut size);
                (!data.is_null()).then(|| std::slice::from_raw_parts(data, size))
            }
        }
    }
}

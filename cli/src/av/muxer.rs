//! Writing containers.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use super::{Dictionary, Encoder, Error, Packet, Rational, Result, c_string, check};

/// A container that is being written.
pub struct Muxer {
    context: NonNull<ffi::AVFormatContext>,
}

// SAFETY: a muxer is used by one thread at a time.
unsafe impl Send for Muxer {}

impl Muxer {
    /// Creates a container of a format such as "matroska" at a URL (`file:...` for a file).
    pub fn create(format: &CStr, url: &str) -> Result<Self> {
        let muxer = Muxer::new(format)?;
        let url = c_string(url);
        // SAFETY: the context is ours; the opened file is closed with it.
        check(unsafe {
            ffi::avio_open(&mut (*muxer.context.as_ptr()).pb, url.as_ptr(), ffi::AVIO_FLAG_WRITE as c_int)
        })?;
        Ok(muxer)
    }

    fn new(format: &CStr) -> Result<Self> {
        let mut context = ptr::null_mut();
        // SAFETY: the context is ours from here on.
        check(unsafe { ffi::avformat_alloc_output_context2(&mut context, ptr::null(), format.as_ptr(), ptr::null()) })?;
        Ok(Muxer { context: NonNull::new(context).ok_or(Error::NO_MEMORY)? })
    }

    /// Whether a format can hold such a stream: tries to write a header to memory.
    pub fn accepts(format: &CStr, parameters: &ffi::AVCodecParameters, base: Rational) -> bool {
        let tried = || -> Result<()> {
            let mut muxer = Muxer::new(format)?;
            // SAFETY: the buffer in memory is closed below, before the context is freed.
            unsafe {
                let context = muxer.context.as_ptr();
                check(ffi::avio_open_dyn_buf(&mut (*context).pb))?;
                let written = muxer.add(Some(parameters), base).and_then(|_| muxer.begin(Dictionary::new()));
                let mut bytes = ptr::null_mut();
                ffi::avio_close_dyn_buf((*context).pb, &mut bytes);
                (*context).pb = ptr::null_mut();
                ffi::av_free(bytes.cast());
                written
            }
        };
        tried().is_ok()
    }

    pub fn context(&mut self) -> &mut ffi::AVFormatContext {
        // SAFETY: it lives as long as we do, and nobody else has it.
        unsafe { self.context.as_mut() }
    }

    /// Whether encoders must put their headers into the container.
    pub fn wants_global_header(&mut self) -> bool {
        // SAFETY: formats are static.
        unsafe { (*self.context().oformat).flags & ffi::AVFMT_GLOBALHEADER != 0 }
    }

    /// Adds a stream and returns its index. `None`: its parameters are not known yet.
    pub fn add(&mut self, parameters: Option<&ffi::AVCodecParameters>, base: Rational) -> Result<usize> {
        // SAFETY: the stream is the context's; the parameters are copied.
        unsafe {
            let stream = ffi::avformat_new_stream(self.context.as_ptr(), ptr::null());
            if stream.is_null() {
                return Err(Error::NO_MEMORY);
            }
            (*stream).time_base = base;
            if let Some(parameters) = parameters {
                check(ffi::avcodec_parameters_copy((*stream).codecpar, parameters))?;
                let tags = (*self.context().oformat).codec_tag;
                // A tag is valid only in its own family of containers.
                let (id, tag) = (parameters.codec_id, parameters.codec_tag);
                let is_known = tags.is_null() || ffi::av_codec_get_id(tags, tag) == id;
                let is_free = is_known || ffi::av_codec_get_tag(tags, id) == 0;
                (*(*stream).codecpar).codec_tag = if is_free { tag } else { 0 };
            }
            Ok(usize::try_from((*stream).index).unwrap_or(0))
        }
    }

    /// Sets a stream's parameters to those of an open encoder.
    pub fn describe(&mut self, index: usize, encoder: &Encoder) -> Result<()> {
        // SAFETY: the stream has parameters, and the encoder is open.
        check(unsafe { ffi::avcodec_parameters_from_context(self.stream(index).codecpar, encoder.as_ptr()) }).map(drop)
    }

    /// Sets a stream's parameters to those of another container's stream.
    pub fn describe_like(&mut self, index: usize, parameters: &ffi::AVCodecParameters) -> Result<()> {
        // SAFETY: both are alive; everything is copied.
        unsafe {
            let own = self.stream(index).codecpar;
            check(ffi::avcodec_parameters_copy(own, parameters))?;
            // A tag is valid only in its own family of containers.
            (*own).codec_tag = 0;
            (*own).bit_rate = 0;
        }
        Ok(())
    }

    pub fn stream(&mut self, index: usize) -> &mut ffi::AVStream {
        // SAFETY: the context has this stream, and nobody else has the context.
        unsafe { &mut **self.context().streams.add(index) }
    }

    /// Adds side data to a stream, for example HDR metadata.
    pub fn add_side_data(&mut self, index: usize, kind: ffi::AVPacketSideDataType, bytes: &[u8]) -> Result<()> {
        let stream = self.stream(index);
        // SAFETY: the stream gets room for so many bytes.
        unsafe {
            #[cfg(ffmpeg_6_1)]
            let data = {
                let parameters = &mut *stream.codecpar;
                let all = &mut parameters.coded_side_data;
                let new = ffi::av_packet_side_data_new(all, &mut parameters.nb_coded_side_data, kind, bytes.len(), 0);
                if new.is_null() { ptr::null_mut() } else { (*new).data }
            };
            #[cfg(not(ffmpeg_6_1))]
            let data = ffi::av_stream_new_side_data(stream, kind, bytes.len());
            if data.is_null() {
                return Err(Error::NO_MEMORY);
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
        Ok(())
    }

    /// Adds a chapter with times in ticks of `base`.
    pub fn add_chapter(&mut self, id: i64, base: Rational, times: (i64, i64), tags: Dictionary) -> Result<()> {
        // SAFETY: the chapter and the list that holds it are FFmpeg's allocations, which the context frees.
        unsafe {
            let chapter = ffi::av_mallocz(size_of::<ffi::AVChapter>()).cast::<ffi::AVChapter>();
            if chapter.is_null() {
                return Err(Error::NO_MEMORY);
            }
            (*chapter).id = id;
            (*chapter).time_base = base;
            ((*chapter).start, (*chapter).end) = times;
            (*chapter).metadata = tags.into_raw();
            let context = self.context();
            let mut count = context.nb_chapters as c_int;
            ffi::av_dynarray_add((&raw mut context.chapters).cast(), &mut count, chapter.cast());
            context.nb_chapters = count as u32;
        }
        Ok(())
    }

    /// Writes the header. No stream can be added after this.
    pub fn begin(&mut self, mut options: Dictionary) -> Result<()> {
        // SAFETY: the context is ours and has its streams.
        check(unsafe { ffi::avformat_write_header(self.context.as_ptr(), options.as_mut_ptr()) }).map(drop)
    }

    /// Writes a packet, interleaved with those of other streams.
    pub fn write(&mut self, packet: Packet) -> Result<()> {
        // SAFETY: the context was begun; the packet's share is taken over.
        check(unsafe { ffi::av_interleaved_write_frame(self.context.as_ptr(), packet.as_ptr()) })?;
        self.io_error()
    }

    /// Writes the remaining packets and the trailer, and closes the file.
    pub fn finish(&mut self) -> Result<()> {
        // SAFETY: the context was begun, and nothing is written after this.
        check(unsafe { ffi::av_write_trailer(self.context.as_ptr()) })?;
        self.io_error()?;
        // SAFETY: the file is the context's.
        check(unsafe { ffi::avio_closep(&mut self.context().pb) }).map(drop)
    }

    fn io_error(&mut self) -> Result<()> {
        // SAFETY: null, or the context's own.
        check(unsafe { self.context().pb.as_ref() }.map_or(0, |io| io.error)).map(drop)
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        // SAFETY: both are ours; a file that was closed is null.
        unsafe {
            ffi::avio_closep(&mut self.context().pb);
            ffi::avformat_free_context(self.context.as_ptr());
        }
    }
}

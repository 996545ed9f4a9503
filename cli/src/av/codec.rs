//! Decoders and encoders.

use std::ffi::CStr;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use super::{Dictionary, Error, Frame, Packet, PixelFormat, Result, check, output};

/// A codec's state.
pub struct Context(NonNull<ffi::AVCodecContext>);

// SAFETY: a context is used by one thread at a time.
unsafe impl Send for Context {}

impl Context {
    fn new(codec: *const ffi::AVCodec) -> Result<Self> {
        // SAFETY: the codec is one of FFmpeg's own.
        NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) }).map(Context).ok_or(Error::NO_MEMORY)
    }

    fn as_mut_ptr(&mut self) -> *mut ffi::AVCodecContext {
        self.0.as_ptr()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: it is ours.
        unsafe { ffi::avcodec_free_context(&mut context) };
    }
}

/// Packets into frames.
pub struct Decoder(Context);

impl Decoder {
    /// For packets with times in ticks of `base`.
    pub fn open(parameters: &ffi::AVCodecParameters, base: ffi::AVRational) -> Result<Self> {
        // SAFETY: codecs are static; the parameters outlive the call, which copies them.
        unsafe {
            let codec = ffi::avcodec_find_decoder(parameters.codec_id);
            if codec.is_null() {
                return Err(Error(ffi::AVERROR_DECODER_NOT_FOUND));
            }
            let mut context = Context::new(codec)?;
            check(ffi::avcodec_parameters_to_context(context.as_mut_ptr(), parameters))?;
            let pointer = context.as_mut_ptr();
            (*pointer).pkt_timebase = base;
            (*pointer).thread_count = 0;
            // What is damaged is upscaled as well as it could be decoded.
            (*pointer).flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
            check(ffi::avcodec_open2(pointer, codec, ptr::null_mut()))?;
            Ok(Decoder(context))
        }
    }

    /// Takes the next packet; `None` is the end.
    pub fn send(&mut self, packet: Option<&Packet>) -> Result<()> {
        let packet = packet.map_or(ptr::null(), Packet::as_ptr);
        // SAFETY: both are alive; the packet is not changed.
        check(unsafe { ffi::avcodec_send_packet(self.0.as_mut_ptr(), packet) })?;
        Ok(())
    }

    /// The next frame, if there is one yet.
    pub fn receive(&mut self) -> Result<Option<Frame>> {
        let mut frame = Frame::new();
        // SAFETY: both are alive.
        let code = unsafe { ffi::avcodec_receive_frame(self.0.as_mut_ptr(), frame.as_mut_ptr()) };
        Ok(output(code)?.map(|()| frame))
    }

    /// The subtitles in a packet.
    pub fn subtitle(&mut self, packet: &mut Packet) -> Result<Option<Subtitle>> {
        let mut got = 0;
        // SAFETY: a subtitle of zeros is an empty one; it is filled by the call.
        unsafe {
            let mut subtitle: ffi::AVSubtitle = std::mem::zeroed();
            let pointer = packet.as_mut_ptr();
            check(ffi::avcodec_decode_subtitle2(self.0.as_mut_ptr(), &mut subtitle, &mut got, pointer))?;
            let subtitle = Subtitle(subtitle);
            Ok((got != 0).then_some(subtitle))
        }
    }
}

impl Deref for Decoder {
    type Target = ffi::AVCodecContext;

    fn deref(&self) -> &ffi::AVCodecContext {
        // SAFETY: it lives as long as we do.
        unsafe { self.0.0.as_ref() }
    }
}

/// Decoded subtitles.
pub struct Subtitle(ffi::AVSubtitle);

impl Drop for Subtitle {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { ffi::avsubtitle_free(&mut self.0) };
    }
}

/// Frames into packets. Described through its fields, then opened.
pub struct Encoder {
    context: Context,
    codec: &'static ffi::AVCodec,
}

// SAFETY: its context is used by one thread at a time, and FFmpeg's codecs never change.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder of FFmpeg's by its name.
    pub fn find(name: &str) -> Option<&'static ffi::AVCodec> {
        let name = super::c_string(name);
        // SAFETY: codecs are static.
        unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()).as_ref() }
    }

    pub fn new(codec: &'static ffi::AVCodec) -> Result<Self> {
        Ok(Encoder { context: Context::new(codec)?, codec })
    }

    /// Sets it up with these options; names one that the encoder does not know.
    pub fn open(&mut self, mut options: Dictionary) -> std::result::Result<(), OpenError> {
        // SAFETY: the context is ours, the codec static, the dictionary alive.
        let code = unsafe { ffi::avcodec_open2(self.context.as_mut_ptr(), self.codec, options.as_mut_ptr()) };
        check(code).map_err(OpenError::Failed)?;
        options.first_name().map_or(Ok(()), |name| Err(OpenError::Unknown(name)))
    }

    /// Takes the next frame; `None` is the end.
    pub fn send(&mut self, frame: Option<&Frame>) -> Result<()> {
        let frame = frame.map_or(ptr::null(), Frame::as_ptr);
        // SAFETY: both are alive; the encoder takes a share of the frame.
        check(unsafe { ffi::avcodec_send_frame(self.context.as_mut_ptr(), frame) })?;
        Ok(())
    }

    /// The next packet, if there is one yet.
    pub fn receive(&mut self) -> Result<Option<Packet>> {
        let mut packet = Packet::new();
        // SAFETY: both are alive.
        let code = unsafe { ffi::avcodec_receive_packet(self.context.as_mut_ptr(), packet.as_mut_ptr()) };
        Ok(output(code)?.map(|()| packet))
    }

    /// The bytes of subtitles.
    pub fn subtitle(&mut self, subtitle: &Subtitle) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        // SAFETY: the buffer is as long as is said; the subtitle is only read.
        let size = check(unsafe {
            ffi::avcodec_encode_subtitle(self.context.as_mut_ptr(), bytes.as_mut_ptr(), bytes.len() as i32, &subtitle.0)
        })?;
        bytes.truncate(usize::try_from(size).unwrap_or(0));
        Ok(bytes)
    }

    /// Hands over the header of styles, which a subtitle encoder needs before it is opened.
    pub fn take_subtitle_header(&mut self, decoder: &Decoder) -> Result<()> {
        let size = usize::try_from(decoder.subtitle_header_size).unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        // SAFETY: FFmpeg frees what it has allocated itself; the copy ends with a zero, as it shall.
        unsafe {
            let copy = ffi::av_mallocz(size + 1).cast::<u8>();
            if copy.is_null() {
                return Err(Error::NO_MEMORY);
            }
            ptr::copy_nonoverlapping(decoder.subtitle_header, copy, size);
            self.subtitle_header = copy;
        }
        self.subtitle_header_size = decoder.subtitle_header_size;
        Ok(())
    }

    /// The supported pixel formats, the preferred one first. Empty if the encoder does not list them.
    pub fn pixel_formats(codec: &ffi::AVCodec) -> Vec<PixelFormat> {
        let mut formats = Vec::new();
        let mut next = codec.pix_fmts;
        // SAFETY: null, or a list that ends with NONE.
        unsafe {
            while !next.is_null() && *next != ffi::AVPixelFormat::AV_PIX_FMT_NONE {
                formats.push(PixelFormat(*next));
                next = next.add(1);
            }
        }
        formats
    }

    /// Whether it has a private option of this name.
    pub fn knows(codec: &ffi::AVCodec, option: &CStr) -> bool {
        let class = codec.priv_class;
        if class.is_null() {
            return false;
        }
        let flags = ffi::AV_OPT_SEARCH_FAKE_OBJ;
        // SAFETY: a pointer to a class stands for an object of it, as the flag says.
        let found =
            unsafe { ffi::av_opt_find((&raw const class).cast_mut().cast(), option.as_ptr(), ptr::null(), 0, flags) };
        !found.is_null()
    }
}

impl Deref for Encoder {
    type Target = ffi::AVCodecContext;

    fn deref(&self) -> &ffi::AVCodecContext {
        // SAFETY: it lives as long as we do.
        unsafe { self.context.0.as_ref() }
    }
}

impl DerefMut for Encoder {
    fn deref_mut(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: it lives as long as we do, and nobody else has it.
        unsafe { self.context.0.as_mut() }
    }
}

/// Why an encoder cannot be opened.
pub enum OpenError {
    Failed(Error),
    /// It has no such option.
    Unknown(String),
}

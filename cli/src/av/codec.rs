//! Decoders and encoders.

use std::ffi::CStr;
use std::ptr;

use super::{Dictionary, Error, Frame, Packet, PixelFormat, Rational, Result, check, output};

owned! {
    /// Packets into frames.
    Decoder, AVCodecContext, avcodec_free_context
}

owned! {
    /// Frames into packets. Described through its fields, then opened.
    Encoder, AVCodecContext, avcodec_free_context
}

impl Decoder {
    /// For packets whose timestamps are in units of `base`.
    pub fn open(parameters: &ffi::AVCodecParameters, base: Rational) -> Result<Self> {
        // SAFETY: codecs are static; the parameters outlive the call, which copies them.
        unsafe {
            let codec = ffi::avcodec_find_decoder(parameters.codec_id);
            if codec.is_null() {
                return Err(Error(ffi::AVERROR_DECODER_NOT_FOUND));
            }
            let mut decoder = Decoder::own(ffi::avcodec_alloc_context3(codec))?;
            check(ffi::avcodec_parameters_to_context(decoder.as_ptr(), parameters))?;
            decoder.pkt_timebase = base;
            decoder.thread_count = 0;
            // Damaged frames are upscaled as far as they could be decoded.
            decoder.flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
            check(ffi::avcodec_open2(decoder.as_ptr(), codec, ptr::null_mut()))?;
            Ok(decoder)
        }
    }

    /// Takes the next packet; `None` is the end.
    pub fn send(&mut self, packet: Option<&Packet>) -> Result<()> {
        let packet = packet.map_or(ptr::null_mut(), Packet::as_ptr);
        // SAFETY: both are alive; the packet is not changed.
        check(unsafe { ffi::avcodec_send_packet(self.as_ptr(), packet) }).map(drop)
    }

    /// The next frame, if there is one yet.
    pub fn receive(&mut self) -> Result<Option<Frame>> {
        let frame = Frame::new()?;
        // SAFETY: both are alive.
        output(unsafe { ffi::avcodec_receive_frame(self.as_ptr(), frame.as_ptr()) }, frame)
    }

    /// The subtitles in a packet.
    pub fn subtitle(&mut self, packet: &Packet) -> Result<Option<Subtitle>> {
        let mut got = 0;
        // SAFETY: a subtitle of zeros is an empty one; it is filled by the call.
        unsafe {
            let mut subtitle: ffi::AVSubtitle = std::mem::zeroed();
            check(ffi::avcodec_decode_subtitle2(self.as_ptr(), &mut subtitle, &mut got, packet.as_ptr()))?;
            let subtitle = Subtitle(subtitle);
            Ok((got != 0).then_some(subtitle))
        }
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

impl Encoder {
    /// Finds an encoder by FFmpeg's name.
    pub fn find(name: &str) -> Option<&'static ffi::AVCodec> {
        let name = super::c_string(name);
        // SAFETY: codecs are static.
        unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()).as_ref() }
    }

    pub fn new(codec: &'static ffi::AVCodec) -> Result<Self> {
        // SAFETY: the codec is one of FFmpeg's own.
        Encoder::own(unsafe { ffi::avcodec_alloc_context3(codec) })
    }

    /// Opens it with these options; returns the name of one that the encoder does not know.
    pub fn open(&mut self, mut options: Dictionary) -> std::result::Result<(), OpenError> {
        // SAFETY: the context is ours and was made for its codec; the dictionary is alive.
        let code = unsafe { ffi::avcodec_open2(self.as_ptr(), ptr::null(), options.as_mut_ptr()) };
        check(code).map_err(OpenError::Failed)?;
        options.first_name().map_or(Ok(()), |name| Err(OpenError::Unknown(name)))
    }

    /// Takes the next frame (`None` at the end) and returns the packets that are ready.
    pub fn encode(&mut self, frame: Option<&Frame>) -> Result<Vec<Packet>> {
        let frame = frame.map_or(ptr::null_mut(), Frame::as_ptr);
        // SAFETY: both are alive; the encoder takes a share of the frame.
        check(unsafe { ffi::avcodec_send_frame(self.as_ptr(), frame) })?;
        let mut packets = Vec::new();
        loop {
            let packet = Packet::new()?;
            // SAFETY: both are alive.
            match output(unsafe { ffi::avcodec_receive_packet(self.as_ptr(), packet.as_ptr()) }, packet)? {
                Some(packet) => packets.push(packet),
                None => return Ok(packets),
            }
        }
    }

    /// Sets the channel layout by name, such as "5.1".
    pub fn set_layout(&mut self, name: &str) -> Result<()> {
        let name = super::c_string(name);
        // SAFETY: a text, and a layout of the encoder's own.
        check(unsafe { ffi::av_channel_layout_from_string(&mut self.ch_layout, name.as_ptr()) }).map(drop)
    }

    /// Encodes a subtitle.
    pub fn subtitle(&mut self, subtitle: &Subtitle) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        // SAFETY: the buffer is as long as is said; the subtitle is only read.
        let size = check(unsafe {
            ffi::avcodec_encode_subtitle(self.as_ptr(), bytes.as_mut_ptr(), bytes.len() as i32, &subtitle.0)
        })?;
        bytes.truncate(usize::try_from(size).unwrap_or(0));
        Ok(bytes)
    }

    /// Copies the styles' header, which a subtitle encoder needs before it is opened.
    pub fn take_subtitle_header(&mut self, decoder: &Decoder) -> Result<()> {
        let size = usize::try_from(decoder.subtitle_header_size).unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        // SAFETY: the header is so long; the copy ends with a zero, as it shall.
        self.subtitle_header = super::allocated(unsafe { std::slice::from_raw_parts(decoder.subtitle_header, size) })?;
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

owned! {
    /// A device whose memory some encoders read frames from.
    Device, AVBufferRef, av_buffer_unref
}

impl Device {
    /// Opens the first device of this kind.
    pub fn open(kind: ffi::AVHWDeviceType) -> Result<Self> {
        let mut device = ptr::null_mut();
        // SAFETY: the reference is ours.
        check(unsafe { ffi::av_hwdevice_ctx_create(&mut device, kind, ptr::null(), ptr::null_mut(), 0) })?;
        Device::own(device)
    }
}

/// Why an encoder cannot be opened.
pub enum OpenError {
    Failed(Error),
    /// The encoder has no such option.
    Unknown(String),
}

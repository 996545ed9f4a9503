//! From upscaled frames to packets.

use std::collections::HashMap;

use crate::args::Encoding;
use crate::av::{self, Dictionary, Encoder, Error, Frame, Graph, OpenError, Packet, PictureInput, PixelFormat};
use crate::codecs::Codec;
use crate::colour::{self, Colour};
use crate::failure::{Failure, Result, failed, usage};
use crate::hdr::Hdr;
use crate::reader::Timing;

/// An encoder of video, and the filters before it.
pub struct VideoEncoder {
    encoder: Encoder,
    codec: Codec,
    graph: Option<Graph>,
    /// Into what the graph makes pictures.
    colour: Colour,
    timing: Timing,
    hdr: Hdr,
    matrix: Option<Vec<u8>>,
    /// How long frames are shown that are inside, by their times: not all encoders tell, and without it the last frame of an MP4 is lost.
    durations: HashMap<i64, i64>,
    ended: bool,
}

/// What an encoder is made for.
pub struct Job<'a> {
    pub codec: Codec,
    pub encoding: &'a Encoding,
    pub timing: Timing,
    pub hdr: Hdr,
    /// The display matrix that the container is to keep.
    pub matrix: Option<Vec<u8>>,
    pub global_header: bool,
    /// Rows of the source, by which unspecified colours are guessed.
    pub source_rows: i32,
    /// Whether the source has no alpha, whatever the element made of it.
    pub is_opaque: bool,
}

impl VideoEncoder {
    /// For frames like this one.
    pub fn open(job: Job, frame: &Frame) -> Result<Self> {
        let codec = job.codec;
        let from = frame.pixel_format();
        let (format, _) = codec.pixel_format(from, job.is_opaque);
        let before = Colour::of(frame).enlarged(from, job.source_rows, frame.height);
        let mut colour = colour::converted(before, from, format, frame.height);
        if codec.name == "mjpeg" {
            // JFIF knows one kind of colours.
            colour.range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
            colour.matrix = ffi::AVColorSpace::AVCOL_SPC_SMPTE170M;
        }
        let mut options = codec.options(job.encoding)?;
        job.hdr.set_options(codec, &mut options);
        let filters = filters(codec, (from, before), (format, colour), frame)?;
        let input = PictureInput { base: job.timing.base, rate: job.timing.rate };
        let wrong = |error: Error| Failure::Failed(format!("{} cannot be used: {error}", codec.name));
        let mut graph = None;
        if !filters.is_empty() {
            let mut sample = frame.share().map_err(wrong)?;
            before.describe(&mut sample);
            let device = Device::open(codec)?;
            graph = Some(Graph::video_on(device.0, &filters, &sample, input).map_err(wrong)?);
        }
        let mut encoder = Encoder::new(codec.av).map_err(wrong)?;
        (encoder.width, encoder.height) = padded(codec, format, frame);
        encoder.pix_fmt = format.0;
        if let Some(graph) = &graph {
            encoder.pix_fmt = graph.format().0;
            let frames = graph.hardware_frames();
            if !frames.is_null() {
                // SAFETY: the graph's frames; the encoder gets a share.
                encoder.hw_frames_ctx = unsafe { ffi::av_buffer_ref(frames) };
            }
        }
        encoder.sample_aspect_ratio = frame.sample_aspect_ratio;
        encoder.time_base = job.timing.base;
        encoder.framerate = job.timing.rate;
        encoder.thread_count = 0;
        colour.describe_encoder(&mut encoder);
        if job.global_header {
            encoder.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        }
        open(&mut encoder, codec, options)?;
        Ok(VideoEncoder {
            encoder,
            codec,
            graph,
            colour: before,
            timing: job.timing,
            hdr: job.hdr,
            matrix: job.matrix,
            durations: HashMap::new(),
            ended: false,
        })
    }

    pub fn base(&self) -> ffi::AVRational {
        self.encoder.time_base
    }

    pub fn encoder(&self) -> &ffi::AVCodecContext {
        &self.encoder
    }

    /// Frames per second, where all take as long; else 0/1.
    pub fn constant_rate(&self) -> ffi::AVRational {
        if self.timing.is_constant { self.timing.rate } else { ffi::AVRational { num: 0, den: 1 } }
    }

    /// What the container is to say of the video.
    pub fn side_data(&self) -> Vec<(ffi::AVPacketSideDataType, &[u8])> {
        let matrix = self.matrix.as_deref();
        let matrix = matrix.map(|data| (ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX, data));
        self.hdr.side_data().chain(matrix).collect()
    }

    /// Takes the next frame, and gives the packets that are ready; `None` is the end.
    pub fn take(&mut self, frame: Option<Frame>) -> Result<Vec<Packet>> {
        let name = self.codec.name;
        let wrong = |error: Error| Failure::Failed(format!("{name} failed: {error}"));
        let mut packets = Vec::new();
        match frame {
            None if self.ended => return Ok(packets),
            None => {
                self.ended = true;
                self.filter(None, &mut packets).map_err(wrong)?;
                self.encode(None, &mut packets).map_err(wrong)?;
            }
            Some(mut frame) => {
                self.colour.describe(&mut frame);
                frame.pict_type = ffi::AVPictureType::AV_PICTURE_TYPE_NONE;
                self.filter(Some(frame), &mut packets).map_err(wrong)?;
            }
        }
        Ok(packets)
    }

    fn filter(&mut self, frame: Option<Frame>, packets: &mut Vec<Packet>) -> av::Result<()> {
        let Some(graph) = &mut self.graph else {
            return frame.map_or(Ok(()), |frame| self.encode(Some(&frame), packets));
        };
        match frame {
            Some(mut frame) => graph.push(Some(&mut frame))?,
            None => graph.push(None)?,
        }
        loop {
            let Some(graph) = &mut self.graph else { return Ok(()) };
            let Some(mut frame) = graph.pull()? else { return Ok(()) };
            frame.pts = av::rescale(frame.pts, graph.base(), self.encoder.time_base);
            let ticks = av::rescale(frame.ticks(), graph.base(), self.encoder.time_base);
            frame.set_ticks(ticks);
            // Some encoders compare each frame with what they were opened for.
            frame.color_range = self.encoder.color_range;
            frame.colorspace = self.encoder.colorspace;
            self.encode(Some(&frame), packets)?;
        }
    }

    fn encode(&mut self, frame: Option<&Frame>, packets: &mut Vec<Packet>) -> av::Result<()> {
        if let Some(frame) = frame {
            self.durations.insert(frame.pts, frame.ticks());
        }
        self.encoder.send(frame)?;
        while let Some(mut packet) = self.encoder.receive()? {
            packet.duration = self.durations.remove(&packet.pts).unwrap_or(packet.duration);
            packets.push(packet);
        }
        Ok(())
    }
}

fn open(encoder: &mut Encoder, codec: Codec, options: Dictionary) -> Result<()> {
    let (width, height) = (encoder.width, encoder.height);
    let format = PixelFormat(encoder.pix_fmt).name();
    match encoder.open(options) {
        Ok(()) => Ok(()),
        Err(OpenError::Unknown(name)) => usage(format!("{} has no option {name}", codec.name)),
        Err(OpenError::Failed(error)) => failed(format!(
            "{} cannot encode {width}x{height} {format} with these options ({error}): try another --encoder or --size",
            codec.name
        )),
    }
}

/// The kind of device whose memory an encoder takes pictures from; `None` where they stay in the processor's.
fn device_type(codec: Codec) -> Option<ffi::AVHWDeviceType> {
    match codec.name {
        name if name.ends_with("_vaapi") => Some(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI),
        name if name.ends_with("_qsv") => Some(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_QSV),
        _ => None,
    }
}

/// The first device of its kind, for an encoder that needs one.
struct Device(*mut ffi::AVBufferRef);

impl Device {
    fn open(codec: Codec) -> Result<Self> {
        let mut device = std::ptr::null_mut();
        if let Some(kind) = device_type(codec) {
            // SAFETY: the reference is ours.
            let opened =
                unsafe { ffi::av_hwdevice_ctx_create(&mut device, kind, std::ptr::null(), std::ptr::null_mut(), 0) };
            av::check(opened).or_else(|error| failed(format!("{} found no device: {error}", codec.name)))?;
        }
        Ok(Device(device))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: null, or ours.
        unsafe { ffi::av_buffer_unref(&mut self.0) };
    }
}

/// The frame size, padded where the encoder needs even numbers.
fn padded(codec: Codec, format: PixelFormat, frame: &Frame) -> (i32, i32) {
    let (columns, rows) = if codec.needs_even_size() { format.is_subsampled() } else { (false, false) };
    let even = |side: i32, pad: bool| if pad { side + side % 2 } else { side };
    (even(frame.width, columns), even(frame.height, rows))
}

/// Whether a column or a row is added to this frame.
pub fn is_padded(codec: Codec, frame_format: PixelFormat, width: i32, height: i32) -> bool {
    let (columns, rows) = codec.pixel_format(frame_format, false).0.is_subsampled();
    codec.needs_even_size() && (columns && width % 2 != 0 || rows && height % 2 != 0)
}

/// From what the element makes to what the encoder takes.
fn filters(codec: Codec, from: (PixelFormat, Colour), to: (PixelFormat, Colour), frame: &Frame) -> Result<String> {
    let mut filters = Vec::new();
    if codec.name == "gif" {
        // A palette for each picture, made of that picture.
        let rgb = (PixelFormat::from_name("bgra").expect("FFmpeg has it"), to.1);
        let rgb = colour::conversion(from, rgb, frame.height);
        filters.push(format!("{rgb},split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"));
        return Ok(filters.join(","));
    }
    if from.0 != to.0
        || from.1.is_full() != to.1.is_full() && !from.0.is_rgb()
        || codec.name == "mjpeg" && from.1 != to.1
    {
        filters.push(colour::conversion(from, to, frame.height));
    }
    let (width, height) = padded(codec, to.0, frame);
    if (width, height) != (frame.width, frame.height) {
        let (right, bottom) = (width - frame.width, height - frame.height);
        filters.push(format!("pad={width}:{height},fillborders=right={right}:bottom={bottom}:mode=smear"));
    }
    if device_type(codec).is_some() {
        filters
            .push(format!("format={},hwupload=extra_hw_frames=64", if to.0.depth() > 8 { "p010le" } else { "nv12" }));
    }
    Ok(filters.join(","))
}

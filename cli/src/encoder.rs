//! Encodes upscaled frames.

use std::collections::HashMap;

use crate::args::Encoding;
use crate::av::{
    self, Device, Dictionary, Encoder, Frame, Graph, OpenError, Packet, PictureInput, PixelFormat, Rational, rational,
};
use crate::codecs::Codec;
use crate::colour::{self, Colour};
use crate::failure::{Context, Result, failed, usage};
use crate::hdr::{self, SideData};
use crate::reader::Timing;

/// What a video encoder needs to know.
#[derive(Clone)]
pub struct EncoderSettings {
    pub codec: Codec,
    pub encoding: Encoding,
    pub timing: Timing,
    /// HDR metadata and the display matrix, for the container.
    pub side_data: SideData,
    pub global_header: bool,
    /// The source's height, from which players guess an unspecified matrix.
    pub source_rows: i32,
    /// Whether the source has no alpha, even if the upscaled frames do.
    pub is_opaque: bool,
}

impl EncoderSettings {
    /// For a source with this first frame.
    pub fn new(codec: Codec, encoding: Encoding, timing: Timing, first: &Frame) -> Self {
        let (source_rows, is_opaque) = (first.height, !first.pixel_format().has_alpha());
        EncoderSettings { codec, encoding, timing, side_data: Vec::new(), global_header: false, source_rows, is_opaque }
    }

    /// The frame rate if it is constant, otherwise 0/1.
    pub fn constant_rate(&self) -> Rational {
        if self.timing.is_constant { self.timing.rate } else { rational(0, 1) }
    }
}

/// Re-encodes a stream other than the video.
pub trait StreamEncoder: Send {
    fn encoder(&self) -> &Encoder;
    /// Takes the next packet (`None` once, at the end) and returns those that are ready.
    fn take(&mut self, packet: Option<&Packet>) -> Result<Vec<Packet>>;
}

/// A video encoder and the filters in front of it.
pub struct VideoEncoder {
    encoder: Encoder,
    codec: Codec,
    graph: Option<Graph>,
    /// The colours of the frames that it takes.
    colour: Colour,
    /// Durations of the frames inside, by timestamp: not all encoders pass them on, and without one, an MP4 loses its last frame.
    durations: HashMap<i64, i64>,
}

impl VideoEncoder {
    /// For frames like this one.
    pub fn open(settings: &EncoderSettings, frame: &Frame) -> Result<Self> {
        let codec = settings.codec;
        let from = frame.pixel_format();
        let (format, _) = codec.pixel_format(from, settings.is_opaque);
        let before = Colour::of(frame).enlarged(from, settings.source_rows, frame.height);
        let mut colour = colour::converted(before, from, format, frame.height);
        if codec.name == "mjpeg" {
            // JFIF allows only this.
            colour.range = ffi::AVColorRange::AVCOL_RANGE_JPEG;
            colour.matrix = ffi::AVColorSpace::AVCOL_SPC_SMPTE170M;
        }
        let mut options = codec.options(&settings.encoding)?;
        hdr::set_options(&settings.side_data, codec, &mut options);
        let filters = filters(codec, (from, before), (format, colour), frame)?;
        let base = settings.timing.base;
        let input = PictureInput { base, rate: settings.timing.rate, out_base: base };
        let wrong = format!("{} cannot be used", codec.name);
        let mut graph = None;
        if !filters.is_empty() {
            let mut sample = frame.share().context(&wrong)?;
            before.describe(&mut sample);
            let device = device_type(codec).map(Device::open).transpose();
            let device = device.context(format_args!("{} found no device", codec.name))?;
            graph = Some(Graph::video(device.as_ref(), &filters, &sample, input).context(&wrong)?);
        }
        let mut encoder = Encoder::new(codec.av).context(&wrong)?;
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
        encoder.time_base = base;
        encoder.framerate = settings.timing.rate;
        encoder.thread_count = 0;
        colour.describe_encoder(&mut encoder);
        if settings.global_header {
            encoder.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        }
        open(&mut encoder, codec, options)?;
        Ok(VideoEncoder { encoder, codec, graph, colour: before, durations: HashMap::new() })
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Takes the next frame (`None` at the end) and returns the packets that are ready.
    pub fn take(&mut self, frame: Option<Frame>) -> Result<Vec<Packet>> {
        self.filter_and_encode(frame).context(format_args!("{} failed", self.codec.name))
    }

    fn filter_and_encode(&mut self, mut frame: Option<Frame>) -> av::Result<Vec<Packet>> {
        let is_end = frame.is_none();
        if let Some(frame) = &mut frame {
            self.colour.describe(frame);
            frame.pict_type = ffi::AVPictureType::AV_PICTURE_TYPE_NONE;
        }
        let frames = match &mut self.graph {
            Some(graph) => graph.filter(frame.as_ref())?,
            None => frame.into_iter().collect(),
        };
        let mut packets = Vec::new();
        for mut frame in frames {
            // Some encoders compare each frame with their own settings.
            frame.color_range = self.encoder.color_range;
            frame.colorspace = self.encoder.colorspace;
            self.durations.insert(frame.pts, frame.ticks());
            packets.extend(self.encoder.encode(Some(&frame))?);
        }
        if is_end {
            packets.extend(self.encoder.encode(None)?);
        }
        for packet in &mut packets {
            packet.duration = self.durations.remove(&packet.pts).unwrap_or(packet.duration);
        }
        Ok(packets)
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

/// The kind of device whose memory an encoder reads frames from; `None` for main memory.
fn device_type(codec: Codec) -> Option<ffi::AVHWDeviceType> {
    match codec.name {
        name if name.ends_with("_vaapi") => Some(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI),
        name if name.ends_with("_qsv") => Some(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_QSV),
        _ => None,
    }
}

/// The frame size, padded if the encoder requires even numbers.
fn padded(codec: Codec, format: PixelFormat, frame: &Frame) -> (i32, i32) {
    let (columns, rows) = if codec.needs_even_size() { format.is_subsampled() } else { (false, false) };
    let even = |side: i32, pad: bool| if pad { side + side % 2 } else { side };
    (even(frame.width, columns), even(frame.height, rows))
}

/// The filters from upscaled frames to what the encoder takes.
fn filters(codec: Codec, from: (PixelFormat, Colour), to: (PixelFormat, Colour), frame: &Frame) -> Result<String> {
    let mut filters = Vec::new();
    if codec.name == "gif" {
        // Each frame gets its own palette.
        let rgb = (PixelFormat::known("bgra"), to.1);
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

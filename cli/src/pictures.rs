//! Writes picture files.

use crate::args::Encoding;
use crate::av::{self, Dictionary, Encoder, Frame, Muxer, Packet, rational};
use crate::codecs::Codec;
use crate::container::Container;
use crate::encoder::{EncoderSettings, VideoEncoder};
use crate::failure::{Context, Result, failed};
use crate::input::{Input, file_url};
use crate::output::{Claim, PictureFormat, write_failure};
use crate::reader::Timing;

pub struct PictureFiles {
    format: PictureFormat,
    settings: EncoderSettings,
    /// IN's numbers; for a video they are 1, 2, 3.
    numbers: Vec<u64>,
    written: u64,
}

impl PictureFiles {
    pub fn new(format: PictureFormat, settings: EncoderSettings, input: &Input) -> Self {
        let (encoding, global_header) = (encoding(format, settings.encoding), format == PictureFormat::Avif);
        PictureFiles {
            format,
            settings: EncoderSettings { encoding, global_header, side_data: Vec::new(), ..settings },
            numbers: input.files().iter().map(|(number, _)| *number).collect(),
            written: 0,
        }
    }

    /// Writes a frame. Each has its own encoder, because sizes may differ.
    pub fn take(&mut self, frame: Frame, claim: &Claim) -> Result<()> {
        self.written += 1;
        // A picture's timestamp is its position in IN: some may be missing.
        let place = usize::try_from(frame.pts).ok();
        let number = place.and_then(|place| self.numbers.get(place).copied()).unwrap_or(self.written);
        let (path, name) = (claim.picture(number), claim.final_picture(number));
        let (encoder, packets) = encode(&self.settings, frame)?;
        if self.format == PictureFormat::Avif {
            let url = file_url(&path)?;
            return avif(&url, encoder.encoder(), packets).map_err(|error| write_failure(&name, error));
        }
        let [packet] = &packets[..] else { return failed(format!("{}: the encoder made no picture", name.display())) };
        std::fs::write(path, packet.bytes()).map_err(|error| write_failure(&name, error))
    }
}

fn encode(settings: &EncoderSettings, frame: Frame) -> Result<(VideoEncoder, Vec<Packet>)> {
    let mut encoder = VideoEncoder::open(settings, &frame)?;
    let mut packets = encoder.take(Some(frame))?;
    packets.extend(encoder.take(None)?);
    Ok((encoder, packets))
}

/// The bytes of a PNG file.
pub fn png(frame: &Frame) -> Result<Vec<u8>> {
    let timing = Timing { base: rational(1, 25), rate: rational(25, 1), is_constant: true, total: Some(1) };
    let settings = EncoderSettings::new(codec(PictureFormat::Png)?, Encoding::default(), timing, frame);
    let mut frame = frame.share().context("a picture")?;
    frame.pts = 0;
    let (_, packets) = encode(&settings, frame)?;
    Ok(packets.first().context("no PNG was made")?.bytes().to_vec())
}

/// The encoder for a kind of picture.
pub fn codec(format: PictureFormat) -> Result<Codec> {
    match format {
        PictureFormat::Png => Codec::find("png"),
        PictureFormat::Jpeg => Codec::find("mjpeg"),
        PictureFormat::WebP => Codec::find("libwebp"),
        // SVT-AV1 cannot make a single picture before its version 2.
        PictureFormat::Avif if Encoder::find("libaom-av1").is_some() => Codec::find("libaom-av1"),
        PictureFormat::Avif => Codec::find("av1"),
    }
}

/// Translates the quality for a kind of picture.
fn encoding(format: PictureFormat, mut encoding: Encoding) -> Encoding {
    let quality = encoding.quality.take();
    match format {
        PictureFormat::Png => {}
        PictureFormat::Jpeg => {
            // FFmpeg's scale goes from 1 (best) to 31.
            let scale = (31.0 - f32::from(quality.unwrap_or(92)) * 0.3).round().clamp(1.0, 31.0);
            let (scale, more) = ((scale * 118.0) as i32, encoding.encoder_options.unwrap_or_default());
            encoding.encoder_options = Some(format!("flags=+qscale global_quality={scale} qmin=1 {more}"));
        }
        PictureFormat::WebP | PictureFormat::Avif => {
            encoding.quality = quality.or(encoding.crf.is_none().then_some(80));
        }
    }
    encoding
}

fn avif(url: &str, encoder: &Encoder, packets: Vec<Packet>) -> av::Result<()> {
    let mut muxer = Muxer::create(Container::Avif.muxer(), url)?;
    let index = muxer.add(None, encoder.time_base)?;
    muxer.describe(index, encoder)?;
    muxer.begin(Dictionary::new())?;
    let to = muxer.stream(index).time_base;
    for mut packet in packets {
        packet.rescale(encoder.time_base, to);
        packet.stream_index = index as i32;
        muxer.write(packet)?;
    }
    muxer.finish()
}

//! Writing pictures, one file each.

use std::path::Path;

use crate::args::Encoding;
use crate::av::{Encoder, Error, Frame, Muxer, Packet};
use crate::codecs::Codec;
use crate::container::Container;
use crate::encoder::{Job, VideoEncoder};
use crate::failure::{Failure, Result, failed};
use crate::file::write_failure;
use crate::hdr::Hdr;
use crate::output::{Claim, PictureFormat};
use crate::reader::Timing;

/// Which numbers the pictures get: those of IN's, or 1, 2, 3.
pub struct Numbers(Vec<u64>);

impl Numbers {
    pub fn of(input: &crate::input::Input) -> Self {
        match input {
            crate::input::Input::Pictures(pictures) => {
                Numbers(pictures.files.iter().map(|(number, _)| *number).collect())
            }
            crate::input::Input::Media(_) => Numbers(Vec::new()),
        }
    }

    fn number(&self, frame: &Frame, written: u64) -> u64 {
        // The time of a picture of IN is its place there: others may have been left out.
        let place = usize::try_from(frame.pts).ok();
        place.and_then(|place| self.0.get(place).copied()).unwrap_or(written + 1)
    }
}

pub struct PictureFiles {
    format: PictureFormat,
    encoding: Encoding,
    numbers: Numbers,
    timing: Timing,
    source_rows: i32,
    is_opaque: bool,
    written: u64,
}

impl PictureFiles {
    pub fn new(format: PictureFormat, encoding: &Encoding, numbers: Numbers, timing: Timing, first: &Frame) -> Self {
        PictureFiles {
            format,
            encoding: encoding.clone(),
            numbers,
            timing,
            source_rows: first.height,
            is_opaque: !first.pixel_format().has_alpha(),
            written: 0,
        }
    }

    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes a frame. Each has its own encoder, because sizes may differ.
    pub fn take(&mut self, frame: Frame, claim: &Claim) -> Result<()> {
        let number = self.numbers.number(&frame, self.written);
        let (path, name) = (claim.picture(number), claim.final_picture(number));
        let codec = codec(self.format)?;
        let (quality, default) = (self.encoding.quality, if self.format == PictureFormat::Jpeg { 92 } else { 80 });
        let mut encoding =
            Encoding { quality: quality.or(self.encoding.crf.is_none().then_some(default)), ..self.encoding.clone() };
        if self.format == PictureFormat::Jpeg {
            let quality = encoding.quality.take().unwrap_or(default);
            encoding.encoder_options = Some(jpeg_options(quality, encoding.encoder_options.as_deref()));
        }
        if self.format == PictureFormat::Png {
            encoding.quality = None;
        }
        let job = Job {
            codec,
            encoding: &encoding,
            timing: self.timing,
            hdr: Hdr::default(),
            matrix: None,
            global_header: self.format == PictureFormat::Avif,
            source_rows: self.source_rows,
            is_opaque: self.is_opaque,
        };
        let mut encoder = VideoEncoder::open(job, &frame)?;
        let mut packets = encoder.take(Some(frame))?;
        packets.extend(encoder.take(None)?);
        match self.format {
            PictureFormat::Avif => avif(&path, &name, &encoder, packets)?,
            _ => plain(&path, &name, &packets)?,
        }
        self.written += 1;
        Ok(())
    }
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

/// FFmpeg's scale goes from 2, the best, to 31; finer for small numbers.
fn jpeg_options(quality: u8, more: Option<&str>) -> String {
    let scale = (31.0 - f32::from(quality) * 0.3).round().clamp(1.0, 31.0);
    format!("flags=+qscale global_quality={} qmin=1 {}", (scale * 118.0) as i32, more.unwrap_or_default())
}

/// Encoders of pictures make whole files.
fn plain(path: &Path, name: &Path, packets: &[Packet]) -> Result<()> {
    let [packet] = packets else { return failed(format!("{}: the encoder made no picture", name.display())) };
    std::fs::write(path, packet.bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => write_failure(&name.display().to_string(), Error(ffi::AVERROR(ffi::ENOSPC))),
        _ => Failure::Failed(format!("cannot write {}: {error}", name.display())),
    })
}

fn avif(path: &Path, name: &Path, encoder: &VideoEncoder, packets: Vec<Packet>) -> Result<()> {
    let name = name.display().to_string();
    let wrong = |error| write_failure(&name, error);
    let mut muxer = Muxer::create(Container::Avif.muxer(), &crate::input::file_url(path)?).map_err(wrong)?;
    // SAFETY: parameters of zeros are those of an unknown stream; they are filled below.
    let index = muxer.add(&unsafe { std::mem::zeroed() }, encoder.base()).map_err(wrong)?;
    let stream = muxer.stream(index);
    // SAFETY: the stream has parameters, and the encoder is open.
    crate::av::check(unsafe { ffi::avcodec_parameters_from_context(stream.codecpar, encoder.encoder()) })
        .map_err(wrong)?;
    muxer.begin(crate::av::Dictionary::new()).map_err(wrong)?;
    let to = muxer.stream(index).time_base;
    for mut packet in packets {
        packet.rescale(encoder.base(), to);
        packet.stream_index = index as i32;
        muxer.write(packet).map_err(wrong)?;
    }
    muxer.finish().map_err(wrong)
}

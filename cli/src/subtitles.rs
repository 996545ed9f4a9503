//! Re-encodes subtitles into the container's own format.

use crate::av::{Decoder, Dictionary, Encoder, Packet, Stream};
use crate::encoder::StreamEncoder;
use crate::failure::{Context, Result, failed};

pub struct TextEncoder {
    decoder: Decoder,
    encoder: Encoder,
}

impl TextEncoder {
    pub fn open(stream: Stream, encoder: &str) -> Result<Self> {
        let name = format!("{} cannot be re-encoded", crate::stream_actions::describe(stream));
        let decoder = Decoder::open(stream.parameters(), stream.base()).context(&name)?;
        let codec = Encoder::find(encoder).context(format_args!("{name}: this FFmpeg has no {encoder}"))?;
        let mut encoder = Encoder::new(codec).context(&name)?;
        encoder.time_base = stream.base();
        encoder.take_subtitle_header(&decoder).context(&name)?;
        if encoder.open(Dictionary::new()).is_err() {
            return failed(name);
        }
        Ok(TextEncoder { decoder, encoder })
    }

    /// `None` for a subtitle that is empty or cannot be read.
    fn convert(&mut self, packet: &Packet) -> Option<Packet> {
        let subtitle = self.decoder.subtitle(packet).ok()??;
        let bytes = self.encoder.subtitle(&subtitle).ok().filter(|bytes| !bytes.is_empty())?;
        let mut text = Packet::copied(&bytes).ok()?;
        (text.pts, text.dts, text.duration) = (packet.pts, packet.pts, packet.duration);
        text.flags |= ffi::AV_PKT_FLAG_KEY;
        Some(text)
    }
}

impl StreamEncoder for TextEncoder {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The same text in the other format, at the same time.
    fn take(&mut self, packet: Option<&Packet>) -> Result<Vec<Packet>> {
        Ok(packet.and_then(|packet| self.convert(packet)).into_iter().collect())
    }
}

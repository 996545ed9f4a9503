//! Re-encodes subtitles into the container's own format.

use crate::av::{Decoder, Dictionary, Encoder, Packet, Stream};
use crate::failure::{Failure, Result, failed};

pub struct Text {
    decoder: Decoder,
    pub encoder: Encoder,
}

impl Text {
    pub fn open(stream: Stream, encoder: &str) -> Result<Self> {
        let name = crate::streams::describe(stream);
        let wrong = |error| Failure::Failed(format!("{name} cannot be re-encoded: {error}"));
        let decoder = Decoder::open(stream.parameters(), stream.base()).map_err(wrong)?;
        let Some(codec) = Encoder::find(encoder) else {
            return failed(format!("{name} cannot be re-encoded: this FFmpeg has no {encoder}"));
        };
        let mut encoder = Encoder::new(codec).map_err(wrong)?;
        encoder.time_base = stream.base();
        encoder.take_subtitle_header(&decoder).map_err(wrong)?;
        match encoder.open(Dictionary::new()) {
            Ok(()) => Ok(Text { decoder, encoder }),
            Err(_) => failed(format!("{name} cannot be re-encoded")),
        }
    }

    /// The same text in the other kind, at the same time. `None` for one that is empty or cannot be read.
    pub fn take(&mut self, mut packet: Packet) -> Option<Packet> {
        let subtitle = self.decoder.subtitle(&mut packet).ok()??;
        let bytes = self.encoder.subtitle(&subtitle).ok().filter(|bytes| !bytes.is_empty())?;
        let mut text = Packet::copied(&bytes).ok()?;
        (text.pts, text.dts, text.duration) = (packet.pts, packet.pts, packet.duration);
        text.flags |= ffi::AV_PKT_FLAG_KEY;
        Some(text)
    }
}

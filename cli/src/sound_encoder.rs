//! Re-encodes audio that the container cannot hold, or that the user wants in another codec.

use crate::args::Audio;
use crate::av::{self, Decoder, Dictionary, Encoder, Error, Frame, Graph, Packet, Rational, Stream, rational};
use crate::encoder::StreamEncoder;
use crate::failure::{Context, Result, failed};

/// Bits per second and channel: transparent for most listeners.
const AAC_BITRATE: i64 = 80_000;
const OPUS_BITRATE: i64 = 64_000;

pub struct SoundEncoder {
    /// For messages.
    name: String,
    decoder: Decoder,
    base: Rational,
    /// Made when the first frame comes.
    graph: Option<Graph>,
    filters: String,
    encoder: Encoder,
}

impl SoundEncoder {
    pub fn open(stream: Stream, audio: Audio, global_header: bool) -> Result<Self> {
        let name = format!("{} cannot be re-encoded", crate::stream_actions::describe(stream));
        let decoder = Decoder::open(stream.parameters(), stream.base()).context(&name)?;
        let (names, bitrate) = match audio {
            Audio::Opus => (["libopus", "opus"], OPUS_BITRATE),
            _ => (["libfdk_aac", "aac"], AAC_BITRATE),
        };
        let codec = names.iter().find_map(|name| Encoder::find(name));
        let codec = codec.ok_or(Error(ffi::AVERROR_ENCODER_NOT_FOUND)).context(&name)?;
        let mut encoder = Encoder::new(codec).context(&name)?;
        let rate = if audio == Audio::Opus { 48_000 } else { stream.parameters().sample_rate.clamp(8_000, 96_000) };
        let layout = layout_for(&stream.parameters().ch_layout, audio);
        encoder.set_layout(&layout).context(&name)?;
        encoder.sample_rate = rate;
        encoder.time_base = rational(1, rate);
        // SAFETY: null, or a list of formats; the first is the one that the encoder likes best.
        encoder.sample_fmt =
            unsafe { codec.sample_fmts.as_ref() }.copied().unwrap_or(ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP);
        encoder.bit_rate = bitrate * i64::from(encoder.ch_layout.nb_channels);
        if global_header {
            encoder.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        }
        if encoder.open(Dictionary::new()).is_err() {
            return failed(format!("{name}: the encoder refuses {rate} Hz, {layout}"));
        }
        let format = av::sample_format_name(encoder.sample_fmt as i32);
        // Gaps become silence, so that audio stays in sync.
        let filters =
            format!("aresample=async=1,aformat=sample_fmts={format}:sample_rates={rate}:channel_layouts={layout}");
        Ok(SoundEncoder { name, decoder, base: stream.base(), graph: None, filters, encoder })
    }

    fn decode(&mut self, packet: Option<&Packet>) -> av::Result<Vec<Packet>> {
        // Damaged packets become gaps.
        self.decoder.send(packet).ok();
        let mut packets = Vec::new();
        while let Some(mut frame) = self.decoder.receive().unwrap_or(None) {
            frame.pts = frame.time().unwrap_or(ffi::AV_NOPTS_VALUE);
            packets.extend(self.encode(Some(&frame))?);
        }
        if packet.is_none() && self.graph.is_some() {
            packets.extend(self.encode(None)?);
            packets.extend(self.encoder.encode(None)?);
        }
        Ok(packets)
    }

    fn encode(&mut self, frame: Option<&Frame>) -> av::Result<Vec<Packet>> {
        if let (None, Some(frame)) = (&self.graph, frame) {
            let (samples, base) = (self.encoder.frame_size, self.encoder.time_base);
            self.graph = Some(Graph::audio(&self.filters, frame, self.base, samples, base)?);
        }
        let mut packets = Vec::new();
        for frame in self.graph.as_mut().map_or(Ok(Vec::new()), |graph| graph.filter(frame))? {
            packets.extend(self.encoder.encode(Some(&frame))?);
        }
        Ok(packets)
    }
}

impl StreamEncoder for SoundEncoder {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn take(&mut self, packet: Option<&Packet>) -> Result<Vec<Packet>> {
        self.decode(packet).context(&self.name)
    }
}

/// A channel layout that the encoder supports.
fn layout_for(layout: &ffi::AVChannelLayout, audio: Audio) -> String {
    let name = av::layout_name(layout);
    match (name.as_str(), layout.nb_channels) {
        // The same speakers; libopus knows only this name.
        ("5.1(side)", _) if audio == Audio::Opus => "5.1".into(),
        ("mono" | "stereo" | "5.1" | "5.1(side)" | "7.1" | "quad" | "3.0" | "5.0", _) => name,
        (_, 1) => "mono".into(),
        (_, 6) => "5.1".into(),
        (_, 8) => "7.1".into(),
        _ => "stereo".into(),
    }
}

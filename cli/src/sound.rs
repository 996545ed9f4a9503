//! Re-encodes sound that the container cannot hold, or that the user wants in another codec.

use crate::args::Audio;
use crate::av::{self, Decoder, Dictionary, Encoder, Error, Frame, Graph, Packet, Stream};
use crate::failure::{Failure, Result, failed};

/// Bits per second for each channel: what listeners cannot tell from the source.
const AAC_BITRATE: i64 = 80_000;
const OPUS_BITRATE: i64 = 64_000;

pub struct Sound {
    name: String,
    decoder: Decoder,
    base: ffi::AVRational,
    /// Made when the first frame comes.
    graph: Option<Graph>,
    filters: String,
    pub encoder: Encoder,
    ended: bool,
}

impl Sound {
    pub fn open(stream: Stream, audio: Audio, global_header: bool) -> Result<Self> {
        let name = crate::streams::describe(stream);
        let wrong = |error| Failure::Failed(format!("{name} cannot be re-encoded: {error}"));
        let decoder = Decoder::open(stream.parameters(), stream.base()).map_err(wrong)?;
        let names: [&str; 2] = if audio == Audio::Opus { ["libopus", "opus"] } else { ["libfdk_aac", "aac"] };
        let codec = names.iter().find_map(|name| Encoder::find(name));
        let codec = codec.ok_or_else(|| wrong(Error(ffi::AVERROR_ENCODER_NOT_FOUND)))?;
        let mut encoder = Encoder::new(codec).map_err(wrong)?;
        let rate = if audio == Audio::Opus { 48_000 } else { stream.parameters().sample_rate.clamp(8_000, 96_000) };
        let layout = layout_name(&stream.parameters().ch_layout, audio);
        set_layout(&mut encoder, &layout).map_err(wrong)?;
        encoder.sample_rate = rate;
        encoder.time_base = ffi::AVRational { num: 1, den: rate };
        // SAFETY: null, or a list of formats; the first is the one that the encoder likes best.
        encoder.sample_fmt =
            unsafe { codec.sample_fmts.as_ref() }.copied().unwrap_or(ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP);
        let bitrate = if audio == Audio::Opus { OPUS_BITRATE } else { AAC_BITRATE };
        encoder.bit_rate = bitrate * i64::from(encoder.ch_layout.nb_channels);
        if global_header {
            encoder.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        }
        if encoder.open(Dictionary::new()).is_err() {
            return failed(format!("{name} cannot be re-encoded: the encoder refuses {rate} Hz, {layout}"));
        }
        // SAFETY: the name is static.
        let format = unsafe { av::text(ffi::av_get_sample_fmt_name(encoder.sample_fmt)) };
        // Gaps in the sound stay gaps in time.
        let filters =
            format!("aresample=async=1,aformat=sample_fmts={format}:sample_rates={rate}:channel_layouts={layout}");
        Ok(Sound { name, decoder, base: stream.base(), graph: None, filters, encoder, ended: false })
    }

    pub fn base(&self) -> ffi::AVRational {
        self.encoder.time_base
    }

    /// Takes a packet, and gives those that are ready; `None` is the end.
    pub fn take(&mut self, packet: Option<&Packet>) -> Result<Vec<Packet>> {
        if self.ended {
            return Ok(Vec::new());
        }
        self.ended = packet.is_none();
        let wrong = |name: &str, error: Error| Failure::Failed(format!("{name} cannot be re-encoded: {error}"));
        let mut packets = Vec::new();
        // What is damaged is left out, and is silence then.
        self.decoder.send(packet).ok();
        while let Some(mut frame) = self.decoder.receive().unwrap_or(None) {
            frame.pts = frame.time().unwrap_or(ffi::AV_NOPTS_VALUE);
            self.filter(Some(frame), &mut packets).map_err(|error| wrong(&self.name, error))?;
        }
        if self.ended && self.graph.is_some() {
            self.filter(None, &mut packets).map_err(|error| wrong(&self.name, error))?;
            self.encode(None, &mut packets).map_err(|error| wrong(&self.name, error))?;
        }
        Ok(packets)
    }

    fn filter(&mut self, frame: Option<Frame>, packets: &mut Vec<Packet>) -> av::Result<()> {
        if let (None, Some(frame)) = (&self.graph, &frame) {
            self.graph = Some(Graph::audio(&self.filters, frame, self.base)?);
        }
        let Some(graph) = &mut self.graph else { return Ok(()) };
        match frame {
            Some(mut frame) => graph.push(Some(&mut frame))?,
            None => graph.push(None)?,
        }
        let samples = self.encoder.frame_size;
        loop {
            let Some(graph) = &mut self.graph else { return Ok(()) };
            let pulled = if samples > 0 { graph.pull_samples(samples)? } else { graph.pull()? };
            let Some(mut frame) = pulled else { return Ok(()) };
            frame.pts = av::rescale(frame.pts, graph.base(), self.encoder.time_base);
            self.encode(Some(&frame), packets)?;
        }
    }

    fn encode(&mut self, frame: Option<&Frame>, packets: &mut Vec<Packet>) -> av::Result<()> {
        self.encoder.send(frame)?;
        while let Some(packet) = self.encoder.receive()? {
            packets.push(packet);
        }
        Ok(())
    }
}

/// A layout that the encoder takes, by name.
fn layout_name(layout: &ffi::AVChannelLayout, audio: Audio) -> String {
    let mut name = [0; 64];
    // SAFETY: the buffer is as long as is said, and is ended with a zero.
    let name = unsafe {
        ffi::av_channel_layout_describe(layout, name.as_mut_ptr(), name.len());
        av::text(name.as_ptr())
    };
    match (name.as_str(), layout.nb_channels) {
        // Both have the same speakers; libopus knows one of the names.
        ("5.1(side)", _) if audio == Audio::Opus => "5.1".into(),
        ("mono" | "stereo" | "5.1" | "5.1(side)" | "7.1" | "quad" | "3.0" | "5.0", _) => name,
        (_, 1) => "mono".into(),
        (_, 6) => "5.1".into(),
        (_, 8) => "7.1".into(),
        _ => "stereo".into(),
    }
}

fn set_layout(encoder: &mut Encoder, name: &str) -> av::Result<()> {
    let name = av::c_string(name);
    // SAFETY: a text, and a layout of the encoder's own.
    av::check(unsafe { ffi::av_channel_layout_from_string(&mut encoder.ch_layout, name.as_ptr()) })?;
    Ok(())
}

//! Reading a segment of the video, and finding where it can be cut.

use super::{MICROSECONDS, MediaReader, State};
use crate::av::{self, Packet, rational};
use crate::failure::{Context, Result, failed};
use crate::segments::{Part, Times};
use crate::signals;

/// How far before a segment reading starts, where seeking is not exact (seconds).
const EARLIER: f64 = 5.0;

/// A video packet: when its frame is shown, and whether decoding can start there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VideoPacket {
    pub time: i64,
    pub is_key: bool,
}

impl MediaReader {
    /// Reads only the frames of a segment. Without `seeks`, everything before it is decoded and dropped.
    pub fn read_part(&mut self, part: Part, seeks: bool) {
        let base = self.timing.base;
        if seeks {
            let earlier = if self.jumps { (EARLIER / av::value(base)) as i64 } else { 0 };
            let offset = av::rescale(self.offset, MICROSECONDS, base);
            // If seeking is impossible, everything before is read and dropped.
            self.demuxer.seek_stream(self.video, part.begin + offset - earlier).ok();
        }
        self.timing.total = Some(part.frames);
        self.part = Some((part, Times::default()));
    }

    /// The frames of the segment that came so far.
    pub fn times(&self) -> Times {
        self.part.as_ref().map(|(_, times)| times.clone()).unwrap_or_default()
    }

    /// Reads the packets of other streams from here on.
    pub fn skip_video(&mut self) {
        self.state = State::VideoEnded;
        self.demuxer.discard(self.video);
    }

    /// Reads all packets of the video, and returns them in the order in which they are shown. Nothing is decoded.
    pub fn scan(&mut self) -> Result<Vec<VideoPacket>> {
        self.keep_only(&[]);
        let mut packets = Vec::new();
        let why = format!("{} cannot be cut into segments", self.name);
        loop {
            signals::check()?;
            match self.demuxer.read() {
                Ok(Some(packet)) => packets.extend(self.timed(packet).context(&why)?),
                Ok(None) => break,
                Err(error) => return Err(error).context(&why),
            }
        }
        packets.sort_unstable();
        // As the reader does with what it decodes.
        for index in 1..packets.len() {
            packets[index].time = packets[index].time.max(packets[index - 1].time + 1);
        }
        if packets.is_empty() { failed(format!("{why}: no frame was found")) } else { Ok(packets) }
    }

    /// `None` for a packet that shows no frame of the selected part.
    fn timed(&mut self, packet: Packet) -> Result<Option<VideoPacket>> {
        let stream = self.video();
        let (base, codec) = (stream.base(), stream.parameters());
        let (codec, reorders) = (codec.codec_id, codec.video_delay > 0);
        let is_video = usize::try_from(packet.stream_index) == Ok(self.video);
        // A frame of VP8 that is not shown has no fifth bit.
        let is_hidden =
            codec == ffi::AVCodecID::AV_CODEC_ID_VP8 && packet.bytes().first().is_some_and(|first| first & 0x10 == 0);
        if !is_video || is_hidden || packet.flags & ffi::AV_PKT_FLAG_DISCARD != 0 {
            return Ok(None);
        }
        let before = self.offset;
        if self.jumps {
            self.follow_jump(&packet, base);
        }
        if self.offset != before {
            return failed("its clock starts again on the way");
        }
        let is_key = packet.flags & ffi::AV_PKT_FLAG_KEY != 0;
        let packet = self.shifted(packet, base);
        let has_time = packet.pts != ffi::AV_NOPTS_VALUE || !reorders;
        let Some(time) = packet.time().filter(|_| has_time) else { return failed("it has no timestamps") };
        let ended = self.end.is_some_and(|end| av::rescale(time, base, MICROSECONDS) >= end);
        let shown = !ended && (!self.trims_start || time >= 0);
        Ok(shown.then_some(VideoPacket { time, is_key }))
    }
}

/// Cuts the video at key frames into segments of at least so many seconds.
pub fn cut(packets: &[VideoPacket], base: av::Rational, seconds: f64) -> Vec<Part> {
    let length = av::rescale((seconds * 1e6) as i64, MICROSECONDS, rational(base.num, base.den)).max(1);
    let mut parts = Vec::new();
    let (mut begin, mut times) = (packets.first().map_or(0, |packet| packet.time), Times::default());
    for packet in packets {
        if packet.is_key && packet.time - begin >= length {
            let done = std::mem::take(&mut times);
            parts.push(Part { begin, end: packet.time, frames: done.count(), times: done.hash() });
            begin = packet.time;
        }
        times.add(packet.time);
    }
    let end = packets.last().map_or(begin, |packet| packet.time) + 1;
    parts.push(Part { begin, end, frames: times.count(), times: times.hash() });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_are_cut_at_key_frames_and_each_frame_belongs_to_one_segment() {
        let packets: Vec<VideoPacket> =
            (0..100).map(|index| VideoPacket { time: index * 40, is_key: index % 12 == 0 }).collect();
        let parts = cut(&packets, rational(1, 1000), 1.0);
        // The first key frame after a second is the 36th.
        assert_eq!(parts.iter().map(|part| part.frames).collect::<Vec<_>>(), [36, 36, 28]);
        assert_eq!(parts.iter().map(|part| part.begin).collect::<Vec<_>>(), [0, 1440, 2880]);
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].begin));
        assert_eq!(parts[2].end, 99 * 40 + 1);
        assert_eq!(cut(&packets, rational(1, 1000), 1000.0).len(), 1);
    }

    #[test]
    fn cutting_many_segments_takes_time_in_proportion() {
        let packets: Vec<VideoPacket> = (0..1_000_000).map(|time| VideoPacket { time, is_key: true }).collect();
        assert_eq!(cut(&packets, rational(1, 1), 100.0).len(), 10_000);
    }
}

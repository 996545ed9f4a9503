//! Joining finished segments by copying their packets.

use std::path::Path;
use std::sync::Arc;

use indicatif::HumanBytes;

use super::folder::{Folder, State};
use super::settings::Settings;
use crate::args::Upscale;
use crate::av::{self, Demuxer, Packet, Rational, rational};
use crate::codecs::Codec;
use crate::console::Console;
use crate::failure::{Context, Failure, Result, failed, usage};
use crate::file::VideoFile;
use crate::input::{Input, file_url};
use crate::output::Output;
use crate::reader::{Event, Reader};
use crate::signals;
use crate::upscale::{Job, Stage};

/// A segment's video file.
pub struct Segment {
    demuxer: Demuxer,
    stream: usize,
    base: Rational,
    /// Added to the file's timestamps.
    shift: i64,
    /// The timestamps of all frames in order, with the shift added.
    pub times: Vec<i64>,
    /// By how many packets decoding precedes showing.
    delay: usize,
}

impl Segment {
    fn open(folder: &Folder, number: usize) -> Result<Self> {
        let path = folder.video(number);
        let wrong = format!("segment {number}: {}", path.display());
        let demuxer = Demuxer::open(&file_url(&path)?, None, &Arc::default()).context(&wrong)?;
        let streams = demuxer.streams();
        let is_video = |stream: &&av::Stream| stream.kind() == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO;
        let video = streams.iter().find(is_video).context(format_args!("{wrong} has no video"))?;
        let (stream, base) = (video.index(), video.base());
        drop(streams);
        let shift = match crate::container::Container::from_extension(&folder.manifest.format) {
            Some(container) if container.is_mp4() => begin(folder, number, base),
            _ => 0,
        };
        Ok(Segment { demuxer, stream, base, shift, times: Vec::new(), delay: 0 })
    }

    /// Reads all timestamps, and checks them.
    pub fn inspect(folder: &Folder, number: usize) -> Result<Self> {
        let mut segment = Segment::open(folder, number)?;
        let part = &folder.manifest.segments[number];
        while let Some(packet) = segment.next()? {
            segment.times.push(packet.pts);
        }
        let mut order: Vec<usize> = (0..segment.times.len()).collect();
        order.sort_by_key(|index| segment.times[*index]);
        segment.delay = order.iter().enumerate().map(|(rank, index)| index.saturating_sub(rank)).max().unwrap_or(0);
        segment.times.sort_unstable();
        let name = format!("segment {number}: {}", folder.video(number).display());
        if segment.times.len() as u64 != part.frames {
            return failed(format!("{name} has {} frames, not {}", segment.times.len(), part.frames));
        }
        let (from, base) = (rational(folder.manifest.base.0, folder.manifest.base.1), segment.base);
        let last = av::rescale(part.end - 1, from, base);
        let is_late = segment.times.last().is_none_or(|time| *time > last);
        if is_late || segment.times.first() != Some(&begin(folder, number, base)) {
            return failed(format!("{name} has other timestamps than planned"));
        }
        Ok(segment)
    }

    /// The next packet of the video.
    fn next(&mut self) -> Result<Option<Packet>> {
        while let Some(mut packet) = self.demuxer.read().context("a segment")? {
            if packet.stream_index as usize == self.stream {
                let time = packet.time().context("a segment's packet has no timestamp")?;
                packet.pts = time + self.shift;
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    /// Everything that a decoder must know; the same in all segments that can be joined.
    fn decoding(&self) -> (u32, [i32; 3], Vec<u8>) {
        let codec = self.demuxer.stream(self.stream).parameters();
        let extra = match usize::try_from(codec.extradata_size) {
            // SAFETY: there are so many bytes.
            Ok(size) if size > 0 => unsafe { std::slice::from_raw_parts(codec.extradata, size) }.to_vec(),
            _ => Vec::new(),
        };
        (codec.codec_id as u32, [codec.width, codec.height, codec.format], extra)
    }
}

/// When the segment begins, in ticks of `base`.
fn begin(folder: &Folder, number: usize, base: Rational) -> i64 {
    let from = rational(folder.manifest.base.0, folder.manifest.base.1);
    av::rescale(folder.manifest.segments[number].begin, from, base)
}

/// What is known about all segments.
struct Checked {
    /// The timestamps of all frames, in order.
    times: Vec<i64>,
    /// The most that decoding precedes showing.
    delay: usize,
    is_damaged: bool,
}

/// Checks all segments before anything is written.
fn check(folder: &Folder) -> Result<Checked> {
    let mut all = Checked { times: Vec::new(), delay: 0, is_damaged: false };
    let mut first = None;
    for number in 0..folder.manifest.segments.len() {
        signals::check()?;
        match folder.state(number, true) {
            State::Done(record) => all.is_damaged |= record.is_damaged,
            State::Missing => return Err(Failure::Again(format!("segment {number} is not done yet"))),
            State::Bad(why) => return failed(format!("segment {number} cannot be joined: {why}")),
        }
        let segment = Segment::inspect(folder, number)?;
        let decoding = (segment.base.num, segment.base.den, segment.decoding());
        if *first.get_or_insert_with(|| decoding.clone()) != decoding {
            return failed(format!("segment {number} was encoded in another way than segment 0: run it again"));
        }
        all.times.extend(segment.times);
        all.delay = all.delay.max(segment.delay);
    }
    Ok(all)
}

impl Checked {
    /// When the packet is decoded, as encoders count: so many frames before what is shown then.
    fn decoding_time(&self, index: usize) -> i64 {
        if let Some(before) = index.checked_sub(self.delay) {
            return self.times[before];
        }
        let last = self.times.len() - 1;
        self.times[index.min(last)] - (self.times[self.delay.min(last)] - self.times[0])
    }
}

/// Packets of the other streams of IN.
struct Others {
    reader: Reader,
    next: Option<Packet>,
}

impl Others {
    fn new(mut reader: Reader) -> Result<Self> {
        if let Some(media) = reader.media() {
            media.skip_video();
        }
        let mut others = Others { reader, next: None };
        others.advance()?;
        Ok(others)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = None;
        while let Some(event) = self.reader.next()? {
            if let Event::Packet(packet) = event {
                self.next = Some(packet);
                break;
            }
        }
        Ok(())
    }

    /// Writes what comes before a time in seconds.
    fn write_until(&mut self, seconds: f64, file: &mut VideoFile) -> Result<()> {
        while let Some(packet) = self.next.take() {
            let base = self.reader.media().map(|media| media.demuxer().stream(packet.stream_index as usize).base());
            let time = packet.time().map(|time| av::seconds(time, base.unwrap_or(rational(1, 1))));
            if time.is_some_and(|time| time > seconds) {
                self.next = Some(packet);
                return Ok(());
            }
            file.take(packet)?;
            self.advance()?;
        }
        Ok(())
    }
}

/// Joins all segments into `path`. Returns whether the input was damaged.
pub fn run(folder: &Folder, settings: &Settings, path: &Path, overwrite: bool, console: &Console) -> Result<bool> {
    let input = Input::open(settings.input()?, None)?;
    let output = Output::parse(path, None, &input)?;
    let claim = output.claim(&input, overwrite)?;
    join(folder, settings, &input, &output, claim, console)
}

/// The same, into a place that is prepared.
pub fn join(
    folder: &Folder,
    settings: &Settings,
    input: &Input,
    output: &Output,
    claim: crate::output::Claim,
    console: &Console,
) -> Result<bool> {
    let container = output.container().context("OUT is no video")?;
    if container.extension().trim_start_matches('.') != folder.manifest.format {
        let (format, path) = (&folder.manifest.format, output.path.display());
        return usage(format!("the segments were planned for .{format}, not for {path}"));
    }
    let checked = check(folder)?;
    let options = settings.options(Stage::Join)?;
    let codec = Codec::choose(options.encoding, container)?;
    let mut job = Job::prepare(options, input, output, codec, console)?;
    let mut file = job.file(&claim)?.context("OUT is no video")?;
    let first = Segment::open(folder, 0)?;
    file.begin_copy(first.demuxer.stream(first.stream), &job.settings)?;
    let mut others = Others::new(job.reader)?;
    let mut index = 0;
    for number in 0..folder.manifest.segments.len() {
        signals::check()?;
        let mut segment = Segment::open(folder, number)?;
        while let Some(mut packet) = segment.next()? {
            packet.dts = checked.decoding_time(index);
            others.write_until(av::seconds(packet.dts, segment.base), &mut file)?;
            file.take_video(vec![packet], segment.base)?;
            index += 1;
        }
    }
    others.write_until(f64::INFINITY, &mut file)?;
    file.finish()?;
    let (size, _) = claim.finish()?;
    let (parts, path) = (folder.manifest.segments.len(), output.path.display());
    console.note(&format!("{path}: {index} frames of {parts} segments, {}", HumanBytes(size)));
    if checked.is_damaged {
        console.warn(&format!("{} is damaged: some frames could not be decoded completely", input.name().display()));
    }
    Ok(checked.is_damaged)
}

/// For `--resume`: the place of the result, claimed before work starts.
pub fn claim(input: &Path, output: &Path, args: &Upscale) -> Result<(Input, Output, crate::output::Claim)> {
    let input = Input::open(input, None)?;
    let output = Output::parse(output, None, &input)?;
    let claim = output.claim(&input, args.overwrite)?;
    Ok((input, output, claim))
}

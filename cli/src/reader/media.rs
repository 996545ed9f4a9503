//! Reads a container: decodes its video, passes on the packets of other streams.

mod scan;

pub use scan::cut;

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Damage, Event, Source, Timing};
use crate::args::Selection;
use crate::av::{self, Decoder, Demuxer, Error, Frame, Packet, Rational, Stream, rational};
use crate::colour;
use crate::failure::{Context, Failure, Result, failed, usage};
use crate::input::Media;
use crate::segments::{Part, Times};
use crate::signals::{self, Stop};
use crate::stream_actions::describe;

/// Reading gives up after so many errors.
const MAX_READ_ERRORS: u32 = 100;
/// Streams rarely end together: a shorter gap than this is no damage.
const MISSING_SECONDS: f64 = 0.75;
/// A larger step in time is a reset of the recording's clock (microseconds; the same as in `ffmpeg`).
const JUMP: i64 = 10_000_000;
/// How long other streams are read past the requested end, for late packets.
const TAIL_SECONDS: f64 = 1.0;
/// FFmpeg's time base for whole files.
pub const MICROSECONDS: Rational = rational(1, 1_000_000);

pub struct MediaReader {
    name: String,
    demuxer: Demuxer,
    decoder: Decoder,
    video: usize,
    timing: Timing,
    /// The streams whose packets are passed on; initially all.
    kept: Vec<bool>,
    /// Subtracted from all timestamps, in microseconds.
    offset: i64,
    /// The requested end, in microseconds.
    end: Option<i64>,
    trims_start: bool,
    /// The segment that is read, and the frames of it that came.
    part: Option<(Part, Times)>,
    events: VecDeque<Event>,
    damage: Damage,
    read_errors: u32,
    /// The earliest timestamp for the next frame, in ticks.
    next: Option<i64>,
    /// The end of the video so far, and of any stream, in microseconds.
    video_end: i64,
    latest: i64,
    /// When the next video packet is due, in microseconds; for formats whose clock may be reset.
    due: Option<i64>,
    jumps: bool,
    state: State,
    stop: Arc<Stop>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Reading,
    /// The video has ended; packets of other streams may follow.
    VideoEnded,
    Ended,
}

impl MediaReader {
    pub fn open(media: &Media, selection: &Selection, stop: &Arc<Stop>) -> Result<Self> {
        let name = media.name.display().to_string();
        let opened = Demuxer::open(&media.url, None, stop);
        // A signal also ends the opening of a slow URL.
        signals::check()?;
        let mut demuxer = opened.map_err(|error| open_failure(&name, error))?;
        let video = choose_video(&demuxer, selection.video_stream, &name)?;
        let stream = demuxer.stream(video);
        let decoder = Decoder::open(stream.parameters(), stream.base())
            .context(format_args!("{name}: {} video cannot be decoded", stream.codec_name()))?;
        let mut timing = timing_of(&demuxer, stream);
        let start = start_of(&demuxer);
        let jumps = has_clock(&demuxer);
        let mut offset = if jumps { start } else { 0 };
        let microseconds = |seconds: f64| (seconds * 1e6).round() as i64;
        if let Some(begin) = selection.start {
            offset = start.max(0) + microseconds(begin);
            // If seeking is impossible, everything before is read and skipped.
            demuxer.seek(offset).ok();
        }
        let seconds = duration_of(&demuxer).map(|duration| duration - selection.start.unwrap_or(0.0));
        let wanted = selection.duration.map_or(seconds, |wanted| Some(seconds.map_or(wanted, |all| all.min(wanted))));
        if selection.start.is_some() || selection.duration.is_some() {
            let frames = wanted.map(|seconds| (seconds * av::value(timing.rate)).round().max(0.0) as u64);
            timing.total = frames.filter(|total| *total > 0);
        }
        let kept = vec![true; demuxer.streams().len()];
        Ok(MediaReader {
            name,
            demuxer,
            decoder,
            video,
            timing,
            kept,
            offset,
            end: selection.duration.map(microseconds),
            trims_start: selection.start.is_some(),
            part: None,
            events: VecDeque::new(),
            damage: Damage::default(),
            read_errors: 0,
            next: None,
            video_end: 0,
            latest: 0,
            due: None,
            jumps,
            state: State::Reading,
            stop: Arc::clone(stop),
        })
    }

    pub fn demuxer(&self) -> &Demuxer {
        &self.demuxer
    }

    pub fn video(&self) -> Stream<'_> {
        self.demuxer.stream(self.video)
    }

    /// Seeks to the key frame before a time in seconds.
    pub fn seek(&mut self, seconds: f64) {
        self.offset = start_of(&self.demuxer).max(0);
        self.demuxer.seek(self.offset + (seconds * 1e6) as i64).ok();
    }

    /// The selected part in microseconds: its start, which is subtracted from all timestamps, and its length.
    pub fn span(&self) -> (i64, Option<i64>) {
        (self.offset, self.end)
    }

    /// Skips the packets of all streams except the video and these.
    pub fn keep_only(&mut self, kept: &[usize]) {
        for index in 0..self.kept.len() {
            self.kept[index] = kept.contains(&index);
            if index != self.video && !self.kept[index] {
                self.demuxer.discard(index);
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        if self.stop.is_set() {
            signals::check()?;
            return failed("stopped");
        }
        match self.demuxer.read() {
            Ok(Some(packet)) => self.take(packet),
            Ok(None) => self.finish(),
            Err(error) => {
                self.read_errors += 1;
                self.damage.error = Some(error.to_string());
                if self.read_errors >= MAX_READ_ERRORS || error != Error::INVALID_DATA { self.finish() } else { Ok(()) }
            }
        }
    }

    fn take(&mut self, packet: Packet) -> Result<()> {
        let index = usize::try_from(packet.stream_index).unwrap_or(usize::MAX);
        // This stream appeared while reading.
        let Some(kept) = self.kept.get(index).copied() else { return Ok(()) };
        let base = self.demuxer.stream(index).base();
        if self.jumps && index == self.video {
            self.follow_jump(&packet, base);
        }
        let time = packet.time().map(|time| av::rescale(time, base, MICROSECONDS) - self.offset);
        if let Some(time) = time {
            let length = av::rescale(packet.duration, base, MICROSECONDS);
            self.latest = self.latest.max(time + length);
            if self.end.is_some_and(|end| time > end + (TAIL_SECONDS * 1e6) as i64) && self.state == State::VideoEnded {
                self.state = State::Ended;
            }
        }
        if index == self.video {
            // Shifted before decoding: the frame comes out after later packets, when the clock may have been reset.
            let packet = self.shifted(packet, base);
            return if self.state == State::Reading { self.decode(Some(&packet)) } else { Ok(()) };
        }
        if kept && self.wants(&packet, base, time) {
            self.events.push_back(Event::Packet(self.shifted(packet, base)));
        }
        Ok(())
    }

    /// Keeps timestamps continuous when the recording's clock is reset.
    fn follow_jump(&mut self, packet: &Packet, base: Rational) {
        if packet.dts == ffi::AV_NOPTS_VALUE {
            return;
        }
        let time = av::rescale(packet.dts, base, MICROSECONDS);
        if let Some(due) = self.due
            && (time - due).abs() > JUMP
        {
            self.offset += time - due;
        }
        self.due = Some(time + av::rescale(packet.duration, base, MICROSECONDS));
    }

    /// Whether a packet overlaps the selected part.
    fn wants(&self, packet: &Packet, base: Rational, time: Option<i64>) -> bool {
        let Some(time) = time else { return true };
        let length = av::rescale(packet.duration, base, MICROSECONDS);
        let ended = self.end.is_some_and(|end| time >= end);
        !ended && (!self.trims_start || time + length / 2 >= 0)
    }

    fn shifted(&self, mut packet: Packet, base: Rational) -> Packet {
        let offset = av::rescale(self.offset, MICROSECONDS, base);
        let times = &mut *packet;
        for time in [&mut times.pts, &mut times.dts].into_iter().filter(|time| **time != ffi::AV_NOPTS_VALUE) {
            *time -= offset;
        }
        packet
    }

    fn decode(&mut self, packet: Option<&Packet>) -> Result<()> {
        match self.decoder.send(packet) {
            Ok(()) => {}
            Err(error @ Error::NO_MEMORY) => return failed(format!("{}: {error}", self.name)),
            Err(Error::EOF) => {}
            Err(_) => self.damage.packets += 1,
        }
        loop {
            match self.decoder.receive() {
                Ok(Some(frame)) => self.show(frame),
                Ok(None) => return Ok(()),
                // More frames may follow a broken one.
                Err(error) if error == Error::INVALID_DATA => self.damage.packets += 1,
                Err(error) => return failed(format!("{}: decoding failed: {error}", self.name)),
            }
        }
    }

    /// Sets a frame's timestamp, and passes it on if it is in the selected part.
    fn show(&mut self, mut frame: Frame) {
        let base = self.timing.base;
        let usual = match self.timing.rate {
            Rational { num: 0, .. } => 1,
            rate => av::rescale(1, rational(rate.den, rate.num), base).max(1),
        };
        let length = if frame.ticks() > 0 { frame.ticks() } else { usual };
        let mut time = frame.time().unwrap_or_else(|| self.next.unwrap_or(0));
        // Encoders require increasing timestamps; damaged and cut files lack them.
        time = time.max(self.next.unwrap_or(time));
        let microseconds = av::rescale(time, base, MICROSECONDS);
        if self.end.is_some_and(|end| microseconds >= end) {
            self.state = State::VideoEnded;
            return;
        }
        if self.trims_start && time < 0 {
            return;
        }
        if let Some((part, times)) = &mut self.part {
            if time >= part.end {
                // Other streams are not wanted.
                self.state = State::Ended;
            }
            if !(part.begin..part.end).contains(&time) {
                return;
            }
            times.add(time);
        }
        (frame.pts, frame.time_base) = (time, base);
        frame.set_ticks(length);
        self.next = Some(time + 1);
        self.video_end = self.video_end.max(microseconds + av::rescale(length, base, MICROSECONDS));
        self.latest = self.latest.max(self.video_end);
        self.damage.frames += u64::from(frame.is_damaged());
        frame.remove_side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX);
        colour::describe_by_container(&mut frame, self.demuxer.stream(self.video).parameters());
        colour::without_jpeg_format(&mut frame);
        self.events.push_back(Event::Frame(frame));
    }

    fn finish(&mut self) -> Result<()> {
        if self.state == State::Reading {
            self.decode(None)?;
        }
        // A segment may end with what the decoder held back.
        let is_cut = self.state == State::Ended;
        self.state = State::Ended;
        if self.end.is_none() && !self.jumps && !is_cut {
            self.damage.missing = self.missing();
        }
        Ok(())
    }

    /// The seconds missing at the end, and the expected duration.
    fn missing(&self) -> Option<(f64, f64)> {
        let video = self.video();
        let of_video = (video.0.duration > 0).then(|| av::seconds(video.0.duration, video.base()));
        // Matroska's statistics, such as 00:00:10.000000000.
        let tagged = video.tag("DURATION").and_then(|text| crate::args::parse_time(&text).ok());
        let all_read = self.kept.iter().all(|kept| *kept);
        let (expected, end) = match of_video.or(tagged) {
            Some(expected) => (expected, self.video_end),
            None if all_read => (duration_of(&self.demuxer)?, self.latest),
            None => return None,
        };
        let begun = (self.offset - start_of(&self.demuxer).max(0)).max(0);
        let missing = expected - (end + begun) as f64 / 1e6;
        (missing > MISSING_SECONDS.max(expected * 0.01)).then_some((missing, expected))
    }
}

impl Source for MediaReader {
    fn timing(&self) -> Timing {
        self.timing
    }

    fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.state == State::Ended {
                return Ok(None);
            }
            self.step()?;
        }
    }

    fn damage(&self) -> Damage {
        self.damage.clone()
    }

    fn media(&mut self) -> Option<&mut MediaReader> {
        Some(self)
    }
}

fn open_failure(name: &str, error: Error) -> Failure {
    match error {
        Error::INVALID_DATA => {
            Failure::Failed(format!("{name} is no media file that FFmpeg knows, or its header or index is damaged"))
        }
        _ => Failure::Failed(format!("cannot open {name}: {error}")),
    }
}

/// The requested video stream, or the main one.
fn choose_video(demuxer: &Demuxer, number: Option<u32>, name: &str) -> Result<usize> {
    let streams = demuxer.streams();
    let is_video = |stream: &&Stream| stream.kind() == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO && !stream.is_cover();
    let videos: Vec<&Stream> = streams.iter().filter(is_video).collect();
    if let Some(number) = number {
        return match videos.get(number as usize - 1) {
            Some(stream) => Ok(stream.index()),
            None => usage(format!("--video-stream {number}: {name} has {} video streams", videos.len())),
        };
    }
    // As players choose: the default stream, otherwise the largest.
    let area = |stream: &&&Stream| i64::from(stream.parameters().width) * i64::from(stream.parameters().height);
    let is_default = |stream: &&&Stream| stream.has_disposition(ffi::AV_DISPOSITION_DEFAULT);
    let best = videos.iter().rev().max_by_key(|stream| (is_default(stream), area(stream)));
    match best {
        Some(stream) => Ok(stream.index()),
        None => {
            let others: Vec<String> = streams.iter().map(|stream| describe(*stream)).collect();
            let others = if others.is_empty() { "nothing".into() } else { others.join(", ") };
            failed(format!("{name} has no video: only {others}"))
        }
    }
}

fn timing_of(demuxer: &Demuxer, stream: Stream) -> Timing {
    let (average, real) = (stream.0.avg_frame_rate, stream.0.r_frame_rate);
    let rate = [average, real].into_iter().find(|rate| rate.num > 0 && rate.den > 0);
    let rate = rate.unwrap_or(rational(0, 1));
    let counted = u64::try_from(stream.0.nb_frames).ok().filter(|frames| *frames > 0);
    let seconds =
        if stream.0.duration > 0 { Some(av::seconds(stream.0.duration, stream.base())) } else { duration_of(demuxer) };
    let estimated = seconds.map(|seconds| (seconds * av::value(rate)).round() as u64);
    Timing {
        base: stream.base(),
        rate,
        is_constant: average.num > 0 && (av::value(average) - av::value(real)).abs() < 0.01,
        total: counted.or(estimated.filter(|frames| *frames > 0)),
    }
}

/// The duration in seconds, if the container has it.
fn duration_of(demuxer: &Demuxer) -> Option<f64> {
    let duration = demuxer.context().duration;
    (duration > 0).then(|| duration as f64 / 1e6)
}

/// The start time in microseconds.
fn start_of(demuxer: &Demuxer) -> i64 {
    match demuxer.context().start_time {
        ffi::AV_NOPTS_VALUE => 0,
        start => start,
    }
}

/// Whether timestamps come from a clock that starts anywhere and may be reset, as in MPEG-TS.
fn has_clock(demuxer: &Demuxer) -> bool {
    // SAFETY: formats are static.
    unsafe { (*demuxer.context().iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

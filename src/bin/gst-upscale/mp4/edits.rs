//! The edit lists of a source.
//!
//! An edit list says which part of a track is shown, and when: nearly every MP4 file starts its tracks a little late (the
//! delay of B-frames, the priming of AAC), and one that was trimmed without encoding it again, seconds late. GStreamer's
//! demuxer (up to 1.26 at least) compares the end of the movie with a time that counts from the start of the track, and
//! so drops as much at the end as is skipped at the start. It is therefore shown a file without edit lists, and they are
//! applied here, to the segments of the streams.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use gst::prelude::*;

use super::{Atom, Moov};

/// Sound before the start of an edit that a decoder needs to start cleanly: the priming of AAC is up to 48 ms, the
/// pre-roll of Opus 80 ms.
const LEAD_IN: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Which part of a track is shown, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When it starts in the movie.
    pub at: gst::ClockTime,
    /// Where in the track it starts.
    pub start: gst::ClockTime,
    /// Where in the track it ends.
    pub stop: Option<gst::ClockTime>,
    /// For sound: what is there before `start` and is kept as a lead-in, in whole packets.
    pub lead_in: gst::ClockTime,
}

/// The edit lists of a file, and how to hide them from the demuxer.
#[derive(Debug, Default)]
pub struct Edits {
    /// By track id.
    tracks: HashMap<u32, Shown>,
    /// Bytes of the file that are to be read differently, by their place.
    patches: Vec<(u64, Vec<u8>)>,
}

impl Edits {
    /// Reads the edit lists of the file at `path`. `None` where the demuxer can be left alone: another kind of file, none
    /// that skips anything, or one that is more than a start and an end.
    pub fn read(path: &Path) -> std::io::Result<Option<Self>> {
        let moov = Moov::read(&mut File::open(path)?)?;
        Ok(moov
            .and_then(|moov| Self::from_moov(&moov))
            .filter(|edits| edits.tracks.values().any(|shown| !shown.start.is_zero())))
    }

    fn from_moov(moov: &Moov) -> Option<Self> {
        let children = moov.children();
        if children.iter().any(|atom| &atom.kind == b"mvex") {
            // The demuxer has its own way with the edit lists of fragmented files.
            return None;
        }
        let mvhd = children.iter().find(|atom| &atom.kind == b"mvhd")?;
        let (movie_scale, duration_at, duration_size) = moov.times(mvhd)?;
        let mut edits = Edits::default();
        // Of the longest track, in the movie's scale.
        let mut longest = 0u64;
        for trak in moov.traks() {
            let (media_scale, at, size) = moov.times(&moov.find(&trak, &[b"mdia", b"mdhd"])?)?;
            let duration = moov.number(at, size)?;
            longest = longest.max(duration.mul_div_ceil(u64::from(movie_scale), u64::from(media_scale.max(1)))?);
            if let Some(edts) = moov.find(&trak, &[b"edts"]) {
                edits.patches.push((moov.offset + edts.whole.start as u64 + 4, b"free".to_vec()));
            }
            let shown = shown(moov, &trak, movie_scale, media_scale)?;
            edits.tracks.insert(track_id(moov, &trak)?, shown);
        }
        // The demuxer ends every track at the end of the movie, now counted from the start of the track.
        let duration = longest.max(moov.number(duration_at, duration_size)?).to_be_bytes();
        edits.patches.push((moov.offset + duration_at as u64, duration[8 - duration_size..].to_vec()));
        Some(edits)
    }

    /// Hides the edit lists from whoever pulls from `pad`, that of a file source.
    pub fn hide(&self, pad: &gst::Pad) {
        let patches = self.patches.clone();
        pad.add_probe(gst::PadProbeType::PULL | gst::PadProbeType::BUFFER, move |_, info| {
            let start = info.offset;
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                let end = start + buffer.size() as u64;
                if patches.iter().any(|(at, bytes)| *at < end && start < at + bytes.len() as u64) {
                    patch(buffer.make_mut(), start, &patches);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// What is shown of the stream of `pad`, one of the demuxer's or behind it.
    pub fn shown(&self, pad: &gst::Pad) -> Option<Shown> {
        // The demuxer's stream ids end in the track's.
        let id = pad.stream_id()?;
        self.tracks.get(&id.rsplit('/').next()?.parse().ok()?).copied()
    }
}

/// Writes the patches that fall into a buffer that starts at `start`.
fn patch(buffer: &mut gst::BufferRef, start: u64, patches: &[(u64, Vec<u8>)]) {
    let Ok(mut map) = buffer.map_writable() else { return };
    for (at, bytes) in patches {
        for (position, byte) in (*at..).zip(bytes) {
            if let Some(place) = position.checked_sub(start).and_then(|index| map.get_mut(index as usize)) {
                *place = *byte;
            }
        }
    }
}

fn track_id(moov: &Moov, trak: &Atom) -> Option<u32> {
    let tkhd = moov.find(trak, &[b"tkhd"])?;
    let times = if *moov.bytes.get(tkhd.contents.start)? == 1 { 16 } else { 8 };
    moov.u32(tkhd.contents.start + 4 + times)
}

/// What a track's edit list shows; `None` if it is more than an empty stretch and one part at normal speed.
fn shown(moov: &Moov, trak: &Atom, movie_scale: u32, media_scale: u32) -> Option<Shown> {
    let movie = |time| time_of(time, movie_scale);
    let entries = moov.edit_list(trak).map(|list| list.entries).unwrap_or_default();
    let all =
        Shown { at: gst::ClockTime::ZERO, start: gst::ClockTime::ZERO, stop: None, lead_in: gst::ClockTime::ZERO };
    let (at, edit) = match entries[..] {
        [] => return Some(all),
        [edit] if edit.media_time >= 0 => (gst::ClockTime::ZERO, edit),
        [empty, edit] if empty.media_time == -1 && edit.media_time >= 0 => (movie(empty.duration)?, edit),
        _ => return None,
    };
    if edit.rate != 1 << 16 {
        return None;
    }
    let start = time_of(edit.media_time as u64, media_scale)?;
    let stop = if edit.duration == 0 { None } else { Some(start + movie(edit.duration)?) };
    let lead_in = match &moov.handler(trak)? {
        b"soun" => lead_in(moov, trak, edit.media_time as u64, media_scale).unwrap_or(gst::ClockTime::ZERO),
        _ => gst::ClockTime::ZERO,
    };
    Some(Shown { at, start, stop, lead_in })
}

/// The time between the first packet that is kept as a lead-in and `start` (in the track's scale).
fn lead_in(moov: &Moov, trak: &Atom, start: u64, media_scale: u32) -> Option<gst::ClockTime> {
    let stts = moov.find(trak, &[b"mdia", b"minf", b"stbl", b"stts"])?;
    // Version and flags, number of entries, then for each how many samples there are of one duration.
    let packet = u64::from(moov.u32(stts.contents.start + 12)?);
    let most = LEAD_IN.nseconds().checked_mul(u64::from(media_scale))? / gst::ClockTime::SECOND.nseconds();
    let first = start.saturating_sub(most).div_ceil(packet.max(1)).checked_mul(packet)?;
    time_of(start.saturating_sub(first), media_scale)
}

fn time_of(units: u64, scale: u32) -> Option<gst::ClockTime> {
    gst::ClockTime::SECOND.mul_div_floor(units, u64::from(scale.max(1)))
}

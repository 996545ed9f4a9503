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

impl Shown {
    /// When it ends in the movie, if that is said.
    pub fn end(&self) -> Option<gst::ClockTime> {
        Some(self.at + self.stop?.checked_sub(self.start)?)
    }
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
            // Without an edit list the demuxer ends a track where its header says.
            let duration = length(moov, &trak)?.max(moov.number(at, size)?);
            edits.patch_number(moov, at, size, duration);
            longest = longest.max(duration.mul_div_ceil(u64::from(movie_scale), u64::from(media_scale.max(1)))?);
            if let Some(edts) = moov.find(&trak, &[b"edts"]) {
                edits.patches.push((moov.offset + edts.whole.start as u64 + 4, b"free".to_vec()));
            }
            let shown = shown(moov, &trak, movie_scale, media_scale)?;
            edits.tracks.insert(track_id(moov, &trak)?, shown);
        }
        // The demuxer ends every track at the end of the movie, now counted from the start of the track.
        let duration = longest.max(moov.number(duration_at, duration_size)?);
        edits.patch_number(moov, duration_at, duration_size, duration);
        Some(edits)
    }

    fn patch_number(&mut self, moov: &Moov, at: usize, size: usize, value: u64) {
        self.patches.push((moov.offset + at as u64, value.to_be_bytes()[8 - size..].to_vec()));
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

/// When the last sample of a track is over, in the track's scale. Headers may say less.
fn length(moov: &Moov, trak: &Atom) -> Option<u64> {
    let table = |kind| moov.find(trak, &[b"mdia", b"minf", b"stbl", kind]);
    // Both tables: version and flags, number of entries, then for each how many samples there are of one value.
    let entries = |atom: &Atom| {
        let start = atom.contents.start + 8;
        (start..atom.contents.end.saturating_sub(7)).step_by(8)
    };
    let stts = table(b"stts")?;
    let decoded: u64 = entries(&stts)
        .filter_map(|at| u64::from(moov.u32(at)?).checked_mul(u64::from(moov.u32(at + 4)?)))
        .fold(0, u64::saturating_add);
    let offset = table(b"ctts").and_then(|ctts| {
        // Signed where the version says so, and in files that do not keep to that.
        entries(&ctts).filter_map(|at| Some(moov.u32(at + 4)? as i32)).max()
    });
    Some(decoded.saturating_add(u64::try_from(offset.unwrap_or(0)).unwrap_or(0)))
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

#[cfg(test)]
mod tests {
    use super::super::tests::atom;
    use super::*;

    fn numbers(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// A track of `samples` samples of 1024 units at 44100 a second, with an edit list.
    fn trak(id: u32, handler: &[u8; 4], samples: u32, edits: &[(u32, i32)]) -> Vec<u8> {
        let entries: Vec<u32> = edits.iter().flat_map(|(duration, time)| [*duration, *time as u32, 1 << 16]).collect();
        let elst = atom(b"elst", &[&numbers(&[0, edits.len() as u32]), &numbers(&entries)]);
        let stts = atom(b"stts", &[&numbers(&[0, 1, samples, 1024])]);
        let minf = atom(b"minf", &[&atom(b"stbl", &[&stts])]);
        // Headers often end where the edit list does, before the last sample.
        let mdhd = atom(b"mdhd", &[&numbers(&[0, 0, 0, 44_100, samples * 1024 - 2000, 0])]);
        let hdlr = atom(b"hdlr", &[&numbers(&[0, 0]), handler, &[0; 13]]);
        atom(
            b"trak",
            &[
                &atom(b"tkhd", &[&numbers(&[0, 0, 0, id]), &[0; 68]]),
                &atom(b"edts", &[&elst]),
                &atom(b"mdia", &[&mdhd, &hdlr, &minf]),
            ],
        )
    }

    fn moov(parts: &[&[u8]]) -> Moov {
        let mvhd = atom(b"mvhd", &[&numbers(&[0, 0, 0, 1000, 2000]), &[0; 80]]);
        Moov { bytes: atom(b"moov", &[&[&mvhd[..]], parts].concat()), offset: 100 }
    }

    #[test]
    fn an_edit_list_says_what_is_shown() {
        let moov = moov(&[&trak(1, b"vide", 100, &[(2000, 2048)]), &trak(7, b"soun", 100, &[(500, -1), (1000, 2112)])]);
        let edits = Edits::from_moov(&moov).unwrap();
        let at = |units: u64| gst::ClockTime::SECOND.mul_div_floor(units, 44_100).unwrap();
        let none = gst::ClockTime::ZERO;
        assert_eq!(edits.tracks[&1].start, at(2048));
        assert_eq!((edits.tracks[&1].at, edits.tracks[&1].lead_in), (none, none));
        assert_eq!(edits.tracks[&1].end(), Some(gst::ClockTime::from_seconds(2)));
        assert_eq!(edits.tracks[&7].at.mseconds(), 500);
        assert_eq!(edits.tracks[&7].lead_in, at(2112), "all there is, less than the most that is kept");
        assert_eq!(edits.tracks[&7].end().unwrap().mseconds(), 1500);
    }

    #[test]
    fn a_lead_in_is_whole_packets() {
        let moov = moov(&[&trak(1, b"soun", 1000, &[(1000, 44_100)])]);
        let lead_in = Edits::from_moov(&moov).unwrap().tracks[&1].lead_in;
        // 100 ms are 4410 samples; the packet at 39 * 1024 = 39936 starts 4164 before the edit.
        assert_eq!(lead_in, gst::ClockTime::SECOND.mul_div_floor(4164, 44_100).unwrap());
    }

    #[test]
    fn hidden_edit_lists_and_lengthened_headers() {
        gst::init().unwrap();
        let moov = moov(&[&trak(1, b"soun", 100, &[(2000, 1024)])]);
        let edits = Edits::from_moov(&moov).unwrap();
        let mut bytes = moov.bytes.clone();
        for start in (0..bytes.len()).step_by(7) {
            // Piece by piece, as a reader that asks for a few bytes gets them.
            let end = (start + 7).min(bytes.len());
            let mut buffer = gst::Buffer::from_slice(bytes[start..end].to_vec());
            patch(buffer.make_mut(), 100 + start as u64, &edits.patches);
            bytes[start..end].copy_from_slice(&buffer.map_readable().unwrap());
        }
        let patched = Moov { bytes, offset: 100 };
        assert!(patched.edit_list(&patched.traks()[0]).is_none());
        let mdhd = patched.find(&patched.traks()[0], &[b"mdia", b"mdhd"]).unwrap();
        let (_, at, size) = patched.times(&mdhd).unwrap();
        assert_eq!(patched.number(at, size), Some(102_400));
        let (_, at, size) = patched.times(&patched.children()[0]).unwrap();
        assert_eq!(patched.number(at, size), Some(2322), "102400 / 44100 s, rounded up");
        assert_eq!(patched.bytes.len(), moov.bytes.len());
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_demuxer() {
        for edits in [&[(500, 0), (500, 4096)][..], &[(0, -1), (0, -1)], &[(1, 1), (1, -1)]] {
            assert!(Edits::from_moov(&moov(&[&trak(1, b"vide", 10, edits)])).is_none(), "{edits:?}");
        }
        let fragmented = moov(&[&trak(1, b"vide", 10, &[(0, 0)]), &atom(b"mvex", &[])]);
        assert!(Edits::from_moov(&fragmented).is_none());
    }
}

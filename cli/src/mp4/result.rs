//! What GStreamer's MP4 muxers do not write: how the picture is to be turned (before 1.24), that sound starts with a
//! lead-in that is not to be heard, and the whole length of a video with irregular frame times.

use std::fs::{File, OpenOptions};
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::Path;

use gst::prelude::*;

use super::{Atom, EditList, Moov};

/// 1.0 as a 16.16 fixed-point number.
const ONE: i32 = 1 << 16;
/// The unity in the matrix's last place, 2.30 fixed point.
const W: i32 = 1 << 30;

/// Completes the file at `path`.
///
/// `orientation` is an `image-orientation` tag: its display matrix is written into the video track, unless one is there.
/// `delay` is by how much all tracks start too late: the edit lists take it back. `end` is when the last frame is over,
/// `delay` included: the muxer adds up the time between decoded frames, which may be less.
pub fn complete(path: &Path, orientation: Option<&str>, delay: gst::ClockTime, end: gst::ClockTime) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let Some(mut moov) = Moov::read(&mut file)? else { return Ok(()) };
    if let Some(turn) = orientation.and_then(turn) {
        write_turn(&mut moov, turn);
    }
    set_times(&mut moov, delay, end.saturating_sub(delay));
    write(&mut file, &moov)
}

fn write(file: &mut File, moov: &Moov) -> Result<()> {
    file.seek(SeekFrom::Start(moov.offset))?;
    file.write_all(&moov.bytes)
}

/// The matrix `[a b; c d]` that maps the stored picture to the shown one: x' = a x + c y, y' = b x + d y, then moved back
/// into the positive quadrant. (ISO/IEC 14496-12, 8.3.2; the values are those QuickTime and FFmpeg write.)
fn turn(orientation: &str) -> Option<[i32; 4]> {
    Some(match orientation {
        "rotate-90" => [0, ONE, -ONE, 0],
        "rotate-180" => [-ONE, 0, 0, -ONE],
        "rotate-270" => [0, -ONE, ONE, 0],
        "flip-rotate-0" => [-ONE, 0, 0, ONE],
        "flip-rotate-90" => [0, -ONE, -ONE, 0],
        "flip-rotate-180" => [ONE, 0, 0, -ONE],
        "flip-rotate-270" => [0, ONE, ONE, 0],
        _ => return None,
    })
}

/// Replaces the identity matrix of the video's track header.
fn write_turn(moov: &mut Moov, [a, b, c, d]: [i32; 4]) {
    let video = moov.traks().into_iter().find(|trak| moov.handler(trak).as_ref() == Some(b"vide"));
    let Some(tkhd) = video.and_then(|trak| moov.find(&trak, &[b"tkhd"])) else { return };
    // Times and duration have 64 bits in version 1.
    let long = moov.bytes.get(tkhd.contents.start) == Some(&1);
    let at = tkhd.contents.start + if long { 52 } else { 40 };
    let value = |index: usize| moov.u32(at + 4 * index).map(|value| value as i32);
    let identity = [ONE, 0, 0, 0, ONE, 0, 0, 0, W];
    if (0..9).any(|index| value(index) != Some(identity[index])) {
        return;
    }
    let (Some(width), Some(height)) = (value(9), value(10)) else { return };
    let extent = |x: i32, y: i32| (if x < 0 { width } else { 0 }) + (if y < 0 { height } else { 0 });
    let matrix = [a, b, 0, c, d, 0, extent(a, c), extent(b, d), W];
    for (index, value) in matrix.into_iter().enumerate() {
        moov.set_number(at + 4 * index, 4, u64::from(value as u32));
    }
}

/// Lets every track start earlier by `delay`, and the video last until `end`.
fn set_times(moov: &mut Moov, delay: gst::ClockTime, end: gst::ClockTime) {
    let Some(mvhd) = moov.children().into_iter().find(|atom| &atom.kind == b"mvhd") else { return };
    let Some((movie_scale, movie_at, movie_size)) = moov.times(&mvhd) else { return };
    let mut longest = 0;
    for trak in moov.traks() {
        let end = if moov.handler(&trak).as_ref() == Some(b"vide") { end } else { gst::ClockTime::ZERO };
        match set_track_times(moov, &trak, delay, end, movie_scale) {
            Some(duration) => longest = longest.max(duration),
            None => return,
        }
    }
    moov.set_number(movie_at, movie_size, longest);
}

/// As [`set_times`] for one track: the empty stretch before it gets shorter, and where that is not enough its start is
/// skipped. Returns how long the track is then, in the movie's time scale.
fn set_track_times(
    moov: &mut Moov,
    trak: &Atom,
    delay: gst::ClockTime,
    end: gst::ClockTime,
    movie_scale: u32,
) -> Option<u64> {
    let (media_scale, ..) = moov.times(&moov.find(trak, &[b"mdia", b"mdhd"])?)?;
    let list = moov.edit_list(trak)?;
    let (empty, mut edit) = match list.entries[..] {
        [edit] => (0, edit),
        [empty, edit] if empty.media_time == -1 => (empty.duration, edit),
        _ => return None,
    };
    let delay_units = units(delay, movie_scale)?;
    // What is left of the empty stretch; a rest of one unit is rounding.
    let empty_left = Some(empty.saturating_sub(delay_units)).filter(|left| *left > 1).unwrap_or(0);
    if delay_units > empty + 1 {
        let stretch = gst::ClockTime::SECOND.mul_div_round(empty, u64::from(movie_scale))?;
        edit.media_time += i64::try_from(units(delay.saturating_sub(stretch), media_scale)?).ok()?;
        edit.duration = edit.duration.saturating_sub(delay_units - empty);
    }
    edit.duration = edit.duration.max(units(end, movie_scale)?.saturating_sub(empty_left));
    write_edits(moov, &list, empty_left, edit);
    let duration = empty_left + edit.duration;
    let tkhd = moov.find(trak, &[b"tkhd"])?;
    // Version and flags, the two times, the track's id and a reserved word come before.
    let (at, size) = if *moov.bytes.get(tkhd.contents.start)? == 1 { (28, 8) } else { (20, 4) };
    moov.set_number(tkhd.contents.start + at, size, duration);
    Some(duration)
}

fn units(time: gst::ClockTime, scale: u32) -> Option<u64> {
    time.nseconds().mul_div_round(u64::from(scale), gst::ClockTime::SECOND.nseconds())
}

/// Writes an edit list of the same length, or one entry shorter; then a free box takes the entry's place, so that nothing
/// moves.
fn write_edits(moov: &mut Moov, list: &EditList, empty: u64, edit: super::Edit) {
    let mut index = 0;
    let mut put = |moov: &mut Moov, duration: u64, media_time: i64| {
        let at = list.place(index);
        moov.set_number(at, list.size, duration);
        let time = if list.size == 8 { media_time as u64 } else { u64::from(media_time as i32 as u32) };
        moov.set_number(at + list.size, list.size, time);
        moov.set_number(at + 2 * list.size, 4, 1 << 16);
        index += 1;
    };
    if list.entries.len() == 2 && empty > 0 {
        put(moov, empty, -1);
    }
    put(moov, edit.duration, edit.media_time);
    if index < list.entries.len() {
        let (start, free) = (list.atom.whole.start, list.place(index));
        moov.set_number(list.atom.contents.start + 4, 4, index as u64);
        moov.set_number(start, 4, (free - start) as u64);
        moov.set_number(free, 4, (list.atom.whole.end - free) as u64);
        moov.set_number(free + 4, 4, u64::from(u32::from_be_bytes(*b"free")));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::atom;
    use super::super::{Edit, Moov};
    use super::*;

    const MS: gst::ClockTime = gst::ClockTime::MSECOND;

    fn numbers(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// A movie of one track, both counting in milliseconds.
    fn moov(handler: &[u8; 4], edits: &[(u32, i32)]) -> Moov {
        let entries: Vec<u32> = edits.iter().flat_map(|(duration, time)| [*duration, *time as u32, 1 << 16]).collect();
        let elst = atom(b"elst", &[&numbers(&[0, edits.len() as u32]), &numbers(&entries)]);
        let mdhd = atom(b"mdhd", &[&numbers(&[0, 0, 0, 1000, 900, 0])]);
        let hdlr = atom(b"hdlr", &[&numbers(&[0, 0]), handler, &[0; 13]]);
        let identity = [ONE, 0, 0, 0, ONE, 0, 0, 0, W].map(|value| value as u32);
        let tkhd = [&numbers(&[0; 10])[..], &numbers(&identity), &numbers(&[64 << 16, 48 << 16])].concat();
        let trak = [atom(b"tkhd", &[&tkhd]), atom(b"edts", &[&elst]), atom(b"mdia", &[&mdhd, &hdlr])].concat();
        let mvhd = atom(b"mvhd", &[&numbers(&[0, 0, 0, 1000, 900]), &[0; 80]]);
        Moov { bytes: atom(b"moov", &[&mvhd, &atom(b"trak", &[&trak])]), offset: 0 }
    }

    fn edits(moov: &Moov) -> Vec<(u64, i64)> {
        let list = moov.edit_list(&moov.traks()[0]).unwrap();
        list.entries.iter().map(|Edit { duration, media_time, .. }| (*duration, *media_time)).collect()
    }

    fn movie_duration(moov: &Moov) -> u64 {
        let (_, at, size) = moov.times(&moov.children()[0]).unwrap();
        moov.number(at, size).unwrap()
    }

    #[test]
    fn a_delay_is_taken_back() {
        for (before, expected) in [
            (&[(100, -1), (800, 5)][..], &[(70, -1), (800, 5)][..]),
            (&[(30, -1), (800, 5)], &[(800, 5)]),
            (&[(20, -1), (800, 5)], &[(790, 15)]),
            (&[(800, 0)], &[(770, 30)]),
        ] {
            let mut moov = moov(b"soun", before);
            let size = moov.bytes.len();
            set_times(&mut moov, 30 * MS, gst::ClockTime::ZERO);
            assert_eq!(edits(&moov), expected);
            assert_eq!(movie_duration(&moov), expected.iter().map(|(duration, _)| duration).sum::<u64>());
            // Nothing has moved, and every box still ends where the next one starts.
            assert_eq!(moov.bytes.len(), size);
            assert!(moov.find(&moov.traks()[0], &[b"mdia", b"mdhd"]).is_some());
        }
    }

    #[test]
    fn a_video_lasts_as_long_as_its_frames() {
        let mut video = moov(b"vide", &[(800, 80)]);
        set_times(&mut video, gst::ClockTime::ZERO, 900 * MS);
        assert_eq!(edits(&video), [(900, 80)]);
        assert_eq!(movie_duration(&video), 900);
        let mut sound = moov(b"soun", &[(800, 0)]);
        set_times(&mut sound, gst::ClockTime::ZERO, 900 * MS);
        assert_eq!(edits(&sound), [(800, 0)]);
    }

    #[test]
    fn a_turn_is_written_once() {
        let matrix = |moov: &Moov| -> Vec<i32> {
            let tkhd = moov.find(&moov.traks()[0], &[b"tkhd"]).unwrap().contents.start;
            (0..9).map(|index| moov.u32(tkhd + 40 + 4 * index).unwrap() as i32).collect()
        };
        let mut moov = moov(b"vide", &[(800, 0)]);
        write_turn(&mut moov, turn("rotate-90").unwrap());
        let turned = [0, ONE, 0, -ONE, 0, 0, 48 << 16, 0, W];
        assert_eq!(matrix(&moov), turned);
        write_turn(&mut moov, turn("rotate-180").unwrap());
        assert_eq!(matrix(&moov), turned, "what the muxer wrote stays");
        assert_eq!(turn("rotate-0"), None);
    }
}

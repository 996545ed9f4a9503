//! MP4 and QuickTime files: what GStreamer's demuxer gets wrong in them, and what its muxers leave out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`edits`] | the edit lists of a source, applied here because the demuxer ends streams too early |
//! | [`result`] | display matrix and edit lists of the result |

pub mod edits;
pub mod result;

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};
use std::ops::Range;

/// A movie header larger than this (bytes) is not looked at: it would be that of days of video.
const MAX_MOOV: u64 = 512 << 20;

/// A box in memory: its type, and where its contents and the whole of it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    pub kind: [u8; 4],
    /// With its header.
    pub whole: Range<usize>,
    pub contents: Range<usize>,
}

/// The `moov` box of a file, and where it is.
pub struct Moov {
    /// All of it, header included.
    pub bytes: Vec<u8>,
    /// Where in the file it starts.
    pub offset: u64,
}

impl Moov {
    /// Reads the movie header; `None` if the file has none, as any other kind of file.
    pub fn read(file: &mut File) -> Result<Option<Self>> {
        let end = file.metadata()?.len();
        let mut at = 0;
        while at + 8 <= end {
            file.seek(SeekFrom::Start(at))?;
            let mut header = [0; 16];
            let length = (end - at).min(16) as usize;
            file.read_exact(&mut header[..length])?;
            let Some((kind, _, size)) = parse_header(&header[..length], end - at) else { return Ok(None) };
            if at == 0 && !matches!(&kind, b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot") {
                return Ok(None);
            }
            if &kind == b"moov" {
                if size > MAX_MOOV {
                    return Ok(None);
                }
                let mut bytes = vec![0; size as usize];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut bytes)?;
                return Ok(Some(Moov { bytes, offset: at }));
            }
            at += size;
        }
        Ok(None)
    }

    /// The boxes directly inside.
    pub fn children(&self) -> Vec<Atom> {
        match parse_header(&self.bytes, self.bytes.len() as u64) {
            Some((_, length, _)) => children(&self.bytes, length..self.bytes.len()),
            None => Vec::new(),
        }
    }

    /// The tracks.
    pub fn traks(&self) -> Vec<Atom> {
        self.children().into_iter().filter(|atom| &atom.kind == b"trak").collect()
    }

    /// The box at a path of types below `parent`.
    pub fn find(&self, parent: &Atom, path: &[&[u8; 4]]) -> Option<Atom> {
        path.iter().try_fold(parent.clone(), |parent, kind| {
            children(&self.bytes, parent.contents).into_iter().find(|atom| atom.kind == **kind)
        })
    }

    /// The big-endian number of 4 bytes at `at`.
    pub fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?))
    }

    /// The big-endian number of `size` (4 or 8) bytes at `at`.
    pub fn number(&self, at: usize, size: usize) -> Option<u64> {
        match size {
            8 => Some(u64::from_be_bytes(self.bytes.get(at..at + 8)?.try_into().ok()?)),
            _ => self.u32(at).map(u64::from),
        }
    }

    /// Replaces the number of `size` bytes at `at`.
    pub fn set_number(&mut self, at: usize, size: usize, value: u64) {
        if let Some(place) = self.bytes.get_mut(at..at + size) {
            place.copy_from_slice(&value.to_be_bytes()[8 - size..]);
        }
    }

    /// Time scale, and place and size of the duration, of an `mvhd` or `mdhd` box.
    pub fn times(&self, header: &Atom) -> Option<(u32, usize, usize)> {
        let start = header.contents.start;
        // Version and flags, then creation and modification time, which have the size of the duration.
        match self.bytes.get(start)? {
            1 => Some((self.u32(start + 20)?, start + 24, 8)),
            _ => Some((self.u32(start + 12)?, start + 16, 4)),
        }
    }

    /// The handler of a track: `vide`, `soun`, ...
    pub fn handler(&self, trak: &Atom) -> Option<[u8; 4]> {
        let hdlr = self.find(trak, &[b"mdia", b"hdlr"])?;
        // Version and flags, then a reserved word.
        self.bytes.get(hdlr.contents.start + 8..hdlr.contents.start + 12)?.try_into().ok()
    }

    /// The entries of a track's edit list.
    pub fn edit_list(&self, trak: &Atom) -> Option<EditList> {
        let elst = self.find(trak, &[b"edts", b"elst"])?;
        let start = elst.contents.start;
        let size = if *self.bytes.get(start)? == 1 { 8 } else { 4 };
        let count = self.u32(start + 4)? as usize;
        let entry_size = 2 * size + 4;
        let entries = (0..count.min(elst.contents.len() / entry_size))
            .map(|index| {
                let at = start + 8 + index * entry_size;
                let time = self.number(at + size, size)?;
                let media_time = if size == 8 { time as i64 } else { i64::from(time as u32 as i32) };
                Some(Edit { duration: self.number(at, size)?, media_time, rate: self.u32(at + 2 * size)? })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(EditList { atom: elst, size, entries })
    }
}

/// One entry of an edit list (ISO/IEC 14496-12, 8.6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// In the movie's time scale.
    pub duration: u64,
    /// Where in the track it starts, in the track's time scale; -1 for nothing at all.
    pub media_time: i64,
    /// 16.16 fixed point.
    pub rate: u32,
}

/// A track's edit list.
#[derive(Clone, Debug)]
pub struct EditList {
    pub atom: Atom,
    /// Bytes of a time.
    pub size: usize,
    pub entries: Vec<Edit>,
}

impl EditList {
    /// Where entry `index` is stored.
    pub fn place(&self, index: usize) -> usize {
        self.atom.contents.start + 8 + index * (2 * self.size + 4)
    }
}

/// The boxes in `range`.
pub fn children(bytes: &[u8], range: Range<usize>) -> Vec<Atom> {
    let mut atoms = Vec::new();
    let mut at = range.start;
    while let Some((kind, length, size)) =
        bytes.get(at..range.end).and_then(|rest| parse_header(rest, rest.len() as u64))
    {
        let end = at + size as usize;
        atoms.push(Atom { kind, whole: at..end, contents: at + length..end });
        at = end;
    }
    atoms
}

/// Type, header length and whole size of the box that `bytes` start with; `None` if it does not fit into `available`.
fn parse_header(bytes: &[u8], available: u64) -> Option<([u8; 4], usize, u64)> {
    let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = bytes.get(4..8)?.try_into().ok()?;
    let (length, size) = match size {
        // Up to the end of what it is in.
        0 => (8, available),
        1 => (16, u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?)),
        size => (8, u64::from(size)),
    };
    (size >= length as u64 && size <= available).then_some((kind, length, size))
}

#[cfg(test)]
pub(in crate::mp4) mod tests {
    use super::*;

    /// A box of `kind` around `contents`.
    pub fn atom(kind: &[u8; 4], contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        [&(contents.len() as u32 + 8).to_be_bytes()[..], kind, &contents].concat()
    }

    #[test]
    fn boxes_are_found_by_path() {
        let bytes =
            atom(b"moov", &[&atom(b"trak", &[&atom(b"tkhd", &[b"x"]), &atom(b"mdia", &[&atom(b"hdlr", &[])])])]);
        let moov = Moov { bytes, offset: 0 };
        let trak = &moov.traks()[0];
        assert_eq!(moov.find(trak, &[b"tkhd"]).unwrap().contents.len(), 1);
        assert!(moov.find(trak, &[b"mdia", b"hdlr"]).is_some());
        assert!(moov.find(trak, &[b"mdia", b"minf"]).is_none());
    }

    #[test]
    fn damaged_boxes_end_the_search() {
        let mut bytes = atom(b"moov", &[&atom(b"trak", &[b"12345678"])]);
        bytes[11] = 0xFF;
        let moov = Moov { bytes, offset: 0 };
        assert!(moov.traks().is_empty());
        assert!(parse_header(&[0, 0, 0, 4, b'm', b'o', b'o', b'v'], 100).is_none());
        assert!(parse_header(&[0, 0, 0, 1, b'm', b'o', b'o', b'v'], 100).is_none());
        assert!(parse_header(&[0; 7], 100).is_none());
    }

    #[test]
    fn other_files_have_no_movie_header() {
        let folder = tempfile::tempdir().unwrap();
        for contents in [&b""[..], b"short", b"\x1A\x45\xDF\xA3 matroska moov and more of it", &[0; 100]] {
            let path = folder.path().join("file");
            std::fs::write(&path, contents).unwrap();
            assert!(Moov::read(&mut File::open(&path).unwrap()).unwrap().is_none());
        }
    }

    #[test]
    fn edit_lists_of_both_versions_are_read() {
        let short = [&[0u8; 4][..], &1u32.to_be_bytes(), &4000u32.to_be_bytes(), &(-1i32).to_be_bytes(), &[0, 1, 0, 0]];
        let long =
            [&[1u8, 0, 0, 0][..], &1u32.to_be_bytes(), &4000u64.to_be_bytes(), &(-1i64).to_be_bytes(), &[0, 1, 0, 0]];
        for entries in [short, long] {
            let bytes = atom(b"moov", &[&atom(b"trak", &[&atom(b"edts", &[&atom(b"elst", &entries)])])]);
            let moov = Moov { bytes, offset: 0 };
            let list = moov.edit_list(&moov.traks()[0]).unwrap();
            assert_eq!(list.entries, [Edit { duration: 4000, media_time: -1, rate: 1 << 16 }]);
        }
    }
}

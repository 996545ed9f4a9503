//! What IN is: a media file or pictures.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::failure::{Failure, Result, failed, usage};
use crate::pattern::Pattern;

/// Frames per second of pictures when nothing is said.
pub const DEFAULT_FPS: (i32, i32) = (25, 1);

/// What is upscaled.
#[derive(Debug)]
pub enum Input {
    /// A file with a video stream in it.
    File(PathBuf),
    Pictures(Pictures),
}

/// Pictures, each a file.
#[derive(Debug)]
pub struct Pictures {
    /// The number in the file's name, and its path. In order; at least one.
    pub files: Vec<(u64, PathBuf)>,
    /// Whether the files are numbered; else there is one file.
    pub numbered: bool,
    pub fps: gst::Fraction,
    /// Caps name of the first one.
    pub media_type: &'static str,
}

impl Input {
    /// Finds out what `path` is, and that it can be read.
    pub fn open(path: &Path, fps: Option<gst::Fraction>) -> Result<Self> {
        let rate = fps.unwrap_or_else(|| gst::Fraction::new(DEFAULT_FPS.0, DEFAULT_FPS.1));
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                usage(format!("{0} is a folder: name its pictures as in {0}/%05d.png", path.display()))
            }
            Ok(_) => match media_type(&first_bytes(path)?) {
                Some(media_type) => Ok(Input::Pictures(Pictures {
                    files: vec![(1, path.to_owned())],
                    numbered: false,
                    fps: rate,
                    media_type,
                })),
                None if fps.is_some() => {
                    usage(format!("--fps is for pictures: {} has frame times of its own", path.display()))
                }
                None => Ok(Input::File(path.to_owned())),
            },
            Err(error) => match Pattern::parse(path) {
                Some(pattern) => Self::numbered(path, &pattern, rate),
                None if error.kind() == std::io::ErrorKind::NotFound => {
                    failed(format!("{}: no such file", path.display()))
                }
                None => failed(format!("cannot open {}: {error}", path.display())),
            },
        }
    }

    fn numbered(path: &Path, pattern: &Pattern, fps: gst::Fraction) -> Result<Self> {
        let files = pattern
            .files()
            .map_err(|error| Failure::Failed(format!("cannot read folder {}: {error}", pattern.folder().display())))?;
        let Some((_, first)) = files.first() else {
            return failed(format!(
                "no picture matches {}: the first would be {} or {}",
                path.display(),
                pattern.name(0),
                pattern.name(1)
            ));
        };
        let Some(media_type) = media_type(&first_bytes(first)?) else {
            return failed(format!("{} is no picture of a known kind (PNG, JPEG, WebP, BMP, TIFF)", first.display()));
        };
        Ok(Input::Pictures(Pictures { files, numbered: true, fps, media_type }))
    }
}

impl Pictures {
    /// When picture `index` (from 0) is shown.
    pub fn pts(&self, index: usize) -> gst::ClockTime {
        let (numer, denom) = (self.fps.numer() as u64, self.fps.denom() as u64);
        let frames = gst::ClockTime::from_seconds(index as u64);
        frames.mul_div_floor(denom, numer).unwrap_or(gst::ClockTime::MAX)
    }

    /// The first number that is missing, if one is.
    pub fn first_gap(&self) -> Option<u64> {
        self.files.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1).map(|pair| pair[0].0 + 1)
    }
}

/// Enough of a file to tell pictures by. Says clearly why a file cannot be read.
fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(16).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes =
        read().map_err(|error: std::io::Error| Failure::Failed(format!("cannot read {}: {error}", path.display())))?;
    if bytes.is_empty() { failed(format!("{} is empty", path.display())) } else { Ok(bytes) }
}

/// The caps name of a picture file, by its magic number. GIF is left to the demuxers: it may be a video.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some("image/png"),
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'B', b'M', ..] => Some("image/bmp"),
        [b'I', b'I', 0x2A, 0x00, ..] | [b'M', b'M', 0x00, 0x2A, ..] => Some("image/tiff"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_file_with_percent_signs_in_its_name_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100%d.mp4");
        std::fs::write(&path, b"\0\0\0\x18ftypisom").unwrap();
        assert!(matches!(Input::open(&path, None), Ok(Input::File(_))));
    }

    #[test]
    fn numbered_pictures_are_found_and_timed() {
        let folder = tempfile::tempdir().unwrap();
        for number in [3, 4, 6] {
            std::fs::write(folder.path().join(format!("{number:02}.png")), PNG).unwrap();
        }
        let rate = gst::Fraction::new(30000, 1001);
        let Input::Pictures(pictures) = Input::open(&folder.path().join("%02d.png"), Some(rate)).unwrap() else {
            panic!("not pictures");
        };
        assert_eq!(pictures.files.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4, 6]);
        assert_eq!(pictures.first_gap(), Some(5));
        assert_eq!(pictures.pts(30000).seconds(), 1001);
        assert_eq!(pictures.pts(1).nseconds(), 33_366_666);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str| Input::open(&folder.path().join(name), None).unwrap_err().to_string();
        assert!(text("none.mp4").ends_with("none.mp4: no such file"));
        assert!(text("%05d.png").contains("no picture matches"));
        assert!(text("").contains("is a folder"));
        std::fs::write(folder.path().join("empty.mp4"), b"").unwrap();
        assert!(text("empty.mp4").ends_with("is empty"));
        std::fs::write(folder.path().join("1.png"), b"<html></html>").unwrap();
        assert!(text("%d.png").contains("is no picture"));
    }
}

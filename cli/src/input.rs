//! What IN is: a media file, a URL, standard input, or pictures.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::av::{Rational, rational};
use crate::failure::{Context, Result, failed, usage};
use crate::pattern::Pattern;

/// The default for pictures.
pub const DEFAULT_FPS: Rational = rational(25, 1);

/// IN.
#[derive(Debug)]
pub enum Input {
    /// Something with a video stream in it.
    Media(Media),
    Pictures(Pictures),
}

/// A file, a URL, or standard input.
#[derive(Clone, Debug)]
pub struct Media {
    /// As the user wrote it.
    pub name: PathBuf,
    /// FFmpeg's URL for it.
    pub url: String,
}

/// Pictures, each a file.
#[derive(Debug)]
pub struct Pictures {
    /// The number in the file's name, and its path. In order; at least one.
    pub files: Vec<(u64, PathBuf)>,
    /// Whether the files are numbered; else there is one file.
    pub numbered: bool,
    pub fps: Rational,
}

impl Input {
    /// Detects what `path` is, and checks that it can be read.
    pub fn open(path: &Path, fps: Option<Rational>) -> Result<Self> {
        let rate = fps.unwrap_or(DEFAULT_FPS);
        let media = |url: String| match fps {
            Some(_) => usage(format!("--fps is for pictures: {} has its own frame times", path.display())),
            None => Ok(Input::Media(Media { name: path.to_owned(), url })),
        };
        if path == Path::new("-") {
            return media("pipe:0".into());
        }
        if let Some(url) = path.to_str().filter(|text| is_url(text)) {
            return media(url.to_owned());
        }
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                usage(format!("{0} is a folder: name its pictures as in {0}/%05d.png", path.display()))
            }
            // A pipe can be read only once, so nothing is detected.
            Ok(metadata) if !metadata.is_file() => media(file_url(path)?),
            Ok(_) => {
                let first = first_bytes(path)?;
                if is_animated_webp(&first) {
                    let path = path.display();
                    return failed(format!("{path}: animated WebP cannot be read; convert it to GIF or video"));
                }
                if picture_demuxer(&first).is_none() {
                    return media(file_url(path)?);
                }
                Ok(Input::Pictures(Pictures { files: vec![(1, path.to_owned())], numbered: false, fps: rate }))
            }
            Err(error) => match Pattern::parse(path) {
                Some(pattern) => Self::numbered(path, &pattern, rate),
                None if error.kind() == std::io::ErrorKind::NotFound => {
                    failed(format!("{}: no such file", path.display()))
                }
                None => failed(format!("cannot open {}: {error}", path.display())),
            },
        }
    }

    fn numbered(path: &Path, pattern: &Pattern, fps: Rational) -> Result<Self> {
        let files = pattern.files().context(format_args!("cannot read folder {}", pattern.folder().display()))?;
        let Some((_, first)) = files.first() else {
            let (path, zero, one) = (path.display(), pattern.name(0), pattern.name(1));
            return failed(format!("no picture matches {path}: the first would be {zero} or {one}"));
        };
        demuxer_for_picture(first)?;
        Ok(Input::Pictures(Pictures { files, numbered: true, fps }))
    }
}

impl Input {
    /// As the user wrote it; for pictures, the first one.
    pub fn name(&self) -> &Path {
        match self {
            Input::Media(media) => &media.name,
            Input::Pictures(pictures) => &pictures.files[0].1,
        }
    }

    /// The picture files; none for a video.
    pub fn files(&self) -> &[(u64, PathBuf)] {
        match self {
            Input::Media(_) => &[],
            Input::Pictures(pictures) => &pictures.files,
        }
    }
}

impl Pictures {
    /// The first missing number, if any.
    pub fn first_gap(&self) -> Option<u64> {
        self.files.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1).map(|pair| pair[0].0 + 1)
    }
}

/// Whether it is a URL for FFmpeg: a scheme and `://`.
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// FFmpeg's URL for a file; without the prefix, a colon in the name would end a protocol.
pub fn file_url(path: &Path) -> Result<String> {
    let text = path.to_str().context(format_args!("{}: names must be UTF-8", path.display()))?;
    Ok(format!("file:{text}"))
}

/// Reads enough of a file to detect pictures.
fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut bytes));
    read.context(format_args!("cannot read {}", path.display()))?;
    if bytes.is_empty() { failed(format!("{} is empty", path.display())) } else { Ok(bytes) }
}

/// FFmpeg's demuxer for a file that must be a picture.
pub fn demuxer_for_picture(path: &Path) -> Result<&'static CStr> {
    let what = format_args!("{} is no picture of a known kind (PNG, JPEG, WebP, BMP, TIFF)", path.display());
    picture_demuxer(&first_bytes(path)?).context(what)
}

/// FFmpeg's demuxer for a picture, by its magic number. GIF counts as video.
fn picture_demuxer(bytes: &[u8]) -> Option<&'static CStr> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(c"png_pipe"),
        [0xFF, 0xD8, 0xFF, ..] => Some(c"jpeg_pipe"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(c"webp_pipe"),
        [b'B', b'M', ..] => Some(c"bmp_pipe"),
        [b'I', b'I', 0x2A, 0x00, ..] | [b'M', b'M', 0x00, 0x2A, ..] => Some(c"tiff_pipe"),
        _ => None,
    }
}

/// Checks the animation flag in WebP's extended header.
fn is_animated_webp(bytes: &[u8]) -> bool {
    picture_demuxer(bytes) == Some(c"webp_pipe")
        && bytes.get(12..16) == Some(b"VP8X")
        && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
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
        assert!(matches!(Input::open(&path, None), Ok(Input::Media(_))));
    }

    #[test]
    fn urls_are_told_from_files() {
        assert!(is_url("https://example.org/a.mp4") && is_url("rtsp://host/1"));
        assert!(!is_url("a.mp4") && !is_url("C://a") && !is_url("a b://c") && !is_url("concat:a|b"));
    }

    #[test]
    fn numbered_pictures_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for number in [3, 4, 6] {
            std::fs::write(folder.path().join(format!("{number:02}.png")), PNG).unwrap();
        }
        let Input::Pictures(pictures) = Input::open(&folder.path().join("%02d.png"), None).unwrap() else {
            panic!("not pictures");
        };
        assert_eq!(pictures.files.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4, 6]);
        assert_eq!(pictures.first_gap(), Some(5));
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

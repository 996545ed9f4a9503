//! Output containers.

use std::ffi::CStr;

use crate::args::Audio;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Mp4,
    Mov,
    Matroska,
    WebM,
    Gif,
    WebP,
    Avif,
}

struct Properties {
    extension: &'static str,
    /// FFmpeg's name for it.
    muxer: &'static CStr,
    encoder: &'static str,
    text: Option<&'static str>,
}

impl Container {
    const ALL: [Container; 7] = {
        use Container::{Avif, Gif, Matroska, Mov, Mp4, WebM, WebP};
        [Mp4, Mov, Matroska, WebM, Gif, WebP, Avif]
    };

    fn properties(self) -> Properties {
        let (extension, muxer, encoder, text) = match self {
            Container::Mp4 => (".mp4", c"mp4", "h264", Some("mov_text")),
            Container::Mov => (".mov", c"mov", "h264", Some("mov_text")),
            Container::Matroska => (".mkv", c"matroska", "h264", Some("subrip")),
            Container::WebM => (".webm", c"webm", "vp9", Some("webvtt")),
            Container::Gif => (".gif", c"gif", "gif", None),
            Container::WebP => (".webp", c"webp", "libwebp_anim", None),
            Container::Avif => (".avif", c"avif", "av1", None),
        };
        Properties { extension, muxer, encoder, text }
    }

    /// From a file name extension in lower case.
    pub fn from_extension(extension: &str) -> Option<Self> {
        let extension = if extension == "m4v" { "mp4" } else { extension };
        Self::ALL.into_iter().find(|container| container.extension().strip_prefix('.') == Some(extension))
    }

    pub fn extension(self) -> &'static str {
        self.properties().extension
    }

    pub fn muxer(self) -> &'static CStr {
        self.properties().muxer
    }

    /// Whether it holds only one video stream.
    pub fn is_animation(self) -> bool {
        matches!(self, Container::Gif | Container::WebP | Container::Avif)
    }

    /// MP4 and MOV store a rotation for the player, and have a fixed list of tags.
    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    pub fn is_matroska(self) -> bool {
        matches!(self, Container::Matroska | Container::WebM)
    }

    /// The default encoder.
    pub fn encoder(self) -> &'static str {
        self.properties().encoder
    }

    /// The codec for audio that it cannot hold.
    pub fn sound(self) -> Audio {
        if self == Container::WebM { Audio::Opus } else { Audio::Aac }
    }

    /// The encoder for text subtitles that it cannot hold.
    pub fn text(self) -> Option<&'static str> {
        self.properties().text
    }
}

//! The kinds of files that a video can become.

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

impl Container {
    /// By a file name's extension, in small letters.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "mp4" | "m4v" => Some(Container::Mp4),
            "mov" => Some(Container::Mov),
            "mkv" => Some(Container::Matroska),
            "webm" => Some(Container::WebM),
            "gif" => Some(Container::Gif),
            "webp" => Some(Container::WebP),
            "avif" => Some(Container::Avif),
            _ => None,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => ".mp4",
            Container::Mov => ".mov",
            Container::Matroska => ".mkv",
            Container::WebM => ".webm",
            Container::Gif => ".gif",
            Container::WebP => ".webp",
            Container::Avif => ".avif",
        }
    }

    /// FFmpeg's name for it.
    pub fn muxer(self) -> &'static CStr {
        match self {
            Container::Mp4 => c"mp4",
            Container::Mov => c"mov",
            Container::Matroska => c"matroska",
            Container::WebM => c"webm",
            Container::Gif => c"gif",
            Container::WebP => c"webp",
            Container::Avif => c"avif",
        }
    }

    /// Whether it holds pictures that move and nothing else.
    pub fn is_animation(self) -> bool {
        matches!(self, Container::Gif | Container::WebP | Container::Avif)
    }

    /// Whether it can store a rotation for the player; otherwise the frames are rotated.
    pub fn keeps_rotation(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    pub fn is_matroska(self) -> bool {
        matches!(self, Container::Matroska | Container::WebM)
    }

    /// The encoder that is used where none is asked for.
    pub fn encoder(self) -> &'static str {
        match self {
            Container::WebM => "vp9",
            Container::Gif => "gif",
            Container::WebP => "libwebp_anim",
            Container::Avif => "av1",
            _ => "h264",
        }
    }

    /// What sound becomes that it cannot hold.
    pub fn sound(self) -> Audio {
        match self {
            Container::WebM => Audio::Opus,
            _ => Audio::Aac,
        }
    }

    /// The encoder for text that it cannot hold.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Container::Mp4 | Container::Mov => Some("mov_text"),
            Container::Matroska => Some("subrip"),
            Container::WebM => Some("webvtt"),
            _ => None,
        }
    }
}

//! The containers a video can be put into.

use gst::prelude::*;

use crate::elements;
use crate::failure::Result;

/// Units per second of the tracks of an MP4 file.
///
/// A multiple of 90000 (broadcast), of 1000 (Matroska) and of 24000/1001's and 30000/1001's time base, so that the frame
/// times of any usual source are whole numbers and nothing is rounded.
pub const MP4_TIMESCALE: u32 = 360_000;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Mp4,
    Mkv,
    Webm,
    Mov,
}

impl Container {
    const ALL: [Container; 4] = [Container::Mp4, Container::Mkv, Container::Webm, Container::Mov];

    /// By the lower-case file name extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "mp4" | "m4v" => Some(Container::Mp4),
            "mkv" => Some(Container::Mkv),
            "webm" => Some(Container::Webm),
            "mov" | "qt" => Some(Container::Mov),
            _ => None,
        }
    }

    /// The usual extension, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => ".mp4",
            Container::Mkv => ".mkv",
            Container::Webm => ".webm",
            Container::Mov => ".mov",
        }
    }

    fn factory(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4mux",
            Container::Mkv => "matroskamux",
            Container::Webm => "webmmux",
            Container::Mov => "qtmux",
        }
    }

    /// Whether the format has a place for "turn the picture when you show it" that players know.
    pub fn keeps_rotation(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    /// Whether the format can say that the start of a stream is not to be shown.
    pub fn has_edit_lists(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    /// Makes the muxer.
    pub fn muxer(self) -> Result<gst::Element> {
        let muxer = elements::make(self.factory())?;
        if self.keeps_rotation() {
            // The default of the whole movie, in which a late start of the video is written, is coarser.
            muxer.set_property("movie-timescale", MP4_TIMESCALE);
        }
        Ok(muxer)
    }

    /// The muxer's request pad template that takes `caps` as they are.
    pub fn template_for(muxer: &gst::Element, caps: &gst::Caps) -> Option<gst::PadTemplate> {
        let webm = muxer.factory().is_some_and(|factory| factory.name() == Container::Webm.factory());
        muxer.pad_template_list().into_iter().find(|template| {
            // The element offers subtitles as Matroska has them, but WebM knows WebVTT alone.
            let subtitle = template.name_template().starts_with("subtitle");
            template.direction() == gst::PadDirection::Sink
                && template.presence() == gst::PadPresence::Request
                && !(webm && subtitle)
                && template.caps().can_intersect(caps)
        })
    }

    /// The containers, by extension, that would take a stream of `caps`; what `takes` says for a muxer decides.
    pub fn that_take(takes: impl Fn(&gst::Element) -> bool) -> Vec<&'static str> {
        let takes = |container: &Container| {
            gst::ElementFactory::make(container.factory()).build().is_ok_and(|muxer| takes(&muxer))
        };
        Container::ALL.into_iter().filter(takes).map(Container::extension).collect()
    }
}

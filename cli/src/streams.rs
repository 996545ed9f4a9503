//! The streams of a media file: which one is the video, and which others the new container takes as they are.

use gst::prelude::*;

use crate::container::Container;

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    Subtitle,
    Other,
}

/// A stream as the demuxer shows it.
#[derive(Clone, Debug)]
pub struct Stream {
    pub pad: gst::Pad,
    pub caps: gst::Caps,
    pub kind: Kind,
    /// From 1, among all streams of the file.
    pub number: usize,
}

/// How a stream gets into the muxer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Direct,
    /// Through this parser, which changes the packaging but not the coded data.
    Parser(&'static str),
    /// Text whose markup this container writes another way.
    Text(Markup),
}

/// What happens to the markup of subtitles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Tags stay, as in SubRip.
    Keep,
    /// Tags are taken out.
    Strip,
}

impl Stream {
    pub fn new(pad: gst::Pad, number: usize) -> Self {
        let described = || pad.stream().and_then(|stream| stream.caps());
        let caps = pad.current_caps().or_else(described).unwrap_or_else(|| pad.query_caps(None));
        let kind = caps.structure(0).map_or(Kind::Other, kind);
        Stream { pad, caps, kind, number }
    }

    /// As in "audio stream 2 (MPEG-4 AAC, eng)".
    pub fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Video => "video stream",
            Kind::Audio => "audio stream",
            Kind::Subtitle => "subtitle stream",
            Kind::Other => "stream",
        };
        let codec = match (self.caps.is_fixed(), self.caps.structure(0)) {
            (true, _) => gst_pbutils::pb_utils_get_codec_description(&self.caps).to_string(),
            (false, Some(structure)) => structure.name().to_string(),
            (false, None) => "unknown".to_owned(),
        };
        let tags = self.pad.stream().and_then(|stream| stream.tags());
        let language =
            tags.and_then(|tags| tags.get::<gst::tags::LanguageCode>().map(|language| format!(", {}", language.get())));
        format!("{kind} {} ({codec}{})", self.number, language.unwrap_or_default())
    }

    /// A picture that goes with sound, not a video: it has no frame rate and does not stand alone.
    fn is_cover(&self, others: &[Stream]) -> bool {
        let Some(structure) = self.caps.structure(0) else { return false };
        let rate = structure.get::<gst::Fraction>("framerate").map_or(0, |rate| rate.numer());
        structure.name().starts_with("image/")
            && rate == 0
            && others.iter().any(|other| other.number != self.number && matches!(other.kind, Kind::Audio | Kind::Video))
    }
}

/// The kind of a stream, by its caps.
fn kind(structure: &gst::StructureRef) -> Kind {
    let name = structure.name().as_str();
    match name.split('/').next().unwrap_or("") {
        "video" | "image" => Kind::Video,
        "audio" => Kind::Audio,
        "text" | "subtitle" | "subpicture" | "closedcaption" => Kind::Subtitle,
        "application" if ["ssa", "ass", "usf", "subtitle", "teletext"].iter().any(|part| name.contains(part)) => {
            Kind::Subtitle
        }
        _ => Kind::Other,
    }
}

/// The stream to upscale: the first video that is no cover picture.
pub fn choose_video(streams: &[Stream]) -> Option<&Stream> {
    streams.iter().find(|stream| stream.kind == Kind::Video && !stream.is_cover(streams))
}

/// How `caps` get into `muxer`; `None` if they do not.
pub fn fit(caps: &gst::Caps, muxer: &gst::Element) -> Option<Fit> {
    if Container::template_for(muxer, caps).is_some() {
        return Some(parser_for(caps).map_or(Fit::Direct, Fit::Parser));
    }
    if let Some(parser) = parser_for(caps) {
        let made = gst::ElementFactory::make(parser).build().ok()?;
        let parsed = made.static_pad("src")?.pad_template_caps();
        // A parser repackages one codec: which one it is stays, so nothing but the form is left open.
        let codec = codec_only(caps);
        let parsed = parsed.intersect(&codec);
        return Container::template_for(muxer, &parsed).map(|_| Fit::Parser(parser));
    }
    let structure = caps.structure(0)?;
    if structure.name() == "text/x-raw" && structure.get::<&str>("format") == Ok("pango-markup") {
        Container::template_for(muxer, &plain_text())?;
        let matroska = muxer.factory().is_some_and(|factory| factory.name() == "matroskamux");
        return Some(Fit::Text(if matroska { Markup::Keep } else { Markup::Strip }));
    }
    None
}

/// The caps of subtitles without markup, the only text the muxers take.
pub fn plain_text() -> gst::Caps {
    gst::Caps::builder("text/x-raw").field("format", "utf8").build()
}

/// The caps without what a parser may change.
fn codec_only(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.copy();
    for structure in caps.make_mut().iter_mut() {
        structure.remove_fields(["stream-format", "alignment", "framed", "parsed", "codec_data", "streamheader"]);
    }
    caps
}

/// The parser that repackages a sound codec for a muxer, if it comes in several packagings.
fn parser_for(caps: &gst::Caps) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    match structure.name().as_str() {
        "audio/mpeg" if structure.get::<i32>("mpegversion") == Ok(1) => None,
        // LOAS and LATM cannot be unpacked by the parser.
        "audio/mpeg" if structure.get::<&str>("stream-format") == Ok("adts") => Some("aacparse"),
        _ => None,
    }
}

/// Turns pango markup into what a container's plain text is.
///
/// Demuxers hand out SubRip as pango markup, in which `&`, `<` and `>` of the text itself are escaped.
pub fn convert_markup(text: &str, markup: Markup) -> String {
    let text = match markup {
        Markup::Keep => text.to_owned(),
        Markup::Strip => strip_tags(text),
    };
    // The ampersand last: "&amp;lt;" is the text "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (escaped, plain)| text.replace(escaped, plain))
}

/// Takes `<...>` out. A text's own angle brackets are escaped at this point.
fn strip_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        match after.split_once('>') {
            Some((_, after)) => rest = after,
            None => {
                plain.push('<');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn caps(text: &str) -> gst::Caps {
        gst::Caps::from_str(text).unwrap()
    }

    fn fit_in(container: Container, text: &str) -> Option<Fit> {
        fit(&caps(text), &container.muxer().unwrap())
    }

    #[test]
    fn streams_fit_where_the_container_takes_them() {
        gst::init().unwrap();
        let aac = "audio/mpeg, mpegversion=4, stream-format=raw, channels=2, rate=48000, codec_data=(buffer)1190";
        let adts = "audio/mpeg, mpegversion=4, stream-format=adts, channels=2, rate=48000";
        let loas = "audio/mpeg, mpegversion=4, stream-format=loas, channels=2, rate=48000";
        let opus = "audio/x-opus, channel-mapping-family=0, channels=2, rate=48000";
        let vorbis = "audio/x-vorbis, channels=2, rate=48000";
        let srt = "text/x-raw, format=pango-markup";
        for (container, stream, expected) in [
            (Container::Mp4, aac, Some(Fit::Direct)),
            (Container::Mp4, adts, Some(Fit::Parser("aacparse"))),
            (Container::Mkv, adts, Some(Fit::Parser("aacparse"))),
            (Container::Mkv, loas, None),
            (Container::Webm, aac, None),
            (Container::Mp4, opus, Some(Fit::Direct)),
            (Container::Webm, opus, Some(Fit::Direct)),
            (Container::Mp4, vorbis, None),
            (Container::Mkv, vorbis, Some(Fit::Direct)),
            (Container::Mp4, srt, Some(Fit::Text(Markup::Strip))),
            (Container::Mkv, srt, Some(Fit::Text(Markup::Keep))),
        ] {
            assert_eq!(fit_in(container, stream), expected, "{container:?} {stream}");
        }
    }

    #[test]
    fn kinds() {
        gst::init().unwrap();
        for (text, expected) in [
            ("video/x-h264", Kind::Video),
            ("image/jpeg", Kind::Video),
            ("audio/x-opus", Kind::Audio),
            ("text/x-raw", Kind::Subtitle),
            ("application/x-ass", Kind::Subtitle),
            ("subpicture/x-dvd", Kind::Subtitle),
            ("application/x-id3", Kind::Other),
            ("meta/x-klv", Kind::Other),
        ] {
            assert_eq!(kind(caps(text).structure(0).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn markup_becomes_plain_text() {
        let text = "<i>Tom &amp; Jerry</i> &lt;3 a &amp;lt; b";
        assert_eq!(convert_markup(text, Markup::Keep), "<i>Tom & Jerry</i> <3 a &lt; b");
        assert_eq!(convert_markup(text, Markup::Strip), "Tom & Jerry <3 a &lt; b");
        assert_eq!(convert_markup("a < b", Markup::Strip), "a < b");
    }
}

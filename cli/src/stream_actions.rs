//! Decides what happens to each stream of IN.

use ffi::AVMediaType::{
    AVMEDIA_TYPE_ATTACHMENT, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_DATA, AVMEDIA_TYPE_SUBTITLE, AVMEDIA_TYPE_VIDEO,
};

use crate::args::{Audio, Encoding, Selection};
use crate::av::{Demuxer, Muxer, Stream};
use crate::container::Container;
use crate::failure::{Result, usage};

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// The video that is upscaled.
    Upscaled,
    Copied,
    /// Sound that is re-encoded.
    Sound(Audio),
    /// Subtitles that are re-encoded, with this encoder.
    Text(&'static str),
    /// A cover, which becomes an attachment.
    Attached,
    LeftOut,
}

/// A message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    /// Whether something will be lost: an error with `--strict`.
    pub is_loss: bool,
}

impl Note {
    pub fn loss(text: impl Into<String>) -> Self {
        Note { text: text.into(), is_loss: true }
    }

    pub fn change(text: impl Into<String>) -> Self {
        Note { text: text.into(), is_loss: false }
    }
}

/// The part of the options that streams depend on.
pub struct Wanted<'a> {
    /// `None` for pictures.
    pub container: Option<Container>,
    pub encoding: &'a Encoding,
    pub selection: &'a Selection,
}

/// Decides for all streams, in their order.
pub fn decide(demuxer: &Demuxer, video: usize, wanted: &Wanted, notes: &mut Vec<Note>) -> Result<Vec<StreamAction>> {
    let streams = demuxer.streams();
    check_selected(&streams, AVMEDIA_TYPE_AUDIO, "--audio-streams", &wanted.selection.audio_streams)?;
    check_selected(&streams, AVMEDIA_TYPE_SUBTITLE, "--subtitle-streams", &wanted.selection.subtitle_streams)?;
    let mut actions = Vec::new();
    for stream in &streams {
        let action = if stream.index() == video {
            StreamAction::Upscaled
        } else if is_carried_otherwise(demuxer, *stream) || !is_selected(&streams, *stream, wanted) {
            StreamAction::LeftOut
        } else {
            of_stream(*stream, wanted, notes)?
        };
        actions.push(action);
    }
    let chapters = demuxer.context().nb_chapters;
    if chapters > 0 && wanted.container.is_none_or(Container::is_animation) {
        notes.push(Note::loss(format!("{chapters} chapters are left out: {}", cannot_hold(wanted))));
    }
    if wanted.container.is_some_and(Container::is_mp4) {
        let lost = crate::file::tags_without_place(&demuxer.metadata());
        if !lost.is_empty() {
            let lost = lost.join(", ");
            notes.push(Note::loss(format!("tags are left out ({lost}): .mp4 and .mov have no place for them")));
        }
    }
    Ok(actions)
}

fn of_stream(stream: Stream, wanted: &Wanted, notes: &mut Vec<Note>) -> Result<StreamAction> {
    let Some(container) = wanted.container.filter(|container| !container.is_animation()) else {
        notes.push(Note::loss(format!("{} is left out: {}", describe(stream), cannot_hold(wanted))));
        return Ok(StreamAction::LeftOut);
    };
    if stream.kind() == AVMEDIA_TYPE_AUDIO && wanted.encoding.audio.is_some_and(|audio| audio != Audio::Copy) {
        return asked_for(stream, wanted.encoding.audio, container);
    }
    if stream.is_cover() && container == Container::Matroska {
        return Ok(StreamAction::Attached);
    }
    let accepted = match stream.kind() {
        // A trial fails because it has no file name, and WebM accepts attachments but writes none.
        AVMEDIA_TYPE_ATTACHMENT => container == Container::Matroska,
        _ => Muxer::accepts(container.muxer(), stream.parameters(), stream.base()),
    };
    if accepted {
        return Ok(StreamAction::Copied);
    }
    let becomes = match stream.kind() {
        _ if !can_decode(stream) => None,
        AVMEDIA_TYPE_AUDIO => Some((StreamAction::Sound(container.sound()), audio_name(container.sound()))),
        AVMEDIA_TYPE_SUBTITLE if is_text(stream) => {
            container.text().map(|encoder| (StreamAction::Text(encoder), encoder))
        }
        _ => None,
    };
    let what = describe(stream);
    let Some((action, name)) = becomes else {
        notes.push(Note::loss(format!("{what} is left out: {} (.mkv may)", cannot_hold(wanted))));
        return Ok(StreamAction::LeftOut);
    };
    let reason = cannot_hold(wanted);
    notes.push(match stream.codec_name().as_str() {
        "ass" => Note::loss(format!("{what} becomes {name}: styles and positions are lost, because {reason}")),
        _ => Note::change(format!("{what} becomes {name}: {reason}")),
    });
    Ok(action)
}

/// `--audio` with a codec, or `none`.
fn asked_for(stream: Stream, audio: Option<Audio>, container: Container) -> Result<StreamAction> {
    let audio = audio.unwrap_or(Audio::Copy);
    match audio {
        Audio::None => Ok(StreamAction::LeftOut),
        Audio::Aac if container == Container::WebM => usage(".webm cannot hold AAC: choose --audio opus"),
        _ if stream.codec_name() == audio_name(audio).to_ascii_lowercase() => Ok(StreamAction::Copied),
        _ => Ok(StreamAction::Sound(audio)),
    }
}

fn audio_name(audio: Audio) -> &'static str {
    if audio == Audio::Opus { "Opus" } else { "AAC" }
}

fn cannot_hold(wanted: &Wanted) -> String {
    match wanted.container {
        Some(container) => format!("{} cannot hold it", container.extension()),
        None => "pictures cannot hold it".into(),
    }
}

/// Whether a stream is kept in another form: chapters stored as a stream, and time codes, which are also a tag.
fn is_carried_otherwise(demuxer: &Demuxer, stream: Stream) -> bool {
    let is_discarded = stream.0.discard == ffi::AVDiscard::AVDISCARD_ALL;
    let tag = stream.parameters().codec_tag.to_le_bytes();
    let is_timecode = stream.kind() == AVMEDIA_TYPE_DATA && &tag == b"tmcd";
    is_timecode || is_discarded && demuxer.context().nb_chapters > 0
}

fn can_decode(stream: Stream) -> bool {
    // SAFETY: codecs are static.
    unsafe { !ffi::avcodec_find_decoder(stream.parameters().codec_id).is_null() }
}

fn is_text(stream: Stream) -> bool {
    // SAFETY: descriptors are static.
    let descriptor = unsafe { ffi::avcodec_descriptor_get(stream.parameters().codec_id).as_ref() };
    descriptor.is_some_and(|descriptor| descriptor.props & ffi::AV_CODEC_PROP_TEXT_SUB != 0)
}

fn is_selected(streams: &[Stream], stream: Stream, wanted: &Wanted) -> bool {
    let list = match stream.kind() {
        AVMEDIA_TYPE_AUDIO => &wanted.selection.audio_streams,
        AVMEDIA_TYPE_SUBTITLE => &wanted.selection.subtitle_streams,
        _ => return true,
    };
    list.is_empty() || list.iter().any(|word| matches(streams, stream, word))
}

/// Whether a word selects this stream: by its number among streams of its kind, or by its language.
fn matches(streams: &[Stream], stream: Stream, word: &str) -> bool {
    if let Ok(number) = word.parse::<usize>() {
        let of_kind = streams.iter().filter(|other| other.kind() == stream.kind());
        return of_kind.map(|other| other.index()).nth(number.wrapping_sub(1)) == Some(stream.index());
    }
    // "de" also selects "deu", by its letters.
    let language = stream.tag("language").unwrap_or_default().to_ascii_lowercase();
    let word = word.to_ascii_lowercase();
    !language.is_empty()
        && (language == word || language.starts_with(&word) && word.len() >= 2 || same_language(&language, &word))
}

/// Whether two codes mean the same language, although their letters differ.
fn same_language(one: &str, other: &str) -> bool {
    const CODES: &str = "de deu ger,fr fra fre,es spa,zh zho chi,nl nld dut,cs ces cze,el ell gre,fa fas per,ro ron rum,\
        sk slk slo,ja jpn,pl pol";
    let mut languages = CODES.split(',').map(|codes| codes.split(' '));
    languages.any(|codes| codes.clone().any(|code| code == one) && codes.clone().any(|code| code == other))
}

fn check_selected(streams: &[Stream], kind: ffi::AVMediaType, option: &str, words: &[String]) -> Result<()> {
    for word in words.iter().filter(|word| *word != "none") {
        if !streams.iter().any(|stream| stream.kind() == kind && matches(streams, *stream, word)) {
            return usage(format!("{option}: there is no stream {word}"));
        }
    }
    Ok(())
}

/// As in "audio stream 2 (aac, deu)". Streams are counted from 1.
pub fn describe(stream: Stream) -> String {
    let kind = match stream.kind() {
        _ if stream.is_cover() => "cover",
        AVMEDIA_TYPE_VIDEO => "video",
        AVMEDIA_TYPE_AUDIO => "audio",
        AVMEDIA_TYPE_SUBTITLE => "subtitle",
        AVMEDIA_TYPE_ATTACHMENT => "attachment",
        AVMEDIA_TYPE_DATA => "data",
        _ => "unknown",
    };
    let more = stream.tag("language").filter(|language| language != "und").or(stream.tag("filename"));
    let more = more.map(|more| format!(", {more}")).unwrap_or_default();
    format!("{kind} stream {} ({}{more})", stream.index() + 1, stream.codec_name())
}

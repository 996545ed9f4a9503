//! The video file being written: the upscaled video and the streams that are copied or re-encoded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::av::{self, Dictionary, Error, Muxer, Packet, Rational, Stream, rational};
use crate::container::Container;
use crate::encoder::{EncoderSettings, StreamEncoder, VideoEncoder};
use crate::failure::{Failure, Result, failed};
use crate::output::write_failure;
use crate::reader::MediaReader;
use crate::sound_encoder::SoundEncoder;
use crate::stream_actions::StreamAction;
use crate::subtitles::TextEncoder;

/// Tags that containers write themselves, and statistics of the previous encoding.
const OWN_TAGS: &str =
    "major_brand minor_version compatible_brands encoder duration bps number_of_frames number_of_bytes vendor_id";
/// The tags that MP4 supports, by FFmpeg's names.
const MP4_TAGS: &str = "title artist author album_artist album composer date comment genre copyright grouping lyrics description \
    synopsis show episode_id network episode_sort season_number media_type hd_video gapless_playback compilation track disc \
    creation_time";

/// Seconds before 0 that audio decoders need to start up.
const LEAD_IN: f64 = 0.1;

/// A stream that is copied or re-encoded.
struct Kept {
    /// Its index in the file.
    index: usize,
    /// `None` if it is copied.
    encoder: Option<Box<dyn StreamEncoder>>,
    /// The time bases of its packets: in IN, and when they are written.
    from: Rational,
    base: Rational,
}

pub struct VideoFile {
    muxer: Muxer,
    container: Container,
    /// As the user wrote it.
    name: PathBuf,
    is_pipe: bool,
    /// The video's index in the file.
    video: usize,
    /// By their index in IN.
    kept: HashMap<usize, Kept>,
    has_begun: bool,
    /// Packets that came before the video encoder was opened, and their time bases.
    waiting: Vec<(Packet, Rational)>,
    /// The last decoding timestamp of each stream.
    last: Vec<Option<i64>>,
}

impl VideoFile {
    /// Prepares a file at `path` (`None`: standard output) with the streams that are kept.
    pub fn create(
        path: Option<&Path>,
        name: &Path,
        container: Container,
        reader: Option<&mut MediaReader>,
        actions: &[StreamAction],
    ) -> Result<Self> {
        let url = path.map_or(Ok("pipe:1".into()), crate::input::file_url)?;
        let muxer = Muxer::create(container.muxer(), &url).map_err(|error| write_failure(name, error))?;
        let mut file = VideoFile {
            muxer,
            container,
            name: name.to_owned(),
            is_pipe: path.is_none(),
            video: 0,
            kept: HashMap::new(),
            has_begun: false,
            waiting: Vec::new(),
            last: Vec::new(),
        };
        match reader {
            Some(reader) => file.add_streams(reader, actions)?,
            None => file.add_video(None)?,
        }
        Ok(file)
    }

    fn add_streams(&mut self, reader: &mut MediaReader, actions: &[StreamAction]) -> Result<()> {
        for (index, action) in actions.iter().enumerate() {
            let stream = reader.demuxer().stream(index);
            let encoder: Option<Box<dyn StreamEncoder>> = match action {
                StreamAction::LeftOut => continue,
                StreamAction::Upscaled => {
                    self.add_video(Some(stream))?;
                    continue;
                }
                StreamAction::Attached => {
                    self.attach(stream)?;
                    continue;
                }
                StreamAction::Copied => None,
                StreamAction::Sound(audio) => {
                    Some(Box::new(SoundEncoder::open(stream, *audio, self.muxer.wants_global_header())?))
                }
                StreamAction::Text(encoder) => Some(Box::new(TextEncoder::open(stream, encoder)?)),
            };
            self.add_kept(stream, encoder)?;
        }
        let kept: Vec<usize> = self.kept.keys().copied().collect();
        reader.keep_only(&kept);
        self.describe_whole(reader)
    }

    fn failure(&self, error: Error) -> Failure {
        write_failure(&self.name, error)
    }

    /// Adds the video stream; its parameters are set when the first frame has been upscaled.
    fn add_video(&mut self, stream: Option<Stream>) -> Result<()> {
        let base = stream.map_or(rational(1, 1000), Stream::base);
        self.video = self.muxer.add(stream.map(Stream::parameters), base).map_err(|error| self.failure(error))?;
        if let Some(from) = stream {
            let metadata = self.stream_tags(from);
            let to = self.muxer.stream(self.video);
            to.disposition = from.0.disposition;
            to.metadata = metadata.into_raw();
        }
        Ok(())
    }

    fn add_kept(&mut self, stream: Stream, encoder: Option<Box<dyn StreamEncoder>>) -> Result<()> {
        let wrong = |error| write_failure(&self.name, error);
        let base = encoder.as_ref().map_or(stream.base(), |encoder| encoder.encoder().time_base);
        let index = self.muxer.add(Some(stream.parameters()), base).map_err(wrong)?;
        if let Some(encoder) = &encoder {
            self.muxer.describe(index, encoder.encoder()).map_err(wrong)?;
        }
        let metadata = self.stream_tags(stream);
        let to = self.muxer.stream(index);
        if encoder.is_none() {
            to.avg_frame_rate = stream.0.avg_frame_rate;
            to.sample_aspect_ratio = stream.0.sample_aspect_ratio;
        }
        to.disposition = stream.0.disposition;
        to.metadata = metadata.into_raw();
        self.kept.insert(stream.index(), Kept { index, encoder, from: stream.base(), base });
        Ok(())
    }

    /// A stream's tags. In MP4, programs read a stream's title from its handler name.
    fn stream_tags(&self, stream: Stream) -> Dictionary {
        let mut all = tags(stream.tags());
        if let (true, Some(title), None) = (self.container.is_mp4(), stream.tag("title"), stream.tag("handler_name")) {
            all.set("handler_name", &title);
        }
        if stream.kind() == ffi::AVMediaType::AVMEDIA_TYPE_ATTACHMENT {
            // Matroska requires both.
            let (name, kind) = (format!("attachment-{}", stream.index()), "application/octet-stream");
            all.set("filename", &stream.tag("filename").unwrap_or(name));
            all.set("mimetype", stream.tag("mimetype").as_deref().unwrap_or(kind));
        }
        all
    }

    /// Adds a cover as an attachment, as usual in Matroska.
    fn attach(&mut self, cover: Stream) -> Result<()> {
        let wrong = |error| write_failure(&self.name, error);
        let picture = cover.attached_picture();
        let index = self.muxer.add(None, cover.base()).map_err(wrong)?;
        let to = self.muxer.stream(index);
        // SAFETY: the stream has parameters, which nobody else has.
        let parameters = unsafe { &mut *to.codecpar };
        parameters.codec_type = ffi::AVMediaType::AVMEDIA_TYPE_ATTACHMENT;
        parameters.codec_id = cover.parameters().codec_id;
        parameters.extradata = av::allocated(picture).map_err(wrong)?;
        parameters.extradata_size = picture.len() as i32;
        let (name, kind) = match cover.codec_name().as_str() {
            "png" => ("cover.png", "image/png"),
            _ => ("cover.jpg", "image/jpeg"),
        };
        let mut metadata = Dictionary::new();
        metadata.set("filename", cover.tag("filename").as_deref().unwrap_or(name));
        metadata.set("mimetype", cover.tag("mimetype").as_deref().unwrap_or(kind));
        to.metadata = metadata.into_raw();
        Ok(())
    }

    /// Tags and chapters.
    fn describe_whole(&mut self, reader: &MediaReader) -> Result<()> {
        if self.container.is_animation() {
            return Ok(());
        }
        let mut all = reader.demuxer().metadata();
        let has_title = all.iter().any(|(name, _)| name.eq_ignore_ascii_case("title"));
        // Some programs put the title of a Matroska file on its video stream.
        if let (true, false, Some(title)) = (self.container.is_mp4(), has_title, reader.video().tag("title")) {
            all.push(("title".into(), title));
        }
        self.muxer.context().metadata = tags(all).into_raw();
        let (offset, end) = reader.span();
        let from = reader.demuxer().context();
        for index in 0..from.nb_chapters as usize {
            // SAFETY: the list holds so many chapters, which nobody changes.
            let (chapter, all) = unsafe {
                let chapter = &**from.chapters.add(index);
                (chapter, av::entries(chapter.metadata))
            };
            let base = chapter.time_base;
            let offset = av::rescale(offset, crate::reader::MICROSECONDS, base);
            let last = end.map_or(i64::MAX, |end| av::rescale(end, crate::reader::MICROSECONDS, base));
            let times = ((chapter.start - offset).max(0), (chapter.end - offset).min(last));
            if times.0 < times.1 {
                self.muxer.add_chapter(chapter.id, base, times, tags(all)).map_err(|error| self.failure(error))?;
            }
        }
        Ok(())
    }

    pub fn wants_global_header(&mut self) -> bool {
        self.muxer.wants_global_header()
    }

    /// Sets the video stream's parameters, and writes the header.
    pub fn begin(&mut self, video: &VideoEncoder, settings: &EncoderSettings) -> Result<()> {
        let encoder = video.encoder();
        self.muxer.describe(self.video, encoder).map_err(|error| self.failure(error))?;
        self.begin_with(encoder.time_base, encoder.sample_aspect_ratio, settings)
    }

    /// The same for a video stream that is copied from a segment.
    pub fn begin_copy(&mut self, video: Stream, settings: &EncoderSettings) -> Result<()> {
        self.muxer.describe_like(self.video, video.parameters()).map_err(|error| self.failure(error))?;
        let (of_stream, of_codec) = (video.0.sample_aspect_ratio, video.parameters().sample_aspect_ratio);
        self.begin_with(video.base(), if of_stream.num > 0 { of_stream } else { of_codec }, settings)
    }

    fn begin_with(&mut self, base: Rational, aspect: Rational, settings: &EncoderSettings) -> Result<()> {
        let index = self.video;
        let stream = self.muxer.stream(index);
        stream.time_base = base;
        stream.avg_frame_rate = settings.constant_rate();
        stream.sample_aspect_ratio = aspect;
        for (kind, data) in &settings.side_data {
            self.muxer.add_side_data(index, *kind, data).map_err(|error| self.failure(error))?;
        }
        if self.container.is_matroska() {
            // Audio may start before 0 for the decoder's sake; FFmpeg would shift all streams instead.
            self.muxer.context().avoid_negative_ts = ffi::AVFMT_AVOID_NEG_TS_DISABLED;
        }
        let options = self.options();
        self.muxer.begin(options).map_err(|error| self.failure(error))?;
        self.has_begun = true;
        self.last = vec![None; self.muxer.context().nb_streams as usize];
        for (packet, base) in std::mem::take(&mut self.waiting) {
            self.write(packet, base)?;
        }
        Ok(())
    }

    fn options(&mut self) -> Dictionary {
        let mut options = Dictionary::new();
        if self.container.is_mp4() {
            let mut flags = Vec::new();
            // SAFETY: the context's own.
            if is_of_quicktime(&unsafe { av::entries(self.muxer.context().metadata) }) {
                flags.push("use_metadata_tags");
            }
            if self.is_pipe {
                flags.push("frag_keyframe+empty_moov+default_base_moof");
            }
            if !flags.is_empty() {
                options.set("movflags", &format!("+{}", flags.join("+")));
            }
        }
        if self.container == Container::WebP || self.container == Container::Gif {
            options.set("loop", "0");
        }
        options
    }

    /// Takes a packet of IN.
    pub fn take(&mut self, packet: Packet) -> Result<()> {
        let source = usize::try_from(packet.stream_index).unwrap_or(usize::MAX);
        let Some(kept) = self.kept.get_mut(&source) else { return Ok(()) };
        let (index, base) = (kept.index, kept.base);
        // An edit list hides what lies before 0. Matroska has none, so only what a decoder needs is written.
        if self.container.is_matroska() && av::seconds(packet.pts.saturating_add(packet.duration), kept.from) < -LEAD_IN
        {
            return Ok(());
        }
        let packets = match &mut kept.encoder {
            None => vec![packet],
            Some(encoder) => encoder.take(Some(&packet))?,
        };
        self.write_all(packets, index, base)
    }

    fn write_all(&mut self, packets: Vec<Packet>, index: usize, base: Rational) -> Result<()> {
        for mut packet in packets {
            packet.stream_index = index as i32;
            if self.has_begun {
                self.write(packet, base)?;
            } else {
                self.waiting.push((packet, base));
            }
        }
        Ok(())
    }

    /// Takes packets of the upscaled video.
    pub fn take_video(&mut self, packets: Vec<Packet>, base: Rational) -> Result<()> {
        self.write_all(packets, self.video, base)
    }

    /// Writes a packet whose stream index is the file's.
    fn write(&mut self, mut packet: Packet, base: Rational) -> Result<()> {
        let index = packet.stream_index as usize;
        let to = self.muxer.stream(index).time_base;
        packet.rescale(base, to);
        packet.pos = -1;
        if packet.dts == ffi::AV_NOPTS_VALUE {
            packet.dts = packet.pts;
        }
        // Muxers refuse timestamps that go back, as in damaged and cut files.
        let step = i64::from(!self.container.is_matroska());
        if let Some(last) = self.last[index]
            && packet.dts != ffi::AV_NOPTS_VALUE
            && packet.dts < last + step
        {
            packet.dts = last + 1;
            // AV_NOPTS_VALUE is less than any other.
            packet.pts = packet.pts.max(packet.dts);
        }
        if packet.dts != ffi::AV_NOPTS_VALUE {
            self.last[index] = Some(packet.dts);
        }
        self.muxer.write(packet).map_err(|error| self.failure(error))
    }

    /// Writes the remaining packets, and closes the file.
    pub fn finish(&mut self) -> Result<()> {
        if !self.has_begun {
            return failed(format!("{}: no frame was upscaled", self.name.display()));
        }
        let mut left = Vec::new();
        for kept in self.kept.values_mut() {
            if let Some(encoder) = &mut kept.encoder {
                left.push((encoder.take(None)?, kept.index, kept.base));
            }
        }
        for (packets, index, base) in left {
            self.write_all(packets, index, base)?;
        }
        self.muxer.finish().map_err(|error| self.failure(error))
    }
}

/// The tags that MP4 does not support.
pub fn tags_without_place(all: &[(String, String)]) -> Vec<String> {
    if is_of_quicktime(all) {
        return Vec::new();
    }
    let names = all.iter().map(|(name, _)| name.clone());
    names.filter(|name| !is_among(&name.to_ascii_lowercase(), MP4_TAGS) && !is_own_tag(name)).collect()
}

/// Whether these are QuickTime metadata keys. Fewer programs read them, so they are written only if the source uses them.
fn is_of_quicktime(all: &[(String, String)]) -> bool {
    all.iter().any(|(name, _)| name.starts_with("com."))
}

/// Whether containers write this tag themselves. Matroska's statistics may have a language suffix.
fn is_own_tag(name: &str) -> bool {
    let plain = name.to_ascii_lowercase();
    is_among(plain.split('-').next().unwrap_or_default(), OWN_TAGS) || plain.starts_with("_statistics")
}

fn is_among(name: &str, list: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

/// Leaves out tags that containers write themselves.
fn tags(all: Vec<(String, String)>) -> Dictionary {
    let mut tags = Dictionary::new();
    for (name, value) in all {
        if !is_own_tag(&name) {
            tags.set(&name, &value);
        }
    }
    tags
}

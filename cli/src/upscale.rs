//! Upscales one IN to one OUT.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use gstupscale::plan::check_writable;
use indicatif::HumanBytes;
use parking_lot::Mutex;

use crate::args::{Deinterlace, Encoding, ProgressKind, Selection, Upscale};
use crate::av::{self, Frame, Rational, rational};
use crate::codecs::Codec;
use crate::console::Console;
use crate::container::Container;
use crate::encoder::{EncoderSettings, VideoEncoder};
use crate::failure::{Context, Failure, Result, failed, usage};
use crate::file::VideoFile;
use crate::filters::{self, InputFilters};
use crate::hdr;
use crate::input::Input;
use crate::output::{Claim, Kind, Output, Place, is_same};
use crate::pictures::{self, PictureFiles};
use crate::plan;
use crate::preview::Preview;
use crate::progress::{Progress, Snapshot};
use crate::reader::{Damage, Event, Reader};
use crate::segments::Part;
use crate::signals::{self, Stop};
use crate::stream_actions::{self, Note, StreamAction, Wanted};
use crate::upscaler::{self, Upscaler};

/// How often progress is shown and signals are checked.
const TICK: Duration = Duration::from_millis(100);

/// The options of a run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    pub upscale: &'a Upscale,
    pub encoding: &'a Encoding,
    pub selection: &'a Selection,
    pub fps: Option<Rational>,
    pub stage: Stage<'a>,
}

/// Which part of the work is done.
#[derive(Clone, Copy)]
pub enum Stage<'a> {
    Whole,
    /// Only a segment of the video, and no other stream. Without `seeks`, everything before it is decoded and dropped.
    Segment {
        part: &'a Part,
        seeks: bool,
    },
    /// The segments are there, and become OUT.
    Join,
}

/// Upscales IN to OUT. Returns what was damaged in IN.
pub fn run(options: Options, input: &Path, output: &Path, console: &Console) -> Result<Damage> {
    let args = options.upscale;
    let input = Input::open(input, options.fps)?;
    let output = Output::parse(output, options.encoding.format.as_deref(), &input)?;
    check_plan(args, &input, &output)?;
    if matches!(output.place, Place::Pipe) && args.progress == ProgressKind::Json {
        return usage("the result and --progress json cannot both go to standard output");
    }
    let codec = match output.kind {
        Kind::Video(container) => Codec::choose(options.encoding, container)?,
        Kind::Pictures(format) => pictures::codec(format)?,
    };
    let claim = output.claim(&input, args.overwrite)?;
    let mut progress = Progress::new(console, args.progress);
    let outcome =
        Job::prepare(options, &input, &output, codec, console).and_then(|job| job.run(&claim, &mut progress, console));
    progress.clear();
    let done = outcome?;
    if let Some(path) = &args.plan {
        plan::rename(path, &plan::Names::of(&input, &output))?;
    }
    let (size, remark) = claim.finish()?;
    remark.iter().for_each(|remark| console.note(remark));
    let seconds = progress.elapsed().as_secs_f64();
    let damage = done.damage;
    console.note(&format!(
        "{}: {} frames in {seconds:.1} s ({:.1} fps), {}, {}",
        output.path.display(),
        done.frames,
        done.frames as f64 / seconds.max(1e-3),
        done.counts,
        HumanBytes(size),
    ));
    if damage.is_any() {
        console.warn(&format!("{} is damaged: {damage}", input.name().display()));
    }
    Ok(damage)
}

/// Fails before work starts, not after it, if the plan cannot be written.
fn check_plan(args: &Upscale, input: &Input, output: &Output) -> Result<()> {
    let Some(path) = &args.plan else { return Ok(()) };
    if [input.name(), &output.path].into_iter().any(|other| is_same(path, other) || path == other) {
        return usage("--plan names the same file as IN or OUT");
    }
    check_writable(path).context(format_args!("the plan cannot be written to {}", path.display()))
}

/// What was done.
struct Done {
    frames: u64,
    counts: crate::progress::Counts,
    damage: Damage,
}

/// A job that is ready to start.
pub struct Job<'a> {
    options: Options<'a>,
    input: &'a Input,
    output: &'a Output,
    pub settings: EncoderSettings,
    stop: Arc<Stop>,
    pub reader: Reader,
    filters: InputFilters,
    /// The size before upscaling.
    size: (i32, i32),
    actions: Vec<StreamAction>,
}

impl<'a> Job<'a> {
    /// Opens IN, decodes its first frame, decides what happens to each stream, and reports what will be lost.
    pub fn prepare(
        options: Options<'a>,
        input: &'a Input,
        output: &'a Output,
        codec: Codec,
        console: &Console,
    ) -> Result<Self> {
        let stop = Arc::<Stop>::default();
        let (mut reader, first) = open(options, input, &stop)?;
        let timing = reader.timing();
        let (mut notes, mut actions) = (Vec::new(), Vec::new());
        if let Input::Pictures(pictures) = input
            && let Some(gap) = pictures.first_gap()
        {
            notes.push(Note::change(format!("no picture has number {gap}: the next one follows without a gap")));
        }
        let media = reader.media();
        let video = media.as_ref().map(|media| media.video());
        check_interlaced(&first, video.map(|video| video.parameters().field_order), options.selection, input)?;
        if let Some(media) = &media {
            let wanted =
                Wanted { container: output.container(), encoding: options.encoding, selection: options.selection };
            actions = stream_actions::decide(media.demuxer(), media.video().index(), &wanted, &mut notes)?;
        }
        let matrix = match video {
            Some(video) => video.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX),
            None => first.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX),
        };
        let keeps_rotation = output.container().is_some_and(Container::is_mp4);
        let turn = matrix.and_then(filters::turn).filter(|_| !keeps_rotation);
        let mut side_data = hdr::static_metadata(&first, video);
        let kept = matrix.filter(|_| turn.is_none());
        side_data.extend(kept.map(|matrix| (ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX, matrix.to_vec())));
        notes.extend(hdr::losses(&first, video, codec));
        notes.extend(pixel_losses(&first, codec));
        match options.stage {
            Stage::Whole => say(&notes, options.upscale.strict, console)?,
            // Whoever planned the segments was told.
            Stage::Segment { .. } | Stage::Join => {}
        }
        let filters = InputFilters::new(options.selection, timing, turn, input.name().display().to_string());
        let size = filters.size_of(&first);
        let settings = EncoderSettings::new(codec, options.encoding.clone(), filters.timing(), &first);
        let settings = EncoderSettings { side_data, source_rows: size.1, ..settings };
        Ok(Job { options, input, output, settings, stop, reader, filters, size, actions })
    }

    fn run(mut self, claim: &Claim, progress: &mut Progress, console: &Console) -> Result<Done> {
        let args = self.options.upscale;
        let size = args.size.map(|size| size.of(self.size.0, self.size.1));
        let upscaler = Upscaler::new(args, size, args.preview, self.detail_tolerance())?;
        let shared = Shared {
            upscaler: &upscaler,
            file: self.file(claim)?.map(Mutex::new),
            written: AtomicU64::new(0),
            interlaced: AtomicU64::new(0),
            preview: if args.preview { Some(Preview::open(console)?) } else { None },
            aspect: size.map(|size| Aspect { from: self.size, to: size }),
            shift: match (self.options.stage, self.output.container()) {
                (Stage::Segment { part, .. }, Some(container)) if container.is_mp4() => part.begin,
                _ => 0,
            },
        };
        let total = self.settings.timing.total;
        let writer = match (&shared.file, self.output.kind) {
            (Some(file), _) => Writer::Video { file, encoder: None, settings: self.settings, console },
            (None, Kind::Pictures(format)) => {
                Writer::Pictures(PictureFiles::new(format, self.settings, self.input), claim)
            }
            (None, Kind::Video(_)) => return failed("a video has a file"),
        };
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            let (shared, reader, filters) = (&shared, &mut self.reader, &mut self.filters);
            let ended: Sender<Result<()>> = sender.clone();
            scope.spawn(move || ended.send(shared.read(reader, filters)).ok());
            scope.spawn(move || sender.send(shared.write(writer)).ok());
            let outcome = shared.watch(&receiver, total, progress, console);
            if outcome.is_err() {
                self.stop.set();
                shared.upscaler.stop();
            }
            outcome
        })?;
        let frames = shared.written.load(Ordering::Relaxed);
        if upscaler.left_inside() > 0 {
            return failed(format!("{} frames went in and did not come out", upscaler.left_inside()));
        }
        let interlaced = shared.interlaced.load(Ordering::Relaxed);
        if interlaced > 0 && self.options.selection.deinterlace.is_none() {
            console.warn(&format!("{interlaced} frames are interlaced: --deinterlace makes them progressive"));
        }
        check_segment(self.options.stage, self.input, &mut self.reader)?;
        progress.finish(frames, upscaler.counts());
        Ok(Done { frames, counts: upscaler.counts(), damage: self.reader.damage() })
    }

    /// What a lossy encoder loses is far more than the default's differences. Nothing is lost where the user asks for
    /// that.
    fn detail_tolerance(&self) -> u32 {
        const DEFAULT: u32 = 2;
        let is_lossless =
            matches!(self.output.kind, Kind::Pictures(_)) || self.settings.codec.is_lossless(self.options.encoding);
        self.options.upscale.detail_tolerance.unwrap_or(if is_lossless { 0 } else { DEFAULT })
    }

    /// Creates the output file; `None` for pictures.
    pub fn file(&mut self, claim: &Claim) -> Result<Option<VideoFile>> {
        let mut reader = self.reader.media();
        let Some(container) = self.output.container() else {
            if let Some(media) = reader {
                media.keep_only(&[]);
            }
            return Ok(None);
        };
        if let Stage::Segment { .. } = self.options.stage
            && let Some(media) = reader.take()
        {
            media.keep_only(&[]);
        }
        let mut file = VideoFile::create(claim.file(), &self.output.path, container, reader, &self.actions)?;
        self.settings.global_header = file.wants_global_header();
        Ok(Some(file))
    }
}

/// Opens IN and reads its first frame, or that of the segment.
fn open(options: Options, input: &Input, stop: &Arc<Stop>) -> Result<(Reader, Frame)> {
    let mut last = None;
    for seeks in [true, false] {
        let mut reader = Reader::open(input, options.selection, stop)?;
        let (Stage::Segment { part, seeks: may_seek }, Some(media)) = (options.stage, reader.media()) else {
            let first = reader.first_frame()?;
            return Ok((reader, first));
        };
        media.read_part(part.clone(), seeks && may_seek);
        match reader.first_frame() {
            Ok(first) if first.pts == part.begin => return Ok((reader, first)),
            // Not all files have an index that leads to the right frame.
            other => last = other.err(),
        }
        signals::check()?;
    }
    let why = last.map_or_else(|| "it begins with another frame".to_owned(), |failure| failure.to_string());
    Err(Failure::Final(format!("{}: the segment is not as planned: {why}", input.name().display())))
}

/// Checks that the frames of a segment are those that were planned.
fn check_segment(stage: Stage, input: &Input, reader: &mut Reader) -> Result<()> {
    let (Stage::Segment { part, .. }, Some(media)) = (stage, reader.media()) else { return Ok(()) };
    let times = media.times();
    if times.count() == part.frames && times.hash() == part.times {
        return Ok(());
    }
    let (name, frames, planned) = (input.name().display(), times.count(), part.frames);
    let what = if frames == planned { "other timestamps".into() } else { format!("{frames} frames, not {planned}") };
    Err(Failure::Final(format!("{name} is damaged or has changed: the segment has {what}")))
}

/// `order` is the field order from the container or the codec.
fn check_interlaced(
    first: &Frame,
    order: Option<ffi::AVFieldOrder>,
    selection: &Selection,
    input: &Input,
) -> Result<()> {
    use ffi::AVFieldOrder::{AV_FIELD_BB, AV_FIELD_BT, AV_FIELD_TB, AV_FIELD_TT};
    let is_interlaced = first.interlaced_frame != 0
        || order.is_some_and(|order| [AV_FIELD_TT, AV_FIELD_BB, AV_FIELD_TB, AV_FIELD_BT].contains(&order));
    if is_interlaced && selection.deinterlace.is_none() && !selection.inverse_telecine {
        return failed(format!(
            "{} is interlaced: add --deinterlace, --deinterlace=double or --inverse-telecine, or --deinterlace=off if it is not",
            input.name().display()
        ));
    }
    if selection.deinterlace == Some(Deinterlace::Off) || matches!(input, Input::Media(_)) {
        return Ok(());
    }
    if selection.deinterlace.is_some() || selection.inverse_telecine {
        return usage("pictures are not interlaced");
    }
    Ok(())
}

/// What pixels lose in conversions for the element and the encoder.
fn pixel_losses(first: &Frame, codec: Codec) -> Vec<Note> {
    let mut notes = Vec::new();
    let from = first.pixel_format();
    let inside = upscaler::format_for(from);
    let (to, is_loss) = codec.pixel_format(inside, !from.has_alpha());
    if inside.depth() < from.depth() {
        notes.push(Note::loss(format!("{} bits become {}", from.depth(), inside.depth())));
    }
    // GIF always has palettes; the user knows.
    if codec.name != "gif" && (is_loss || from.has_alpha() && !to.has_alpha()) {
        let (from, to, codec) = (from.name(), to.name(), codec.name);
        notes.push(Note::loss(format!("{from} frames become {to}: {codec} supports no closer format")));
    }
    notes
}

/// Reports the notes; with `--strict`, a loss is an error.
fn say(notes: &[Note], strict: bool, console: &Console) -> Result<()> {
    let losses: Vec<&str> = notes.iter().filter(|note| note.is_loss).map(|note| note.text.as_str()).collect();
    if strict && !losses.is_empty() {
        return failed(format!("--strict: {}", losses.join("; ")));
    }
    for note in notes {
        // Losses are reported even with --quiet.
        if note.is_loss { console.warn(&note.text) } else { console.note(&note.text) }
    }
    Ok(())
}

/// Writes upscaled frames.
enum Writer<'a> {
    /// The encoder is opened when the first frame comes.
    Video {
        file: &'a Mutex<VideoFile>,
        encoder: Option<VideoEncoder>,
        settings: EncoderSettings,
        console: &'a Console,
    },
    Pictures(PictureFiles, &'a Claim),
}

impl Writer<'_> {
    /// Encodes outside the file's lock, so that reading continues in parallel.
    fn take(&mut self, frame: Frame) -> Result<()> {
        let (file, encoder, settings, console) = match self {
            Writer::Pictures(files, claim) => return files.take(frame, claim),
            Writer::Video { file, encoder, settings, console } => (file, encoder, settings, console),
        };
        let encoder = match encoder {
            Some(encoder) => encoder,
            None => {
                let opened = VideoEncoder::open(settings, &frame)?;
                if (opened.encoder().width, opened.encoder().height) != (frame.width, frame.height) {
                    console.note("a row or column is added to make the size even");
                }
                file.lock().begin(&opened, settings)?;
                encoder.insert(opened)
            }
        };
        let packets = encoder.take(Some(frame))?;
        file.lock().take_video(packets, encoder.encoder().time_base)
    }

    fn finish(self) -> Result<()> {
        let Writer::Video { file, encoder, .. } = self else { return Ok(()) };
        if let Some(mut encoder) = encoder {
            let packets = encoder.take(None)?;
            file.lock().take_video(packets, encoder.encoder().time_base)?;
        }
        file.lock().finish()
    }
}

/// An exact output size changes the pixel aspect ratio, so that the displayed shape stays.
#[derive(Clone, Copy)]
struct Aspect {
    from: (i32, i32),
    to: (i32, i32),
}

impl Aspect {
    fn of(self, pixel: Rational) -> Rational {
        let pixel = if pixel.num > 0 { pixel } else { rational(1, 1) };
        let wide = i64::from(pixel.num) * i64::from(self.from.0) * i64::from(self.to.1);
        let high = i64::from(pixel.den) * i64::from(self.from.1) * i64::from(self.to.0);
        let ratio = av::reduced(wide, high);
        // Rounding to whole rows does not change the pixel aspect ratio.
        if (av::value(ratio) / av::value(pixel) - 1.0).abs() < 0.005 { pixel } else { ratio }
    }
}

/// What the threads of a run share.
struct Shared<'a> {
    upscaler: &'a Upscaler,
    /// `None` for pictures.
    file: Option<Mutex<VideoFile>>,
    written: AtomicU64,
    /// Frames flagged as interlaced that are not deinterlaced.
    interlaced: AtomicU64,
    preview: Option<Preview>,
    aspect: Option<Aspect>,
    /// Subtracted from timestamps: an MP4 stores a late start only to the millisecond.
    shift: i64,
}

impl Shared<'_> {
    /// The reading thread: frames go to the element, packets of other streams to the file.
    fn read(&self, reader: &mut Reader, filters: &mut InputFilters) -> Result<()> {
        let push = |frame: Frame| {
            self.interlaced.fetch_add(u64::from(frame.interlaced_frame != 0), Ordering::Relaxed);
            self.upscaler.push(&frame)
        };
        while let Some(event) = reader.next()? {
            match (event, &self.file) {
                (Event::Frame(frame), _) => filters.filter(Some(frame))?.into_iter().try_for_each(push)?,
                (Event::Packet(packet), Some(file)) => file.lock().take(packet)?,
                (Event::Packet(_), None) => {}
            }
        }
        filters.filter(None)?.into_iter().try_for_each(push)?;
        self.upscaler.end()
    }

    /// The writing thread: from the element to OUT.
    fn write(&self, mut writer: Writer) -> Result<()> {
        let mut last = None;
        while let Some((mut frame, source)) = self.upscaler.pull()? {
            frame.pts -= self.shift;
            // Encoders require increasing timestamps.
            frame.pts = last.map_or(frame.pts, |last: i64| frame.pts.max(last + 1));
            last = Some(frame.pts);
            if let Some(aspect) = self.aspect {
                frame.sample_aspect_ratio = aspect.of(frame.sample_aspect_ratio);
            }
            if let Some(preview) = &self.preview {
                preview.show(&source, &frame);
            }
            writer.take(frame)?;
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        writer.finish()
    }

    /// The main thread: waits for the other two, shows progress and checks for signals.
    fn watch(
        &self,
        ended: &Receiver<Result<()>>,
        total: Option<u64>,
        progress: &mut Progress,
        console: &Console,
    ) -> Result<()> {
        let mut running = 2;
        while running > 0 {
            signals::check()?;
            match ended.recv_timeout(TICK) {
                Ok(result) => {
                    signals::check()?;
                    result?;
                    running -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return failed("a thread ended early"),
            }
            for warning in self.upscaler.warnings() {
                console.note(&format!("warning: {warning}"));
            }
            let frames = self.written.load(Ordering::Relaxed);
            let total = total.map(|total| total.max(frames));
            progress.update(Snapshot { frames, total, counts: self.upscaler.counts() });
        }
        Ok(())
    }
}

//! One IN to one OUT.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use gstupscale::plan::check_writable;
use indicatif::HumanBytes;
use parking_lot::Mutex;

use crate::args::{Deinterlace, Encoding, ProgressKind, Selection, Upscale};
use crate::av::Frame;
use crate::codecs::Codec;
use crate::console::Console;
use crate::container::Container;
use crate::encoder::{self, VideoEncoder};
use crate::failure::{Failure, Result, failed, usage};
use crate::file::VideoFile;
use crate::filters::{self, Before, Turn};
use crate::hdr::{self, Hdr};
use crate::input::Input;
use crate::output::{Claim, Output};
use crate::pictures::{self, Numbers, PictureFiles};
use crate::plan;
use crate::preview::Preview;
use crate::progress::{Progress, Snapshot};
use crate::reader::{Damage, Event, Reader, Timing};
use crate::signals;
use crate::streams::{self, Note, Wanted};
use crate::upscaler::{self, Upscaler};

/// How often progress is shown and signals are looked for.
const TICK: Duration = Duration::from_millis(100);

/// The options of a run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    pub upscale: &'a Upscale,
    pub encoding: &'a Encoding,
    pub selection: &'a Selection,
    pub fps: Option<crate::args::Rate>,
}

/// Upscales IN to OUT. Says what of IN was damaged.
pub fn run(options: Options, input: &Path, output: &Path, console: &Console) -> Result<Damage> {
    let args = options.upscale;
    let input = Input::open(input, options.fps)?;
    let output = Output::parse(output, options.encoding.format.as_deref(), &input)?;
    check_plan(args, &input, &output)?;
    if matches!(output, Output::Pipe { .. }) && args.progress == ProgressKind::Json {
        return usage("the result and --progress json cannot both go to standard output");
    }
    let codec = match output.container() {
        Some(container) => Codec::choose(options.encoding, container)?,
        None => picture_codec(&output)?,
    };
    let claim = output.claim(&input, args.overwrite)?;
    let mut progress = Progress::new(console, args.progress);
    let stop = Arc::new(AtomicBool::new(false));
    signals::on_signal(&stop);
    let outcome = Work::prepare(options, &input, &output, codec, &stop, console)
        .and_then(|work| work.run(&claim, &mut progress, console));
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
        output.path().display(),
        done.frames,
        done.frames as f64 / seconds.max(1e-3),
        done.counts,
        HumanBytes(size),
    ));
    if damage.is_any() {
        console.warn(&format!("{} is damaged: {damage}", name_of(&input)));
    }
    Ok(damage)
}

/// The encoder of picture files.
fn picture_codec(output: &Output) -> Result<Codec> {
    match output {
        Output::Pictures { format, .. } | Output::Picture { format, .. } => pictures::codec(*format),
        Output::Video { .. } | Output::Pipe { .. } => failed("videos have a container"),
    }
}

fn name_of(input: &Input) -> String {
    match input {
        Input::Media(media) => media.name.display().to_string(),
        Input::Pictures(pictures) => pictures.files[0].1.display().to_string(),
    }
}

/// The plan is worth as much as the video: that it cannot be written is said before the work, not after.
fn check_plan(args: &Upscale, input: &Input, output: &Output) -> Result<()> {
    let Some(path) = &args.plan else { return Ok(()) };
    let same = |other: &Path| crate::output::same_file(path, other) || path == other;
    if same(Path::new(&name_of(input))) || same(output.path()) {
        return usage("--plan names the same file as IN or OUT");
    }
    check_writable(path).or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display())))
}

/// What was done.
struct Done {
    frames: u64,
    counts: crate::progress::Counts,
    damage: Damage,
}

/// Everything that is known before work begins.
struct Work<'a> {
    options: Options<'a>,
    input: &'a Input,
    output: &'a Output,
    codec: Codec,
    stop: Arc<AtomicBool>,
    reader: Reader,
    first: Frame,
    before: Before,
    timing: Timing,
    actions: Vec<streams::StreamAction>,
    hdr: Hdr,
    /// The display matrix, where the container keeps it.
    matrix: Option<Vec<u8>>,
}

impl<'a> Work<'a> {
    /// Opens IN, looks at its first frame, decides for all streams, and says what will be lost.
    fn prepare(
        options: Options<'a>,
        input: &'a Input,
        output: &'a Output,
        codec: Codec,
        stop: &Arc<AtomicBool>,
        console: &Console,
    ) -> Result<Self> {
        let mut reader = Reader::open(input, options.selection, stop)?;
        let first = reader.first_frame().map_err(|failure| at(input, failure))?;
        let order = reader.media().map(|media| media.video().parameters().field_order);
        let order = order.unwrap_or(ffi::AVFieldOrder::AV_FIELD_UNKNOWN);
        check_interlaced(&first, order, options.selection, input)?;
        let mut notes = Vec::new();
        if let Input::Pictures(pictures) = input
            && let Some(gap) = pictures.first_gap()
        {
            notes.push(Note::change(format!("no picture has number {gap}: the next one follows without a gap")));
        }
        let timing = reader.timing();
        let mut actions = Vec::new();
        let (mut matrix, mut hdr) = (None, Hdr::of(&first, None));
        let mut lost = hdr::losses(&first, None, Some(codec));
        let wanted = Wanted { container: output.container(), encoding: options.encoding, selection: options.selection };
        if let Some(media) = reader.media() {
            let video = media.video();
            hdr = Hdr::of(&first, Some(video));
            lost = hdr::losses(&first, Some(video), Some(codec));
            matrix = video.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX).map(<[u8]>::to_vec);
            actions = streams::decide(media.demuxer(), video.index(), &wanted, &mut notes)?;
        } else if let Some(data) = first.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX) {
            matrix = Some(data.to_vec());
        }
        notes.extend(lost);
        notes.extend(pixel_losses(&first, codec, output));
        let turned = matrix.as_deref().and_then(filters::turn);
        let turn: Option<Turn> = turned.filter(|_| !output.container().is_some_and(Container::keeps_rotation));
        if turn.is_some() {
            matrix = None;
        }
        say(&notes, options.upscale.strict, console)?;
        let before = Before::new(options.selection, timing, turn, name_of(input));
        let timing = before.timing();
        let stop = Arc::clone(stop);
        Ok(Work { options, input, output, codec, stop, reader, first, before, timing, actions, hdr, matrix })
    }

    fn run(mut self, claim: &Claim, progress: &mut Progress, console: &Console) -> Result<Done> {
        let args = self.options.upscale;
        let (width, height) = self.before.size_of(&self.first);
        let size = args.size.map(|size| size.of(width, height));
        let upscaler = Upscaler::new(args, size, args.preview)?;
        let target = self.target(claim)?;
        let shared = Shared {
            upscaler: &upscaler,
            target: Mutex::new(target),
            written: AtomicU64::new(0),
            interlaced: AtomicU64::new(0),
            stop: Arc::clone(&self.stop),
            preview: if args.preview { Some(Preview::open(console)?) } else { None },
            aspect: size.map(|size| Aspect { from: (width, height), to: size }),
        };
        let (sender, receiver) = channel();
        let (mut reader, mut before) = (self.reader, self.before);
        let damage = std::thread::scope(|scope| {
            let ended: Sender<Result<()>> = sender.clone();
            let (shared, timing) = (&shared, self.timing);
            let make = Make {
                codec: self.codec,
                encoding: self.options.encoding,
                hdr: &self.hdr,
                matrix: &self.matrix,
                rows: height,
                is_opaque: !self.first.pixel_format().has_alpha(),
            };
            let reading = scope.spawn(move || {
                let result = shared.read(&mut reader, &mut before);
                ended.send(result).ok();
                reader.damage()
            });
            scope.spawn(move || sender.send(shared.write(timing, &make, claim)).ok());
            let outcome = shared.watch(&receiver, timing.total, progress, console);
            if outcome.is_err() {
                shared.stop.store(true, Ordering::SeqCst);
                shared.upscaler.stop();
            }
            let damage = reading.join().unwrap_or_default();
            outcome.map(|()| damage)
        })?;
        let frames = shared.written.load(Ordering::Relaxed);
        if upscaler.left_inside() > 0 {
            return failed(format!("{} frames went in and did not come out", upscaler.left_inside()));
        }
        let interlaced = shared.interlaced.load(Ordering::Relaxed);
        if interlaced > 0 && self.options.selection.deinterlace.is_none() {
            console.warn(&format!("{interlaced} frames are interlaced: --deinterlace makes them progressive"));
        }
        progress.finish(frames, upscaler.counts());
        Ok(Done { frames, counts: upscaler.counts(), damage })
    }

    fn target(&mut self, claim: &Claim) -> Result<Target> {
        let format = match self.output {
            Output::Video { container, path } => {
                let file = VideoFile::create(claim.file(), path, *container, self.reader.media(), &self.actions)?;
                return Ok(Target::Video { file: Box::new(file), encoder: None });
            }
            Output::Pipe { container } => {
                let name = self.output.path();
                let file = VideoFile::create(None, name, *container, self.reader.media(), &self.actions)?;
                return Ok(Target::Video { file: Box::new(file), encoder: None });
            }
            Output::Pictures { format, .. } | Output::Picture { format, .. } => *format,
        };
        if let Some(media) = self.reader.media() {
            media.keep_only(&[]);
        }
        let numbers = Numbers::of(self.input);
        let files = PictureFiles::new(format, self.options.encoding, numbers, self.timing, &self.first);
        Ok(Target::Pictures(files))
    }
}

/// Puts IN's name before what is wrong with it.
fn at(input: &Input, failure: Failure) -> Failure {
    match (input, failure) {
        (Input::Media(media), Failure::Failed(text)) if text.starts_with("no frame") => {
            Failure::Failed(format!("{}: {text}", media.name.display()))
        }
        (_, failure) => failure,
    }
}

/// `order` is that of the fields, as the container or the codec says it.
fn check_interlaced(first: &Frame, order: ffi::AVFieldOrder, selection: &Selection, input: &Input) -> Result<()> {
    use ffi::AVFieldOrder::{AV_FIELD_BB, AV_FIELD_BT, AV_FIELD_TB, AV_FIELD_TT};
    let is_interlaced =
        first.interlaced_frame != 0 || [AV_FIELD_TT, AV_FIELD_BB, AV_FIELD_TB, AV_FIELD_BT].contains(&order);
    if is_interlaced && selection.deinterlace.is_none() && !selection.inverse_telecine {
        return failed(format!(
            "{} is interlaced: add --deinterlace, --deinterlace=double or --inverse-telecine, or --deinterlace=off if it is not",
            name_of(input)
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

/// What pixels lose on their way to the element and to the encoder.
fn pixel_losses(first: &Frame, codec: Codec, output: &Output) -> Vec<Note> {
    let mut notes = Vec::new();
    let from = first.pixel_format();
    let inside = upscaler::format_for(from);
    let (to, is_loss) = codec.pixel_format(inside, !from.has_alpha());
    if inside.depth() < from.depth() {
        notes.push(Note::loss(format!("{} bits become {}", from.depth(), inside.depth())));
    }
    // A palette is chosen for each picture; that is what the user asked for.
    if codec.name != "gif" && (is_loss || from.has_alpha() && !to.has_alpha()) {
        notes.push(Note::loss(format!(
            "{} frames become {}: {} supports no closer format",
            from.name(),
            to.name(),
            codec.name
        )));
    }
    if output.container().is_some() && encoder::is_padded(codec, inside, first.width * 2, first.height * 2) {
        notes.push(Note::change("a row or column is added to make the size even"));
    }
    notes
}

/// Says what will be lost; with `--strict` that is an error.
fn say(notes: &[Note], strict: bool, console: &Console) -> Result<()> {
    let losses: Vec<&str> = notes.iter().filter(|note| note.is_loss).map(|note| note.text.as_str()).collect();
    if strict && !losses.is_empty() {
        return failed(format!("--strict: {}", losses.join("; ")));
    }
    for note in notes {
        // What is missing is said with --quiet, too.
        if note.is_loss { console.warn(&note.text) } else { console.note(&note.text) }
    }
    Ok(())
}

/// Where frames go.
enum Target {
    Video { file: Box<VideoFile>, encoder: Option<VideoEncoder> },
    Pictures(PictureFiles),
}

/// A size that was asked for changes the shape of pixels, so that the picture keeps its own.
#[derive(Clone, Copy)]
struct Aspect {
    from: (i32, i32),
    to: (i32, i32),
}

impl Aspect {
    fn of(self, pixel: ffi::AVRational) -> ffi::AVRational {
        let pixel = if pixel.num > 0 { pixel } else { ffi::AVRational { num: 1, den: 1 } };
        let wide = i64::from(pixel.num) * i64::from(self.from.0) * i64::from(self.to.1);
        let high = i64::from(pixel.den) * i64::from(self.from.1) * i64::from(self.to.0);
        let mut ratio = ffi::AVRational { num: 1, den: 1 };
        // SAFETY: plain arithmetic.
        unsafe { ffi::av_reduce(&mut ratio.num, &mut ratio.den, wide, high, 1 << 16) };
        // Rounding to whole rows does not change the pixel aspect ratio.
        let off = f64::from(ratio.num) / f64::from(ratio.den);
        let was = f64::from(pixel.num) / f64::from(pixel.den);
        if (off / was - 1.0).abs() < 0.005 { pixel } else { ratio }
    }
}

/// What an encoder is made of.
struct Make<'a> {
    codec: Codec,
    encoding: &'a Encoding,
    hdr: &'a Hdr,
    matrix: &'a Option<Vec<u8>>,
    rows: i32,
    is_opaque: bool,
}

/// What the threads of a run share.
struct Shared<'a> {
    upscaler: &'a Upscaler,
    target: Mutex<Target>,
    written: AtomicU64,
    /// Frames that say that they are interlaced, and are not made progressive.
    interlaced: AtomicU64,
    stop: Arc<AtomicBool>,
    preview: Option<Preview>,
    aspect: Option<Aspect>,
}

impl Shared<'_> {
    /// One thread: from IN to the element, and packets of other streams to the file.
    fn read(&self, reader: &mut Reader, before: &mut Before) -> Result<()> {
        let mut push = |frame: Frame| {
            self.interlaced.fetch_add(u64::from(frame.interlaced_frame != 0), Ordering::Relaxed);
            self.upscaler.push(&frame)
        };
        while let Some(event) = reader.next()? {
            match event {
                Event::Frame(frame) => before.filter(Some(frame), &mut push)?,
                Event::Packet(packet) => {
                    if let Target::Video { file, .. } = &mut *self.target.lock() {
                        file.take(packet)?;
                    }
                }
            }
        }
        before.filter(None, &mut push)?;
        self.upscaler.end()
    }

    /// Another: from the element to OUT.
    fn write(&self, timing: Timing, make: &Make, claim: &Claim) -> Result<()> {
        let mut last = None;
        while let Some((mut frame, source)) = self.upscaler.pull()? {
            // Encoders want times that rise.
            if last.is_some_and(|last| frame.pts <= last) {
                frame.pts = last.unwrap_or(0) + 1;
            }
            last = Some(frame.pts);
            if let Some(aspect) = self.aspect {
                frame.sample_aspect_ratio = aspect.of(frame.sample_aspect_ratio);
            }
            if let Some(preview) = &self.preview {
                preview.show(&source, &frame);
            }
            self.take(frame, timing, make, claim)?;
        }
        if let Target::Video { file, encoder } = &mut *self.target.lock() {
            if let Some(encoder) = encoder {
                let packets = encoder.take(None)?;
                let base = encoder.base();
                packets.into_iter().try_for_each(|packet| file.take_video(packet, base))?;
            }
            file.finish()?;
        }
        Ok(())
    }

    fn take(&self, frame: Frame, timing: Timing, make: &Make, claim: &Claim) -> Result<()> {
        // The encoder runs outside the lock, so that reading continues in parallel.
        let taken = match &mut *self.target.lock() {
            Target::Pictures(files) => {
                files.take(frame, claim)?;
                self.written.store(files.written(), Ordering::Relaxed);
                return Ok(());
            }
            Target::Video { file, encoder } => match encoder.take() {
                Some(encoder) => encoder,
                None => {
                    let job = encoder::Job {
                        codec: make.codec,
                        encoding: make.encoding,
                        timing,
                        hdr: make.hdr.clone(),
                        matrix: make.matrix.clone(),
                        global_header: file.wants_global_header(),
                        source_rows: make.rows,
                        is_opaque: make.is_opaque,
                    };
                    let encoder = VideoEncoder::open(job, &frame)?;
                    file.begin(&encoder)?;
                    encoder
                }
            },
        };
        let mut taken = taken;
        let packets = taken.take(Some(frame))?;
        let base = taken.base();
        if let Target::Video { file, encoder } = &mut *self.target.lock() {
            packets.into_iter().try_for_each(|packet| file.take_video(packet, base))?;
            *encoder = Some(taken);
        }
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The thread that started it all: waits for both, shows progress, and looks for signals.
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

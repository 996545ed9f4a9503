//! `gst-upscale plan IN`, and the names of files in a plan.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gst::prelude::*;
use gst_video::prelude::*;
use gstupscale::picture::Size;
use gstupscale::picture::format::PixelFormat;
use gstupscale::picture::view::PictureRef;
use gstupscale::plan::{self as file, Recorder};
use gstupscale::reuse::{Fingerprint, Fingerprinter};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::args::Plan;
use crate::elements;
use crate::failure::{Failure, Result, failed};
use crate::input::Input;
use crate::output::Output;
use crate::pattern::Pattern;
use crate::progress::{self, Console, Progress};
use crate::run::Run;
use crate::shared::Shared;
use crate::source::{self, Consumer, Kept, add_linked, static_pad};
use crate::streams::Stream;

/// What the frames of a plan are called.
pub struct Names {
    /// The picture files that were read; empty for a video.
    inputs: Vec<(u64, PathBuf)>,
    /// Where pictures are written.
    outputs: Option<Pattern>,
}

impl Names {
    pub fn of(input: &Input, output: &Output) -> Self {
        let outputs = match output {
            Output::Pictures { pattern, .. } => Some(pattern.clone()),
            Output::Video { .. } | Output::Picture { .. } => None,
        };
        Names { inputs: files(input), outputs }
    }
}

/// The picture files of an input.
fn files(input: &Input) -> Vec<(u64, PathBuf)> {
    match input {
        Input::File(_) => Vec::new(),
        Input::Pictures(pictures) => pictures.files.clone(),
    }
}

impl file::Names for Names {
    fn input(&self, index: u64) -> String {
        match usize::try_from(index).ok().and_then(|index| self.inputs.get(index)) {
            Some((_, path)) => path.display().to_string(),
            None => file::Numbered.input(index),
        }
    }

    fn output(&self, index: u64) -> String {
        let number = match usize::try_from(index).ok().and_then(|index| self.inputs.get(index)) {
            Some((number, _)) => *number,
            None => index + 1,
        };
        match &self.outputs {
            Some(pattern) => pattern.path(number).display().to_string(),
            None => file::Numbered.output(index),
        }
    }
}

/// A plan as the element writes it; only what is renamed is named here.
#[derive(Debug, Deserialize, Serialize)]
struct Written {
    frames_to_process: Vec<String>,
    frame_output_mapping: BTreeMap<u64, Mapping>,
    stats: serde_json::Value,
}

#[derive(Debug, Deserialize, Serialize)]
struct Mapping {
    input_path: String,
    unique_frame: String,
    output_path: String,
    is_duplicate: bool,
    pts: Option<u64>,
}

/// Puts the names of files into the plan at `path`, in which the element has numbered the frames.
pub fn rename(path: &Path, names: &Names) -> Result<()> {
    rename_in(path, names).or_else(|error| failed(format!("the plan {} cannot be finished: {error}", path.display())))
}

fn rename_in(path: &Path, names: &Names) -> std::io::Result<()> {
    use file::Names as _;
    if names.inputs.is_empty() && names.outputs.is_none() {
        return Ok(());
    }
    let mut plan: Written = serde_json::from_slice(&std::fs::read(path)?)?;
    let index_of: HashMap<String, u64> =
        plan.frame_output_mapping.iter().map(|(index, frame)| (frame.input_path.clone(), *index)).collect();
    let renamed = |name: &String| index_of.get(name).map_or_else(|| name.clone(), |index| names.input(*index));
    plan.frames_to_process = plan.frames_to_process.iter().map(renamed).collect();
    for (index, frame) in &mut plan.frame_output_mapping {
        frame.input_path = names.input(*index);
        frame.unique_frame = renamed(&frame.unique_frame);
        frame.output_path = names.output(*index);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    serde_json::to_writer_pretty(std::io::BufWriter::new(file.as_file_mut()), &plan)?;
    file.as_file_mut().write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}

/// Finds duplicates in IN without upscaling anything.
pub fn run(args: &Plan) -> Result<()> {
    let input = Input::open(&args.input, args.pictures.fps)?;
    if let Some(path) = &args.output {
        file::check_writable(path)
            .or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display())))?;
    }
    let names = Names { inputs: files(&input), outputs: None };
    let total = (!names.inputs.is_empty()).then_some(names.inputs.len() as u64);
    let console = Console::new(args.quiet);
    let mut progress = Progress::new(&console);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let finder = Arc::new(Finder::new(jobs));
    let pipeline = gst::Pipeline::new();
    let shared = Arc::new(Shared::default());
    let consumer = Frames::add(&pipeline, &finder, &shared)?;
    source::add(&pipeline, input, Arc::new(consumer), &shared)?;
    let run =
        Run { pipeline: &pipeline, shared: &shared, input: &args.input, output: &args.input, total, console: &console };
    run.to_the_end(&mut progress, || finder.counts())?;

    let found = finder.found.lock();
    write(&found.recorder, args.output.as_deref(), &names)?;
    let seconds = progress.elapsed().as_secs_f64();
    let (unique, duplicates) = finder.counts_of(&found);
    console.note(&format!(
        "{}: {} frames in {seconds:.1} s, {}",
        args.input.display(),
        found.recorder.frames(),
        progress::unique_and_duplicates(unique, duplicates)
    ));
    Ok(())
}

/// Writes the plan to a file, or to standard output.
fn write(recorder: &Recorder, path: Option<&Path>, names: &Names) -> Result<()> {
    match path {
        Some(path) => recorder
            .write(path, names)
            .or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display()))),
        None => {
            let print = || -> std::io::Result<()> {
                let folder = tempfile::tempdir()?;
                let path = folder.path().join("plan.json");
                recorder.write(&path, names)?;
                std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::stdout())?;
                Ok(())
            };
            print().or_else(|error| match error.kind() {
                // Whoever reads has read enough.
                std::io::ErrorKind::BrokenPipe => Ok(()),
                _ => failed(format!("the plan cannot be printed: {error}")),
            })
        }
    }
}

/// Looks for frames that were seen before.
struct Finder {
    fingerprinter: Fingerprinter,
    found: Mutex<Found>,
}

struct Found {
    /// The first frame with each fingerprint.
    seen: HashMap<Fingerprint, u64>,
    recorder: Recorder,
}

impl Finder {
    fn new(parallel_jobs: usize) -> Self {
        let found = Found { seen: HashMap::new(), recorder: Recorder::new(parallel_jobs) };
        Finder { fingerprinter: Fingerprinter::random(), found: Mutex::new(found) }
    }

    /// Unique frames, and duplicates.
    fn counts(&self) -> (u64, u64) {
        self.counts_of(&self.found.lock())
    }

    fn counts_of(&self, found: &Found) -> (u64, u64) {
        let unique = found.seen.len() as u64;
        (unique, found.recorder.frames() - unique)
    }

    /// Takes the next frame.
    fn take(&self, buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<()> {
        let fingerprint = self.fingerprint(buffer, info)?;
        let mut found = self.found.lock();
        let index = found.recorder.frames();
        let unique = *found.seen.entry(fingerprint).or_insert(index);
        found.recorder.record(buffer.pts().map(gst::ClockTime::nseconds), unique);
        Ok(())
    }

    fn fingerprint(&self, buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<Fingerprint> {
        let error = |what: &str| Failure::Failed(format!("a frame cannot be read: {what}"));
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| error("no memory"))?;
        let format = PixelFormat::from_name(info.format().to_str()).ok_or_else(|| error(info.format().to_str()))?;
        let strides = frame.plane_stride().iter().map(|stride| usize::try_from(*stride).unwrap_or(0));
        let planes: Vec<_> = frame.planes_data().into_iter().zip(strides).take(format.planes()).collect();
        let size = Size { width: info.width(), height: info.height() };
        let picture = PictureRef::new(format, size, &planes).map_err(|reason| error(&reason.to_string()))?;
        Ok(self.fingerprinter.fingerprint(&picture))
    }
}

/// The end of the pipeline that makes a plan.
struct Frames {
    head: gst::Element,
}

impl Frames {
    fn add(pipeline: &gst::Pipeline, finder: &Arc<Finder>, shared: &Arc<Shared>) -> Result<Self> {
        let head = elements::make("videoconvert")?;
        let formats = gst::List::new(PixelFormat::ALL.iter().map(|format| format.name()));
        let caps = gst::Caps::builder("video/x-raw").field("format", formats).build();
        let sink = gst_app::AppSink::builder().sync(false).caps(&caps).max_buffers(2).build();
        add_linked(pipeline, &[&head, sink.upcast_ref()])?;
        shared.count_frames(&static_pad(sink.upcast_ref(), "sink")?);
        let (finder, shared) = (finder.clone(), shared.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
                    let taken = match (sample.buffer(), info) {
                        (Some(buffer), Some(info)) => finder.take(buffer, &info),
                        _ => failed("a frame has no description"),
                    };
                    taken.map(|()| gst::FlowSuccess::Ok).map_err(|failure| {
                        shared.fail(sink, failure);
                        gst::FlowError::Error
                    })
                })
                .build(),
        );
        Ok(Frames { head })
    }
}

impl Consumer for Frames {
    fn video(&self, pad: &gst::Pad) -> Result<()> {
        pad.link(&static_pad(&self.head, "sink")?)
            .map_err(|_| Failure::Failed("frames of this kind cannot be compared".into()))?;
        Ok(())
    }

    fn other(&self, _stream: &Stream) -> Result<Option<Kept>> {
        Ok(None)
    }

    fn takes_lead_in(&self) -> bool {
        false
    }
}

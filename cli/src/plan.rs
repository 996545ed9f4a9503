//! `gst-upscale plan IN`, and the names of files in a plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gstupscale::plan::{self as file, Recorder};

use crate::args::{Plan, ProgressKind, Selection};
use crate::av::Frame;
use crate::console::Console;
use crate::failure::{Result, failed};
use crate::filters::Before;
use crate::finder::Finder;
use crate::input::Input;
use crate::output::Output;
use crate::pattern::Pattern;
use crate::progress::{Counts, Progress, Snapshot};
use crate::reader::{Event, Reader};
use crate::signals;

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
            Output::Video { .. } | Output::Pipe { .. } | Output::Picture { .. } => None,
        };
        Names { inputs: files(input), outputs }
    }
}

/// The picture files of an input.
fn files(input: &Input) -> Vec<(u64, PathBuf)> {
    match input {
        Input::Media(_) => Vec::new(),
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

/// Puts the names of files into the plan at `path`, in which the element has numbered the frames.
pub fn rename(path: &Path, names: &Names) -> Result<()> {
    if names.inputs.is_empty() && names.outputs.is_none() {
        return Ok(());
    }
    file::rename(path, names)
        .or_else(|error| failed(format!("the plan {} cannot be finished: {error}", path.display())))
}

/// Finds duplicates in IN, and what reuse would save, without upscaling anything.
pub fn run(args: &Plan) -> Result<()> {
    let input = Input::open(&args.input, args.pictures.fps)?;
    if let Some(path) = &args.output {
        file::check_writable(path)
            .or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display())))?;
    }
    let names = Names { inputs: files(&input), outputs: None };
    let console = Console::new(args.quiet, true);
    let mut progress = Progress::new(&console, ProgressKind::Auto);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let finder = Finder::new(jobs, args.model.as_deref())?;
    let found = find(&input, &args.selection, &finder, &mut progress);
    progress.clear();
    found?;

    let (recorder, predicted) = finder.recorder();
    write(&recorder, args.output.as_deref(), &names)?;
    let seconds = progress.elapsed().as_secs_f64();
    let Counts { unique, duplicates, .. } = finder.counts();
    console.note(&format!(
        "{}: {} frames in {seconds:.1} s, {}; of the area {:.0} % would be reused (exact), {:.0} % (similar)",
        args.input.display(),
        recorder.frames(),
        Counts { unique, duplicates, ..Counts::default() },
        predicted.exact,
        predicted.similar
    ));
    Ok(())
}

/// Shows all frames to the finder, as the element would get them.
fn find(input: &Input, selection: &Selection, finder: &Finder, progress: &mut Progress) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    signals::on_signal(&stop);
    let mut reader = Reader::open(input, selection, &stop)?;
    if let Some(media) = reader.media() {
        media.keep_only(&[]);
    }
    reader.first_frame()?;
    let mut before = Before::new(selection, reader.timing(), None, "IN".into());
    let total = before.timing().total;
    let mut frames = 0;
    let mut take = |frame: Frame| {
        frames += 1;
        finder.take(&frame)?;
        let total = total.map(|total| total.max(frames));
        progress.update(Snapshot { frames, total, counts: finder.counts() });
        signals::check()
    };
    while let Some(event) = reader.next()? {
        if let Event::Frame(frame) = event {
            before.filter(Some(frame), &mut take)?;
        }
    }
    before.filter(None, &mut take)
}

/// Writes the plan to a file, or to standard output.
fn write(recorder: &Recorder, path: Option<&Path>, names: &Names) -> Result<()> {
    match path {
        Some(path) => recorder
            .write(path, names)
            .or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display()))),
        None => recorder.write_to(std::io::stdout().lock(), names).or_else(|error| match error.kind() {
            // Whoever reads has read enough.
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => failed(format!("the plan cannot be printed: {error}")),
        }),
    }
}

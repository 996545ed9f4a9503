//! `gst-upscale plan IN`, and the names of files in a plan.

use std::path::{Path, PathBuf};

use gstupscale::plan::{self as file, Recorder};

use crate::args::{Plan, ProgressKind, Selection};
use crate::console::Console;
use crate::failure::{Context, Result};
use crate::filters::InputFilters;
use crate::finder::Finder;
use crate::input::Input;
use crate::output::{Output, Place};
use crate::pattern::Pattern;
use crate::progress::{Counts, Progress, Snapshot};
use crate::reader::{Event, Reader};
use crate::signals;

/// The names of a plan's frames.
pub struct Names {
    /// The picture files that were read; empty for a video.
    inputs: Vec<(u64, PathBuf)>,
    /// Where pictures are written.
    outputs: Option<Pattern>,
}

impl Names {
    pub fn of(input: &Input, output: &Output) -> Self {
        let outputs = match &output.place {
            Place::Numbered(pattern) => Some(pattern.clone()),
            Place::File | Place::Pipe => None,
        };
        Names { inputs: input.files().to_vec(), outputs }
    }

    fn input_file(&self, index: u64) -> Option<&(u64, PathBuf)> {
        usize::try_from(index).ok().and_then(|index| self.inputs.get(index))
    }
}

impl file::Names for Names {
    fn input(&self, index: u64) -> String {
        let file = self.input_file(index);
        file.map_or_else(|| file::Numbered.input(index), |(_, path)| path.display().to_string())
    }

    fn output(&self, index: u64) -> String {
        let number = self.input_file(index).map_or(index + 1, |(number, _)| *number);
        let pattern = self.outputs.as_ref();
        pattern.map_or_else(|| file::Numbered.output(index), |pattern| pattern.path(number).display().to_string())
    }
}

/// Puts the names of files into the plan at `path`, in which the element has numbered the frames.
pub fn rename(path: &Path, names: &Names) -> Result<()> {
    if names.inputs.is_empty() && names.outputs.is_none() {
        return Ok(());
    }
    file::rename(path, names).context(format_args!("the plan {} cannot be finished", path.display()))
}

/// Finds duplicates in IN, and what reuse would save, without upscaling anything.
pub fn run(args: &Plan) -> Result<()> {
    let input = Input::open(&args.input, args.pictures.fps)?;
    if let Some(path) = &args.output {
        file::check_writable(path).context(format_args!("the plan cannot be written to {}", path.display()))?;
    }
    let names = Names { inputs: input.files().to_vec(), outputs: None };
    let console = Console::new(args.quiet, true);
    let mut progress = Progress::new(&console, ProgressKind::Auto);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut finder = Finder::new(jobs, args.model.as_deref())?;
    let found = find(&input, &args.selection, &mut finder, &mut progress);
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

/// Passes all frames to the finder, as the element would get them.
fn find(input: &Input, selection: &Selection, finder: &mut Finder, progress: &mut Progress) -> Result<()> {
    let mut reader = Reader::open(input, selection, &Default::default())?;
    if let Some(media) = reader.media() {
        media.keep_only(&[]);
    }
    reader.first_frame()?;
    let mut filters = InputFilters::new(selection, reader.timing(), None, "IN".into());
    let total = filters.timing().total;
    let mut frames = 0;
    loop {
        let event = reader.next()?;
        let is_end = event.is_none();
        let ready = match event {
            Some(Event::Packet(_)) => continue,
            Some(Event::Frame(frame)) => filters.filter(Some(frame))?,
            None => filters.filter(None)?,
        };
        for frame in ready {
            frames += 1;
            finder.take(&frame)?;
            let total = total.map(|total| total.max(frames));
            progress.update(Snapshot { frames, total, counts: finder.counts() });
            signals::check()?;
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Writes the plan to a file, or to standard output.
fn write(recorder: &Recorder, path: Option<&Path>, names: &Names) -> Result<()> {
    let Some(path) = path else {
        return match recorder.write_to(std::io::stdout().lock(), names) {
            // The reader closed the pipe: it has read enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("the plan cannot be printed"),
        };
    };
    recorder.write(path, names).context(format_args!("the plan cannot be written to {}", path.display()))
}

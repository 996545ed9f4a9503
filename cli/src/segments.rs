//! Segments: parts of a video that are upscaled on their own, by later runs or by other machines, and joined by copying.
//!
//! A folder holds the manifest, and for each finished segment a video file and a record of it. Files appear under their names only when
//! they are complete, so a process that is killed loses no more than the segment it worked on.

mod folder;
mod join;
mod manifest;
mod resume;
mod settings;

use std::io::Write;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::args::{JoinSegments, PlanSegments, RunSegment, Segments, SegmentsPlace, SegmentsStatus};
use crate::console::Console;
use crate::failure::{AGAIN, Context, DAMAGED, Result, usage};
use crate::upscale::{Options, Stage};

use folder::{Folder, State};
use manifest::Manifest;
use settings::Settings;

pub use resume::run as resume;
pub use settings::given;

/// A segment: the frames that are shown from `begin` to before `end`, in ticks of the video's time base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub begin: i64,
    pub end: i64,
    pub frames: u64,
    /// The hash of all timestamps.
    pub times: String,
}

/// Counts and hashes timestamps.
#[derive(Clone, Default)]
pub struct Times {
    count: u64,
    hasher: Xxh3,
}

impl Times {
    pub fn add(&mut self, time: i64) {
        self.count += 1;
        self.hasher.update(&time.to_le_bytes());
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn hash(&self) -> String {
        hex(self.hasher.digest128())
    }
}

fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}

/// `gst-upscale segments`; `settings` are the options of upscaling that were given.
pub fn run(action: &Segments, settings: Vec<String>) -> Result<ExitCode> {
    match action {
        Segments::Plan(args) => plan(args, settings),
        Segments::Run(args) => run_one(args),
        Segments::Status(args) => status(args),
        Segments::Join(args) => join_all(args),
    }
}

fn plan(args: &PlanSegments, settings: Vec<String>) -> Result<ExitCode> {
    let console = Console::new(args.upscale.quiet, false);
    let (selection, encoding) = (&args.selection, &args.encoding);
    let options = Options { upscale: &args.upscale, encoding, selection, fps: None, stage: Stage::Whole };
    let input = &args.upscale.inputs()[0];
    let format = manifest::format_for(input, encoding.format.as_deref());
    let planned = Manifest::plan(options, input, &format, args.length, settings, &console)?;
    let folder = Folder::create(args.upscale.output(), planned)?;
    let (parts, place) = (folder.manifest.segments.len(), folder.path.display());
    let frames: u64 = folder.manifest.segments.iter().map(|part| part.frames).sum();
    console.note(&format!("{place}: {parts} segments, 0 to {}, with {frames} frames", parts - 1));
    Ok(ExitCode::SUCCESS)
}

fn settings_of(folder: &Folder, place: &SegmentsPlace) -> Result<Settings> {
    Settings::parse(&folder.manifest, place.input.as_deref(), place.model.as_deref(), place.quiet)
}

fn run_one(args: &RunSegment) -> Result<ExitCode> {
    let folder = Folder::open(&args.folder)?;
    if args.number >= folder.manifest.segments.len() {
        let last = folder.manifest.segments.len() - 1;
        return usage(format!("{} has the segments 0 to {last}: there is no {}", args.folder.display(), args.number));
    }
    let settings = settings_of(&folder, &args.place)?;
    folder.manifest.check_quickly(&settings)?;
    folder.run(args.number, &settings, &Console::new(args.place.quiet, true))?;
    Ok(ExitCode::SUCCESS)
}

fn status(args: &SegmentsStatus) -> Result<ExitCode> {
    let folder = Folder::open(&args.folder)?;
    let all = folder.manifest.segments.len();
    let (mut missing, mut running, mut text) = (Vec::new(), 0, String::new());
    for number in 0..all {
        match folder.state(number, false) {
            State::Done(_) => continue,
            State::Missing => {}
            State::Bad(why) => text += &format!("segment {number} must be run again: {why}\n"),
        }
        missing.push(number);
        running += usize::from(folder.is_locked(number));
    }
    if args.missing {
        text = format!("{}\n", ranges(&missing));
    } else {
        let done = all - missing.len();
        text += &format!("{done} of {all} segments are done, {running} running\n");
        if !missing.is_empty() {
            text += &format!("not done: {}\n", ranges(&missing));
        }
    }
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(AGAIN) })
}

/// As in 3,5-9: the notation of Slurm's job arrays.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        one => one.iter().map(usize::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn join_all(args: &JoinSegments) -> Result<ExitCode> {
    let folder = Folder::open(&args.folder)?;
    let settings = settings_of(&folder, &args.place)?;
    let console = Console::new(args.place.quiet, true);
    folder.manifest.check(&settings)?;
    let is_damaged = join::run(&folder, &settings, &args.output, args.overwrite, &console)?;
    Ok(if is_damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_slurm_reads_them() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9]), "3,5-7,9");
        assert_eq!(ranges(&[]), "");
    }
}

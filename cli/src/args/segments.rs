//! The command line of `gst-upscale segments`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Encoding, Selection, Upscale, parse_length};

#[derive(Debug, Subcommand)]
pub enum Segments {
    /// Cuts IN at key frames, and writes the manifest to DIR; the options are those of upscaling
    #[command(mut_arg("paths", |paths| paths.value_names(["IN", "DIR"]).num_args(2).help("IN: a video file. DIR: a new folder")))]
    Plan(Box<PlanSegments>),
    /// Upscales one segment. Exit codes: 0 done, 75 try again, any other: give up
    Run(RunSegment),
    /// Tells how far the segments are. Exit codes: 0 all are done, 75 not yet
    Status(SegmentsStatus),
    /// Joins the finished segments, with sound, subtitles, chapters and tags of IN
    Join(JoinSegments),
}

#[derive(Args, Debug)]
pub struct PlanSegments {
    #[command(flatten)]
    pub upscale: Upscale,
    #[command(flatten)]
    pub encoding: Encoding,
    #[command(flatten)]
    pub selection: Selection,
    /// Shortest length of a segment: seconds (60 or 60s), or minutes:seconds
    #[arg(long, value_name = "TIME", value_parser = parse_length, default_value = "60s", help_heading = "Segments")]
    pub length: f64,
}

#[derive(Args, Debug)]
pub struct RunSegment {
    /// The folder with the manifest
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The segment's number, counted from 0
    #[arg(value_name = "N")]
    pub number: usize,
    #[command(flatten)]
    pub place: SegmentsPlace,
}

#[derive(Args, Debug)]
pub struct SegmentsStatus {
    /// The folder with the manifest
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print only the numbers of the segments that are not done, as in 3,5-9
    #[arg(long)]
    pub missing: bool,
}

#[derive(Args, Debug)]
pub struct JoinSegments {
    /// The folder with the manifest
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The result; its extension is that of --format when the segments were planned
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub place: SegmentsPlace,
    /// Replace OUT if it exists
    #[arg(short = 'y', long)]
    pub overwrite: bool,
}

/// What may differ between machines.
#[derive(Args, Debug)]
pub struct SegmentsPlace {
    /// Where IN is on this machine [default: where it was planned]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Where the model is on this machine [default: where it was planned]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

//! The command `gst-upscale`, run as a user runs it.
//!
//! The clips are made here with GStreamer and ffmpeg; what comes out is read with other people's programs: GStreamer, ffprobe, mkvinfo.

mod clips;
mod common;
mod ending;
mod kept;
mod make;
mod models;
mod options;
mod pictures;
mod plans;
mod preview;
mod probe;
mod ray;
mod read;
mod refusals;
mod resume;
mod robust;
mod run;
mod segments;
mod slurm;
mod videos;

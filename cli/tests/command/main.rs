//! The command `gst-upscale`, run as a user runs it.
//!
//! The clips are made here with GStreamer; what comes out is read with GStreamer too, and with ffprobe where it is
//! installed.

mod clips;
mod common;
mod ending;
mod make;
mod models;
mod pictures;
mod plans;
mod read;
mod refusals;
mod run;
mod videos;

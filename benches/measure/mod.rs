//! Shared by several benches: frames in memory that go through ONNX Runtime alone or through the element, with timing.
//!
//! | module | contents |
//! |---|---|
//! | [`frames`] | frames in memory, synthetic or read from a file |
//! | [`raw`], [`element`] | what they go through |
//! | [`meter`] | frames per second while all workers are busy |
//! | [`process`], [`machine`] | child processes; description of the machine |
#![allow(dead_code, reason = "each bench uses only some of it")]

pub mod element;
pub mod frames;
pub mod machine;
pub mod meter;
pub mod process;
pub mod raw;

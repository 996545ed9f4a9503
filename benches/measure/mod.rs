//! What several benches do: frames in memory, sent through ONNX Runtime alone or through the element, and timed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frames`] | frames in memory, drawn or read |
//! | [`raw`], [`element`] | what they go through |
//! | [`meter`] | frames a second while all is busy |
//! | [`process`], [`machine`] | programs that are run apart; what it all runs on |
#![allow(dead_code, reason = "each bench takes a part of it")]

pub mod element;
pub mod frames;
pub mod machine;
pub mod meter;
pub mod process;
pub mod raw;

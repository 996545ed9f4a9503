//! GStreamer plugin `upscale`: the element `upscalefilter` enlarges raw video with an ONNX super-resolution network.
//!
//! | module | what it holds | knows GStreamer |
//! |---|---|---|
//! | [`upscalefilter`] | the element | yes |
//! | [`reuse`] | fingerprints and the cache of upscaled frames | no |
//! | [`schedule`] | ordered queue, worker pool, memory budget | no |
//! | [`model`] | loading and running networks; the only place that knows ONNX Runtime | no |
//! | [`picture`] | planes, regions, conversion between pixels and tensors | no |
//! | [`plan`], [`stats`] | the JSON plan, counters | no |
//!
//! The threads, the locks and the way of a frame are drawn in `ARCHITECTURE.md`.

pub mod model;
pub mod picture;

//! GStreamer plugin `upscale`: the element `upscalefilter` enlarges raw video with an ONNX super-resolution network.
//!
//! | module | what it holds | knows GStreamer |
//! |---|---|---|
//! | [`upscalefilter`] | the element | yes |
//! | [`reuse`] | fingerprints, the cache of upscaled frames, and the detection of changed regions | no |
//! | [`schedule`] | ordered queue, worker pool, memory budget | no |
//! | [`model`] | loading and running networks; the only place that knows ONNX Runtime | no |
//! | [`picture`] | planes, regions, conversion between pixels and tensors | no |
//! | [`device`] | total and free memory of devices | no |
//! | [`plan`], [`stats`] | the JSON plan, counters | no |
//! | [`types`] | size, rectangle, channels, provider: types shared by several layers | no |
//!
//! `ARCHITECTURE.md` describes the threads, the locks and the path of a frame.

pub mod device;
pub mod model;
pub mod picture;
pub mod plan;
pub mod reuse;
pub mod schedule;
pub mod stats;
pub mod types;
pub mod upscalefilter;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    upscalefilter::register(plugin)
}

gst::plugin_define!(
    upscale,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    // The origin; an empty one makes the plugin invalid.
    env!("CARGO_PKG_NAME"),
    env!("BUILD_REL_DATE")
);

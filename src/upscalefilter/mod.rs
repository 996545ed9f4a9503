//! The element `upscalefilter`: everything that speaks GStreamer.
//!
//! # element-upscalefilter
//!
//! Upscales raw video with an ONNX super-resolution network, built in (`fast2x`, `quality2x`, ...) or from a file.
//! Frames are upscaled in parallel and pushed in PTS order; frames and regions that were seen before are not upscaled
//! again.
//!
//! ## Example pipelines
//!
//! ```bash
//! gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! upscalefilter ! videoconvert ! autovideosink
//! ```
//! Plays a file at twice its size with the default network.
//!
//! ```bash
//! gst-launch-1.0 filesrc location=in.mp4 ! decodebin name=d \
//!     d. ! queue ! upscalefilter model=quality2x ! videoconvert ! x264enc ! h264parse ! mp4mux name=m ! filesink location=out.mp4 \
//!     d. ! queue ! audioconvert ! avenc_aac ! m.
//! ```
//! Transcodes a file with its sound, with the larger network.
//!
//! ```bash
//! gst-launch-1.0 playbin uri=file:///path/to/in.mp4 video-filter="upscalefilter ! video/x-raw,width=1920,height=1080"
//! ```
//! Plays at 1920x1080, whatever the network's scale is.
//!
//! ```bash
//! gst-launch-1.0 v4l2src ! videoconvert ! upscalefilter late-frames=fallback ! videoconvert ! autovideosink
//! ```
//! Upscales a camera's frames; those that cannot be done in time are resized without the network.
//!
//! ```bash
//! gst-launch-1.0 -m filesrc location=in.mp4 ! decodebin ! upscalefilter duplicates=similar plan-location=plan.json \
//!     progress-interval=1000000000 ! fakesink
//! ```
//! Reports the statistics each second and writes which frames are unique.
//!
//! ## Messages and metas
//!
//! - Element message `upscalefilter-progress` with the fields of the property `stats`, every `progress-interval`.
//! - QoS messages for frames that were dropped (`late-frames=drop`).
//! - Custom meta `GstUpscaleFilterFallbackMeta` on frames that were resized without the network (`late-frames=fallback`).

use gst::prelude::*;

use crate::model::log;

mod engine;
mod errors;
mod frame;
mod imp;
mod negotiation;
mod pads;
mod progress;
mod properties;
mod state;
mod text;
mod timing;

pub use properties::{Duplicates, LateFrames, LatencyMode};

/// The element's debug category: `GST_DEBUG=upscalefilter:6`.
pub(crate) static CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new("upscalefilter", gst::DebugColorFlags::empty(), Some("Super-resolution upscaler"))
});

/// Messages of ONNX Runtime: `GST_DEBUG=onnxruntime:5`.
static RUNTIME_CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new("onnxruntime", gst::DebugColorFlags::empty(), Some("Messages of ONNX Runtime"))
});

fn log_runtime_message(level: log::Level, message: &str) {
    match level {
        log::Level::Verbose => gst::debug!(RUNTIME_CAT, "{message}"),
        log::Level::Info => gst::info!(RUNTIME_CAT, "{message}"),
        log::Level::Warning => gst::warning!(RUNTIME_CAT, "{message}"),
        log::Level::Error | log::Level::Fatal => gst::error!(RUNTIME_CAT, "{message}"),
    }
}

glib::wrapper! {
    /// Upscales raw video with an ONNX super-resolution network; see `gst-inspect-1.0 upscalefilter`.
    pub struct UpscaleFilter(ObjectSubclass<imp::UpscaleFilter>) @extends gst::Element, gst::Object;
}

#[cfg(feature = "test-support")]
impl UpscaleFilter {
    /// Makes the element use `model` instead of the one its `model` property names, from the next change to READY.
    pub fn set_test_model(&self, model: std::sync::Arc<dyn crate::model::Model>) {
        self.set_test_models(vec![model]);
    }

    /// Like [`set_test_model`](Self::set_test_model), with one model per device.
    pub fn set_test_models(&self, models: Vec<std::sync::Arc<dyn crate::model::Model>>) {
        use gst::subclass::prelude::*;
        self.imp().set_test_models(models);
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // A second registration in the same process finds the hook set.
    if !log::set_hook(log_runtime_message) {
        gst::debug!(CAT, "ONNX Runtime's messages already have a hook");
    }
    if !gst::meta::CustomMeta::is_registered(timing::late::FALLBACK_META) {
        gst::meta::CustomMeta::register_simple(timing::late::FALLBACK_META);
    }
    gst::Element::register(Some(plugin), "upscalefilter", gst::Rank::NONE, UpscaleFilter::static_type())
}

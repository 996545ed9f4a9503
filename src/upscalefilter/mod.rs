//! The element `upscalefilter`. Everything that speaks GStreamer is in here.

use gst::prelude::*;

use crate::model::log;

mod allocation;
mod caps;
mod chain;
mod conversion;
mod engine;
mod errors;
mod fit;
mod imp;
mod input;
mod job;
mod late;
mod latency;
mod metadata;
mod progress;
mod reuse;
mod settings;
mod sink;
mod slot;
mod src;
mod state;
mod stream;
mod swap;

pub use settings::{Duplicates, LateFrames, LatencyMode};

/// The element's debug category: `GST_DEBUG=upscalefilter:6`.
pub(crate) static CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new("upscalefilter", gst::DebugColorFlags::empty(), Some("Super-resolution upscaler"))
});

/// What ONNX Runtime has to say: `GST_DEBUG=onnxruntime:5`.
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
    /// Makes the element use `model` in place of what its `model` property says, from the next change to READY on.
    pub fn set_test_model(&self, model: std::sync::Arc<dyn crate::model::Model>) {
        self.set_test_models(vec![model]);
    }

    /// The same with several devices, on each of which one of the `models` runs.
    pub fn set_test_models(&self, models: Vec<std::sync::Arc<dyn crate::model::Model>>) {
        use gst::subclass::prelude::*;
        self.imp().set_test_models(models);
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // A second registration in the same process finds the hook in place.
    if !log::set_hook(log_runtime_message) {
        gst::debug!(CAT, "ONNX Runtime's messages are hooked already");
    }
    if !gst::meta::CustomMeta::is_registered(late::FALLBACK_META) {
        gst::meta::CustomMeta::register_simple(late::FALLBACK_META);
    }
    gst::Element::register(Some(plugin), "upscalefilter", gst::Rank::NONE, UpscaleFilter::static_type())
}

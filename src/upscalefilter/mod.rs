//! The element `upscalefilter`. Everything that speaks GStreamer is in here.

use gst::prelude::*;

mod allocation;
mod caps;
mod engine;
mod errors;
mod imp;
mod job;
mod latency;
mod metadata;
mod progress;
mod settings;
mod sink;
mod src;
mod state;
mod stream;

pub use settings::{Duplicates, ExecutionProvider};

/// The element's debug category: `GST_DEBUG=upscalefilter:6`.
pub(crate) static CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new("upscalefilter", gst::DebugColorFlags::empty(), Some("Super-resolution upscaler"))
});

glib::wrapper! {
    /// Upscales raw video with an ONNX super-resolution network; see `gst-inspect-1.0 upscalefilter`.
    pub struct UpscaleFilter(ObjectSubclass<imp::UpscaleFilter>) @extends gst::Element, gst::Object;
}

#[cfg(feature = "test-support")]
impl UpscaleFilter {
    /// Makes the element use `model` in place of what its `model` property says, from the next change to READY on.
    pub fn set_test_model(&self, model: std::sync::Arc<dyn crate::model::Model>) {
        use gst::subclass::prelude::*;
        self.imp().set_test_model(model);
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "upscalefilter", gst::Rank::NONE, UpscaleFilter::static_type())
}

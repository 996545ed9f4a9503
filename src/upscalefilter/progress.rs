//! Live figures: the `stats` property and the progress messages.

use gst::prelude::*;

use super::state::State;

/// Name of the element message and of the structure.
const MESSAGE: &str = "upscalefilter-progress";

/// The figures as they stand.
pub(super) fn structure(state: &State, workers: usize) -> gst::Structure {
    let stats = &state.stats;
    gst::Structure::builder(MESSAGE)
        .field("frames-in", stats.frames_in)
        .field("frames-out", stats.frames_out)
        .field("unique", stats.unique)
        .field("duplicates", stats.duplicates)
        .field("duplicate-percentage", stats.duplicate_percentage())
        .field("in-flight", state.queue.frames() as u64)
        .field("workers", workers as u64)
        .field("fps", stats.fps())
        .field("inference-ms-average", stats.inference_ms_average())
        .field("inference-ms-worst", stats.inference_ms_worst())
        .field("reorders", stats.reorders)
        .field("late", stats.late)
        .field("cache-bytes", state.cache.bytes())
        .build()
}

/// Posts the figures on the bus.
pub(super) fn post(element: &super::UpscaleFilter, figures: gst::Structure) {
    let message = gst::message::Element::builder(figures).src(element).build();
    // Without a bus nobody listens.
    if element.post_message(message).is_err() {
        gst::trace!(super::CAT, obj = element, "Nobody takes the progress message");
    }
}

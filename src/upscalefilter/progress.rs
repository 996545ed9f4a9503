//! Statistics: the `stats` property and the progress messages.

use gst::prelude::*;

use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::state::State;

/// Name of the element message and of its structure.
const MESSAGE: &str = "upscalefilter-progress";

/// How the network currently runs.
#[derive(Default)]
pub(in crate::upscalefilter) struct Runs {
    workers: usize,
    /// In pixels, the minimum over all devices; 0 for whole frames.
    tile_size: u32,
    /// In bytes, the sum over all devices.
    used: u64,
    peak: u64,
    limit: u64,
    /// Changes of the degradation level.
    steps_down: u64,
    steps_up: u64,
}

impl Runs {
    /// All zero without an engine.
    pub fn of(engine: Option<&Engine>) -> Self {
        let Some(engine) = engine else { return Runs::default() };
        let mut runs = Runs { workers: engine.pool.active(), ..Runs::default() };
        for device in &engine.devices {
            let controller = device.controller.lock();
            let (permits, (down, up)) = (controller.permits(), controller.steps());
            // A device that runs whole frames does not lower the minimum.
            let tile = controller.tiles(controller.level().0).unwrap_or(u32::MAX);
            runs.tile_size = if runs.tile_size == 0 { tile } else { runs.tile_size.min(tile) };
            runs.used += permits.used();
            runs.peak += device.holdings.peak();
            runs.limit = runs.limit.saturating_add(permits.limit());
            runs.steps_down += down;
            runs.steps_up += up;
        }
        if runs.tile_size == u32::MAX {
            runs.tile_size = 0;
        }
        runs
    }
}

/// The current statistics.
pub(in crate::upscalefilter) fn structure(state: &State, runs: &Runs) -> gst::Structure {
    let stats = &state.stats;
    gst::Structure::builder(MESSAGE)
        .field("frames-in", stats.frames_in)
        .field("frames-out", stats.frames_out)
        .field("unique", stats.unique)
        .field("duplicates", stats.duplicates)
        .field("duplicate-percentage", stats.duplicate_percentage())
        .field("reused-percentage", stats.reused_percentage())
        .field("saved-seconds", stats.saved_seconds())
        .field("resized-percentage", stats.resized_percentage())
        .field("detail-threshold", state.policy.and_then(|(_, threshold)| threshold).unwrap_or(0))
        .field("audit-mean", stats.audit.mean())
        .field("audit-largest", stats.audit.largest)
        .field("in-flight", state.queue.frames() as u64)
        .field("workers", runs.workers as u64)
        .field("tile-size", runs.tile_size)
        .field("memory-used", runs.used)
        .field("memory-peak", runs.peak)
        .field("memory-limit", runs.limit)
        .field("steps-down", runs.steps_down)
        .field("steps-up", runs.steps_up)
        .field("fps", stats.fps())
        .field("inference-ms-average", stats.inference_ms_average())
        .field("inference-ms-worst", stats.inference_ms_worst())
        .field("reorders", stats.reorders)
        .field("reorders-failed", stats.reorders_failed)
        .field("late", stats.late)
        .field("fallback", stats.fallback)
        .field("dropped", stats.dropped)
        .field("unreadable", stats.unreadable)
        .field("non-finite", stats.non_finite)
        .field("cache-bytes", state.cache.bytes())
        .build()
}

/// Posts the statistics on the bus.
pub(in crate::upscalefilter) fn post(element: &crate::upscalefilter::UpscaleFilter, figures: gst::Structure) {
    let message = gst::message::Element::builder(figures).src(element).build();
    // Fails without a bus; then nobody listens.
    if element.post_message(message).is_err() {
        gst::trace!(crate::upscalefilter::CAT, obj = element, "No bus for the progress message");
    }
}

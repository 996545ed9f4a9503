//! The element that does the work, configured from the command line.

use gst::prelude::*;

use crate::args::{self, Upscale};
use crate::failure::{Failure, Result};

/// The element's factory.
pub const FACTORY: &str = "upscalefilter";

/// What the element counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Frames with pixels of their own.
    pub unique: u64,
    /// Frames that were seen before.
    pub duplicates: u64,
}

/// Makes the element.
pub fn make(args: &Upscale) -> Result<gst::Element> {
    let element = gst::ElementFactory::make(FACTORY)
        .build()
        .map_err(|error| Failure::Failed(format!("{FACTORY} cannot be made: {error}")))?;
    if let Some(model) = &args.model {
        element.set_property("model", model);
    }
    if let Some(plan) = &args.plan {
        element.set_property("plan-location", plan);
    }
    if let Some(size) = args.cache_size {
        element.set_property("cache-size", size);
    }
    if let Some(limit) = args.memory_limit {
        element.set_property("vram-limit", limit);
    }
    element.set_property("tile-size", args.tile_size);
    element.set_property("fallback", args.fallback);
    element.set_property_from_str("execution-provider", &args::nick(args.execution_provider));
    element.set_property_from_str("duplicates", &args::nick(args.duplicates));
    element.set_property("device-id", args.device_id);
    element.set_property("workers", args.workers);
    element.set_property("max-in-flight", args.max_in_flight);
    Ok(element)
}

/// What the element counted so far.
pub fn stats(element: &gst::Element) -> Stats {
    let structure = element.property::<Option<gst::Structure>>("stats");
    let field = |name| structure.as_ref().and_then(|stats| stats.get::<u64>(name).ok()).unwrap_or(0);
    Stats { unique: field("unique"), duplicates: field("duplicates") }
}

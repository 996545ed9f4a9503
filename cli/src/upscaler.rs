//! The element that does the work, configured from the command line.

use gst::prelude::*;

use crate::args::{self, Upscale};
use crate::failure::{Failure, Result};
use crate::progress::Counts;

/// The element's factory.
pub const FACTORY: &str = "upscalefilter";

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
    element.set_property_from_str("precision", &args::nick(args.precision));
    element.set_property_from_str("duplicates", &args::nick(args.duplicates));
    if let Some(tolerance) = args.similarity_tolerance {
        element.set_property("similarity-tolerance", tolerance);
    }
    element.set_property("device-id", &args.device_id);
    element.set_property("workers", args.workers);
    element.set_property("max-in-flight", args.max_in_flight);
    Ok(element)
}

/// What the element counted so far.
pub fn counts(element: &gst::Element) -> Counts {
    let structure = element.property::<Option<gst::Structure>>("stats");
    let Some(stats) = structure else { return Counts::default() };
    Counts {
        unique: stats.get("unique").unwrap_or(0),
        duplicates: stats.get("duplicates").unwrap_or(0),
        reused: stats.get("reused-percentage").unwrap_or(0.0),
        saved: stats.get("saved-seconds").ok(),
    }
}

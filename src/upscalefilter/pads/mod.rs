//! The pads: frames, events, queries, and the task that pushes.

pub(in crate::upscalefilter) mod chain;
pub(in crate::upscalefilter) mod pending_query;
pub(in crate::upscalefilter) mod sink;
pub(in crate::upscalefilter) mod src;

//! The way of one frame: how it compares with earlier ones, the work on it, its result and its metadata.

pub(in crate::upscalefilter) mod input;
pub(in crate::upscalefilter) mod job;
pub(in crate::upscalefilter) mod lookup;
pub(in crate::upscalefilter) mod metadata;
pub(in crate::upscalefilter) mod pending_result;

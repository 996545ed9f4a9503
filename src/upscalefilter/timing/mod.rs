//! Latency, and frames that would be late.

pub(in crate::upscalefilter) mod late;
pub(in crate::upscalefilter) mod latency;

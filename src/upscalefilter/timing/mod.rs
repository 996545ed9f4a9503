//! Latency, deadlines, and late frames.

pub(in crate::upscalefilter) mod deadlines;
pub(in crate::upscalefilter) mod late;
pub(in crate::upscalefilter) mod latency;

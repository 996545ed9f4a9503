//! What follows from the caps: sizes, formats, buffer pools, and where pixels are converted.

pub(in crate::upscalefilter) mod allocation;
pub(in crate::upscalefilter) mod caps;
pub(in crate::upscalefilter) mod config;
pub(in crate::upscalefilter) mod conversion;
pub(in crate::upscalefilter) mod fit;
pub(in crate::upscalefilter) mod install;

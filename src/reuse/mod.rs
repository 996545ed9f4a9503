//! Recognising what was seen before: fingerprints of frames and the cache of upscaled ones.

mod cache;
mod fingerprint;

pub use cache::FrameCache;
pub use fingerprint::{Fingerprint, Fingerprinter};

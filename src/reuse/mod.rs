//! Recognising what was seen before: whole frames by their fingerprints and the cache of upscaled ones, and the parts of a frame that
//! are as they were in the frame before.

mod block_map;
mod cache;
mod changed;
mod dirty_rects;
mod fingerprint;
mod refresh;
mod rules;
mod tracker;
mod work;

#[cfg(test)]
mod tests;

pub use block_map::{BLOCK_SIZE, BlockMap};
pub use cache::FrameCache;
pub use changed::{Changes, Compare, History};
pub use dirty_rects::{Cost, DirtyArea, dirty_area};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use refresh::Refresher;
pub use rules::Rules;
pub use tracker::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode, Tracker};
pub use work::FrameWork;

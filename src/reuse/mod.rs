//! Reuse of earlier results: whole frames through fingerprints and a cache of upscaled frames, and the regions of a
//! frame that have not changed since the previous one.

mod block_map;
mod cache;
mod changed;
mod classifier;
mod detail;
mod dirty_rects;
mod fingerprint;
mod refresh;
mod rules;
mod sample_pictures;
mod sensitivity;
mod tracker;
mod work;

#[cfg(test)]
mod tests;

pub use block_map::{BLOCK_SIZE, BlockMap};
pub use cache::FrameCache;
pub use changed::{Changes, Compare, History};
pub use classifier::{Classifier, Known, Policy, ResultSource};
pub use dirty_rects::{Cost, DirtyArea, dirty_area};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use refresh::Refresher;
pub use rules::Rules;
pub use sensitivity::{MAX_DETAIL_TOLERANCE, Sensitivity, Threshold};
pub use tracker::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode, Tracker};
pub use work::{FrameWork, Mixed};

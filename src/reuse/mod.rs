//! Recognising what was seen before: whole frames by their fingerprints and the cache of upscaled ones, and the parts of a frame that
//! are as they were in the frame before.

mod cache;
mod cells;
mod changed;
mod cover;
mod fingerprint;
mod refresh;
mod rules;
mod tracker;
mod work;

#[cfg(test)]
mod tests;

pub use cache::FrameCache;
pub use cells::{CELL, CellMap};
pub use changed::{Changes, Compare, History};
pub use cover::{Cost, Cover, cover};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use refresh::Refresher;
pub use rules::Rules;
pub use tracker::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode, Tracker};
pub use work::FrameWork;

//! Analyses generated, real and damaged graphs.

mod files;
mod global;
mod hostile;
mod local;
mod perturb;

//! What the analysis says of graphs made here, of real ones, and of damaged ones.

pub(in crate::model) mod builder;
mod files;
mod global;
mod hostile;
mod local;
mod perturb;

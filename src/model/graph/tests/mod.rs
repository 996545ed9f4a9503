//! What the analysis says of graphs made here, of real ones, and of damaged ones.

mod files;
mod global;
mod hostile;
mod local;
mod perturb;

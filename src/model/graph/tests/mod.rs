//! Analyses generated, real and damaged graphs.

mod files;
mod global;
mod hostile;
mod local;
mod perturb;

/// The backend that all receptive fields are compared with.
fn on_cpu() -> crate::model::LoadOptions {
    use crate::types::{Precision, Provider};
    crate::model::LoadOptions { provider: Provider::Cpu, precision: Precision::Fp32, ..Default::default() }
}

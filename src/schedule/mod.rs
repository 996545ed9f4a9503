//! Scheduling, independent of GStreamer: the ordered queue, the worker pool, memory permits and load control.

pub mod completion;
pub mod degradation_controller;
pub mod footprint;
pub mod holding;
pub mod permits;
mod pool;
mod pts_queue;
pub mod shares;
mod sync;
pub mod worker_counts;
mod worker_tuner;

pub use pool::{Interruptible, Job, Outcome, WorkerPool};
pub use pts_queue::{Item, Placed, PtsQueue};

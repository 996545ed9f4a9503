//! Scheduling, independent of GStreamer: the ordered queue, the worker pool, memory permits and load control.

pub mod budget;
pub mod completion;
pub mod footprint;
pub mod holding;
pub mod load_controller;
pub mod permits;
mod pool;
mod queue;
pub mod shares;
mod sync;
mod worker_tuner;

pub use pool::{Interruptible, Job, Outcome, WorkerPool};
pub use queue::{Item, OrderedQueue, Placed};

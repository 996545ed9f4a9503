//! Scheduling, independent of GStreamer: the ordered queue, the worker pool, memory permits and load control.

pub mod completion;
pub mod footprint;
pub mod holding;
pub mod load_controller;
mod ordered_queue;
pub mod permits;
mod pool;
pub mod shares;
mod sync;
pub mod worker_counts;
mod worker_tuner;

pub use ordered_queue::{Item, OrderedQueue, Placed};
pub use pool::{Interruptible, Job, Outcome, WorkerPool};

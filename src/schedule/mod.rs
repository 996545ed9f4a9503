//! Scheduling without GStreamer: the ordered queue, the worker pool, how many workers fit.

pub mod budget;
mod pool;
mod queue;

pub use pool::{Interruptible, Job, WorkerPool};
pub use queue::{Item, OrderedQueue, Placed};

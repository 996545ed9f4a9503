//! The synchronization primitives of this module. `tests/scheduler/` compiles the same code with replacements that
//! explore the possible thread interleavings.

pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::thread;

pub use parking_lot::{Condvar, Mutex, MutexGuard};

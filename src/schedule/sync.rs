//! The locks and threads of what is shared between threads here. `tests/scheduler/` compiles the same code with others in their place, which
//! try one order of the threads after the other.

pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::thread;

pub use parking_lot::{Condvar, Mutex, MutexGuard};

//! What one request in a handler waited for Python itself: its event loop and its lock (req 3.1).
//!
//! The failure prevented is a handler that looks slow while it only waits for its turn. What waits
//! for Python carries the counter of its request; the thread of the event loop adds to it when it
//! takes the batch, and once more when it has the interpreter lock.

use crate::receipt::Python;
use std::sync::atomic::{AtomicU64, Ordering};

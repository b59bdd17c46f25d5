//! What one request waited for Python itself: its event loop and its lock (req 3.1).
//!
//! The failure prevented is a handler that looks slow while it only waits for its turn. What waits
//! for Python carries the counter of its request; the thread of the event loop adds to it when it
//! takes the batch, and once more when it has the interpreter lock.

use crate::receipt::Python;
use std::sync::atomic::{AtomicU64, Ordering};
use tailrace_policy::Nanos;

/// Written by the thread of the event loop only.
#[derive(Debug, Default)]
pub struct Waits {
    turn: AtomicU64,
    lock: AtomicU64,
}

impl Waits {
    /// It waited so long for the event loop to take it.
    pub fn add_turn(&self, waited: Nanos) {
        self.turn.fetch_add(waited, Ordering::Relaxed);
    }

    /// It waited so long for the interpreter lock, taken already.
    pub fn add_lock(&self, waited: Nanos) {
        self.lock.fetch_add(waited, Ordering::Relaxed);
    }

    pub fn python(&self) -> Python {
        Python {
            loop_wait: self.turn.load(Ordering::Relaxed),
            lock_wait: self.lock.load(Ordering::Relaxed),
        }
    }
}

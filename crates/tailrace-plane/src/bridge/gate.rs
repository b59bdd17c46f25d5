//! How many requests are in one handler, or wait for one view's computed fields, at the same time.
//!
//! The failure prevented: requests that pile up in Python behind code that does not return. A
//! place is taken when the request arrives and given back when the handler has really ended, which
//! may be long after its client was told 504: a handler that swallows cancellation keeps its place
//! and nothing else (RELIABILITY A09).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Every place is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
pub struct Gate {
    limit: AtomicU32,
    inside: AtomicU32,
    /// Times this code was seen to hold the event loop.
    pub stalls: AtomicU64,
    /// Times it was seen to run on after it was cancelled.
    pub overdue: AtomicU64,
    /// Handlers that ended with an exception of their own.
    pub crashes: AtomicU64,
    /// Requests refused because every place was taken.
    pub refused: AtomicU64,
}

impl Gate {
    pub fn new(limit: u32) -> Self {
        Self {
            limit: AtomicU32::new(limit),
            inside: AtomicU32::new(0),
            stalls: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Changes the number of places. A lower one puts nobody out: nobody enters until enough have
    /// left.
    pub fn set(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes a place; `leave` gives it back.
    pub fn enter(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let free = |inside| (inside < limit).then_some(inside + 1);
        let entered = self
            .inside
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .is_ok();
        if !entered {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    pub fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn inside(&self) -> u32 {
        self.inside.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[test]
    fn a_full_gate_refuses_until_somebody_leaves() {
        let gate = Gate::new(2);
        assert!(gate.enter() && gate.enter());
        assert!(!gate.enter());
        gate.leave();
        assert!(gate.enter());
        assert_eq!((gate.inside(), gate.refused.into_inner()), (2, 1));
    }

    #[test]
    fn a_lower_limit_puts_nobody_out_and_a_higher_one_lets_in_at_once() {
        let gate = Gate::new(2);
        assert!(gate.enter() && gate.enter());
        gate.set(1);
        assert_eq!(gate.inside(), 2);
        gate.leave();
        assert!(!gate.enter(), "one is inside, and one is the limit");
        gate.set(3);
        assert!(gate.enter() && gate.enter() && !gate.enter());
    }
}

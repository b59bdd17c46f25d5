//! Governance decisions: may this run, for how long, and where.
//!
//! The failure prevented is policy that cannot be tested. Nothing here reads a clock, opens a
//! socket, spawns or draws a random number: time (`Nanos` since the process started) and chance (a
//! `u64` draw) are arguments, so every decision can be replayed. A permit is a value; dropping it
//! releases it. One file per policy, in one shape: parameters, refusal, state, decision, feedback,
//! tests.

pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod buckets;
pub mod bulkhead;
pub mod deadline;
pub mod draw;
pub mod hedge;
pub mod latency;
pub mod outcome;
pub mod purse;
mod queue;
pub mod retry;
pub mod retry_after;
pub mod retry_budget;
pub mod throttle;
pub mod window;

/// Monotonic time or a duration in nanoseconds.
pub type Nanos = u64;

//! Governance decisions: may this run, for how long, and where.
//!
//! The failure prevented is policy that cannot be tested. Nothing here reads a clock, opens a
//! socket, spawns or draws a random number: time (`Nanos` since the process started) and chance (a
//! `u64` draw) are arguments, so every decision can be replayed. A permit is a value; dropping it
//! releases it. One file per policy, in one shape: parameters, refusal, state, decision, feedback,
//! tests.
//!
//! What a call meets, in the order in which the plane asks (its `call.rs` is the only place that
//! orders them, and says why):
//!
//! | policy | scope | decides | refusal |
//! |---|---|---|---|
//! | `deadline` | request | what a call may take | `deadline` |
//! | `throttle` | upstream | whether it accepts enough to be asked | `throttled` |
//! | `bulkhead`, sized by `adaptive_limit` | upstream | how many at once, who waits | three |
//! | `balance` with `breaker` | address | which address, and whether it is tried | `breaker_open` |
//! | `hedge` | upstream | when a second attempt may race | `hedge_off`, `hedge_budget` |
//! | `retry` | call | whether another attempt may follow, and when | five |
//! | `purse` | request | extra attempts of all its calls | `purse_empty` |
//! | `retry_budget` | upstream | extra attempts of all requests | `retry_budget` |
//!
//! An attempt's end is one `Outcome`, told to adaptive limit, throttle, breaker, balance and
//! latency in that order. An attempt that is dropped tells nobody but `latency`, as a lower bound:
//! its guards give back what they held.

pub mod adaptive_limit;
pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod brownout;
pub mod buckets;
pub mod bulkhead;
pub mod byte_budget;
pub mod deadline;
pub mod draw;
pub mod feasibility;
pub mod flight;
pub mod freshness;
pub mod hedge;
pub mod hot_keys;
pub mod inbound;
pub mod keyed;
pub mod latency;
mod lock;
pub mod outcome;
pub mod purse;
mod queue;
pub mod rate;
pub mod rate_headers;
pub mod retry;
pub mod retry_after;
pub mod retry_budget;
pub mod shed;
pub mod sketch;
pub mod throttle;
pub mod trace_sample;
pub mod window;

/// Monotonic time or a duration in nanoseconds.
pub type Nanos = u64;

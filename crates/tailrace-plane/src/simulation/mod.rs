//! The whole data path under virtual time: real policies, real executor, real codec and server, a
//! network in memory, upstreams and clients that follow a seed (req 8.1, 9.1b).
//!
//! The failure prevented: a policy that is right alone and wrong beside the others, seen first
//! under load in production. One seed decides everything (arrivals, latencies, how bytes are cut,
//! which worker accepts), one thread runs it and no real time passes, so a failing seed fails
//! again.
//!
//! * `network` stands in for the system's behind `net.rs`; `upstream`, `client` are the two ends.
//! * `world` builds a service and plays a story; `ledger` holds what must be true of every run.
//! * `stories` are the runs by name; `curve` draws one of each, kept for review in `curves/`.
//! * `faults`: every kind of fault at every part, and no reply late (A01).
//! * `model` compares the executor with a reference interpreter of one page (A02).
//!
//! Limits: one process, no kernel: what sockets, threads and signals do is shown by `tests/wire`
//! and `tests/e2e`. How to add a story and replay a seed: CONTRIBUTING.md.

mod client;
mod curve;
mod faults;
mod ledger;
mod model;
pub(crate) mod network;
mod receipts;
mod seeds;
mod stories;
mod upstream;
mod world;

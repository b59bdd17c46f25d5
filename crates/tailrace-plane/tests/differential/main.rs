//! The codec beside hyper's: the same bytes, two readers, no socket (RELIABILITY S01, S02; DESIGN).
//!
//! Prevents the mistake that no test of our own can see: a rule we read wrongly, and test as we
//! read it. Whatever ours accepts, hyper must accept as the same messages, byte for byte; what only
//! ours refuses is a list that `docs/reference/leniency.md` publishes, with counts. The inputs are
//! the corpora of `tests/h1` and seeded mutations of them. Limits: hyper is one reader; h11, llhttp
//! and nginx read the same corpora in `tests/wire` and `tests/real`.

// A test stops where an assumption of its own fails.
#![allow(clippy::expect_used)]

#[path = "../h1/corpus.rs"]
mod corpus;

mod hyper_client;
mod hyper_server;
mod message;
mod mutation;
mod ours;
mod page;
mod requests;
mod responses;
mod strictness;

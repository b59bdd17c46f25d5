//! The codec against hostile bytes: corpora (RELIABILITY S01, S02, S07), properties and fuzz seeds.

// A test stops where an assumption of its own fails.
#![allow(clippy::expect_used)]

mod corpus;
mod injection;
mod oracle;
mod peer;
mod properties;
mod requests;
mod responses;
mod seeds;
mod segments;

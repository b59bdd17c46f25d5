//! The codec against hostile bytes: corpora (RELIABILITY S01, S02, S07), properties and fuzz seeds.

mod corpus;
mod injection;
mod oracle;
mod peer;
mod properties;
mod requests;
mod responses;
mod seeds;
mod segments;

//! Any bytes against `oracle::request`, the same checks that the ordinary tests run.
#![no_main]
// Each target uses one of the three oracles.
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/tailrace-plane/tests/h1/oracle.rs"]
mod oracle;

fuzz_target!(|data: &[u8]| oracle::request(data));

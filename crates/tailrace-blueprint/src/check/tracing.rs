//! Tracing: a collector that can be asked, and limits that let something through.
//!
//! The failure prevented is a service that starts and whose traces go nowhere.

use super::upstream::{check_address, without_credentials};
use super::Problems;
use crate::Tracing;

const PER_SECOND_MIN: f64 = 0.001;
const PER_SECOND_MAX: f64 = 10_000.0;
/// Attributes of the process; each goes with every request to the collector.
const RESOURCE_MAX: usize = 64;
const TEXT_MAX: usize = 1_024;

pub(super) fn check_tracing(tracing: Option<&Tracing>, problems: &mut Problems) {
    let Some(tracing) = tracing else { return };
    let at = |field: &str| format!("tracing.{field}");
    if let Err(reason) = check_address(&tracing.endpoint) {
        let shown = without_credentials(&tracing.endpoint);
        let message = format!("the endpoint `{shown}` {reason}");
        let help = "OTLP over HTTP, e.g. `http://collector:4318/v1/traces`; for TLS let a \
                    collector beside the service pass them on";
        problems.add(at("endpoint"), message, help);
    }
    problems.check_positive(at("timeout_ms"), u64::from(tracing.timeout_ms));
    if !(0.0..=1.0).contains(&tracing.share) {
        let message = format!("{} is no share", tracing.share);
        problems.add(at("share"), message, "give a number from 0 to 1");
    }
    if !(PER_SECOND_MIN..=PER_SECOND_MAX).contains(&tracing.per_second) {
        let message = format!("{} traces a second", tracing.per_second);
        let help = format!("give a number from {PER_SECOND_MIN} to {PER_SECOND_MAX}");
        problems.add(at("per_second"), message, help);
    }
    if !is_variable(&tracing.headers_variable) {
        let message = "the variable of the headers has no name that a variable can have";
        problems.add(
            at("headers_variable"),
            message,
            "upper-case letters, digits and `_`",
        );
    }
    if tracing.resource.len() > RESOURCE_MAX {
        let message = format!("there are {} attributes", tracing.resource.len());
        problems.add(at("resource"), message, format!("at most {RESOURCE_MAX}"));
    }
    for (name, value) in &tracing.resource {
        if name.is_empty() || name.len() > TEXT_MAX || value.len() > TEXT_MAX {
            let message = format!("the attribute `{name:.40}` is empty or too long");
            problems.add(
                at("resource"),
                message,
                format!("at most {TEXT_MAX} bytes each"),
            );
        }
    }
}

fn is_variable(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let first = name.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(known)
}

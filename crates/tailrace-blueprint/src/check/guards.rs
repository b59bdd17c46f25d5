//! Breakers, throttles and adaptive limits: guards that can act, and cannot shut an upstream out
//! for good (req 9.1b, 16.4).
//!
//! The failure prevented is a guard that reads well and does nothing, or harm: a "slow" that no
//! answer can reach because the call times out first, a throttle that lets nothing find out about
//! recovery, a limit that has no room to move. The ranges are those of the policies, which the
//! plane asks again when it compiles.

use super::Problems;
use crate::{AdaptiveParams, BreakerParams, ThrottleParams, Upstream};

/// More failures in a row, or samples, than ten seconds of one address usually hold.
const COUNT_MAX: u32 = 10_000;
/// An address that is left alone for longer is taken out by hand.
const OPEN_MAX_MS: f64 = 3_600_000.0;
/// What the plane's clock can tell apart, with a margin.
const TIME_MIN_MS: f64 = 0.001;
const FACTOR_MAX: f64 = 10.0;
const REQUESTS_MAX: u32 = 1_000_000;
/// A smaller share is not noticed.
const REJECT_MIN: f64 = 0.01;
/// Some calls must find out about recovery.
const REJECT_MAX: f64 = 0.99;

pub(super) fn check_upstream(path: &str, upstream: &Upstream, problems: &mut Problems) {
    if let Some(breaker) = &upstream.breaker {
        let at = format!("{path}.breaker");
        check_breaker(&at, breaker, upstream.timeout_ms, problems);
    }
    if let Some(throttle) = &upstream.throttle {
        check_throttle(&format!("{path}.throttle"), throttle, problems);
    }
    if let Some(adaptive) = &upstream.adaptive {
        let limit = upstream.bulkhead.limit;
        check_adaptive(&format!("{path}.adaptive"), adaptive, limit, problems);
    }
}

fn check_breaker(path: &str, breaker: &BreakerParams, timeout_ms: f64, problems: &mut Problems) {
    for (name, count) in [
        ("consecutive", breaker.consecutive),
        ("samples_min", breaker.samples_min),
    ] {
        if !(1..=COUNT_MAX).contains(&count) {
            let message = format!("{count} is no number of attempts to judge by");
            let help = format!("1 to {COUNT_MAX}");
            problems.add(format!("{path}.{name}"), message, help);
        }
    }
    if !(0.0..=1.0).contains(&breaker.success_min) {
        let message = format!("{} is no share of successes", breaker.success_min);
        let help = "0 (never eject for it) to 1: 0.5 ejects when more than half fail";
        problems.add(format!("{path}.success_min"), message, help);
    }
    if let Some(slow) = breaker.slow_ms {
        let at = format!("{path}.slow_ms");
        if !is_time(slow) {
            let message = format!("{slow} ms is no answer's time");
            problems.add(at, message, "leave it out when any time is fine");
        } else if timeout_ms > 0.0 && slow >= timeout_ms {
            let message =
                format!("an answer is slow after {slow} ms, the call is over at {timeout_ms} ms");
            problems.add(at, message, "lower it or raise the timeout");
        }
    }
    if !is_time(breaker.open_ms) {
        let message = format!("{} ms is no time out", breaker.open_ms);
        let help = "without one an ejected address is tried at once; 1000 is usual";
        problems.add(format!("{path}.open_ms"), message, help);
    } else if !(breaker.open_ms..=OPEN_MAX_MS).contains(&breaker.open_max_ms) {
        // A broken first time out is one problem, not two.
        let message = format!(
            "the longest time out, {} ms, is not between the first, {} ms, and an hour",
            breaker.open_max_ms, breaker.open_ms
        );
        let help = "raise open_max_ms or lower open_ms";
        problems.add(format!("{path}.open_max_ms"), message, help);
    }
}

fn check_throttle(path: &str, throttle: &ThrottleParams, problems: &mut Problems) {
    if !(1.0..=FACTOR_MAX).contains(&throttle.factor) {
        let message = format!("{} is no number of calls per accepted one", throttle.factor);
        let help = "1 to 10: 2 refuses nothing while half of the calls are accepted";
        problems.add(format!("{path}.factor"), message, help);
    }
    if !(1..=REQUESTS_MAX).contains(&throttle.requests_min) {
        let message = format!("{} calls say nothing", throttle.requests_min);
        let help = format!("1 to {REQUESTS_MAX}; 50 is usual");
        problems.add(format!("{path}.requests_min"), message, help);
    }
    if !(REJECT_MIN..=REJECT_MAX).contains(&throttle.reject_max) {
        let message = format!("{} is no share to refuse at most", throttle.reject_max);
        let help = "0.01 to 0.99: some calls must find out about recovery";
        problems.add(format!("{path}.reject_max"), message, help);
    }
}

fn check_adaptive(path: &str, adaptive: &AdaptiveParams, limit: u32, problems: &mut Problems) {
    // A bulkhead of 0 is reported already.
    if adaptive.min == 0 {
        let help = "at least 1: the upstream must be asked to be measured";
        problems.add(format!("{path}.min"), "a limit of 0 lets nothing out", help);
    } else if limit > 0 && adaptive.min >= limit {
        let message = format!(
            "the least, {}, leaves no room below the bulkhead's {limit}",
            adaptive.min
        );
        let help = "lower min, raise the bulkhead or leave out adaptive";
        problems.add(format!("{path}.min"), message, help);
    } else if limit > 0 && !(adaptive.min..=limit).contains(&adaptive.init) {
        let message = format!(
            "it cannot begin at {}: the limit is between {} and the bulkhead's {limit}",
            adaptive.init, adaptive.min
        );
        problems.add(format!("{path}.init"), message, "choose one between them");
    }
}

fn is_time(ms: f64) -> bool {
    (TIME_MIN_MS..=OPEN_MAX_MS).contains(&ms)
}

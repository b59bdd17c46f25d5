//! Extra attempts: retries and hedges that can happen, and cannot multiply (req 9.4, 8.3).
//!
//! The failure prevented is a policy that reads well and does nothing, or harm: a wait as long as
//! the whole call, a second attempt without a second place, a budget that means ten attempts per
//! call. The ranges are those of the policies, which the plane asks again when it compiles.

use super::Problems;
use crate::{HedgeParams, RetryParams, Upstream, View};

const ATTEMPTS_MAX: u32 = 5;
/// A reserve above this is a rate of its own.
const BUDGET_MIN_MAX: u32 = 1_000;
/// Below this share the budget's tokens cannot count.
const SHARE_MIN: f64 = 0.001;
const EXTRA_MAX: f64 = 0.5;
/// What the plane's clock can tell apart, with a margin.
const WAIT_MIN_MS: f64 = 0.001;
/// At or above this the plane hedges nothing: the upstream is slow altogether.
const HEDGE_DELAY_MAX_MS: f64 = 2_000.0;
const PURSE_MAX: u32 = 65_535;

pub(super) fn check_upstream(path: &str, upstream: &Upstream, problems: &mut Problems) {
    if let Some(retry) = &upstream.retry {
        check_retry(
            &format!("{path}.retry"),
            retry,
            upstream.timeout_ms,
            problems,
        );
    }
    if let Some(hedge) = &upstream.hedge {
        let at = format!("{path}.hedge");
        check_hedge(&at, hedge, upstream.timeout_ms, problems);
        if upstream.bulkhead.limit == 1 {
            let message = "the first attempt holds the bulkhead's only place";
            problems.add(
                at,
                message,
                "raise the bulkhead to 2 or leave out the hedge",
            );
        }
    }
}

pub(super) fn check_purse(path: &str, view: &View, problems: &mut Problems) {
    if view.extra_attempts > PURSE_MAX {
        let message = format!("{} extra attempts are no limit", view.extra_attempts);
        let help = format!("at most {PURSE_MAX}; 0 allows none");
        problems.add(format!("{path}.extra_attempts"), message, help);
    }
}

fn check_retry(path: &str, retry: &RetryParams, timeout_ms: f64, problems: &mut Problems) {
    if !(1..=ATTEMPTS_MAX).contains(&retry.attempts) {
        let message = format!("a call cannot have {} attempts", retry.attempts);
        let help = format!("it counts the first one: 1 (no retry) to {ATTEMPTS_MAX}");
        problems.add(format!("{path}.attempts"), message, help);
    }
    check_attempt_timeout(path, retry, timeout_ms, problems);
    let at = format!("{path}.backoff_ms");
    if !is_wait(retry.backoff_ms) {
        let message = format!("{} ms is no wait", retry.backoff_ms);
        let help = "without a wait, what fails together is sent again together; 10 is usual";
        problems.add(at, message, help);
    } else if fills(retry.backoff_ms, timeout_ms) {
        let message = format!(
            "the retry waits up to {} ms, the whole call takes at most {timeout_ms} ms",
            retry.backoff_ms
        );
        problems.add(at, message, "lower the backoff or raise the timeout");
    }
    // A broken first wait is one problem, not two.
    if is_wait(retry.backoff_ms)
        && !(is_wait(retry.backoff_max_ms) && retry.backoff_max_ms >= retry.backoff_ms)
    {
        let message = format!(
            "the longest wait, {} ms, is below the first, {} ms",
            retry.backoff_max_ms, retry.backoff_ms
        );
        let help = "raise backoff_max_ms or lower backoff_ms";
        problems.add(format!("{path}.backoff_max_ms"), message, help);
    }
    if retry.budget != 0.0 && !(SHARE_MIN..=1.0).contains(&retry.budget) {
        let message = format!("{} is no share of the calls", retry.budget);
        let help = format!("0, or {SHARE_MIN} to 1: 0.1 is one retry per ten calls");
        problems.add(format!("{path}.budget"), message, help);
    }
    if retry.budget_min > BUDGET_MIN_MAX {
        let message = format!("{} retries a second are no reserve", retry.budget_min);
        let help = format!("at most {BUDGET_MIN_MAX}; raise the budget instead");
        problems.add(format!("{path}.budget_min"), message, help);
    }
}

/// An attempt that may take the whole call leaves no time for another one.
fn check_attempt_timeout(
    path: &str,
    retry: &RetryParams,
    timeout_ms: f64,
    problems: &mut Problems,
) {
    let Some(bound) = retry.attempt_timeout_ms else {
        return;
    };
    let at = format!("{path}.attempt_timeout_ms");
    if !is_wait(bound) {
        let message = format!("{bound} ms is no time for an attempt");
        problems.add(at, message, "above 0, or leave it out");
    } else if fills(bound, timeout_ms) {
        let message =
            format!("an attempt may take {bound} ms, the whole call takes at most {timeout_ms} ms");
        problems.add(at, message, "lower it, raise the timeout or leave it out");
    } else if retry.attempts == 1 {
        let message = "no attempt follows the only one";
        let help = "allow 2 attempts, or leave it out and lower the timeout";
        problems.add(at, message, help);
    }
}

fn check_hedge(path: &str, hedge: &HedgeParams, timeout_ms: f64, problems: &mut Problems) {
    if !(0.5..=0.999).contains(&hedge.after) {
        let message = format!("{} is no percentile to hedge after", hedge.after);
        let help = "a share from 0.5 to 0.999: 0.95 is p95";
        problems.add(format!("{path}.after"), message, help);
    }
    if !(SHARE_MIN..=EXTRA_MAX).contains(&hedge.extra) {
        let message = format!("{} is no share of hedges per call", hedge.extra);
        let help = format!("{SHARE_MIN} to {EXTRA_MAX}: 0.05 is one hedge per twenty calls");
        problems.add(format!("{path}.extra"), message, help);
    }
    let at = format!("{path}.delay_min_ms");
    if !is_wait(hedge.delay_min_ms) || hedge.delay_min_ms >= HEDGE_DELAY_MAX_MS {
        let message = format!("{} ms is no delay of a hedge", hedge.delay_min_ms);
        let help = "above 0 and below 2000: what usually takes longer is not hedged";
        problems.add(at, message, help);
    } else if fills(hedge.delay_min_ms, timeout_ms) {
        let message = format!(
            "the hedge starts after {} ms, the whole call takes at most {timeout_ms} ms",
            hedge.delay_min_ms
        );
        problems.add(at, message, "lower the delay or raise the timeout");
    }
}

/// A broken timeout is reported already.
fn fills(wait_ms: f64, timeout_ms: f64) -> bool {
    timeout_ms > 0.0 && wait_ms >= timeout_ms
}

fn is_wait(ms: f64) -> bool {
    ms.is_finite() && ms >= WAIT_MIN_MS
}

//! The policies of one upstream, as its declaration asks for them.
//!
//! Each is absent unless declared; what is shared by all workers is shared here. A nonsense value
//! is refused when the plane starts, with the upstream's name.

use crate::admission::limited::Limited;
use crate::admission::rules;
use crate::clock;
use std::sync::Arc;
use tailrace_blueprint as blueprint;
use tailrace_policy::adaptive_limit::{self, AdaptiveLimit};
use tailrace_policy::backoff::Backoff;
use tailrace_policy::breaker;
use tailrace_policy::hedge::{self, Hedge};
use tailrace_policy::latency::Latency;
use tailrace_policy::rate::RateExceeded;
use tailrace_policy::retry::{self, Retry};
use tailrace_policy::retry_budget::{self, RetryBudget};
use tailrace_policy::throttle::{self, Throttle};
use tailrace_policy::Nanos;

/// What governs the attempts to one upstream.
#[derive(Debug)]
pub struct Policies {
    pub retry: Option<Retrying>,
    pub hedge: Option<Hedge>,
    pub breaker: Option<breaker::Params>,
    pub throttle: Option<Throttle>,
    pub adaptive: Option<AdaptiveLimit>,
    /// Attempts a second.
    pub rate: Option<Limited>,
}

/// Retries of one upstream: whether, from which budget, and what an answer usually takes.
#[derive(Debug)]
pub struct Retrying {
    pub policy: Retry,
    /// Bound of one attempt, when one is declared.
    pub attempt_timeout: Option<Nanos>,
    pub budget: RetryBudget,
    pub latency: Arc<Latency>,
}

/// Fewer answers than this say nothing about how long one takes.
const LATENCY_SAMPLES_MIN: u32 = 100;
/// The percentile kept where no hedge asks for another.
const TAIL: f64 = 0.95;

impl Policies {
    /// The policies `declared` asks for; what those `before` have learned stays with them.
    pub fn new(declared: &blueprint::Upstream, before: Option<&Self>) -> Result<Self, String> {
        let hedge = hedge_of(declared, before)?;
        let retry = retry_of(declared, hedge.as_ref(), before)?;
        let breaker = breaker_of(declared)?;
        let throttle = throttle_of(declared, before)?;
        let adaptive = adaptive_of(declared, before)?;
        let rate = rate_of(declared, before)?;
        Ok(Self {
            retry,
            hedge,
            breaker,
            throttle,
            adaptive,
            rate,
        })
    }

    /// Takes one attempt from the rate, where there is one.
    pub fn spend(&self, now: Nanos) -> Result<(), RateExceeded> {
        let rate = self.rate.as_ref();
        rate.map_or(Ok(()), |rate| rate.spent.check(now, 1).map(|_| ()))
    }

    /// Whether the rate would let another attempt pass now.
    pub fn may_spend(&self, now: Nanos) -> bool {
        let left = |rate: &Limited| {
            let asked = rate.spent.check(now, 0);
            asked.map_or(0, |allowed| allowed.remaining)
        };
        self.rate.as_ref().is_none_or(|rate| left(rate) > 0)
    }

    /// When an attempt that starts now must be over: never after its call.
    pub fn attempt_until(&self, now: Nanos, until: Nanos) -> Nanos {
        let bound = self.retry.as_ref().and_then(|retry| retry.attempt_timeout);
        bound.map_or(until, |bound| until.min(now.saturating_add(bound)))
    }

    /// What attempts to this upstream usually take, when a policy keeps it.
    pub fn latency(&self) -> Option<&Latency> {
        let hedge = self.hedge.as_ref().map(|hedge| &**hedge.latency());
        hedge.or(self.retry.as_ref().map(|retry| &*retry.latency))
    }
}

fn hedge_of(
    declared: &blueprint::Upstream,
    before: Option<&Policies>,
) -> Result<Option<Hedge>, String> {
    let Some(asked) = &declared.hedge else {
        return Ok(None);
    };
    let params = hedge::Params {
        after: asked.after,
        extra: asked.extra,
        delay_min: clock::from_ms(asked.delay_min_ms),
        ..hedge::Params::default()
    };
    let at = |message| format!("upstream {} hedge: {message}", declared.name);
    params.check().map_err(at)?;
    let known = before.map(|before| (before.hedge.as_ref(), before.latency()));
    Ok(Some(match known {
        Some((Some(hedge), _)) => hedge.renewed(params),
        Some((None, Some(latency))) => Hedge::knowing(params, latency),
        _ => Hedge::new(params),
    }))
}

fn retry_of(
    declared: &blueprint::Upstream,
    hedge: Option<&Hedge>,
    before: Option<&Policies>,
) -> Result<Option<Retrying>, String> {
    let Some(asked) = &declared.retry else {
        return Ok(None);
    };
    let at = |message| format!("upstream {} retry: {message}", declared.name);
    let params = retry::Params {
        attempts: asked.attempts,
        backoff: Backoff {
            base: clock::from_ms(asked.backoff_ms),
            cap: clock::from_ms(asked.backoff_max_ms),
        },
    };
    params.check().map_err(at)?;
    let budget = retry_budget::Params {
        share: asked.budget,
        min_per_second: asked.budget_min,
        ..retry_budget::Params::default()
    };
    budget.check().map_err(at)?;
    let known = before.and_then(Policies::latency);
    let latency = match (hedge, known) {
        (Some(hedge), _) => Arc::clone(hedge.latency()),
        (None, Some(known)) => Arc::new(known.renewed(TAIL, LATENCY_SAMPLES_MIN)),
        (None, None) => Arc::new(Latency::new(TAIL, LATENCY_SAMPLES_MIN)),
    };
    let known = before.and_then(|before| before.retry.as_ref());
    Ok(Some(Retrying {
        policy: Retry::new(params),
        attempt_timeout: asked.attempt_timeout_ms.map(clock::from_ms),
        budget: known.map_or_else(
            || RetryBudget::new(budget),
            |known| known.budget.renewed(budget),
        ),
        latency,
    }))
}

fn breaker_of(declared: &blueprint::Upstream) -> Result<Option<breaker::Params>, String> {
    let Some(asked) = &declared.breaker else {
        return Ok(None);
    };
    let params = breaker::Params {
        consecutive: asked.consecutive,
        success_min: asked.success_min,
        samples_min: asked.samples_min,
        slow: asked.slow_ms.map(clock::from_ms),
        open: clock::from_ms(asked.open_ms),
        open_max: clock::from_ms(asked.open_max_ms),
        ..breaker::Params::default()
    };
    let at = |message| format!("upstream {} breaker: {message}", declared.name);
    params.check().map_err(at)?;
    Ok(Some(params))
}

fn throttle_of(
    declared: &blueprint::Upstream,
    before: Option<&Policies>,
) -> Result<Option<Throttle>, String> {
    let Some(asked) = &declared.throttle else {
        return Ok(None);
    };
    let params = throttle::Params {
        factor: asked.factor,
        requests_min: asked.requests_min,
        reject_max: asked.reject_max,
        ..throttle::Params::default()
    };
    let at = |message| format!("upstream {} throttle: {message}", declared.name);
    params.check().map_err(at)?;
    let known = before.and_then(|before| before.throttle.as_ref());
    Ok(Some(known.map_or_else(
        || Throttle::new(params),
        |known| known.renewed(params),
    )))
}

fn rate_of(
    declared: &blueprint::Upstream,
    before: Option<&Policies>,
) -> Result<Option<Limited>, String> {
    let at = |message| format!("upstream {} rate: {message}", declared.name);
    let params = declared.rate.as_ref().map(rules::rate_params).transpose();
    let known = before.and_then(|before| before.rate.as_ref());
    let params = params.map_err(at)?;
    Ok(params.map(|params| Limited::new(params, known)))
}

/// Never above the bulkhead; a latency near the timeout is too high whatever it is compared with.
fn adaptive_of(
    declared: &blueprint::Upstream,
    before: Option<&Policies>,
) -> Result<Option<AdaptiveLimit>, String> {
    let Some(asked) = &declared.adaptive else {
        return Ok(None);
    };
    let max = declared.bulkhead.limit;
    let params = adaptive_limit::Params {
        min: asked.min.min(max),
        init: asked.init.clamp(asked.min.min(max), max),
        max,
        ceiling: Some(clock::from_ms(declared.timeout_ms * 0.8)),
        ..adaptive_limit::Params::default()
    };
    let at = |message| format!("upstream {} adaptive: {message}", declared.name);
    params.check().map_err(at)?;
    let known = before.and_then(|before| before.adaptive.as_ref());
    Ok(Some(known.map_or_else(
        || AdaptiveLimit::new(params),
        |known| known.renewed(params),
    )))
}

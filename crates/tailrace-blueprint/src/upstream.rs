//! An upstream: where it is and what bounds our use of it.

use crate::RateParams;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub name: String,
    /// `http://host:port` or `http://host:port/base/path`, at least one.
    pub addresses: Vec<String>,
    /// Bound of one call; what is left of the request's deadline may be less.
    pub timeout_ms: f64,
    pub bulkhead: BulkheadParams,
    /// Request headers passed on, by lower-case name; nothing else is.
    #[serde(default)]
    pub forward_headers: Vec<String>,
    /// Largest body accepted from it; `null` takes `limits.upstream_body_max_bytes`.
    #[serde(default)]
    pub body_max_bytes: Option<u32>,
    /// Absent: a failed attempt is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryParams>,
    /// Absent: a slow attempt is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeParams>,
    /// Absent: an address is never ejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerParams>,
    /// Absent: an upstream that refuses is asked as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleParams>,
    /// Absent: the bulkhead's limit stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveParams>,
    /// Attempts a second; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateParams>,
    /// Absent: every call is made, unless its part says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheParams>,
}

/// At most `limit` calls in flight over the whole process; `queue` more may wait (req 4.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkheadParams {
    pub limit: u32,
    /// `null` takes `max(8, limit)`.
    #[serde(default)]
    pub queue: Option<u32>,
}

/// Another attempt after a failure that another attempt may mend (req 9.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryParams {
    /// Attempts in all; 1 means no retry.
    pub attempts: u32,
    /// Bound of one attempt; what is left of the call may be less. `null`: an attempt may take the
    /// whole call, so that one which runs out of time has no successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<f64>,
    /// Full jitter up to `backoff_ms` doubled per attempt, never above `backoff_max_ms`.
    pub backoff_ms: f64,
    pub backoff_max_ms: f64,
    /// Extra attempts per call over ten seconds, shared with hedges.
    pub budget: f64,
    /// Extra attempts per second that are always allowed.
    pub budget_min: u32,
}

impl Default for RetryParams {
    fn default() -> Self {
        Self {
            attempts: 2,
            attempt_timeout_ms: None,
            backoff_ms: 10.0,
            backoff_max_ms: 100.0,
            budget: 0.1,
            budget_min: 1,
        }
    }
}

/// A second attempt while the first one is slower than usual.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeParams {
    /// The live percentile to wait for, as a share.
    pub after: f64,
    /// Extra attempts per call over ten seconds.
    pub extra: f64,
    /// The wait is never shorter.
    pub delay_min_ms: f64,
}

impl Default for HedgeParams {
    fn default() -> Self {
        Self {
            after: 0.95,
            extra: 0.05,
            delay_min_ms: 1.0,
        }
    }
}

/// Ejection of an address that fails: open, then one probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerParams {
    /// Failures in a row that eject the address ...
    pub consecutive: u32,
    /// ... or a lower share of successes, once there were `samples_min` in ten seconds.
    pub success_min: f64,
    pub samples_min: u32,
    /// An answer that takes longer is no success; `null`: any time is fine.
    pub slow_ms: Option<f64>,
    /// The first time out, doubled by each failed probe up to `open_max_ms`.
    pub open_ms: f64,
    pub open_max_ms: f64,
}

impl Default for BreakerParams {
    fn default() -> Self {
        Self {
            consecutive: 7,
            success_min: 0.5,
            samples_min: 20,
            slow_ms: None,
            open_ms: 1_000.0,
            open_max_ms: 60_000.0,
        }
    }
}

/// Asking an upstream that refuses less, in proportion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThrottleParams {
    /// Calls per accepted one that are let through, over ten seconds.
    pub factor: f64,
    /// Calls without which nothing is refused.
    pub requests_min: u32,
    /// The largest share that is refused.
    pub reject_max: f64,
}

impl Default for ThrottleParams {
    fn default() -> Self {
        Self {
            factor: 2.0,
            requests_min: 50,
            reject_max: 0.9,
        }
    }
}

/// A concurrency limit that follows the upstream, never above the bulkhead.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveParams {
    pub min: u32,
    pub init: u32,
}

impl Default for AdaptiveParams {
    fn default() -> Self {
        Self { min: 4, init: 20 }
    }
}

/// How long answers are kept, and what for (req 16.5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheParams {
    /// Served as they are for so long, less up to a tenth.
    pub ttl_ms: f64,
    /// Then served while they are fetched anew, for so long; `null` takes `ttl_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_ms: Option<f64>,
    /// Served when the fetch fails, for so long after `ttl_ms`; `null` takes ten times `ttl_ms`, or
    /// `stale_ms` when that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error_ms: Option<f64>,
    /// How long 404 and 410 are believed; `null` takes a quarter of `ttl_ms`, at most 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_ms: Option<f64>,
    /// Says that calls carry what tells users apart, and that answers are kept apart by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_identity: bool,
}

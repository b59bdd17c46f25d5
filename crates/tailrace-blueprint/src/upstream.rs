//! An upstream: where it is and what bounds our use of it.

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

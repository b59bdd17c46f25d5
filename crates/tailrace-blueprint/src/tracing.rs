//! Where a service's traces are sent, and which of them (req 16.6).
//!
//! The failure prevented is a token in a blueprint: what a collector wants to see in a header comes
//! from the variable named here, which the plane reads itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tracing {
    /// OTLP over HTTP, the whole address: `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// Of one exchange with it.
    pub timeout_ms: u32,
    /// Of the requests that nothing speaks for, so many are kept all the same.
    pub share: f64,
    /// Traces of the whole process; those beyond are dropped and counted.
    pub per_second: f64,
    /// The variable that holds the headers for the collector, as OpenTelemetry writes them.
    pub headers_variable: String,
    /// Attributes of the process, e.g. `deployment.environment.name`.
    pub resource: BTreeMap<String, String>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:4318/v1/traces".to_owned(),
            timeout_ms: 10_000,
            share: 0.01,
            per_second: 50.0,
            headers_variable: "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
            resource: BTreeMap::new(),
        }
    }
}

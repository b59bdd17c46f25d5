//! The service as data.
//!
//! Python declares, this crate is what crosses: one JSON document, closed (an unknown field is an
//! error), checked as a whole before anything listens (`check`). The plane compiles it once;
//! nothing here is consulted per request. Durations are milliseconds as numbers, sizes are bytes as
//! integers, names are the user's.

mod admission;
mod check;
mod limits;
mod shape;
mod template;
mod tracing;
mod upstream;
mod view;

pub use admission::{
    Admission, BrownoutParams, ClientPriority, FeasibilityParams, Priority, RateParams, ShedParams,
};
pub use check::{check, parse_network, Problem};
pub use limits::{AccessLog, Envelope, Limits, Listen, LogFormat};
pub use shape::{Extra, Field, NumberLimits, Shape, ShapeId, StringFormat};
pub use template::{JsonPiece, NamedTemplate, PartField, Piece, Template};
pub use tracing::Tracing;
pub use upstream::{
    AdaptiveParams, BreakerParams, BulkheadParams, CacheParams, HedgeParams, RetryParams,
    ThrottleParams, Upstream,
};
pub use view::{
    CallBody, Computed, ComputedField, Condition, Each, Handler, Method, Otherwise, Parameter,
    ParameterIn, Part, Protections, RequestBody, Strength, Unwrap, View,
};

use serde::{Deserialize, Serialize};

/// The version this build reads; `minor` additions keep it, a break raises it.
pub const FORMAT_VERSION: u32 = 1;

/// A compiled service declaration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    pub format_version: u32,
    /// The service's name, as logs and metrics show it.
    pub service: String,
    #[serde(default)]
    pub listen: Listen,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub envelope: Envelope,
    #[serde(default)]
    pub access_log: AccessLog,
    /// Replies say what their parts took to a client that asks (`Tailrace-Timing: 1`).
    #[serde(default)]
    pub server_timing: bool,
    /// Where traces are sent; without it a request's context is passed on and nothing recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    #[serde(default)]
    pub admission: Admission,
    #[serde(default)]
    pub protections: Protections,
    pub upstreams: Vec<Upstream>,
    pub views: Vec<View>,
    /// Table of shapes; every shape refers to others by its index here, so models may be recursive.
    pub shapes: Vec<Shape>,
}

impl Blueprint {
    /// Reads and checks a blueprint; every problem carries the path of the value it is about.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let blueprint: Self = serde_json::from_slice(bytes).map_err(|error| {
            vec![Problem {
                path: format!("line {} column {}", error.line(), error.column()),
                message: error.to_string(),
                help: "tailrace writes blueprints; print one with `tailrace explain --json`".into(),
            }]
        })?;
        let problems = check(&blueprint);
        if problems.is_empty() {
            Ok(blueprint)
        } else {
            Err(problems)
        }
    }

    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }
}

//! A view: one endpoint, the parts it needs and how each is fetched.

use crate::{NamedTemplate, ShapeId, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    pub name: String,
    pub method: Method,
    /// Route with `{name}` segments; static segments win over parameters.
    pub path: String,
    pub deadline_ms: f64,
    /// Calls of one request in flight at the same time (req 4.3).
    pub fanout: u16,
    /// Attempts one request may make beyond one per call, shared by retries and hedges of all its
    /// calls: one slow upstream cannot multiply (the attempt purse).
    #[serde(default = "extra_attempts")]
    pub extra_attempts: u32,
    /// Why the view may promise more than its parts can keep; absent: it may not (`check`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overcommit: Option<String>,
    pub parameters: Vec<Parameter>,
    /// In declared order, which is the reply's order.
    pub parts: Vec<Part>,
}

fn extra_attempts() -> u32 {
    3
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Name used in templates.
    pub name: String,
    #[serde(rename = "in")]
    pub location: ParameterIn,
    /// Name on the wire (query key, header name); path parameters use `name`.
    #[serde(default)]
    pub wire_name: Option<String>,
    /// A scalar shape: string, integer, number, boolean or literal.
    pub shape: ShapeId,
    pub required: bool,
    /// Value used when absent; `null` means the template piece renders empty and an optional query
    /// pair or header is left out.
    #[serde(default)]
    pub default: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterIn {
    Path,
    Query,
    Header,
}

/// Strong: its failure fails the request. Weak: its failure degrades it (req 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    Strong,
    Weak,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub name: String,
    pub strength: Strength,
    /// Name of the upstream.
    pub upstream: String,
    pub method: Method,
    pub path: Template,
    #[serde(default)]
    pub query: Vec<NamedTemplate>,
    #[serde(default)]
    pub headers: Vec<NamedTemplate>,
    /// `null` takes the upstream's.
    #[serde(default)]
    pub timeout_ms: Option<f64>,
    /// One call per item of a list; the part is then a list and `shape` is the shape of one result.
    #[serde(default)]
    pub each: Option<Each>,
    pub shape: ShapeId,
    /// What a weak part becomes when it fails, and any part on 204; JSON. Absent: `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The earlier part that holds the list.
    pub part: String,
    /// Path of the list inside it, by reply names; empty when the part itself is the list.
    pub field: Vec<String>,
    /// More items than this fail the part; the cap is part of the worst case.
    pub items_max: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Protections {
    #[default]
    On,
    /// Lab only: no caps, no bulkheads, one uniform timeout, blind retries (req 2.1).
    Off,
}

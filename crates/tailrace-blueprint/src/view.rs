//! A view: one endpoint, the parts it needs and how each is fetched.

use crate::{
    CacheParams, JsonPiece, NamedTemplate, Piece, Priority, RateParams, ShapeId, Template,
};
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
    /// Requests a second of all clients; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateParams>,
    /// Who goes first under overload, unless client or peer say otherwise.
    #[serde(default)]
    pub priority: Priority,
    /// Why the view may promise more than its parts can keep; absent: it may not (`check`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overcommit: Option<String>,
    pub parameters: Vec<Parameter>,
    /// Set: a Python handler answers, and the view has no parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
    /// The JSON body a request of this view has; templates name it like a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<RequestBody>,
    /// The reply is this part's list alone; what the envelope says stands in headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// In declared order, which is the reply's order.
    pub parts: Vec<Part>,
    /// Fields that Python makes of the parts; absent: none, and the view never enters Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<Computed>,
}

fn extra_attempts() -> u32 {
    3
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Whether asking twice is asking once (RFC 9110 9.2.2); only such calls are repeated unasked.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }

    /// Whether a request of this method has a body that means something (RFC 9110 9.3).
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// The JSON body of a request, checked and projected like an upstream's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    /// Name used in templates.
    pub name: String,
    pub shape: ShapeId,
}

/// How a Python handler is bounded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    /// Requests in it at the same time, over the whole process; one more is refused (503).
    pub limit: u32,
}

/// The fields of a view that Python makes: all of one request in one crossing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Computed {
    /// Requests whose fields wait for Python at the same time, over the whole process; those of one
    /// more are refused.
    pub limit: u32,
    /// Kept for them at the end of the deadline: parts that are not there by then are cut off.
    pub time_ms: f64,
    /// In declared order.
    pub fields: Vec<ComputedField>,
}

/// A field that Python makes and checks; the plane puts its JSON into the reply as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedField {
    pub name: String,
    pub strength: Strength,
    /// How many parts are declared before it, which is its place in the reply.
    pub after: u16,
    /// What a weak field becomes when its code fails; JSON. Absent: `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
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
    /// A field of an `application/x-www-form-urlencoded` body.
    Form,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<CallBody>,
    /// Sent as `Idempotency-Key`: the upstream applies a repeated call once, so that it may be
    /// retried and hedged whatever its method (req 9.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Template>,
    /// The call is made only when this holds; otherwise the part is its default, not degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// `null` takes the upstream's.
    #[serde(default)]
    pub timeout_ms: Option<f64>,
    /// One call per item of a list; the part is then a list and `shape` is the shape of one result.
    #[serde(default)]
    pub each: Option<Each>,
    pub shape: ShapeId,
    /// The answer holds the part's value further in; `shape` is that of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwrap: Option<Unwrap>,
    /// The fields of the part's object stand in the reply itself.
    #[serde(default)]
    pub merge: bool,
    /// The part's list continues that of another part, and has no field of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// What a weak part becomes when it fails, and any part on 204; JSON. Absent: `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A weak part's place in the order in which parts are left out under pressure: the lowest
    /// first, parts without a place after all others, the last declared first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<u16>,
    /// `null` takes the upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheParams>,
    /// The call that stands in for a weak part when its own has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

impl Part {
    /// The part that its `otherwise` makes: the same field, made of another call.
    #[must_use]
    pub fn stand_in(&self, other: &Otherwise) -> Self {
        Self {
            upstream: other.upstream.clone(),
            method: Method::Get,
            path: other.path.clone(),
            query: other.query.clone(),
            headers: other.headers.clone(),
            body: None,
            idempotency_key: None,
            when: None,
            timeout_ms: None,
            cache: None,
            otherwise: None,
            ..self.clone()
        }
    }
}

/// Another GET that answers in the same shape, within its upstream's timeout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otherwise {
    pub upstream: String,
    pub path: Template,
    #[serde(default)]
    pub query: Vec<NamedTemplate>,
    #[serde(default)]
    pub headers: Vec<NamedTemplate>,
}

/// Where a part's value is in the upstream's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unwrap {
    /// Shape of the whole answer.
    pub shape: ShapeId,
    /// Keys that lead to the value.
    pub field: Vec<String>,
}

/// The body of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CallBody {
    /// A JSON document with values put in; one piece after the other is its text.
    Json(Vec<JsonPiece>),
    /// `application/x-www-form-urlencoded`, in this order, without pairs whose value is absent.
    Form(Vec<NamedTemplate>),
}

/// Holds when the value is there and neither `null` nor `false`; with `equals`, when it is that.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A parameter, or a field of a part or of the request's body.
    pub value: Piece,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    #[serde(default)]
    pub negated: bool,
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

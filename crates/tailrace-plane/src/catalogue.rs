//! Every problem a client can get, in one list: code, status and one sentence.
//!
//! The failure prevented is a published contract (OpenAPI, req 10.3) that promises other codes than
//! the plane answers with. The list is put together from the enums that decide, and from the few
//! codes that stand beside the code that gives them; `tests/contract` finds one that is missing.

use crate::admission::Limit;
use crate::h1::{BodyError, HeadError};
use crate::reason::Reason;

/// What has to be there for a problem to be possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A view with a strong part.
    Part,
    /// A view that a Python handler answers.
    Handler,
    /// A view with a strong computed field.
    Computed,
    /// A view with a parameter.
    Parameter,
    /// A view that reads a body.
    Body,
    /// A view whose requests, or its clients', have a rate.
    Rate,
    /// Any view: not every request is let in.
    Admission,
    /// A request that no view is found for.
    Route,
    /// A request that is not HTTP as it is spoken here.
    Transport,
}

impl Scope {
    pub fn code(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Handler => "handler",
            Self::Computed => "computed",
            Self::Parameter => "parameter",
            Self::Body => "body",
            Self::Rate => "rate",
            Self::Admission => "admission",
            Self::Route => "route",
            Self::Transport => "transport",
        }
    }
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Entry {
    pub scope: Scope,
    pub code: &'static str,
    pub status: u16,
    pub detail: String,
}

/// Codes that no enum holds, with where they are given.
const SINGLE: &[(Scope, &str, u16, &str)] = &[
    (Scope::Route, "no_route", 404, "no view at this path"),
    (
        Scope::Route,
        "method_not_allowed",
        405,
        "the view does not answer this method",
    ),
    (
        Scope::Handler,
        "handler_error",
        500,
        "the handler failed, or returned what it does not declare",
    ),
    (
        Scope::Handler,
        "handler_full",
        503,
        "too many requests are in this handler",
    ),
    (
        Scope::Parameter,
        "missing_parameter",
        400,
        "a required parameter is absent, or a path segment is empty",
    ),
    (
        Scope::Parameter,
        "bad_parameter",
        400,
        "a parameter breaks its type or limits, or is badly encoded",
    ),
    (
        Scope::Body,
        "missing_body",
        400,
        "the view reads a body and the request has none",
    ),
    (
        Scope::Body,
        "bad_body",
        400,
        "the body breaks its model; the detail says where",
    ),
    (
        Scope::Body,
        "unsupported_media_type",
        415,
        "the body is neither JSON in UTF-8 nor the form the view reads",
    ),
    (
        Scope::Transport,
        "path_not_ascii",
        400,
        "the path has bytes that no URI has",
    ),
    (
        Scope::Transport,
        "head_timeout",
        408,
        "the head was not complete in time",
    ),
    (
        Scope::Transport,
        "body_timeout",
        408,
        "the body was not complete in time",
    ),
];

/// All problems, each once, in the order of this file.
pub fn problems() -> Vec<Entry> {
    let single = SINGLE.iter().map(|&(scope, code, status, detail)| Entry {
        scope,
        code,
        status,
        detail: detail.to_owned(),
    });
    let parts = Reason::ALL.iter().map(|reason| Entry {
        scope: if reason.is_computed() {
            Scope::Computed
        } else {
            Scope::Part
        },
        code: reason.code(),
        status: reason.status(),
        detail: reason.detail().to_owned(),
    });
    let admission = Limit::ALL.iter().map(|limit| Entry {
        scope: match limit {
            Limit::ClientRate | Limit::RouteRate => Scope::Rate,
            // Only a part that must be there makes too little time a reason to refuse.
            Limit::Feasibility => Scope::Part,
            Limit::Drain | Limit::Shed | Limit::Inbound => Scope::Admission,
        },
        code: limit.code(),
        status: limit.status(),
        detail: limit.detail().to_owned(),
    });
    let heads = HeadError::OF_REQUESTS.iter().map(|error| Entry {
        scope: Scope::Transport,
        code: error.code(),
        status: error.status(),
        detail: error.to_string(),
    });
    let bodies = BodyError::ALL.iter().map(|error| Entry {
        scope: Scope::Transport,
        code: error.code(),
        status: error.status(),
        detail: error.to_string(),
    });
    single
        .chain(parts)
        .chain(admission)
        .chain(heads)
        .chain(bodies)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn a_code_means_one_thing_per_status() {
        let mut seen: Vec<_> = problems()
            .iter()
            .map(|entry| (entry.code, entry.status))
            .collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
        assert!(problems()
            .iter()
            .all(|entry| (400..=599).contains(&entry.status) && !entry.detail.is_empty()));
    }
}

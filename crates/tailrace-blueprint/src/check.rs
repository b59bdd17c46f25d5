//! Cross-field checks: what the types of a blueprint cannot say.
//!
//! The failure prevented is a service that starts and fails at its first request: a template that
//! names nothing, parts that wait for each other, an address nobody can connect to, a limit of
//! zero. Everything is checked before anything listens, all problems are collected (at most
//! `PROBLEMS_MAX`), and each carries the path of the value it is about and what to change. The
//! declarations in Python are checked where they stand and never get here; this is the wall for
//! every other producer of a blueprint. What needs a regular expression or a route tree is checked
//! when the plane compiles the blueprint.

mod admission;
mod attempts;
mod body;
mod cache;
mod computed;
mod graph;
mod guards;
mod header;
mod reply;
mod shape;
mod tail;
mod template;
mod tracing;
mod upstream;
mod view;

pub use admission::parse_network;

use crate::{Blueprint, FORMAT_VERSION};
use std::collections::HashSet;

/// More problems than this are not shown: the first ones explain the rest.
const PROBLEMS_MAX: usize = 10;

/// One thing wrong with a blueprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, e.g. `views[0].parts[2].upstream`.
    pub path: String,
    pub message: String,
    pub help: String,
}

/// Everything wrong with `blueprint` that its types cannot say.
pub fn check(blueprint: &Blueprint) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    if blueprint.format_version != FORMAT_VERSION {
        let message = format!(
            "format version {} is not read here",
            blueprint.format_version
        );
        let help = format!("this build reads version {FORMAT_VERSION}; use matching versions");
        problems.add("format_version".to_owned(), message, help);
        // A document of another version may mean something else by the same words.
        return problems.0;
    }
    if blueprint.service.is_empty() {
        problems.add(
            "service".to_owned(),
            "the service has no name",
            "logs and metrics show it",
        );
    }
    check_limits(blueprint, &mut problems);
    check_envelope(blueprint, &mut problems);
    admission::check_admission(&blueprint.admission, &mut problems);
    tracing::check_tracing(blueprint.tracing.as_ref(), &mut problems);
    upstream::check_upstreams(&blueprint.upstreams, &mut problems);
    shape::check_shapes(&blueprint.shapes, &mut problems);
    view::check_views(blueprint, &mut problems);
    // Sums are only worth showing when what they are made of is sound.
    if problems.0.is_empty() {
        tail::check_tail(blueprint, &mut problems);
    }
    problems.0
}

/// What was found so far; bounded.
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: String, message: impl Into<String>, help: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem {
                path,
                message: message.into(),
                help: help.into(),
            });
        }
    }

    /// Names of one list: present and different. `path` is the list's own.
    fn check_names<'a>(
        &mut self,
        path: &str,
        kind: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let mut seen = HashSet::new();
        for (index, name) in names.into_iter().enumerate() {
            let at = format!("{path}[{index}].name");
            if name.is_empty() {
                self.add(
                    at,
                    format!("the {kind} has no name"),
                    format!("name the {kind}"),
                );
            } else if !seen.insert(name) {
                let message = format!("there are two {kind}s called `{name}`");
                self.add(at, message, "give one of them another name");
            }
        }
    }

    fn check_positive(&mut self, path: String, value: u64) {
        if value == 0 {
            self.add(path, "the limit is 0", "it must be at least 1");
        }
    }

    fn check_duration(&mut self, path: String, ms: f64) {
        if !(ms.is_finite() && ms > 0.0) {
            let message = format!("{ms} ms is no time limit");
            self.add(
                path,
                message,
                "give a finite number of milliseconds above 0",
            );
        }
    }
}

/// Zero would refuse everything. `drain_ms` and `reserve_ms` are waits, not limits: zero is a
/// choice.
fn check_limits(blueprint: &Blueprint, problems: &mut Problems) {
    let limits = &blueprint.limits;
    for (name, value) in [
        ("head_read_ms", limits.head_read_ms),
        ("idle_ms", limits.idle_ms),
        ("body_read_ms", limits.body_read_ms),
        ("write_ms", limits.write_ms),
        ("head_max_bytes", limits.head_max_bytes),
        ("headers_max", u32::from(limits.headers_max)),
        ("uri_max_bytes", limits.uri_max_bytes),
        ("request_body_max_bytes", limits.request_body_max_bytes),
        ("upstream_body_max_bytes", limits.upstream_body_max_bytes),
        ("request_memory_max_bytes", limits.request_memory_max_bytes),
        ("json_depth_max", u32::from(limits.json_depth_max)),
        ("cache_max_bytes", limits.cache_max_bytes),
        ("connections_max", limits.connections_max),
        ("pool_idle_ms", limits.pool_idle_ms),
        ("dns_refresh_ms", limits.dns_refresh_ms),
    ] {
        problems.check_positive(format!("limits.{name}"), u64::from(value));
    }
    let one = u64::from(limits.request_memory_max_bytes);
    if limits.memory_max_bytes.is_some_and(|all| all < one) {
        problems.add(
            "limits.memory_max_bytes".to_owned(),
            format!("the process may hold less than one request may ({one} bytes)"),
            "raise memory_max, or lower request_memory_max",
        );
    }
    problems.check_positive(
        "access_log.ring".to_owned(),
        u64::from(blueprint.access_log.ring),
    );
    if let Some(workers) = blueprint.listen.workers {
        problems.check_positive("listen.workers".to_owned(), u64::from(workers));
    }
}

/// The reply's own fields: named, and told apart. Parts are compared where views are checked.
fn check_envelope(blueprint: &Blueprint, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (field, name) in blueprint.envelope.fields() {
        let at = format!("envelope.{field}");
        if name.is_empty() {
            problems.add(
                at,
                "the field has no name",
                "leave it out to use the usual name",
            );
        } else if !seen.insert(name) {
            let message = format!("two fields of the reply are called `{name}`");
            problems.add(at, message, "use three different names");
        }
    }
}

/// Names as a help line shows them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<String> = names.take(12).map(|name| format!("`{name}`")).collect();
    if shown.is_empty() {
        return "none is declared".to_owned();
    }
    format!("declared: {}", shown.join(", "))
}

impl crate::Envelope {
    /// The reply's own fields: what each is, and what it is called.
    fn fields(&self) -> [(&'static str, &str); 3] {
        [
            ("degraded", self.degraded.as_str()),
            ("request_id", self.request_id.as_str()),
            ("served_at_ms", self.served_at_ms.as_str()),
        ]
    }
}

#[cfg(test)]
mod tests;

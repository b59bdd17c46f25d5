//! The event catalogue: what can happen, and under which names it is counted and logged.
//!
//! The failure prevented: a metric, a log field and a dashboard that call one thing by three names,
//! and a page that knows a fourth. Each event stands here once, with its metrics, its fields, their
//! units and one sentence each. `metrics/` can only write what has a `Metric` here, and is tested
//! to write all of it; the log is tested field by field; `docs/generate.py` writes the reference
//! page from these files, and `tests/ops` holds dashboards, rules and alerts to them (req 12.1).
//!
//! Names follow OpenTelemetry where it has one (`http_server_request_duration_seconds`), in
//! Prometheus' spelling: dots are underscores, the unit is the end of the name. A counter's
//! `_total` is added when it is written. Labels come from the declaration, never from a request.

mod admission;
mod process;
mod python;
mod requests;
mod tracing;
mod upstreams;

pub use admission::*;
pub use process::*;
pub use python::*;
pub use requests::*;
pub use tracing::*;
pub use upstreams::*;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A number that `/metrics` shows.
#[derive(Debug)]
pub struct Metric {
    /// The name of the family, its unit included, without `_total`.
    pub name: &'static str,
    pub kind: Kind,
    /// Every label a series of it may have.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Units that a metric's name may end with.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

impl Metric {
    /// The name without its unit, and the unit.
    pub fn parts(&self) -> (&'static str, Option<&'static str>) {
        let with = |unit: &&'static str| {
            let bare = self.name.strip_suffix(unit)?.strip_suffix('_')?;
            Some((bare, Some(*unit)))
        };
        UNITS.iter().find_map(with).unwrap_or((self.name, None))
    }
}

/// A field of a log line.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// `text`, `count`, `flag`, `object` or a unit of time.
    pub unit: &'static str,
    pub doc: &'static str,
}

/// Something that happens.
#[derive(Debug)]
pub struct Event {
    pub name: &'static str,
    pub doc: &'static str,
    pub metrics: &'static [&'static Metric],
    /// Of its log line, or of its object in one.
    pub fields: &'static [Field],
}

/// Every event, in the order of the reference page.
pub const EVENTS: &[&[Event]] = &[
    requests::EVENTS,
    upstreams::EVENTS,
    admission::EVENTS,
    python::EVENTS,
    tracing::EVENTS,
    process::EVENTS,
];

/// All events as one list.
pub fn all() -> impl Iterator<Item = &'static Event> {
    EVENTS.iter().flat_map(|events| events.iter())
}

/// The catalogue for programs, JSON: a list of events with their metrics and fields.
pub fn catalogue() -> Vec<u8> {
    let metric = |metric: &&Metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        serde_json::json!({"name": metric.name, "kind": kind, "unit": metric.parts().1,
            "labels": metric.labels, "help": metric.help})
    };
    let field = |field: &Field| {
        let (name, unit, doc) = (field.name, field.unit, field.doc);
        serde_json::json!({"name": name, "unit": unit, "doc": doc})
    };
    let event = |event: &Event| {
        serde_json::json!({"name": event.name, "doc": event.doc,
            "metrics": event.metrics.iter().map(metric).collect::<Vec<_>>(),
            "fields": event.fields.iter().map(field).collect::<Vec<_>>()})
    };
    let all = serde_json::Value::from(all().map(event).collect::<Vec<_>>());
    all.to_string().into_bytes()
}

/// The events of one file: constants for its metrics and the list `EVENTS`. `docs/catalogue.py`
/// reads this form as text.
macro_rules! events {
    ($($event:literal: $doc:literal
        metrics { $($kind:ident $metric:ident $name:literal [$($label:ident),*] $help:literal;)* }
        fields { $($field:literal $unit:ident $about:literal;)* })*) => {
        $($(
            pub static $metric: $crate::events::Metric = $crate::events::Metric {
                name: $name,
                kind: $crate::events::Kind::$kind,
                labels: &[$(stringify!($label)),*],
                help: $help,
            };
        )*)*
        pub(super) const EVENTS: &[$crate::events::Event] = &[$($crate::events::Event {
            name: $event,
            doc: $doc,
            metrics: &[$(&$metric),*],
            fields: &[$($crate::events::Field {
                name: $field,
                unit: stringify!($unit),
                doc: $about,
            }),*],
        }),*];
    };
}
use events;

#[cfg(test)]
mod tests {
    use super::{all, Kind};
    use std::collections::HashSet;

    #[test]
    fn a_name_stands_once_and_says_what_it_is() {
        let (mut events, mut metrics) = (HashSet::new(), HashSet::new());
        for event in all() {
            assert!(events.insert(event.name), "{} stands twice", event.name);
            let mut fields = HashSet::new();
            for field in event.fields {
                assert!(fields.insert(field.name) && !field.doc.is_empty());
            }
            for metric in event.metrics {
                assert!(metrics.insert(metric.name), "{} stands twice", metric.name);
                assert!(!metric.help.is_empty());
                assert!(
                    !metric.name.ends_with("_total"),
                    "{}: it is added",
                    metric.name
                );
                if metric.kind == Kind::Histogram {
                    assert_eq!(metric.parts().1, Some("seconds"), "{}", metric.name);
                }
            }
        }
        assert!(metrics.len() > 70);
    }

    #[test]
    fn a_unit_is_the_end_of_a_name() {
        assert_eq!(
            super::REQUEST_DURATION.parts(),
            ("http_server_request_duration", Some("seconds"))
        );
        assert_eq!(super::REQUESTS.parts(), ("tailrace_requests", None));
    }
}

//! What is said of tracing that leads nowhere (req 16.6).

use super::{paths_with, read, sample};
use crate::check::check;
use serde_json::{json, Value};

fn paths(tracing: Value) -> Vec<String> {
    paths_with("/tracing", tracing)
}

#[test]
fn a_collector_and_nothing_else_is_enough() {
    assert_eq!(paths(json!({})), [""; 0]);
    let whole = json!({
        "endpoint": "http://[::1]:4318/v1/traces", "timeout_ms": 1, "share": 0.0,
        "per_second": 0.5, "headers_variable": "TOKEN_1", "resource": {"a.b": ""},
    });
    assert_eq!(paths(whole), [""; 0]);
    assert!(
        read(sample()).tracing.is_none(),
        "off unless it is declared"
    );
}

#[test]
fn each_mistake_is_named_at_its_place() {
    for (field, value) in [
        ("endpoint", json!("https://collector:4318/v1/traces")),
        ("endpoint", json!("collector:4318")),
        ("endpoint", json!("http://collector:4318/v1/traces?key=1")),
        ("endpoint", json!("")),
        ("timeout_ms", json!(0)),
        ("share", json!(1.5)),
        ("share", json!(-0.1)),
        ("per_second", json!(0)),
        ("per_second", json!(1e9)),
        ("headers_variable", json!("")),
        ("headers_variable", json!("1A")),
        ("headers_variable", json!("token")),
        ("resource", json!({"": "x"})),
        ("resource", json!({"x": "y".repeat(2_000)})),
    ] {
        let found = paths(json!({field: value}));
        assert_eq!(found, [format!("tracing.{field}")], "{field}: {value:.60}");
    }
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    assert_eq!(paths(json!({"resource": many})), ["tracing.resource"]);
}

// RELIABILITY S22.
#[test]
fn what_stands_before_an_at_sign_is_not_shown() {
    let mut document = sample();
    document["tracing"] = json!({"endpoint": "http://user:hunter2@collector:4318/v1/traces"});
    let problems = check(&read(document));
    assert_eq!(problems.len(), 1);
    assert!(
        !problems[0].message.contains("hunter2"),
        "{}",
        problems[0].message
    );
}

// Each call has a line of its own: one beside it would make both none.
#[test]
fn a_call_does_not_write_a_trace() {
    for name in ["traceparent", "TraceState"] {
        let headers = json!([{"name": name, "value": [{"text": "00-1"}]}]);
        let found = paths_with("/views/0/parts/1/headers", headers);
        assert_eq!(found, ["views[0].parts[1].headers[0].name"]);
    }
    let forwarded = paths_with("/upstreams/0/forward_headers", json!(["traceparent"]));
    assert_eq!(forwarded, [""; 0], "sent all the same");
}

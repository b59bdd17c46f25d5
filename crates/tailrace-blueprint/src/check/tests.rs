//! One sample with nothing wrong; every test breaks one thing and names the place.

mod attempts;
mod bodies;
mod caches;
mod computed;
mod guards;
mod shapes;
mod tail;
mod tracing;
mod upstreams;
mod views;

use super::{check, PROBLEMS_MAX};
use crate::Blueprint;
use serde_json::{json, Value};

/// A blueprint with everything a check looks at, and nothing wrong.
fn sample() -> Value {
    json!({
        "format_version": 1,
        "service": "order-query",
        "upstreams": [
            {"name": "orders", "addresses": ["http://orders:9001", "http://[::1]:9001/v1/"],
             "timeout_ms": 80.0, "bulkhead": {"limit": 4}, "forward_headers": ["authorization"]},
            {"name": "stock", "addresses": ["http://10.0.0.7"], "timeout_ms": 60.0,
             "bulkhead": {"limit": 8, "queue": 0}, "body_max_bytes": 4096},
        ],
        "views": [
            {"name": "order", "method": "GET", "path": "/orders/{id}/full", "deadline_ms": 150.0,
             "fanout": 4,
             "parameters": [
                 {"name": "id", "in": "path", "shape": 0, "required": true},
                 {"name": "tenant", "in": "header", "wire_name": "x-tenant", "shape": 0,
                  "required": false},
             ],
             "parts": [
                 {"name": "stock", "strength": "weak", "upstream": "stock", "method": "GET",
                  "path": [{"text": "/stock/"}, {"item": ["sku"]}], "shape": 3,
                  "each": {"part": "order", "field": ["items"], "items_max": 8}},
                 {"name": "order", "strength": "strong", "upstream": "orders", "method": "GET",
                  "path": [{"text": "/orders/"}, {"parameter": "id"}], "shape": 1,
                  "headers": [{"name": "x-tenant", "value": [{"parameter": "tenant"}]}]},
                 {"name": "coupon", "strength": "weak", "upstream": "orders", "method": "GET",
                  "path": [{"text": "/coupon"}], "timeout_ms": 40.0, "shape": 1, "default": {},
                  "query": [{"name": "user",
                             "value": [{"part": {"name": "order", "field": ["user"]}}]}]},
             ]},
            {"name": "latest", "method": "GET", "path": "/orders/latest/full", "deadline_ms": 90.0,
             "fanout": 1, "parameters": [],
             "parts": [{"name": "order", "strength": "strong", "upstream": "orders",
                        "method": "GET", "path": [{"text": "/latest"}], "shape": 1}]},
        ],
        "shapes": [
            {"kind": "string", "length_min": 1, "length_max": 9},
            {"kind": "object", "extra": "drop",
             "fields": [{"name": "items", "shape": 5, "required": true}]},
            {"kind": "literal", "values": ["a", 1, null]},
            {"kind": "union", "variants": [2, 4]},
            {"kind": "integer", "limits": {"ge": 0.0, "le": 9.0, "multiple_of": 3.0}},
            {"kind": "array", "items": 1, "length_min": 0, "length_max": 8},
            {"kind": "tuple", "items": [0, 4]},
            {"kind": "dict", "values": 0},
            {"kind": "optional", "inner": 0},
            {"kind": "tagged_union", "tag": "kind", "variants": [["a", 1]]},
        ],
    })
}

fn read(document: Value) -> Blueprint {
    serde_json::from_value(document).unwrap()
}

/// Paths of what is wrong with the sample after `value` is put at `pointer`.
fn paths_with(pointer: &str, value: Value) -> Vec<String> {
    let mut document = sample();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    let problems = check(&read(document));
    for problem in &problems {
        assert!(
            !problem.message.is_empty() && !problem.help.is_empty(),
            "{problem:?}"
        );
    }
    problems.into_iter().map(|problem| problem.path).collect()
}

/// Each change breaks one rule, and exactly that place is named.
fn assert_each_names(cases: impl IntoIterator<Item = (&'static str, Value, &'static str)>) {
    for (pointer, value, expected) in cases {
        let shown = format!("{pointer} = {value}");
        assert_eq!(paths_with(pointer, value), [expected], "{shown}");
    }
}

#[test]
fn a_sound_blueprint_has_no_problems() {
    assert_eq!(check(&read(sample())), []);
    assert!(Blueprint::from_json(sample().to_string().as_bytes()).is_ok());
}

#[test]
fn the_service_and_its_limits_are_checked() {
    assert_each_names([
        ("/format_version", json!(2), "format_version"),
        ("/service", json!(""), "service"),
        (
            "/envelope",
            json!({"request_id": ""}),
            "envelope.request_id",
        ),
        (
            "/envelope",
            json!({"request_id": "degraded"}),
            "envelope.request_id",
        ),
        ("/access_log", json!({"ring": 0}), "access_log.ring"),
        ("/listen", json!({"workers": 0}), "listen.workers"),
    ]);
}

#[test]
fn no_limit_may_be_zero_but_waits_may() {
    let defaults = serde_json::to_value(crate::Limits::default()).unwrap();
    for name in defaults.as_object().unwrap().keys() {
        let found = paths_with("/limits", json!({ name: 0 }));
        match name.as_str() {
            "drain_ms" | "reserve_ms" => assert_eq!(found, [""; 0], "{name}"),
            _ => assert_eq!(found, [format!("limits.{name}")]),
        }
    }
}

#[test]
fn problems_are_collected_up_to_a_bound() {
    let mut document = sample();
    document["service"] = json!("");
    document["upstreams"][0]["timeout_ms"] = json!(0.0);
    document["views"][1]["fanout"] = json!(0);
    let paths: Vec<_> = check(&read(document.clone()))
        .into_iter()
        .map(|one| one.path)
        .collect();
    assert_eq!(
        paths,
        ["service", "upstreams[0].timeout_ms", "views[1].fanout"]
    );
    document["shapes"][2]["values"] = (0..50).map(|_| json!([])).collect();
    let problems = Blueprint::from_json(document.to_string().as_bytes()).unwrap_err();
    assert_eq!(problems.len(), PROBLEMS_MAX);
}

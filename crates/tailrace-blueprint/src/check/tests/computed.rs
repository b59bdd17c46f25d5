//! Broken computed fields: each names exactly its place.

use super::{assert_each_names, paths_with, sample};
use serde_json::{json, Value};

#[allow(clippy::needless_pass_by_value)] // Literals of the tests.
fn fields(fields: Value) -> Value {
    json!({"limit": 8, "time_ms": 5.0, "fields": fields})
}

fn field(name: &str, after: u16) -> Value {
    json!({"name": name, "strength": "strong", "after": after})
}

#[test]
fn computed_fields_are_checked() {
    let total = json!([field("total", 1)]);
    let deadline = sample()["views"][1]["deadline_ms"].as_f64().unwrap();
    let at = "/views/1/computed";
    let part = sample()["views"][1]["parts"][0]["name"].clone();
    let part = part.as_str().unwrap();
    assert_each_names([
        (
            at,
            json!({"limit": 0, "time_ms": 5.0, "fields": total}),
            "views[1].computed.limit",
        ),
        (
            at,
            json!({"limit": 8, "time_ms": 0.0, "fields": total}),
            "views[1].computed.time_ms",
        ),
        (
            at,
            json!({"limit": 8, "time_ms": deadline, "fields": total}),
            "views[1].computed.time_ms",
        ),
        (at, fields(json!([])), "views[1].computed.fields"),
        (
            at,
            fields(json!([field("", 1)])),
            "views[1].computed.fields[0].name",
        ),
        (
            at,
            fields(json!([field("a", 1), field("a", 1)])),
            "views[1].computed.fields[1].name",
        ),
        (
            at,
            fields(json!([field(part, 1)])),
            "views[1].computed.fields[0].name",
        ),
        (
            at,
            fields(json!([field("degraded", 1)])),
            "views[1].computed.fields[0].name",
        ),
        (
            at,
            fields(json!([field("total", 99)])),
            "views[1].computed.fields[0].after",
        ),
        (
            at,
            fields(json!([field("a", 1), field("b", 0)])),
            "views[1].computed.fields[1].after",
        ),
        (
            at,
            fields(json!([{"name": "a", "strength": "strong", "after": 0, "default": 1}])),
            "views[1].computed.fields[0].default",
        ),
    ]);
}

#[test]
fn a_sound_computed_field_is_accepted_before_and_after_the_parts() {
    let both = fields(json!([
        field("first", 0),
        {"name": "last", "strength": "weak", "after": 1, "default": []}
    ]));
    assert_eq!(paths_with("/views/1/computed", both), [""; 0]);
}

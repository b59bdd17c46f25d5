//! Bodies, conditions and layouts of the reply: each mistake names its place.

use super::{paths_with, read, sample};
use crate::check::check;
use serde_json::{json, Value};

/// The sample's second view as a POST with a JSON body, and one call that sends it on.
fn posting() -> Value {
    let mut document = sample();
    document["views"][1]["method"] = json!("POST");
    document["views"][1]["body"] = json!({"name": "draft", "shape": 1});
    let part = &mut document["views"][1]["parts"][0];
    part["method"] = json!("POST");
    part["body"] = json!({"json": [
        {"text": "{\"items\":"},
        {"value": {"part": {"name": "draft", "field": ["items"]}}},
        {"text": ",\"note\":"},
        {"string": [{"text": "x"}, {"part": {"name": "draft", "field": ["note"]}}]},
        {"text": "}"},
    ]});
    part["idempotency_key"] = json!([{"part": {"name": "draft", "field": ["id"]}}]);
    part["when"] = json!({"value": {"part": {"name": "draft", "field": ["id"]}}});
    part["default"] = json!({});
    document
}

fn paths(document: Value) -> Vec<String> {
    let problems = check(&read(document));
    problems.into_iter().map(|one| one.path).collect()
}

fn broken(pointer: &str, value: Value) -> Vec<String> {
    let mut document = posting();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect("a place")[key] = value;
    paths(document)
}

#[test]
fn a_sound_body_has_no_problems() {
    assert_eq!(paths(posting()), Vec::<String>::new());
}

#[test]
fn bodies_and_conditions_are_checked() {
    let form = json!([{"name": "note", "in": "form", "shape": 0, "required": false}]);
    let unknown = json!({"part": {"name": "drafft", "field": []}});
    let rows = [
        ("/views/1/method", json!("GET"), "views[1].method"),
        ("/views/1/body/name", json!("order"), "views[1].body.name"),
        ("/views/1/body/shape", json!(99), "views[1].body.shape"),
        ("/views/1/parameters", form, "views[1].body"),
        (
            "/views/1/parts/0/method",
            json!("GET"),
            "views[1].parts[0].body",
        ),
        (
            "/views/1/parts/0/body",
            json!({"json": [{"text": "{"}]}),
            "views[1].parts[0].body.json",
        ),
        (
            "/views/1/parts/0/body",
            json!({"json": [{"value": unknown}]}),
            "views[1].parts[0].body.json[0].value.part.name",
        ),
        (
            "/views/1/parts/0/idempotency_key",
            json!([{"text": "a\r\nb"}]),
            "views[1].parts[0].idempotency_key[0].text",
        ),
        (
            "/views/1/parts/0/headers",
            json!([{"name": "Idempotency-Key", "value": [{"text": "x"}]}]),
            "views[1].parts[0].idempotency_key",
        ),
        (
            "/views/1/parts/0/when",
            json!({"value": {"text": "x"}}),
            "views[1].parts[0].when.value",
        ),
        (
            "/views/1/parts/0/default",
            Value::Null,
            "views[1].parts[0].when",
        ),
    ];
    for (pointer, value, expected) in rows {
        let shown = format!("{pointer} = {value}");
        // A name that is gone is missed wherever it was used.
        let first = broken(pointer, value).into_iter().next();
        assert_eq!(first.as_deref(), Some(expected), "{shown}");
    }
}

#[test]
fn a_key_that_may_be_absent_is_refused() {
    let mut document = posting();
    document["views"][1]["parameters"] =
        json!([{"name": "key", "in": "header", "shape": 0, "required": false}]);
    document["views"][1]["parts"][0]["idempotency_key"] = json!([{"parameter": "key"}]);
    assert_eq!(paths(document), ["views[1].parts[0].idempotency_key"]);
}

#[test]
fn layouts_are_checked() {
    let rows = [
        (
            "/views/0/parts/1/unwrap",
            json!({"shape": 99, "field": ["data"]}),
            "views[0].parts[1].unwrap.shape",
        ),
        (
            "/views/0/parts/1/unwrap",
            json!({"shape": 1, "field": []}),
            "views[0].parts[1].unwrap.field",
        ),
        (
            "/views/0/parts/0/merge",
            json!(true),
            "views[0].parts[0].merge",
        ),
        (
            "/views/0/parts/0/append",
            json!("order"),
            "views[0].parts[0].append",
        ),
        (
            "/views/0/parts/0/append",
            json!("stock"),
            "views[0].parts[0].append",
        ),
        ("/views/0/collection", json!("order"), "views[0].collection"),
        (
            "/views/0/collection",
            json!("nothing"),
            "views[0].collection",
        ),
    ];
    for (pointer, value, expected) in rows {
        let shown = format!("{pointer} = {value}");
        assert_eq!(paths_with(pointer, value), [expected], "{shown}");
    }
}

#[test]
fn a_merged_field_is_the_only_one_of_its_name() {
    let mut document = sample();
    document["views"][0]["parts"][1]["merge"] = json!(true);
    assert_eq!(paths(document.clone()), Vec::<String>::new());
    document["views"][0]["parts"][2]["name"] = json!("items");
    assert_eq!(paths(document), ["views[0].parts[1].merge"]);
}

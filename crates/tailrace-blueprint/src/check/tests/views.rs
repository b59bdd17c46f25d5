//! Tables of broken views, parts and templates: each names exactly its place.

use super::{assert_each_names, paths_with, read, sample};
use crate::check::check;
use serde_json::json;

// req 4.3, 4.5
#[test]
fn views_are_checked() {
    assert_each_names([
        ("/views/1/name", json!("order"), "views[1].name"),
        ("/views/1/name", json!(""), "views[1].name"),
        ("/views/1/path", json!("orders"), "views[1].path"),
        ("/views/1/path", json!("/a/{x"), "views[1].path"),
        ("/views/1/path", json!("/a/x{y}"), "views[1].path"),
        ("/views/1/path", json!("/a/{*rest}"), "views[1].path"),
        ("/views/1/path", json!("/a/{1}"), "views[1].path"),
        ("/views/1/path", json!("/a/{unknown}"), "views[1].path"),
        ("/views/0/path", json!("/orders/{id}/{id}"), "views[0].path"),
        (
            "/views/0/path",
            json!("/orders/id"),
            "views[0].parameters[0].name",
        ),
        ("/views/1/deadline_ms", json!(0.0), "views[1].deadline_ms"),
        ("/views/0/fanout", json!(0), "views[0].fanout"),
        ("/views/1/parts", json!([]), "views[1].parts"),
    ]);
}

#[test]
fn routes_that_differ_only_in_names_conflict() {
    let mut document = sample();
    document["views"][1]["path"] = json!("/orders/{order_id}/full");
    document["views"][1]["parameters"] =
        json!([{"name": "order_id", "in": "path", "shape": 0, "required": true}]);
    let problems = check(&read(document));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].path, "views[1].path");
    assert!(
        problems[0].message.contains("`order`"),
        "names the other view: {problems:?}"
    );
}

#[test]
fn parameters_are_checked() {
    let twin = json!({"name": "id", "in": "query", "shape": 0, "required": false});
    let mut document = sample();
    document["views"][0]["parameters"]
        .as_array_mut()
        .unwrap()
        .push(twin);
    let paths: Vec<_> = check(&read(document))
        .into_iter()
        .map(|one| one.path)
        .collect();
    assert_eq!(paths, ["views[0].parameters[2].name"]);
    let wire_name = "/views/0/parameters/1/wire_name";
    assert_each_names([
        (
            wire_name,
            json!("x tenant"),
            "views[0].parameters[1].wire_name",
        ),
        (wire_name, json!(""), "views[0].parameters[1].wire_name"),
        (
            "/views/0/parameters/1/shape",
            json!(99),
            "views[0].parameters[1].shape",
        ),
        (
            "/views/0/parameters/1/shape",
            json!(1),
            "views[0].parameters[1].shape",
        ),
    ]);
}

// req 8.1
#[test]
fn parts_are_checked() {
    assert_each_names([
        ("/views/0/parts/2/name", json!(""), "views[0].parts[2].name"),
        (
            "/views/0/parts/2/name",
            json!("stock"),
            "views[0].parts[2].name",
        ),
        (
            "/views/0/parts/2/name",
            json!("degraded"),
            "views[0].parts[2].name",
        ),
        (
            "/views/0/parts/2/upstream",
            json!("order"),
            "views[0].parts[2].upstream",
        ),
        (
            "/views/0/parts/2/timeout_ms",
            json!(151.0),
            "views[0].parts[2].timeout_ms",
        ),
        (
            "/views/0/parts/2/timeout_ms",
            json!(0.0),
            "views[0].parts[2].timeout_ms",
        ),
        (
            "/views/0/parts/2/shape",
            json!(99),
            "views[0].parts[2].shape",
        ),
        (
            "/views/0/parts/2/default",
            json!(null),
            "views[0].parts[2].default",
        ),
        (
            "/views/0/parts/0/shape",
            json!(1),
            "views[0].parts[0].shape",
        ),
        (
            "/views/0/parts/0/each/part",
            json!("coupons"),
            "views[0].parts[0].each.part",
        ),
        (
            "/views/0/parts/0/each/items_max",
            json!(0),
            "views[0].parts[0].each.items_max",
        ),
        (
            "/views/0/parts/0/each",
            json!(null),
            "views[0].parts[0].path[1].item",
        ),
    ]);
}

#[test]
fn a_default_of_null_is_no_fallback_where_null_does_not_fit() {
    let mut blueprint = read(sample());
    blueprint.views[0].parts[2].default = Some(json!(null));
    let paths: Vec<_> = check(&blueprint).into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["views[0].parts[2].default"]);
}

#[test]
fn templates_are_checked() {
    let part = "/views/0/parts/1";
    let cases = [
        ("path", json!([]), "path"),
        ("path", json!([{"parameter": "id"}]), "path"),
        ("path", json!([{"text": "orders"}]), "path"),
        ("path", json!([{"text": "/a?b"}]), "path[0].text"),
        ("path", json!([{"text": "/a b"}]), "path[0].text"),
        (
            "path",
            json!([{"text": "/ HTTP/1.1\r\n\r\n"}]),
            "path[0].text",
        ),
        (
            "path",
            json!([{"text": "/"}, {"parameter": "ids"}]),
            "path[1].parameter",
        ),
        ("path", json!([{"text": "/"}, {"item": []}]), "path[1].item"),
        (
            "query",
            json!([{"name": "a", "value": [{"text": "b&c=d"}]}]),
            "query[0].value[0].text",
        ),
        (
            "query",
            json!([{"name": "a", "value": [{"part": {"name": "users", "field": []}}]}]),
            "query[0].value[0].part.name",
        ),
        (
            "headers",
            json!([{"name": "x:y", "value": []}]),
            "headers[0].name",
        ),
        (
            "headers",
            json!([{"name": "Content-Length", "value": []}]),
            "headers[0].name",
        ),
        (
            "headers",
            json!([{"name": "x", "value": [{"text": "a\nb"}]}]),
            "headers[0].value[0].text",
        ),
    ];
    for (field, value, expected) in cases {
        let found = paths_with(&format!("{part}/{field}"), value.clone());
        assert_eq!(found, [format!("views[0].parts[1].{expected}")], "{value}");
    }
}

/// The one problem of the sample's first view when its parts read each other as said.
fn cycle_of(reads: &[(&str, &str)]) -> String {
    let mut document = sample();
    let one = |(name, after): &(&str, &str)| {
        json!({"name": name, "strength": "strong", "upstream": "orders", "method": "GET",
               "path": [{"text": "/"}, {"part": {"name": after, "field": []}}], "shape": 1})
    };
    document["views"][0]["parts"] = reads.iter().map(one).collect();
    let problems = check(&read(document));
    assert_eq!(problems.len(), 1, "{problems:?}");
    format!("{} {}", problems[0].path, problems[0].message)
}

#[test]
fn a_cycle_is_shown_as_it_runs() {
    let text = |at, cycle| format!("views[0].parts[{at}] parts wait for each other: {cycle}");
    assert_eq!(cycle_of(&[("a", "a")]), text(0, "a -> a"));
    assert_eq!(cycle_of(&[("a", "b"), ("b", "a")]), text(0, "a -> b -> a"));
    // `x` leads into the cycle and is no member of it.
    let reads = [("x", "b"), ("a", "b"), ("b", "c"), ("c", "a")];
    assert_eq!(cycle_of(&reads), text(2, "b -> c -> a -> b"));
}

#[test]
fn each_waits_for_its_list() {
    let mut document = sample();
    document["views"][0]["parts"][0]["each"]["part"] = json!("stock");
    let problems = check(&read(document));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].message.ends_with("stock -> stock"),
        "{problems:?}"
    );
}

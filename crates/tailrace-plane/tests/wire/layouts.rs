//! Replies that are not simply their parts by name: unwrapped answers, merged objects, continued
//! lists, bare collections; degraded ones stay valid JSON and say so.

use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{answer, json as reply_json, Seen, Step, Upstream};
use serde_json::{json, Value};

/// The usual shapes; `{"data": {"thing": THING}}`; a list of things, possibly null; a pair of
/// `name` and optional `note`, possibly null.
const WRAPPED: u32 = 6;
const LIST: u32 = 5;
const LIST_OR_NULL: u32 = 8;
const PAIR: u32 = 9;
const PAIR_OR_NULL: u32 = 10;

fn field(name: &str, shape: u32, required: bool) -> Value {
    json!({"name": name, "shape": shape, "required": required})
}

fn shapes() -> Value {
    let object = |fields: Vec<Value>| json!({"kind": "object", "extra": "drop", "fields": fields});
    json!([
        {"kind": "string"},
        {"kind": "any"},
        object(vec![field("id", 0, true)]),
        {"kind": "optional", "inner": 2},
        object(vec![field("items", 5, true)]),
        {"kind": "array", "items": 2},
        object(vec![field("data", 7, true)]),
        object(vec![field("thing", 2, true)]),
        {"kind": "optional", "inner": 5},
        object(vec![field("name", 0, false), field("note", 0, false)]),
        {"kind": "optional", "inner": 9},
    ])
}

/// Answers by the last segment; `fail` fails.
fn upstream() -> Upstream {
    Upstream::start(|seen: &Seen| {
        let target = seen.target();
        let body = match target.rsplit('/').next().unwrap_or_default() {
            "wrapped" => r#"{"x":1,"data":{"y":[2],"thing":{"z":3,"id":"w"},"q":"}"}}"#,
            "odd" => r#"{"data":{"thing":null}}"#,
            "ab" => r#"[{"id":"a"}, {"id":"b"}]"#,
            "c" => r#" [ {"id":"c"} ] "#,
            "none" => "[]",
            "pair" => r#"{ "name":"n","secret":1,"note":"x" }"#,
            "empty" => "{}",
            "thing" => r#"{"id":"t"}"#,
            _ => {
                return vec![Step::Send(answer(
                    "500 Internal Server Error",
                    "text/plain",
                    "",
                ))]
            }
        };
        vec![Step::Send(reply_json(body))]
    })
}

fn start(parts: Vec<Value>, view: Value) -> (Upstream, Running) {
    let upstream = upstream();
    let plane = Service::new()
        .shapes(shapes())
        .upstream("up", &upstream)
        .view_with("it", "/it", parts, view)
        .start();
    (upstream, plane)
}

fn unwrapped(path: &str) -> Value {
    let unwrap = json!({"shape": WRAPPED, "field": ["data", "thing"]});
    with(strong("it", path), json!({"unwrap": unwrap}))
}

fn list(name: &str, path: &str, more: Value) -> Value {
    let part = with(strong(name, path), json!({"shape": LIST}));
    with(part, more)
}

#[test]
fn the_value_is_taken_from_inside_the_answer() {
    let (_up, plane) = start(vec![unwrapped("/wrapped")], json!({}));
    assert_eq!(plane.get("/it").json()["it"], json!({"id": "w"}));
    let (_up, plane) = start(vec![unwrapped("/odd")], json!({}));
    assert_eq!(plane.get("/it").status, 502);
}

#[test]
fn fields_of_a_merged_object_stand_in_the_reply_itself() {
    for (path, expected) in [
        (
            "/pair",
            json!({"name": "n", "note": "x", "it": {"id": "t"}}),
        ),
        ("/empty", json!({"it": {"id": "t"}})),
    ] {
        let merged = with(strong("pair", path), json!({"shape": PAIR, "merge": true}));
        let (_up, plane) = start(vec![merged, strong("it", "/thing")], json!({}));
        let reply = plane.get("/it");
        let mut got = reply.json();
        let object = got.as_object_mut().expect("an object");
        for own in ["degraded", "request_id", "served_at_ms"] {
            assert!(object.remove(own).is_some(), "{own} of {path}");
        }
        assert_eq!(got, expected, "{path}");
    }
}

#[test]
fn a_merged_object_that_is_missing_leaves_a_reply_that_says_so() {
    let merged = with(
        weak("pair", "/fail"),
        json!({"shape": PAIR_OR_NULL, "merge": true}),
    );
    let (_up, plane) = start(vec![merged], json!({}));
    let reply = plane.get("/it");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["degraded"], json!(["pair"]));
    assert_eq!(reply.json().as_object().map(serde_json::Map::len), Some(3));
    let header = reply.header("tailrace-degraded");
    assert_eq!(header, Some("pair;reason=server_error"));
}

#[test]
fn a_list_continues_another_list() {
    let rows = [
        ("/ab", "/c", "abc"),
        ("/none", "/c", "c"),
        ("/ab", "/none", "ab"),
        ("/none", "/none", ""),
    ];
    for (first, second, expected) in rows {
        let parts = vec![
            list("more", second, json!({"append": "items"})),
            list("items", first, json!({})),
        ];
        let (_up, plane) = start(parts, json!({}));
        let got = plane.get("/it").json();
        assert_eq!(ids(&got["items"]), expected, "{first} {second}");
        assert_eq!(got.get("more"), None);
    }
}

fn ids(list: &Value) -> String {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(|one| one["id"].as_str()).collect()
}

#[test]
fn a_collection_is_a_bare_list_and_its_headers_say_the_rest() {
    let more = with(
        weak("more", "/fail"),
        json!({"shape": LIST_OR_NULL, "append": "items"}),
    );
    let parts = vec![list("items", "/ab", json!({})), more];
    let (_up, plane) = start(parts, json!({"collection": "items"}));
    let reply = plane.get("/it");
    assert_eq!(ids(&reply.json()), "ab");
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("more;reason=server_error")
    );
    let missing = with(weak("items", "/fail"), json!({"shape": LIST_OR_NULL}));
    let (_up, plane) = start(vec![missing], json!({"collection": "items"}));
    let reply = plane.get("/it");
    assert_eq!((reply.status, reply.json()), (200, json!([])));
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("items;reason=server_error")
    );
}

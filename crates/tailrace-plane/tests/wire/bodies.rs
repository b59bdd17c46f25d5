//! Methods and bodies: a request's document is checked before any call, a call's document is put
//! together from values that cannot leave their place, and nothing is applied twice unasked
//! (req 9.4).

use crate::client::{Client, Reply};
use crate::service::{merge, strong, template, weak, with, Running, Service, TEXT};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use serde_json::{json, Value};

/// The usual shapes, a draft (`user_id`, optional `coupon`, `items`) and an integer.
const DRAFT: u32 = 6;
const TEXT_OR_NULL: u32 = 7;
const INTEGER: u32 = 8;
const LITERAL: u32 = 9;

fn shapes() -> Value {
    json!([
        {"kind": "string"},
        {"kind": "any"},
        {"kind": "object", "extra": "drop",
         "fields": [{"name": "id", "shape": 0, "required": true}]},
        {"kind": "optional", "inner": 2},
        {"kind": "object", "extra": "drop",
         "fields": [{"name": "items", "shape": 5, "required": true}]},
        {"kind": "array", "items": 2},
        {"kind": "object", "extra": "drop", "fields": [
            {"name": "user_id", "shape": 0, "required": true},
            {"name": "coupon", "shape": TEXT_OR_NULL, "required": false, "default": null},
            {"name": "items", "shape": 5, "required": false, "default": []},
        ]},
        {"kind": "optional", "inner": 0},
        {"kind": "integer", "limits": {"ge": 1}},
        {"kind": "literal", "values": ["express", "slow"]},
    ])
}

fn parameter(place: &str, name: &str, shape: u32, required: bool) -> Value {
    json!({"name": name, "in": place, "shape": shape, "required": required})
}

fn draft() -> Value {
    json!({"method": "POST", "body": {"name": "draft", "shape": DRAFT}})
}

/// A strong part that sends `body` with `method` to `/sent/{id}`-like paths.
fn sent(method: &str, body: &Value) -> Value {
    with(
        strong("it", "/sent/7"),
        json!({"method": method, "body": body}),
    )
}

fn service(upstream: &Upstream, parts: Vec<Value>, view: Value) -> Service {
    Service::new()
        .shapes(shapes())
        .upstream("up", upstream)
        .view_with("place", "/orders", parts, view)
}

/// A request with a body of the media type, on a connection of its own.
fn send(plane: &Running, method: &str, kind: &str, body: &str) -> Reply {
    let mut client = plane.client();
    post(&mut client, method, kind, body);
    client.reply()
}

fn post(client: &mut Client, method: &str, kind: &str, body: &str) {
    client.send(format!(
        "{method} /orders HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
}

fn post_json(plane: &Running, body: &str) -> Reply {
    send(plane, "POST", "application/json", body)
}

#[test]
fn a_document_is_projected_and_its_values_reach_the_call() {
    let upstream = Upstream::echo();
    let body = json!({"json": [
        {"text": "{\"user\":"},
        {"value": {"part": {"name": "draft", "field": ["user_id"]}}},
        {"text": ",\"lines\":"},
        {"value": {"part": {"name": "draft", "field": ["items"]}}},
        {"text": ",\"note\":"},
        {"string": template("for {draft.user_id}!")},
        {"text": "}"},
    ]});
    let plane = service(&upstream, vec![sent("POST", &body)], draft()).start();
    let hostile = r#"{"user_id":"a\",\"admin\":\"\u0001","secret":1,"items":[{"id":"1","x":2}]}"#;
    let reply = post_json(&plane, hostile);
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let seen = &upstream.seen()[0];
    assert!(seen.text().starts_with("POST /sent/7 HTTP/1.1\r\n"));
    assert_eq!(
        seen.header("content-type").as_deref(),
        Some("application/json")
    );
    let got: Value = serde_json::from_slice(&seen.body).expect("what is sent is JSON");
    let user = "a\",\"admin\":\"\u{1}";
    assert_eq!(
        got,
        json!({"user": user, "lines": [{"id": "1"}], "note": format!("for {user}!")})
    );
}

#[test]
fn what_does_not_fit_is_refused_before_any_call() {
    let upstream = Upstream::echo();
    let body = json!({"json": [{"value": {"part": {"name": "draft", "field": []}}}]});
    let plane = service(&upstream, vec![sent("POST", &body)], draft()).start();
    let rows = [
        ("application/json", "", 400, "missing_body"),
        ("application/json", "{}", 400, "bad_body"),
        ("application/json", "{\"user_id\":7}", 400, "bad_body"),
        (
            "application/json",
            "{\"user_id\":\"a\",\"user_id\":\"b\"}",
            400,
            "bad_body",
        ),
        ("application/json", "{\"user_id\":\"a\"} x", 400, "bad_body"),
        ("application/json", "{\"user_id\":\"a\"", 400, "bad_body"),
        (
            "text/plain",
            "{\"user_id\":\"a\"}",
            415,
            "unsupported_media_type",
        ),
        (
            "application/json; charset=latin1",
            "{\"user_id\":\"a\"}",
            415,
            "unsupported_media_type",
        ),
    ];
    for (kind, text, status, code) in rows {
        let reply = send(&plane, "POST", kind, text);
        assert_eq!(
            (reply.status, reply.code()),
            (status, code.to_owned()),
            "{kind} {text}"
        );
    }
    let deep = format!("{{\"user_id\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    assert_eq!(post_json(&plane, &deep).code(), "bad_body");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_in_pieces_and_in_chunks_is_the_same_body() {
    let upstream = Upstream::echo();
    let body = json!({"json": [{"value": {"part": {"name": "draft", "field": []}}}]});
    let plane = service(&upstream, vec![sent("POST", &body)], draft()).start();
    let mut client = plane.client();
    let head = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    client.send(format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n4\r\n{{\"us\r\n"
    ));
    client.send("f\r\ner_id\":\"a\",\"x\":\r\n2\r\n1}\r\n0\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    // The connection goes on, and the next body is its own.
    post(
        &mut client,
        "POST",
        "application/json",
        "{\"user_id\":\"b\"}",
    );
    assert_eq!(client.reply().status, 200);
    let users = upstream.seen().into_iter().map(|seen| {
        let got: Value = serde_json::from_slice(&seen.body).expect("JSON");
        got["user_id"].as_str().map(str::to_owned)
    });
    let users: Vec<Option<String>> = users.collect();
    assert_eq!(users, [Some("a".to_owned()), Some("b".to_owned())]);
}

#[test]
fn methods_of_one_path_lead_to_their_own_views() {
    let upstream = Upstream::echo();
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("list", "/orders", vec![strong("it", "/got/1")])
        .view_with(
            "gone",
            "/orders",
            vec![with(strong("it", "/gone/2"), json!({"method": "DELETE"}))],
            json!({"method": "DELETE"}),
        )
        .start();
    assert_eq!(plane.get("/orders").json()["it"]["id"], "1");
    let reply = send(&plane, "DELETE", "text/plain", "");
    assert_eq!(reply.json()["it"]["id"], "2");
    let put = send(&plane, "PUT", "text/plain", "");
    let allowed = Some("GET, HEAD, DELETE, OPTIONS");
    assert_eq!((put.status, put.header("allow")), (405, allowed));
    let targets: Vec<String> = upstream.seen().iter().map(first_words).collect();
    assert_eq!(targets, ["GET /got/1", "DELETE /gone/2"]);
}

fn first_words(seen: &Seen) -> String {
    let text = seen.text();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_form_is_read_and_a_form_is_sent() {
    let upstream = Upstream::echo();
    let view = json!({"method": "POST", "parameters": [
        parameter("form", "name", TEXT, true), parameter("form", "count", INTEGER, false),
    ]});
    let form = json!({"form": [
        {"name": "n", "value": template("{name}")},
        {"name": "c", "value": template("{count}")},
        {"name": "k", "value": template("x")},
    ]});
    let plane = service(&upstream, vec![sent("POST", &form)], view).start();
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(
        send(&plane, "POST", kind, "name=a%26b+c&count=3").status,
        200
    );
    assert_eq!(send(&plane, "POST", kind, "name=z").status, 200);
    let bodies: Vec<String> = upstream
        .seen()
        .iter()
        .map(|seen| String::from_utf8_lossy(&seen.body).into_owned())
        .collect();
    assert_eq!(bodies, ["n=a%26b%20c&c=3&k=x", "n=z&k=x"]);
    let missing = send(&plane, "POST", kind, "count=3");
    assert_eq!(
        (missing.status, missing.code()),
        (400, "missing_parameter".to_owned())
    );
    assert_eq!(
        send(&plane, "POST", kind, "name=a&count=0").code(),
        "bad_parameter"
    );
    assert_eq!(send(&plane, "POST", "application/json", "{}").status, 415);
    assert_eq!(upstream.count(), 2);
}

/// A plane whose upstream fails every attempt, retried once where that is allowed.
fn failing(method: &str, key: Option<Value>, bad: Vec<Step>) -> (Upstream, Running) {
    let upstream = Upstream::start(move |_| bad.clone());
    let mut part = with(strong("it", "/sent/7"), json!({"method": method}));
    if let Some(key) = key {
        merge(&mut part, json!({"idempotency_key": key}));
    }
    let plane = Service::new()
        .shapes(shapes())
        .upstream_with(
            "up",
            &upstream,
            json!({"retry": {"attempts": 2}, "throttle": null}),
        )
        .view_with("place", "/orders", vec![part], draft())
        .start();
    (upstream, plane)
}

// req 9.4
#[test]
fn only_a_call_that_may_be_repeated_is() {
    let unavailable = vec![Step::Send(answer(
        "503 Service Unavailable",
        "text/plain",
        "",
    ))];
    let key = || Some(template("{draft.user_id}"));
    let rows = [
        ("POST", None, 1),
        ("PATCH", None, 1),
        ("PUT", None, 2),
        ("DELETE", None, 2),
        ("POST", key(), 2),
        ("PATCH", key(), 2),
    ];
    for (method, key, attempts) in rows {
        for bad in [unavailable.clone(), vec![Step::Reset]] {
            let with_key = key.is_some();
            let (upstream, plane) = failing(method, key.clone(), bad);
            let reply = post_json(&plane, r#"{"user_id":"u-7"}"#);
            assert_eq!(reply.status, 502, "{method}");
            assert_eq!(upstream.count(), attempts, "{method} {with_key}");
            let refused =
                plane.counter("tailrace_attempt_refusals_total", "code=\"not_idempotent\"");
            assert_eq!(refused, u64::from(attempts == 1), "{method}");
            let keys: Vec<Option<String>> = upstream
                .seen()
                .iter()
                .map(|seen| seen.header("idempotency-key"))
                .collect();
            let expected = with_key.then(|| "u-7".to_owned());
            assert!(keys.iter().all(|one| *one == expected), "{method} {keys:?}");
        }
    }
}

#[test]
fn a_call_is_made_only_when_its_condition_holds() {
    let upstream = Upstream::start(|seen| vec![Step::Send(echo(seen))]);
    let field = |name: &str| json!({"part": {"name": "draft", "field": [name]}});
    let parts = vec![
        with(
            weak("coupon", "/coupon/{draft.coupon}"),
            json!({"when": {"value": field("coupon")}}),
        ),
        with(
            weak("plain", "/plain/{draft.user_id}"),
            json!({"when": {"value": field("coupon"), "negated": true}}),
        ),
        with(
            strong("vip", "/vip/1"),
            json!({"shape": 3, "when": {"value": field("user_id"), "equals": "vip"}}),
        ),
    ];
    let plane = service(&upstream, parts, draft()).start();
    let reply = post_json(&plane, r#"{"user_id":"u","coupon":"c9"}"#).json();
    assert_eq!(reply["coupon"]["id"], "c9");
    assert_eq!(
        (&reply["plain"], &reply["vip"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(reply["degraded"], json!([]));
    let reply = post_json(&plane, r#"{"user_id":"vip"}"#).json();
    assert_eq!(reply["coupon"], Value::Null);
    assert_eq!(reply["plain"]["id"], "vip");
    assert_eq!(reply["vip"]["id"], "1");
    assert_eq!(reply["degraded"], json!([]));
    assert_eq!(upstream.count(), 3);
    let skipped = plane.counter("tailrace_part_results_total", "result=\"skipped\"");
    assert_eq!(skipped, 3);
}

#[test]
fn a_parameter_is_text_or_a_token_in_a_document_as_its_type_says() {
    let upstream = Upstream::echo();
    let view = json!({"method": "PUT", "parameters": [
        parameter("query", "note", TEXT, false), parameter("query", "count", INTEGER, true),
        parameter("query", "kind", LITERAL, true),
    ]});
    let value = |name: &str| json!({"value": {"parameter": name}});
    let body = json!({"json": [
        {"text": "["}, value("note"), {"text": ","}, value("count"),
        {"text": ","}, value("kind"), {"text": "]"},
    ]});
    let plane = Service::new()
        .shapes(shapes())
        .upstream("up", &upstream)
        .view_with("put", "/orders", vec![sent("PUT", &body)], view)
        .start();
    let mut client = plane.client();
    for query in ["count=3&kind=slow&note=a%22b", "count=12&kind=express"] {
        client.send(format!(
            "PUT /orders?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        ));
        assert_eq!(client.reply().status, 200);
    }
    let bodies = upstream
        .seen()
        .into_iter()
        .map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
    let bodies: Vec<String> = bodies.collect();
    assert_eq!(bodies, [r#"["a\"b",3,"slow"]"#, r#"[null,12,"express"]"#]);
}

//! Corners that a hostile review found: each was wrong once.

use crate::service::{strong, weak, with, Service, ANY, LIST};
use crate::upstream::{answer, echo, json as json_answer, Seen, Step, Upstream};
use serde_json::json;

// RELIABILITY S14: a short body whose items miss a long default asks for more than it says.
#[test]
fn defaults_count_as_memory_of_the_request() {
    let upstream = Upstream::start(|_| {
        let items = vec!["{}"; 100_000].join(",");
        vec![Step::Send(json_answer(format!("[{items}]")))]
    });
    let long = "x".repeat(300);
    let shapes = json!([
        {"kind": "string"},
        {"kind": "object", "extra": "drop",
         "fields": [{"name": "note", "shape": 0, "required": false, "default": long}]},
        {"kind": "array", "items": 1},
    ]);
    let plane = Service::new()
        .shapes(shapes)
        .upstream("up", &upstream)
        .view(
            "one",
            "/one",
            vec![with(strong("it", "/it"), json!({"shape": 2}))],
        )
        .start();
    let reply = plane.get("/one");
    assert_eq!((reply.status, reply.code().as_str()), (503, "memory"));
}

#[test]
fn an_empty_item_is_not_the_default_of_the_list() {
    let upstream = Upstream::start(|seen: &Seen| {
        let target = seen.target();
        if target == "/list" {
            return vec![Step::Send(json_answer(
                r#"{"items":[{"id":"1"},{"id":"2"}]}"#,
            ))];
        }
        if target.ends_with('2') {
            return vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())];
        }
        vec![Step::Send(echo(seen))]
    });
    let each = json!({"each": {"part": "list", "field": ["items"], "items_max": 4}, "default": []});
    let plane = Service::new()
        .upstream("up", &upstream)
        .view(
            "one",
            "/one",
            vec![
                with(strong("list", "/list"), json!({"shape": LIST})),
                with(strong("it", "/it/{item.id}"), each),
            ],
        )
        .start();
    let reply = plane.get("/one");
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "model_mismatch")
    );
}

// DESIGN 4: a strong part's own 404 or 410 becomes the reply's.
#[test]
fn gone_stays_gone() {
    let upstream = Upstream::start(|_| vec![Step::Send(answer("410 Gone", "text/plain", ""))]);
    let plane = Service::one(&upstream).start();
    let reply = plane.get("/one/7");
    assert_eq!((reply.status, reply.code().as_str()), (410, "gone"));
    let weak_part = with(weak("it", "/it"), json!({"shape": ANY}));
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("weak", "/weak", vec![weak_part])
        .start();
    let reply = plane.get("/weak");
    assert_eq!(reply.header("tailrace-degraded"), Some("it;reason=gone"));
}

#[test]
fn options_of_the_server_names_the_methods() {
    let plane = Service::one(&Upstream::echo()).start();
    let mut client = plane.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = client.reply_without_body();
    assert_eq!(
        (reply.status, reply.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn a_body_that_nobody_wants_is_not_invited() {
    let plane = Service::one(&Upstream::echo()).start();
    for (start, status) in [("GET /nowhere", 404), ("POST /one/7", 405)] {
        let mut client = plane.client();
        client.send(format!(
            "{start} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        ));
        let reply = client.reply();
        assert_eq!(reply.status, status, "{start}: the first answer is final");
        assert!(reply.closes());
    }
}

#[test]
fn a_refused_body_keeps_the_request_id_and_the_method() {
    let plane = Service::one(&Upstream::echo())
        .limit("request_body_max_bytes", 10)
        .start();
    let mut client = plane.client();
    client.send(
        "HEAD /one/7 HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine-1\r\nContent-Length: 99\r\n\r\n",
    );
    let reply = client.reply_without_body();
    assert_eq!(
        (reply.status, reply.header("x-request-id")),
        (413, Some("mine-1"))
    );
    assert!(client.rest().is_empty(), "a HEAD has no body");
}

// req 2.1: the naive side retries blindly, each attempt within one uniform timeout.
#[test]
fn naive_mode_tries_three_times_and_knows_no_cap() {
    let upstream = Upstream::start(|_| vec![Step::Send(answer("500 Oh", "text/plain", ""))]);
    let plane = Service::one(&upstream).naive().start();
    assert_eq!(plane.get("/one/7").status, 502);
    assert_eq!(upstream.count(), 3);
    assert_eq!(plane.config()["protections"], "off");
}

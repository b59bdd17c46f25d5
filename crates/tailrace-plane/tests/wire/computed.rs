//! Computed fields as the plane sees them: a script stands where Python would be (req 8.1,
//! RELIABILITY A04, A09).

use crate::client::get;
use crate::patience::eventually;
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;
use tailrace_plane::bridge::{Bridge, Event, Start};
use tailrace_plane::Reason;

/// `GET /c/{id}`: strong part `it`, computed `total` behind it, weak part `more`, and last the weak
/// computed `note`, whose fallback is "none". `/plain/{id}` computes nothing.
fn service(upstream: &Upstream, with: Value) -> Service {
    let computed = json!({"limit": 2, "time_ms": 100.0, "fields": [
        {"name": "total", "strength": "strong", "after": 1},
        {"name": "note", "strength": "weak", "after": 2, "default": "none"},
    ]});
    let mut declared = json!({"computed": computed});
    crate::service::merge(&mut declared, with);
    let parts = vec![strong("it", "/it/{id}"), weak("more", "/more/{id}")];
    Service::new()
        .upstream("up", upstream)
        .view_with("c", "/c/{id}", parts, declared)
        .view("plain", "/plain/{id}", vec![strong("it", "/it/{id}")])
}

fn bridge(plane: &Running) -> Arc<Bridge> {
    Arc::clone(plane.bridge().expect("a service with computed fields"))
}

fn asked(bridge: &Bridge) -> Start {
    let mut events = Vec::new();
    eventually("Python is asked", || {
        events = bridge.take().events;
        !events.is_empty()
    });
    match events.pop() {
        Some(Event::Compute(start)) => start,
        other => panic!("nothing to compute: {other:?}"),
    }
}

fn made(bridge: &Bridge, start: &Start, results: Vec<Result<Vec<u8>, Reason>>) {
    bridge.post(vec![bridge.computed(
        start.ticket,
        start.view,
        results,
        2_000_000,
    )]);
}

#[allow(clippy::unnecessary_wraps)] // One of a list with failures.
fn ok(json: &str) -> Result<Vec<u8>, Reason> {
    Ok(json.as_bytes().to_vec())
}

// req 10.4: the bytes of the parts and of the fields stand in declared order.
#[test]
fn fields_stand_where_they_are_declared_and_are_asked_for_once() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({})).start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    client.send("GET /c/7 HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-1\r\n\r\n");
    let start = asked(&bridge);
    let values: Vec<_> = start.values.iter().map(Option::as_deref).collect();
    let parts = [&br#"{"id":"7"}"#[..], br#"{"id":"7"}"#];
    assert_eq!(values, [Some(parts[0]), Some(parts[1]), Some(b"7")]);
    assert_eq!(start.request_id, b"r-1");
    assert_eq!(
        plane.counter("tailrace_computed_in_flight", "view=\"c\""),
        1
    );
    made(&bridge, &start, vec![ok("1.50"), ok("\"two\"")]);
    let reply = client.reply();
    let text = String::from_utf8(reply.body.clone()).expect("JSON is text");
    assert!(
        text.starts_with(
            r#"{"it":{"id":"7"},"total":1.50,"more":{"id":"7"},"note":"two","degraded":[],"#
        ),
        "{text}"
    );
    assert_eq!(reply.header("tailrace-degraded"), None);
    let counted = |name, labels| plane.counter(name, labels);
    assert_eq!(
        counted("tailrace_interpreter_entries_total", "view=\"c\""),
        1
    );
    assert_eq!(counted("tailrace_computed_in_flight", "view=\"c\""), 0);
    assert_eq!(counted("tailrace_computed_seconds_count", "view=\"c\""), 1);
    assert_eq!(
        counted("tailrace_computed_wait_seconds_count", "view=\"c\""),
        1
    );
    let results = "view=\"c\" part=\"total\" result=\"ok\"";
    assert_eq!(counted("tailrace_part_results_total", results), 1);
}

#[test]
fn a_view_without_computed_fields_never_asks() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({})).start();
    let bridge = bridge(&plane);
    assert_eq!(plane.get("/plain/1").status, 200);
    assert!(bridge.take().events.is_empty());
    assert_eq!(
        plane.counter("tailrace_interpreter_entries_total", "view=\"plain\""),
        0
    );
}

#[test]
fn a_failed_field_means_what_a_failed_part_means() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({})).start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    let mut asks = |results: Vec<Result<Vec<u8>, Reason>>| {
        client.send(get("/c/7"));
        let start = asked(&bridge);
        made(&bridge, &start, results);
        client.reply()
    };
    let weak = asks(vec![ok("1"), Err(Reason::ComputedMismatch)]);
    assert_eq!((weak.status, &weak.json()["note"]), (200, &json!("none")));
    assert_eq!(weak.json()["degraded"], json!(["note"]));
    assert_eq!(
        weak.header("tailrace-degraded"),
        Some("note;reason=computed_mismatch;served=default")
    );
    let strong = asks(vec![Err(Reason::ComputedError), ok("1")]);
    assert_eq!(
        (strong.status, strong.code().as_str()),
        (502, "computed_error")
    );
    assert_eq!(strong.json()["part"], "total");
    // Fewer results than fields is a failure of those that have none.
    let fewer = asks(vec![ok("1")]);
    assert_eq!(
        fewer.header("tailrace-degraded"),
        Some("note;reason=computed_error;served=default")
    );
    assert_eq!(asks(vec![ok("1"), ok("2")]).status, 200);
}

// req 4.5: what a strong part has ended is not computed.
#[test]
fn nothing_is_computed_of_a_request_that_has_failed() {
    let upstream =
        Upstream::start(|_: &Seen| vec![Step::Send(answer("500 Internal", "text/plain", ""))]);
    let plane = service(&upstream, json!({})).start();
    let reply = plane.get("/c/7");
    assert_eq!((reply.status, reply.code().as_str()), (502, "server_error"));
    assert!(bridge(&plane).take().events.is_empty());
}

/// RELIABILITY A09: the deadline and the limit are the plane's, whatever the code does.
#[test]
fn code_that_never_returns_costs_its_own_places_and_nothing_else() {
    let upstream = Upstream::echo();
    let fields = |strength: &str| {
        json!({"limit": 1, "time_ms": 100.0, "fields": [
            {"name": "total", "strength": strength, "after": 2},
        ]})
    };
    for (strength, status) in [("strong", 504), ("weak", 200)] {
        let with = json!({"deadline_ms": 400.0, "computed": fields(strength)});
        let plane = service(&upstream, with).start();
        let bridge = bridge(&plane);
        // Never taken by Python: it is forgotten before it is seen.
        assert_eq!(plane.get("/c/1").status, status);
        assert!(bridge.take().events.is_empty());
        assert_eq!(
            plane.counter("tailrace_computed_in_flight", "view=\"c\""),
            0
        );
        let mut client = plane.client();
        client.send(get("/c/2"));
        let start = asked(&bridge);
        let late = client.reply();
        assert_eq!(late.status, status);
        // It holds the only place until it has really ended.
        let full = plane.get("/c/3");
        if status == 504 {
            assert_eq!(late.code(), "deadline");
            assert_eq!((full.status, full.code().as_str()), (503, "computed_full"));
            assert!(full.header("retry-after").is_some());
        } else {
            assert_eq!(
                late.header("tailrace-degraded"),
                Some("total;reason=deadline")
            );
            assert_eq!(
                full.header("tailrace-degraded"),
                Some("total;reason=computed_full")
            );
        }
        assert_eq!(plane.get("/plain/1").status, 200, "others are untouched");
        assert_eq!(
            plane.counter("tailrace_computed_refused_total", "view=\"c\""),
            1
        );
        made(&bridge, &start, vec![ok("1")]);
        assert_eq!(
            plane.counter("tailrace_computed_in_flight", "view=\"c\""),
            0
        );
    }
}

// What is kept for the fields is not the parts': a weak part that hangs leaves time for them.
#[test]
fn a_weak_part_that_hangs_leaves_the_fields_their_time() {
    let upstream = Upstream::start(|seen: &Seen| {
        if seen.target().starts_with("/more/") {
            return vec![Step::Hold];
        }
        vec![Step::Send(echo(seen))]
    });
    let mut fields = json!({"limit": 2, "time_ms": 5_000.0, "fields": [
        {"name": "total", "strength": "strong", "after": 2},
    ]});
    let with = json!({"deadline_ms": 5_300.0, "computed": fields.take()});
    let plane = service(&upstream, with).start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    client.send(get("/c/1"));
    let start = asked(&bridge);
    assert_eq!(start.values[1].as_deref(), Some(&b"null"[..]));
    made(&bridge, &start, vec![ok("1")]);
    let reply = client.reply();
    assert_eq!((reply.status, &reply.json()["total"]), (200, &json!(1)));
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("more;reason=deadline")
    );
}

/// RELIABILITY A04: a client that leaves is forgotten, and the place is free when the code ends.
#[test]
fn a_client_that_leaves_while_its_fields_are_made_is_forgotten() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({})).start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    client.send(get("/c/1"));
    let start = asked(&bridge);
    drop(client);
    let gone = || plane.counter("tailrace_cancelled_requests_total", "view=\"c\"");
    eventually("the plane sees the end", || gone() == 1);
    made(&bridge, &start, vec![ok("1"), ok("2")]);
    let told = bridge.take().events;
    assert!(
        matches!(told.as_slice(), [Event::Cancel(ticket)] if *ticket == start.ticket),
        "{told:?}"
    );
    assert_eq!(
        plane.counter("tailrace_computed_in_flight", "view=\"c\""),
        0
    );
}

#[test]
fn results_count_among_the_bytes_a_request_may_hold() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({}))
        .limit("request_memory_max_bytes", 1_000)
        .start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    client.send(get("/c/1"));
    let start = asked(&bridge);
    let long = format!("\"{}\"", "x".repeat(2_000));
    made(&bridge, &start, vec![ok(&long), ok("1")]);
    let reply = client.reply();
    assert_eq!((reply.status, reply.code().as_str()), (503, "memory"));
}

// req 5.2: the log says what Python took, and how each field ended.
#[test]
fn the_access_log_says_what_python_took() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("tailrace-computed-{}.log", std::process::id()));
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({}))
        .access_log(json!({"format": "json", "path": path.to_str()}))
        .start();
    let bridge = bridge(&plane);
    let mut client = plane.client();
    client.send(get("/c/1"));
    let start = asked(&bridge);
    made(&bridge, &start, vec![ok("1"), Err(Reason::ComputedError)]);
    assert_eq!(client.reply().status, 200);
    let mut line = String::new();
    eventually("the line is written", || {
        line = std::fs::read_to_string(&path).unwrap_or_default();
        line.ends_with('\n')
    });
    std::fs::remove_file(&path).expect("the log of this test");
    let line: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!(line["python"]["us"], 2_000);
    assert!(line["python"]["lock_us"].is_u64());
    assert_eq!(line["parts"]["note"]["failed"], "computed_error");
    assert_eq!(line["parts"]["note"]["source"], "default");
    assert!(line["parts"]["total"]["failed"].is_null());
}

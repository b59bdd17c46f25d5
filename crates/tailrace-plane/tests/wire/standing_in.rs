//! The fallback chain: fresh, cached, stale, another upstream, the default, missing; and that the
//! reply says which (req 8.3, 10.2, RELIABILITY A03).

use crate::client::Reply;
use crate::service::{strong, template, weak, with, Running, Service};
use crate::upstream::{answer, json as json_answer, Step, Upstream};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

/// The parts, in declared order, and whether each is strong.
const PARTS: [(&str, bool); 6] = [
    ("order", true),
    ("stock", true),
    ("coupon", false),
    ("recommend", false),
    ("reviews", false),
    ("shipping", false),
];

/// Expires at once, and may stand in for an hour when the fetch fails.
fn only_on_error() -> Value {
    json!({"ttl_ms": 0.001, "stale_ms": 0.0, "stale_if_error_ms": 3_600_000.0})
}

/// `/<part>`: 500 when the part's bit is set in the mask.
fn by_mask(mask: &Arc<AtomicUsize>) -> Upstream {
    let mask = Arc::clone(mask);
    Upstream::start(move |seen| {
        let part: usize = seen.target()[1..].parse().expect("a part");
        vec![Step::Send(if mask.load(SeqCst) & (1 << part) == 0 {
            json_answer(format!(r#"{{"id":"{part}"}}"#))
        } else {
            answer("500 Oops", "application/json", r#"{"id":"foreign"}"#)
        })]
    })
}

fn six_parts(upstream: &Upstream) -> Running {
    let part = |(index, (name, is_strong)): (usize, &(&str, bool))| {
        let path = format!("/{index}");
        let part = if *is_strong {
            strong(name, &path)
        } else {
            weak(name, &path)
        };
        with(part, json!({"cache": only_on_error()}))
    };
    let parts = PARTS.iter().enumerate().map(part).collect();
    Service::new()
        .limit("cache_max_bytes", 2 << 20)
        .upstream("up", upstream)
        .view("six", "/six", parts)
        .start()
}

fn names(mask: usize) -> Vec<&'static str> {
    let failed = PARTS.iter().enumerate();
    failed
        .filter(|(index, _)| mask & (1 << index) != 0)
        .map(|(_, (name, _))| *name)
        .collect()
}

fn check(mask: usize, reply: &Reply) {
    let failed = names(mask);
    assert_eq!(reply.status, 200, "{mask:06b}");
    let body = reply.json();
    for (index, (name, _)) in PARTS.iter().enumerate() {
        assert_eq!(
            body[name],
            json!({"id": index.to_string()}),
            "{mask:06b} {name}"
        );
    }
    assert_eq!(body["degraded"], json!(failed), "{mask:06b}");
    let said = |name: &&str| format!("{name};reason=server_error;served=stale;age=0");
    let header = failed.iter().map(said).collect::<Vec<_>>().join(", ");
    let header = (!failed.is_empty()).then_some(header);
    assert_eq!(
        reply.header("tailrace-degraded"),
        header.as_deref(),
        "{mask:06b}"
    );
    let no_store = (!failed.is_empty()).then_some("no-store");
    assert_eq!(reply.header("cache-control"), no_store, "{mask:06b}");
    assert_eq!(
        reply.header("tailrace-sources"),
        None,
        "{mask:06b}: the others are fresh"
    );
}

// A03, with something stale to stand in: each failed part is its last answer, and says so. Nothing
// of a degraded reply is kept: the next one asks all six again.
#[test]
fn all_outcomes_of_six_parts_are_whole_and_say_what_is_stale() {
    let mask = Arc::new(AtomicUsize::new(0));
    let upstream = by_mask(&mask);
    let plane = six_parts(&upstream);
    let mut client = plane.client();
    check(0, &client.get("/six"));
    let masks = 1 << PARTS.len();
    for failing in 0..masks {
        mask.store(failing, SeqCst);
        check(failing, &client.get("/six"));
    }
    println!(
        "A03 with stale: {masks} outcomes of {} parts, {masks} told the truth",
        PARTS.len()
    );
    assert_eq!(upstream.count(), PARTS.len() * (masks + 1));
    let stale = plane.counter("tailrace_part_source_total", "source=\"stale\"") as usize;
    let fresh = plane.counter("tailrace_part_source_total", "source=\"fresh\"") as usize;
    assert_eq!(stale, PARTS.len() * masks / 2);
    assert_eq!(fresh, PARTS.len() * (masks + 1) - stale);
}

// What was invalidated does not stand in: a strong part fails, a weak one is missing.
#[test]
fn nothing_stands_in_after_an_invalidation() {
    let mask = Arc::new(AtomicUsize::new(0));
    let upstream = by_mask(&mask);
    let plane = six_parts(&upstream);
    assert_eq!(plane.get("/six").status, 200);
    mask.store(0b11_1100, SeqCst);
    assert_eq!(plane.invalidate(Some("up"), ""), Ok(6));
    let reply = plane.get("/six");
    assert_eq!((reply.status, &reply.json()["coupon"]), (200, &Value::Null));
    assert!(reply
        .header("tailrace-degraded")
        .is_some_and(|all| !all.contains("served")));
    let missing = plane.counter("tailrace_part_source_total", "source=\"missing\"");
    assert_eq!(missing, 4);
    mask.store(1, SeqCst);
    plane.invalidate(None, "").expect("everything");
    assert_eq!(plane.get("/six").code(), "server_error");
}

// RFC 5861 4: that something does not exist is an answer, and the stale one is wrong.
#[test]
fn a_stale_answer_does_not_stand_in_for_another_answer() {
    let status = Arc::new(AtomicUsize::new(200));
    let now = Arc::clone(&status);
    let upstream = Upstream::start(move |_| {
        let line = format!("{} X", now.load(SeqCst));
        vec![Step::Send(answer(
            &line,
            "application/json",
            r#"{"id":"1"}"#,
        ))]
    });
    let cache = json!({"ttl_ms": 0.001, "stale_ms": 0.0, "stale_if_error_ms": 3_600_000.0,
                       "negative_ms": 0.0});
    let plane = Service::new()
        .limit("cache_max_bytes", 1 << 20)
        .upstream("up", &upstream)
        .view(
            "one",
            "/one",
            vec![with(weak("it", "/1"), json!({"cache": cache}))],
        )
        .start();
    assert_eq!(plane.get("/one").json()["it"], json!({"id": "1"}));
    for (code, reason, stands_in) in [
        (400, "client_error", false),
        (302, "redirect", false),
        (500, "server_error", true),
        (503, "server_error", true),
        (404, "not_found", false),
        (410, "gone", false),
    ] {
        status.store(code, SeqCst);
        let reply = plane.get("/one");
        let served = if stands_in { ";served=stale;age=0" } else { "" };
        let header = format!("it;reason={reason}{served}");
        assert_eq!(
            reply.header("tailrace-degraded"),
            Some(header.as_str()),
            "{code}"
        );
        assert_eq!(reply.json()["it"].is_null(), !stands_in, "{code}");
    }
}

/// A weak part with another upstream to stand in for it; the bits say which of the two fail.
fn two_upstreams(default: &Value) -> (Arc<AtomicUsize>, Vec<Upstream>, Running) {
    let mask = Arc::new(AtomicUsize::new(0));
    let upstreams: Vec<_> = (0..2).map(|_| by_mask(&mask)).collect();
    let otherwise = json!({"upstream": "spare", "path": template("/1")});
    let part = with(
        weak("it", "/0"),
        json!({"otherwise": otherwise, "default": default}),
    );
    let plane = Service::new()
        .limit("cache_max_bytes", 1 << 20)
        .upstream("up", &upstreams[0])
        .upstream("spare", &upstreams[1])
        .view("one", "/one", vec![part])
        .start();
    (mask, upstreams, plane)
}

#[test]
fn another_upstream_stands_in_and_then_the_default() {
    let (mask, upstreams, plane) = two_upstreams(&json!({"id": "none"}));
    for (failing, value, header) in [
        (0b00, "0", None),
        (0b10, "0", None),
        (0b01, "1", Some("it;reason=server_error;served=other")),
        (0b11, "none", Some("it;reason=server_error;served=default")),
    ] {
        mask.store(failing, SeqCst);
        let reply = plane.get("/one");
        assert_eq!(reply.json()["it"], json!({"id": value}), "{failing:02b}");
        assert_eq!(reply.header("tailrace-degraded"), header, "{failing:02b}");
        let degraded = if header.is_some() {
            json!(["it"])
        } else {
            json!([])
        };
        assert_eq!(reply.json()["degraded"], degraded, "{failing:02b}");
    }
    assert_eq!((upstreams[0].count(), upstreams[1].count()), (4, 2));
    for (source, times) in [("fresh", 2), ("other", 1), ("default", 1), ("missing", 0)] {
        let label = format!("source=\"{source}\"");
        assert_eq!(
            plane.counter("tailrace_part_source_total", &label),
            times,
            "{source}"
        );
    }
    assert_eq!(
        plane.counter("tailrace_part_results_total", "result=\"ok\""),
        2
    );
    assert_eq!(
        plane.counter("tailrace_part_results_total", "result=\"server_error\""),
        2
    );
}

// A header of one request is never sent with another: not even to an upstream that is only called
// when the first one fails.
#[test]
fn another_upstream_is_sent_this_requests_headers() {
    let spare = Upstream::echo();
    let first = Upstream::start(|_| vec![Step::Send(answer("500 X", "application/json", "{}"))]);
    let otherwise = json!({"upstream": "spare", "path": template("/1")});
    let part = with(weak("it", "/0"), json!({"otherwise": otherwise}));
    let plane = Service::new()
        .limit("cache_max_bytes", 1 << 20)
        .upstream("up", &first)
        .upstream_with(
            "spare",
            &spare,
            json!({"forward_headers": ["authorization"]}),
        )
        .view("one", "/one", vec![part])
        .start();
    let mut client = plane.client();
    for user in [Some("ann"), None, Some("bob"), None] {
        let line = user.map_or(String::new(), |user| format!("Authorization: {user}\r\n"));
        client.send(format!(
            "GET /one HTTP/1.1\r\nHost: shop.test\r\n{line}\r\n"
        ));
        assert_eq!(client.reply().status, 200);
        let seen = spare.seen();
        let sent = seen.last().and_then(|seen| seen.header("authorization"));
        assert_eq!(sent.as_deref(), user);
    }
}

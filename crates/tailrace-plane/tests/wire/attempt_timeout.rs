//! An attempt that runs out of its own time on real sockets: it is dropped and may be tried again
//! within the call's time, the purse and the budget (req 9.4, 4.5).

use crate::patience::eventually;
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{echo, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::collections::HashSet;
use std::sync::Mutex;

const REFUSALS: &str = "tailrace_attempt_refusals_total";

/// Says nothing the first time it sees a target, answers afterwards.
fn hangs_first() -> Upstream {
    let known = Mutex::new(HashSet::new());
    Upstream::start(move |seen: &Seen| {
        if known.lock().expect("no panic").insert(seen.target()) {
            return vec![Step::Hold];
        }
        vec![Step::Send(echo(seen))]
    })
}

fn start(upstream: &Upstream, declared: Value, part: Value) -> Running {
    Service::new()
        .upstream_with("up", upstream, declared)
        .view("one", "/one/{id}", vec![part])
        .start()
}

#[test]
fn an_attempt_that_hangs_is_dropped_and_another_one_answers() {
    let upstream = hangs_first();
    let declared = json!({"retry": {"attempts": 2, "attempt_timeout_ms": 100.0}});
    let plane = start(&upstream, declared, strong("it", "/one/{id}"));
    let reply = plane.get("/one/7");
    assert_eq!(
        (reply.status, reply.json()["it"]["id"].as_str()),
        (200, Some("7"))
    );
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_ne!(
        seen[0].connection, seen[1].connection,
        "never reused: its answer may still come"
    );
    eventually("the connection is closed", || upstream.abandoned() == 1);
    assert_eq!(plane.counter("tailrace_upstream_timeouts_total", ""), 1);
    assert_eq!(plane.counter("tailrace_upstream_retries_total", ""), 1);
    assert_eq!(plane.counter("tailrace_upstream_calls_total", ""), 1);
    // The peer is told how long this attempt waits, not how long the call may take.
    let told = seen[0].header("x-envoy-expected-rq-timeout-ms");
    let told: u32 = told.and_then(|ms| ms.parse().ok()).expect("a header");
    assert!((1..=100).contains(&told), "{told} ms");
}

// The call's time covers its attempts; without a bound of its own the first one takes all of it.
#[test]
fn without_a_bound_an_attempt_takes_the_whole_call() {
    let upstream = hangs_first();
    let declared = json!({"timeout_ms": 100.0, "retry": {"attempts": 2}});
    let plane = start(&upstream, declared, strong("it", "/one/{id}"));
    assert_eq!(plane.get("/one/7").status, 504);
    assert_eq!(upstream.count(), 1);
    assert_eq!(plane.counter(REFUSALS, r#"code="no_time""#), 1);
}

#[test]
fn attempts_that_all_hang_end_as_a_timeout_of_the_part() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let declared = json!({
        "retry": {"attempts": 3, "attempt_timeout_ms": 20.0, "backoff_ms": 1.0, "budget_min": 100},
    });
    let plane = start(&upstream, declared, weak("it", "/one/{id}"));
    let reply = plane.get("/one/7");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("tailrace-degraded"), Some("it;reason=timeout"));
    assert_eq!(upstream.count(), 3);
    assert_eq!(plane.counter("tailrace_upstream_timeouts_total", ""), 3);
    assert_eq!(plane.counter(REFUSALS, r#"code="attempts""#), 1);
    eventually("all are closed", || upstream.abandoned() == 3);
}

#[test]
fn a_retry_after_a_timeout_is_paid_like_any_other() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let retry = json!({
        "attempts": 3, "attempt_timeout_ms": 20.0, "budget": 0.0, "budget_min": 0,
    });
    let declared = json!({"retry": retry});
    let plane = start(&upstream, declared, strong("it", "/one/{id}"));
    assert_eq!(plane.get("/one/7").status, 504);
    assert_eq!(upstream.count(), 1);
    assert_eq!(plane.counter(REFUSALS, r#"code="retry_budget""#), 1);
}

// Several waits of one request at once: each call is woken at its own time by the one timer.
#[test]
fn calls_of_one_request_keep_their_own_time() {
    let upstream = hangs_first();
    let slow = hangs_first();
    let parts = vec![
        strong("it", "/it/{id}"),
        crate::service::with(strong("other", "/other/{id}"), json!({"upstream": "slow"})),
    ];
    let bound = |ms: f64| json!({"retry": {"attempts": 2, "attempt_timeout_ms": ms}});
    let plane = Service::new()
        .upstream_with("up", &upstream, bound(200.0))
        .upstream_with("slow", &slow, bound(40.0))
        .view("both", "/both/{id}", parts)
        .start();
    assert_eq!(plane.get("/both/7").status, 200);
    assert_eq!((upstream.count(), slow.count()), (2, 2));
    assert_eq!(plane.counter("tailrace_upstream_timeouts_total", ""), 2);
}

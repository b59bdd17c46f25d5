//! Extra attempts on real sockets: a retry mends what it can, a hedge outruns a slow attempt, and
//! neither multiplies load (req 9.4, RELIABILITY S26).

use crate::patience::eventually;
use crate::service::{strong, with, Service};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

fn unavailable() -> Vec<Step> {
    vec![Step::Send(answer(
        "503 Service Unavailable",
        "text/plain",
        "",
    ))]
}

/// Answers badly the first time it sees a target, well afterwards.
fn second_time_lucky(bad: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Upstream {
    let known = Mutex::new(HashSet::new());
    Upstream::start(move |seen: &Seen| {
        if known.lock().expect("no panic").insert(seen.target()) {
            return bad();
        }
        vec![Step::Send(echo(seen))]
    })
}

fn retrying(upstream: &Upstream, retry: &Value) -> Service {
    Service::new()
        .upstream_with("up", upstream, json!({"retry": retry}))
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
}

#[test]
fn a_failure_that_another_attempt_mends_is_not_seen() {
    let upstream = second_time_lucky(unavailable);
    let plane = retrying(&upstream, &json!({"attempts": 2})).start();
    let reply = plane.get("/one/7");
    assert_eq!(
        (reply.status, reply.json()["it"]["id"].as_str()),
        (200, Some("7"))
    );
    assert_eq!(upstream.count(), 2);
    assert_eq!(plane.counter("tailrace_upstream_retries_total", ""), 1);
    assert_eq!(plane.counter("tailrace_upstream_calls_total", ""), 1);
    assert_eq!(plane.counter("tailrace_upstream_attempts_total", ""), 2);
}

#[test]
fn a_connection_reset_before_the_answer_is_tried_again() {
    let upstream = second_time_lucky(|| vec![Step::Reset]);
    let plane = retrying(&upstream, &json!({"attempts": 2})).start();
    assert_eq!(plane.get("/one/7").status, 200);
}

#[test]
fn what_another_attempt_cannot_mend_is_not_tried_again() {
    for (status, code) in [("404 Not Found", 404), ("500 Internal Server Error", 502)] {
        let upstream = Upstream::start(move |_| vec![Step::Send(answer(status, "text/plain", ""))]);
        let plane = retrying(&upstream, &json!({"attempts": 3})).start();
        assert_eq!(plane.get("/one/7").status, code);
        assert_eq!(upstream.count(), 1, "{status}");
        let refused = r#"code="not_retriable""#;
        assert_eq!(plane.counter("tailrace_attempt_refusals_total", refused), 1);
    }
}

#[test]
fn a_retry_goes_to_another_address() {
    let upstream = Upstream::echo();
    // A port that nobody listens on: taken once, then closed.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr());
    let addresses = json!([
        format!("http://{}", closed.expect("a free port")),
        format!("http://{}", upstream.address()),
    ]);
    let with_both = json!({"addresses": addresses, "retry": {"attempts": 2, "budget_min": 100}});
    let plane = Service::new()
        .upstream_with("up", &upstream, with_both)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    for id in 0..50 {
        assert_eq!(plane.get(&format!("/one/{id}")).status, 200);
    }
    assert_eq!(upstream.count(), 50);
}

// RELIABILITY S26: at 100 % errors an upstream gets at most a tenth more.
#[test]
fn an_upstream_that_always_fails_gets_a_tenth_more() {
    const REQUESTS: usize = 400;
    let upstream = Upstream::start(|_| unavailable());
    let plane = retrying(&upstream, &json!({"attempts": 3, "budget_min": 0})).start();
    let mut client = plane.client();
    for id in 0..REQUESTS {
        assert_eq!(client.get(&format!("/one/{id}")).status, 502);
    }
    let attempts = upstream.count();
    println!("S26: {REQUESTS} calls, {attempts} attempts");
    assert!(attempts > REQUESTS, "some are tried again");
    assert!(
        attempts * 10 <= REQUESTS * 11,
        "{attempts} attempts for {REQUESTS} calls"
    );
    let refused = r#"code="retry_budget""#;
    assert!(plane.metric("tailrace_attempt_refusals_total", refused) > 0.0);
}

#[test]
fn one_request_spends_from_one_purse() {
    let upstream = Upstream::start(|_| unavailable());
    let parts = (0..6).map(|n| {
        let own = json!({"strength": "weak", "shape": crate::service::THING_OR_NULL});
        with(strong(&format!("p{n}"), &format!("/p{n}")), own)
    });
    let plane = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"retry": {"attempts": 3, "budget_min": 1000}}),
        )
        .view_with("all", "/all", parts.collect(), json!({"extra_attempts": 2}))
        .start();
    let reply = plane.get("/all");
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.count(), 6 + 2);
    let refused = r#"code="purse_empty""#;
    assert!(plane.metric("tailrace_attempt_refusals_total", refused) >= 4.0);
}

#[test]
fn a_slow_attempt_is_outrun_and_its_bytes_are_never_read() {
    const USUAL: usize = 150;
    const SLOW: Duration = Duration::from_millis(400);
    let known = Mutex::new(HashSet::new());
    let upstream = Upstream::start(move |seen: &Seen| {
        let slow = seen.target().contains("slow");
        if slow && known.lock().expect("no panic").insert(seen.target()) {
            return vec![Step::Pause(SLOW), Step::Send(echo(seen))];
        }
        vec![Step::Send(echo(seen))]
    });
    let hedge = json!({"hedge": {"after": 0.95, "extra": 0.5}, "timeout_ms": 10_000.0});
    let plane = Service::new()
        .upstream_with("up", &upstream, hedge)
        .view_with(
            "one",
            "/one/{id}",
            vec![strong("it", "/one/{id}")],
            json!({"deadline_ms": 15_000.0}),
        )
        .start();
    let mut client = plane.client();
    // The percentile is read anew every few seconds: ordinary traffic until it is known.
    let mut sent = 0;
    eventually("the percentile is known", || {
        for _ in 0..USUAL {
            sent += 1;
            assert_eq!(client.get(&format!("/one/{sent}")).status, 200);
        }
        let reply = client.get(&format!("/one/slow-{sent}"));
        assert_eq!(reply.status, 200);
        plane.metric("tailrace_upstream_hedge_wins_total", "") >= 1.0
    });
    eventually("the loser's connection is closed", || {
        upstream.abandoned() >= 1
    });
}

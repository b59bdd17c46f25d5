//! Extra attempts on real sockets: a retry mends what it can, a hedge outruns a slow attempt, and
//! neither multiplies load (req 9.4, RELIABILITY S26).

use crate::client::Reply;
use crate::counts::count;
use crate::patience::eventually;
use crate::service::{strong, with, Running, Service};
use crate::upstream::{answer, echo, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

/// Calls after which a percentile is known, once it is read.
const USUAL: usize = 150;

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
    let requests = count(400, 20_000);
    let upstream = Upstream::start(|_| unavailable());
    let plane = retrying(&upstream, &json!({"attempts": 3, "budget_min": 0})).start();
    let mut client = plane.client();
    for id in 0..requests {
        assert_eq!(client.get(&format!("/one/{id}")).status, 502);
    }
    let attempts = upstream.count();
    println!("S26: {requests} calls, {attempts} attempts");
    assert!(attempts > requests, "some are tried again");
    assert!(
        attempts * 10 <= requests * 11,
        "{attempts} attempts for {requests} calls"
    );
    let refused = r#"code="retry_budget""#;
    assert!(plane.metric("tailrace_attempt_refusals_total", refused) > 0.0);
}

// RELIABILITY S26: one request that fans out to eight such upstreams makes 8.8 calls, not 24.
#[test]
fn a_fan_out_over_failing_upstreams_is_not_multiplied() {
    const PARTS: usize = 8;
    let requests = count(200, 5_000);
    let upstream = Upstream::start(|_| unavailable());
    let own = json!({"strength": "weak", "shape": crate::service::THING_OR_NULL});
    let mut service = Service::new();
    let retry = json!({"retry": {"attempts": 3, "budget_min": 0}});
    for index in 0..PARTS {
        service = service.upstream_with(&format!("up{index}"), &upstream, retry.clone());
    }
    let part = |index| {
        let path = format!("/{index}/{{id}}");
        let to = json!({"upstream": format!("up{index}")});
        with(with(strong(&format!("p{index}"), &path), own.clone()), to)
    };
    let parts = (0..PARTS).map(part).collect();
    let plane = service.view("all", "/all/{id}", parts).start();
    let mut client = plane.client();
    let mut most = 0;
    for id in 0..requests {
        let before = upstream.count();
        assert_eq!(client.get(&format!("/all/{id}")).status, 200);
        most = most.max(upstream.count() - before);
    }
    let (calls, attempts) = (requests * PARTS, upstream.count());
    println!(
        "S26: {requests} requests of {PARTS} calls, {attempts} attempts, at most {most} of one"
    );
    assert!(attempts > calls, "some are tried again");
    assert!(
        attempts * 10 <= calls * 11,
        "{attempts} attempts for {calls} calls"
    );
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

// A name that never resolves: there is nothing to send to, so nothing is spent on trying again.
#[test]
fn without_an_address_neither_purse_nor_budget_is_spent() {
    let upstream = second_time_lucky(unavailable);
    // An empty budget would refuse with a code of its own, if it were asked.
    let nowhere = json!({
        "addresses": ["http://nobody.invalid:1"],
        "retry": {"attempts": 3, "budget": 0.0, "budget_min": 0},
    });
    let own = json!({"strength": "weak", "shape": crate::service::THING_OR_NULL});
    let gone = json!({"upstream": "gone"});
    let parts = vec![
        with(with(strong("gone", "/gone"), own), gone),
        strong("it", "/it/{id}"),
    ];
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"retry": {"attempts": 2}}))
        .upstream_with("gone", &upstream, nowhere)
        .view_with("both", "/both/{id}", parts, json!({"extra_attempts": 1}))
        .start();
    let reply = plane.get("/both/7");
    assert_eq!(reply.status, 200, "the one extra attempt is there for `it`");
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("gone;reason=connect")
    );
    let refused = r#"upstream="gone",code="no_address""#;
    assert_eq!(plane.counter("tailrace_attempt_refusals_total", refused), 1);
    let gone = r#"upstream="gone""#;
    assert_eq!(plane.counter("tailrace_upstream_retries_total", gone), 0);
}

/// Attempts that end well at once, but for targets with `slow`: each takes its turn of `turns`.
fn usually_fast(turns: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
    let known: Mutex<HashMap<String, usize>> = Mutex::default();
    Upstream::start(move |seen: &Seen| {
        if !seen.target().contains("slow") {
            return vec![Step::Send(echo(seen))];
        }
        let mut known = known.lock().expect("no panic");
        let turn = known.entry(seen.target()).or_default();
        *turn += 1;
        turns(*turn)
    })
}

/// Ordinary traffic, then one slow call, until `done`: the percentile that decides a hedge is read
/// anew every few seconds.
pub(crate) fn until_hedged(plane: &Running, done: impl Fn() -> bool, check: impl Fn(&Reply)) {
    let mut client = plane.client();
    let mut sent = 0;
    eventually("the percentile is known", || {
        for _ in 0..USUAL {
            sent += 1;
            assert_eq!(client.get(&format!("/one/{sent}")).status, 200);
        }
        check(&client.get(&format!("/one/slow-{sent}")));
        done()
    });
}

/// Ordinary calls end long before a hedge may start, on a busy machine too.
fn hedging(upstream: &Upstream, with: Value) -> Running {
    let hedge = json!({"after": 0.95, "extra": 0.5, "delay_min_ms": 100.0});
    let mut declared = json!({"hedge": hedge, "timeout_ms": 10_000.0});
    crate::service::merge(&mut declared, with);
    let deadline = json!({"deadline_ms": 15_000.0});
    Service::new()
        .upstream_with("up", upstream, declared)
        .view_with(
            "one",
            "/one/{id}",
            vec![strong("it", "/one/{id}")],
            deadline,
        )
        .start()
}

// Both attempts fail, the second one last: it ended the race and won nothing.
#[test]
fn a_race_that_both_lose_is_no_win() {
    let upstream = usually_fast(|turn| {
        let pause = Duration::from_millis(if turn == 1 { 150 } else { 300 });
        let mut script = vec![Step::Pause(pause)];
        script.extend(unavailable());
        script
    });
    let plane = hedging(&upstream, json!({}));
    let hedges = || plane.counter("tailrace_upstream_hedges_total", "");
    until_hedged(
        &plane,
        || hedges() >= 1,
        |reply| assert_eq!(reply.status, 502),
    );
    assert_eq!(plane.counter("tailrace_upstream_hedge_wins_total", ""), 0);
    assert_eq!(upstream.abandoned(), 0, "both were waited for");
}

// ALGORITHMS 4: retries and hedges share the upstream's budget; here it is empty for good.
#[test]
fn a_hedge_draws_on_the_budget_of_retries() {
    let upstream = usually_fast(|_| {
        vec![
            Step::Pause(Duration::from_millis(150)),
            Step::Send(json_answer()),
        ]
    });
    let plane = hedging(
        &upstream,
        json!({"retry": {"budget": 0.0, "budget_min": 0}}),
    );
    let refused = r#"code="retry_budget""#;
    let refusals = || plane.counter("tailrace_attempt_refusals_total", refused);
    until_hedged(
        &plane,
        || refusals() >= 3,
        |reply| assert_eq!(reply.status, 200),
    );
    assert_eq!(plane.counter("tailrace_upstream_hedges_total", ""), 0);
}

fn json_answer() -> Vec<u8> {
    answer("200 OK", "application/json", r#"{"id":"late"}"#)
}

#[test]
fn a_slow_attempt_is_outrun_and_its_bytes_are_never_read() {
    let upstream = usually_fast(|turn| {
        let slow = if turn == 1 { 400 } else { 0 };
        vec![
            Step::Pause(Duration::from_millis(slow)),
            Step::Send(json_answer()),
        ]
    });
    let plane = hedging(&upstream, json!({}));
    let wins = || plane.counter("tailrace_upstream_hedge_wins_total", "");
    until_hedged(
        &plane,
        || wins() >= 1,
        |reply| assert_eq!(reply.status, 200),
    );
    eventually("the loser's connection is closed", || {
        upstream.abandoned() >= 1
    });
}

//! Admission on real sockets: what cannot be answered in time or before the end is refused before
//! its first call (ALGORITHMS 3 and 10, RELIABILITY S27, A07).

use crate::client::{get, Client, Reply};
use crate::patience::eventually;
use crate::service::{strong, Running, Service};
use crate::upstream::{echo, Gate, Step, Upstream};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn within(client: &mut Client, ms: u64) -> Reply {
    let line = format!("\r\nx-envoy-expected-rq-timeout-ms: {ms}\r\n\r\n");
    client.send(get("/one/7").replace("\r\n\r\n", &line));
    client.reply()
}

/// Answers after 30 ms; two calls in a row.
fn slow() -> (Upstream, Running) {
    let pause = Duration::from_millis(30);
    let upstream = Upstream::start(move |seen| vec![Step::Pause(pause), Step::Send(echo(seen))]);
    let parts = vec![strong("it", "/one/{id}"), strong("next", "/next/{it.id}")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{id}", parts)
        .admission(json!({"feasibility": {"refused_max": 0.5}, "brownout": null, "shed": null}))
        .start();
    (upstream, plane)
}

/// Enough answers that the floor is known.
fn learn(plane: &Running) {
    let mut clients: Vec<_> = (0..16).map(|_| plane.client()).collect();
    for _ in 0..12 {
        for client in &mut clients {
            client.send(get("/one/7"));
        }
        for client in &mut clients {
            assert_eq!(client.reply().status, 200);
        }
    }
}

// req 4.5
#[test]
fn what_cannot_be_in_time_is_refused_without_a_call() {
    let (upstream, plane) = slow();
    learn(&plane);
    let mut client = plane.client();
    // Until it is known that both calls take 30 ms, the first is made and the second is not in
    // time.
    eventually("the floor is known", || {
        within(&mut client, 45).code() == "infeasible"
    });
    let before = upstream.count();
    for _ in 0..20 {
        let reply = within(&mut client, 45);
        assert_eq!((reply.status, reply.code().as_str()), (504, "infeasible"));
        assert_eq!(reply.header("retry-after"), None, "no wait helps");
    }
    assert_eq!(upstream.count(), before);
    assert_eq!(within(&mut client, 5_000).status, 200, "more time helps");
}

// RELIABILITY S27: a deadline from outside can only shorten.
#[test]
fn a_deadline_of_an_hour_is_the_views() {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream =
        Upstream::start(move |seen| vec![Step::Wait(Arc::clone(&waiting)), Step::Send(echo(seen))]);
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with(
            "one",
            "/one/{id}",
            vec![strong("it", "/one/{id}")],
            json!({"deadline_ms": 60.0}),
        )
        .start();
    let mut client = plane.client();
    for _ in 0..5 {
        let reply = within(&mut client, 3_600_000);
        assert_eq!((reply.status, reply.code().as_str()), (504, "deadline"));
    }
    gate.open();
    let told: Vec<u64> = upstream
        .seen()
        .iter()
        .filter_map(|seen| seen.header("x-envoy-expected-rq-timeout-ms")?.parse().ok())
        .collect();
    assert_eq!(told.iter().filter(|ms| **ms <= 60).count(), 5, "{told:?}");
}

// RELIABILITY A07, req 11.4
#[test]
fn what_would_be_cut_off_is_refused_instead() {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream = Upstream::start(move |seen| {
        let held = seen.target().contains("held");
        let wait = held.then(|| Step::Wait(Arc::clone(&waiting)));
        wait.into_iter().chain([Step::Send(echo(seen))]).collect()
    });
    // The view's deadline is 10 s; the drain has less.
    let plane = Service::one(&upstream).limit("drain_ms", 8_000).start();
    let mut held = plane.client();
    held.send(get("/one/held"));
    eventually("one is held", || upstream.active() == 1);
    let mut client = plane.client();
    assert_eq!(client.get("/one/7").status, 200);
    let before = upstream.count();
    plane.drain();
    let reply = client.get("/one/7");
    assert_eq!((reply.status, reply.code().as_str()), (503, "draining"));
    assert!(reply.closes() && reply.header("retry-after").is_some());
    assert_eq!(upstream.count(), before);
    gate.open();
    assert_eq!(held.reply().status, 200, "what was let in is answered");
}

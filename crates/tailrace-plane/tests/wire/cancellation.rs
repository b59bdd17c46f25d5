//! RELIABILITY A04, req 4.5: what nobody waits for any more is stopped, and the upstream sees it.

use crate::client::get;
use crate::counts::count;
use crate::deadlines::{fault, LATE};
use crate::patience::{eventually, now};
use crate::service::{strong, weak, Service};
use crate::upstream::{answer, echo, Gate, Step, Upstream};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

// req 4.5
#[test]
fn the_first_strong_failure_stops_its_siblings() {
    let gate = Arc::new(Gate::default());
    let failing = Arc::clone(&gate);
    let upstream = Upstream::start(move |seen| match seen.target().as_str() {
        "/fails" => vec![
            Step::Wait(Arc::clone(&failing)),
            Step::Send(answer("500 Oops", "text/plain", "")),
        ],
        _ => vec![Step::Hold],
    });
    let parts = vec![
        strong("a", "/hang/a"),
        weak("b", "/hang/b"),
        strong("c", "/fails"),
        strong("d", "/never"),
        weak("e", "/never/{a.id}"),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("x", "/x", parts, json!({"fanout": 3}))
        .start();
    let mut client = plane.client();
    client.send(get("/x"));
    eventually("three calls run", || upstream.active() == 3);
    gate.open();
    let started = now();
    let reply = client.reply();
    assert_eq!((reply.status, reply.code().as_str()), (502, "server_error"));
    assert_eq!(reply.json()["part"], "c");
    eventually("the siblings see the end", || upstream.abandoned() == 2);
    println!(
        "req 4.5: siblings closed {:?} after the failure",
        started.elapsed()
    );
    assert!(started.elapsed() < LATE);
    assert_eq!(
        upstream.count(),
        3,
        "a part that had not started was started"
    );
}

/// RELIABILITY A04: nobody works for a client that has left.
#[test]
fn a_client_that_leaves_takes_its_calls_with_it() {
    let upstream = Upstream::start(fault);
    let parts = vec![
        strong("a", "/hang"),
        weak("b", "/after_head"),
        strong("c", "/in_chunk"),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("x", "/x", parts)
        .start();
    let cancelled = || plane.metric("tailrace_cancelled_requests_total", "view=\"x\"") as u64;
    for round in 1..=20 {
        let mut client = plane.client();
        client.send(get("/x"));
        eventually("three calls run", || upstream.active() == 3);
        assert_eq!(plane.in_flight(), 1);
        let started = now();
        drop(client);
        eventually("the calls see the end", || {
            upstream.abandoned() == 3 * round
        });
        assert!(started.elapsed() < LATE);
        eventually("it is counted", || cancelled() == round as u64);
        eventually("nothing is in flight", || plane.in_flight() == 0);
        assert_eq!(upstream.active(), 0);
    }
    assert!(plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON);
    println!("A04: 20 clients left, 60 calls stopped, 0 in flight");
}

/// Also one that had sent more than is read ahead: its end lies behind bytes that nobody reads.
#[test]
fn a_client_that_pipelines_far_ahead_and_leaves_takes_its_calls_with_it() {
    let upstream = Upstream::start(fault);
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"timeout_ms": 600_000.0}))
        .view_with(
            "x",
            "/x",
            vec![strong("a", "/hang")],
            json!({"deadline_ms": 600_000.0}),
        )
        .start();
    for round in 1..=3 {
        let mut client = plane.client();
        client.send(get("/x"));
        eventually("the call runs", || upstream.active() == 1);
        client.send(get("/x").repeat(100 * 1024 / get("/x").len()));
        drop(client);
        eventually("the call sees the end", || upstream.abandoned() == round);
        eventually("nothing is in flight", || plane.in_flight() == 0);
    }
    // One that stays is served in turn.
    let mut client = plane.client();
    let ahead = 100 * 1024 / get("/none").len();
    client.send(get("/none").repeat(ahead));
    (0..ahead).for_each(|_| assert_eq!(client.reply().status, 404));
}

/// The same at moments nobody chose, with calls running, waiting for a place, or already answered.
#[test]
fn disconnects_at_any_moment_leak_nothing() {
    const SEED: u64 = 0x0a04;
    let upstream = Upstream::start(|seen| {
        let slow = seen.target().ends_with('7');
        vec![
            Step::Pause(Duration::from_millis(if slow { 20 } else { 3 })),
            Step::Send(echo(seen)),
        ]
    });
    let bulkhead = json!({"bulkhead": {"limit": 4, "queue": 32}});
    let parts = vec![
        strong("a", "/a/{n}"),
        strong("b", "/b/{a.id}"),
        weak("c", "/c/{n}"),
    ];
    let plane = Service::new()
        .workers(2)
        .upstream_with("up", &upstream, bulkhead)
        .view("x", "/x/{n}", parts)
        .start();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut open = Vec::new();
    let rounds = count(500, 10_000);
    for round in 0..rounds {
        let mut client = plane.client();
        let request = get(&format!("/x/{round}"));
        let cut = if random.bool() {
            request.len()
        } else {
            random.usize(..request.len())
        };
        client.send(&request[..cut]);
        if cut == request.len() && round % 8 == 0 {
            assert!(
                client.try_reply(false).is_ok(),
                "seed {SEED}, round {round}"
            );
        }
        open.push(client);
        if open.len() > 8 {
            drop(open.swap_remove(random.usize(..open.len())));
        }
    }
    drop(open);
    let left = now();
    eventually("nothing is left", || {
        let zero = |name| plane.metric(name, "").abs() < f64::EPSILON;
        plane.connections() == 0
            && plane.in_flight() == 0
            && zero("tailrace_bulkhead_in_flight")
            && zero("tailrace_bulkhead_queued")
    });
    eventually("no call runs on", || upstream.active() == 0);
    let took = left.elapsed();
    eventually("only pooled connections are left", || upstream.open() <= 8);
    let (calls, seen) = (upstream.count(), upstream.abandoned());
    println!(
        "A04: seed {SEED}: {rounds} random disconnects, {calls} calls, {seen} of them closed under \
         the upstream; 0 permits, connections or requests left after {took:?}"
    );
    assert!(seen > 0, "no call was cut");
    let reply = plane.get("/x/honest");
    assert_eq!(
        (reply.status, reply.json()["a"]["id"].as_str()),
        (200, Some("honest"))
    );
}

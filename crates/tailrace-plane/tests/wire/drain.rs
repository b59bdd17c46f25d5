//! RELIABILITY A07, req 11.4: the end of a plane under load costs no request. Not ready first, no
//! new work, what was accepted is answered and told to go elsewhere, and the process ends in
//! bounded time.

use crate::client::{get, Client};
use crate::patience::{eventually, now, PATIENCE};
use crate::service::{Running, Service};
use crate::upstream::{echo, Gate, Step, Upstream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// An upstream whose answers wait for the gate.
fn gated() -> (Upstream, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream =
        Upstream::start(move |seen| vec![Step::Wait(Arc::clone(&waiting)), Step::Send(echo(seen))]);
    (upstream, gate)
}

/// Whether the service port takes no more connections.
fn refuses(plane: &Running) -> bool {
    Client::try_connect(plane.address()).is_err()
}

#[test]
fn a_request_in_flight_is_answered_and_told_that_its_connection_ends() {
    let (upstream, gate) = gated();
    let plane = Service::one(&upstream).start();
    let mut clients: Vec<_> = (0..5).map(|_| plane.client()).collect();
    for client in &mut clients {
        client.send(get("/one/7"));
    }
    eventually("all are in flight", || upstream.active() == 5);
    plane.drain();
    eventually("no new connection is taken", || refuses(&plane));
    assert!(
        !plane.wait(Duration::from_millis(1)),
        "it ended with requests in flight"
    );
    gate.open();
    for client in &mut clients {
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.json()["it"]["id"].as_str()),
            (200, Some("7"))
        );
        assert!(
            reply.closes(),
            "the reply promises a connection that is about to close: {reply:?}"
        );
        assert!(client.rest().is_empty());
    }
    assert!(plane.wait(PATIENCE));
}

#[test]
fn readiness_goes_first_and_liveness_stays() {
    let (upstream, gate) = gated();
    let plane = Service::one(&upstream).start();
    assert_eq!(plane.admin("/readyz").status, 200);
    let mut client = plane.client();
    client.send(get("/one/7"));
    eventually("a request is in flight", || upstream.active() == 1);
    plane.drain();
    assert_eq!(plane.admin("/readyz").status, 503);
    assert_eq!(plane.admin("/livez").status, 200);
    assert!(plane.metric("tailrace_ready", "").abs() < f64::EPSILON);
    gate.open();
    assert_eq!(client.reply().status, 200);
    assert!(plane.wait(PATIENCE));
}

#[test]
fn idle_connections_are_closed() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).workers(2).start();
    let mut clients: Vec<_> = (0..20).map(|_| plane.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/one/7").status, 200);
    }
    let started = now();
    plane.drain();
    for client in &mut clients {
        assert!(client.rest().is_empty());
    }
    assert!(plane.wait(PATIENCE));
    println!(
        "req 11.4: 20 idle connections closed in {:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "idle connections held the drain up"
    );
    assert_eq!((plane.connections(), plane.in_flight()), (0, 0));
    eventually("the pool is closed too", || upstream.open() == 0);
}

/// A connection the kernel has taken before the drain began is a promise already made.
#[test]
fn connections_taken_before_the_drain_are_served() {
    let upstream = Upstream::echo();
    let (mut served, mut lost) = (0, Vec::new());
    for round in 0..60 {
        let plane = Service::one(&upstream).workers(1 + round % 2).start();
        // Work keeps the workers from looking at the queue at once.
        let mut busy: Vec<_> = (0..4).map(|_| plane.client()).collect();
        for client in &mut busy {
            client.send(get("/one/busy").repeat(4));
        }
        let mut queued: Vec<_> = (0..8).map(|_| plane.client()).collect();
        plane.drain();
        for client in &mut queued {
            client.send_lossy(get("/one/queued"));
            match client.try_reply(false) {
                Ok(reply) if reply.status == 200 && reply.closes() => served += 1,
                other => lost.push(format!("round {round}: {other:?}")),
            }
        }
        assert!(plane.wait(PATIENCE));
    }
    println!(
        "A07: 60 drains, {served} connections from the queue served, {} lost",
        lost.len()
    );
    assert!(lost.is_empty(), "{} of 480, first {}", lost.len(), lost[0]);
}

/// What happened to the requests of one drain.
#[derive(Debug, Default)]
struct Tally {
    served: AtomicUsize,
    /// A connection from before the drain brought no whole reply.
    failed: AtomicUsize,
    draining: AtomicBool,
}

/// Sends requests on one connection until a reply says that it ends.
fn keep_asking(mut client: Client, tally: &Tally) {
    loop {
        client.send_lossy(get("/one/7"));
        match client.try_reply(false) {
            Ok(reply) if reply.status == 200 => {
                tally.served.fetch_add(1, SeqCst);
                if reply.closes() {
                    return;
                }
            }
            _ => {
                tally.failed.fetch_add(1, SeqCst);
                return;
            }
        }
    }
}

/// One connection per request, until the drain begins.
fn keep_connecting(plane: &Running, tally: &Tally) {
    while !tally.draining.load(SeqCst) {
        let Ok(mut client) = Client::try_connect(plane.address()) else {
            return;
        };
        // Established after the drain began: refusing it is right.
        let late = tally.draining.load(SeqCst);
        client.send_lossy(get("/one/7"));
        match client.try_reply(false) {
            Ok(reply) if reply.status == 200 => tally.served.fetch_add(1, SeqCst),
            _ if late => 0,
            _ => tally.failed.fetch_add(1, SeqCst),
        };
    }
}

#[test]
fn fifty_drains_under_load_cost_no_request() {
    let upstream = Upstream::echo();
    let (mut served, mut failed) = (0, 0);
    for round in 0..50 {
        let plane = Service::one(&upstream).workers(1 + round % 2).start();
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let client = plane.client();
                scope.spawn(|| keep_asking(client, &tally));
            }
            for _ in 0..2 {
                scope.spawn(|| keep_connecting(&plane, &tally));
            }
            let enough = 40 + usize::from(round) * 3;
            eventually("the load runs", || tally.served.load(SeqCst) >= enough);
            tally.draining.store(true, SeqCst);
            plane.drain();
        });
        assert!(plane.wait(PATIENCE), "round {round} did not end");
        assert_eq!((plane.in_flight(), plane.connections()), (0, 0));
        served += tally.served.load(SeqCst);
        failed += tally.failed.load(SeqCst);
    }
    println!("A07: 50 drains under load, {served} requests served, {failed} failed");
    assert_eq!(
        failed, 0,
        "requests without a reply, on connections from before the drain"
    );
}

#[test]
fn a_second_stop_ends_at_once() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let plane = Service::one(&upstream).workers(2).start();
    let mut client = plane.client();
    client.send(get("/one/7"));
    eventually("a request is in flight", || upstream.active() == 1);
    plane.drain();
    assert!(!plane.wait(Duration::from_millis(50)));
    let started = now();
    plane.stop();
    assert!(plane.wait(PATIENCE));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert!(client.rest().is_empty());
    eventually("the upstream sees the end", || upstream.abandoned() == 1);
}

#[test]
fn a_drain_has_an_end_whatever_runs() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let plane = Service::one(&upstream).limit("drain_ms", 200).start();
    let mut client = plane.client();
    client.send(get("/one/7"));
    let mut silent = plane.client();
    silent.send("GET /one/7 HTT");
    eventually("a request is in flight", || upstream.active() == 1);
    let started = now();
    plane.drain();
    assert!(plane.wait(PATIENCE));
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert!(client.rest().is_empty() && silent.rest().is_empty());
}

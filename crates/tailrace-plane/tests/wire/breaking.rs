//! Breakers and throttles on real sockets: a broken address loses its calls and gets them back, a
//! broken upstream is asked less, and neither makes half a failure a whole one (req 9.1b, 9.2).

use crate::client::{get, Client};
use crate::patience::{eventually, now};
use crate::service::{strong, weak, Running, Service};
use crate::upstream::{answer, echo, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// Failures in a row that eject an address.
const CONSECUTIVE: usize = 7;

fn status(status: &str) -> Vec<Step> {
    vec![Step::Send(answer(status, "text/plain", ""))]
}

/// Answers 500 while the switch is on, well afterwards; nothing before the gate opens.
fn broken_while(switch: &Arc<AtomicBool>, gate: &Arc<Gate>) -> Upstream {
    let (switch, gate) = (Arc::clone(switch), Arc::clone(gate));
    Upstream::start(move |seen: &Seen| {
        let mut script = vec![Step::Wait(Arc::clone(&gate))];
        script.extend(if switch.load(SeqCst) {
            status("500 Internal Server Error")
        } else {
            vec![Step::Send(echo(seen))]
        });
        script
    })
}

fn switch(on: bool) -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(on))
}

/// One view with one strong part of an upstream with these addresses; no retries.
fn breaking(addresses: &[&Upstream], breaker: &Value) -> Running {
    let all: Vec<_> = addresses
        .iter()
        .map(|one| format!("http://{}", one.address()))
        .collect();
    let declared = json!({"addresses": all, "breaker": breaker});
    Service::new()
        .upstream_with("up", addresses[0], declared)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start()
}

/// Twice as many calls at once as eject every address, held until all are under way. One after the
/// other would not do: after one failure balancing alone avoids an address for a minute and more.
fn burst(plane: &Running, addresses: &[&Upstream], gate: &Gate) {
    let calls = 3 * CONSECUTIVE * addresses.len();
    let mut clients: Vec<_> = (0..calls).map(|_| plane.client()).collect();
    for (id, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/one/{id}")));
    }
    eventually("all calls are under way", || {
        addresses.iter().map(|one| one.active()).sum::<usize>() == calls
    });
    gate.open();
    for client in &mut clients {
        client.reply();
    }
    for address in addresses {
        assert!(address.count() >= CONSECUTIVE, "the burst was spread");
    }
}

/// How many of `calls` ended with 200.
fn good(client: &mut Client, calls: usize) -> usize {
    (0..calls)
        .filter(|id| client.get(&format!("/one/{id}")).status == 200)
        .count()
}

// Of four addresses two can be drawn against each other that both fail: balancing alone does not
// help there.
#[test]
fn a_failing_address_is_ejected_and_the_others_carry_on() {
    const CALLS: usize = 400;
    for half in [1, 2] {
        let gate = Arc::default();
        let bad: Vec<_> = (0..half)
            .map(|_| broken_while(&switch(true), &gate))
            .collect();
        let fine: Vec<_> = (0..half)
            .map(|_| broken_while(&switch(false), &gate))
            .collect();
        let all: Vec<_> = bad.iter().chain(&fine).collect();
        let plane = breaking(&all, &json!({"open_ms": 60_000.0}));
        burst(&plane, &all, &gate);
        let known: usize = bad.iter().map(Upstream::count).sum();
        let succeeded = good(&mut plane.client(), CALLS);
        println!(
            "breaker: {half} bad, {known} calls to them, then {succeeded} of {CALLS} are good"
        );
        assert!(succeeded * 100 >= CALLS * 95, "{succeeded} of {CALLS}");
        let after: usize = bad.iter().map(Upstream::count).sum();
        assert_eq!(after, known, "an ejected address gets nothing");
    }
}

#[test]
fn an_ejected_address_comes_back_after_a_probe() {
    let (ill, gate) = (switch(true), Arc::default());
    let (one, other) = (
        broken_while(&ill, &gate),
        broken_while(&switch(false), &gate),
    );
    let plane = breaking(&[&one, &other], &json!({"open_ms": 20.0}));
    burst(&plane, &[&one, &other], &gate);
    ill.store(false, SeqCst);
    // Balancing still avoids it: its failure counts as five seconds of load. A probe does not wait.
    let failed = one.count();
    let mut client = plane.client();
    eventually("a probe finds it well", || {
        good(&mut client, 1);
        one.count() > failed
    });
    assert_eq!(good(&mut client, 200), 200);
}

#[test]
fn each_probe_that_fails_doubles_the_wait() {
    const PROBES: usize = 4;
    const WAITS: Duration = Duration::from_millis(10 + 20 + 40 + 80);
    let gate = Arc::default();
    let (bad, fine) = (
        broken_while(&switch(true), &gate),
        broken_while(&switch(false), &gate),
    );
    let plane = breaking(&[&bad, &fine], &json!({"open_ms": 10.0}));
    let started = now();
    burst(&plane, &[&bad, &fine], &gate);
    let burst = bad.count();
    let mut client = plane.client();
    let (mut calls, mut succeeded) = (0, 0);
    eventually("it is tried again", || {
        succeeded += good(&mut client, 10);
        calls += 10;
        bad.count() >= burst + PROBES
    });
    let probes = bad.count() - burst;
    assert!(started.elapsed() >= WAITS, "{:?}", started.elapsed());
    assert_eq!(calls - succeeded, probes, "only the probes failed");
}

// With one address there is nothing to fall back to: its own errors are the truth (ALGORITHMS 9).
#[test]
fn a_single_address_is_never_refused_by_its_breaker() {
    let (ill, gate) = (switch(true), Arc::<Gate>::default());
    gate.open();
    let only = broken_while(&ill, &gate);
    let plane = breaking(&[&only], &json!({"open_ms": 60_000.0}));
    let mut client = plane.client();
    for id in 0..5 * CONSECUTIVE {
        let reply = client.get(&format!("/one/{id}"));
        assert_eq!((reply.status, reply.code().as_str()), (502, "server_error"));
    }
    assert_eq!(only.count(), 5 * CONSECUTIVE);
    ill.store(false, SeqCst);
    assert_eq!(good(&mut client, 20), 20, "and it is well at once");
}

// Panic: when most addresses fail, ejecting them would only move the load to the rest.
#[test]
fn ejection_is_ignored_when_too_few_addresses_are_left() {
    const CALLS: usize = 200;
    let gate = Arc::default();
    let bad = [(); 2].map(|()| broken_while(&switch(true), &gate));
    let fine = broken_while(&switch(false), &gate);
    let all = [&bad[0], &bad[1], &fine];
    let plane = breaking(&all, &json!({"open_ms": 60_000.0}));
    burst(&plane, &all, &gate);
    let known = (bad[0].count() + bad[1].count(), fine.count());
    let mut client = plane.client();
    for id in 0..CALLS {
        let reply = client.get(&format!("/one/{id}"));
        assert!(reply.status == 200 || reply.code() == "server_error");
    }
    let failed = bad[0].count() + bad[1].count() - known.0;
    println!("panic: {failed} of {CALLS} calls went to the two that are ejected");
    assert_eq!(
        failed + fine.count() - known.1,
        CALLS,
        "every call was sent"
    );
    assert!(failed > 0, "the third does not carry everything alone");
}

fn throttled(upstream: &Upstream) -> Running {
    let declared = json!({"throttle": {"requests_min": 50}});
    Service::new()
        .upstream_with("up", upstream, declared)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .view("maybe", "/maybe/{id}", vec![weak("it", "/maybe/{id}")])
        .start()
}

/// `calls` to `/one`: how many were refused as throttled.
fn refused(client: &mut Client, calls: usize) -> usize {
    (0..calls)
        .filter(|id| {
            let reply = client.get(&format!("/one/{id}"));
            if reply.code() != "throttled" {
                return false;
            }
            assert_eq!(reply.status, 503);
            assert!(reply.header("retry-after").is_some());
            true
        })
        .count()
}

#[test]
fn an_upstream_that_refuses_everything_is_asked_a_tenth() {
    const LATER: usize = 600;
    let upstream = Upstream::start(|_| status("503 Service Unavailable"));
    let plane = throttled(&upstream);
    let mut client = plane.client();
    assert_eq!(refused(&mut client, 50), 0, "fifty calls say enough");
    let before = upstream.count();
    assert_eq!(before, 50);
    let unsent = refused(&mut client, LATER);
    let sent = upstream.count() - before;
    println!("throttle: {sent} of {LATER} later calls were sent");
    assert_eq!(sent + unsent, LATER);
    assert!(sent > 0, "some find out about recovery");
    assert!(sent * 100 <= LATER * 15, "{sent} of {LATER}");
    // A weak part is missing for the same reason, and the reply is 200.
    let mut degraded = 0;
    for id in 0..100 {
        let reply = client.get(&format!("/maybe/{id}"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["degraded"], json!(["it"]));
        degraded += usize::from(reply.header("tailrace-degraded") == Some("it;reason=throttled"));
    }
    assert!(degraded >= 70, "{degraded} of 100");
    let label = r#"result="throttled""#;
    let counted = plane.counter("tailrace_part_results_total", label);
    assert_eq!(counted, (unsent + degraded) as u64);
}

#[test]
fn an_upstream_that_accepts_half_is_not_throttled() {
    let turn = AtomicBool::new(false);
    let upstream = Upstream::start(move |seen: &Seen| {
        if turn.fetch_xor(true, SeqCst) {
            return status("503 Service Unavailable");
        }
        vec![Step::Send(echo(seen))]
    });
    let plane = throttled(&upstream);
    assert_eq!(refused(&mut plane.client(), 300), 0);
    assert_eq!(upstream.count(), 300);
}

// 4xx is an answer: whoever says 404 has accepted the call.
#[test]
fn not_found_is_no_refusal() {
    let upstream = Upstream::start(|_| status("404 Not Found"));
    let plane = throttled(&upstream);
    assert_eq!(refused(&mut plane.client(), 200), 0);
    assert_eq!(upstream.count(), 200);
}

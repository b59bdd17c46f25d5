//! Overload on real sockets: weak parts go first, then what matters less, and both come back (req
//! 9.1c, 16.4).
//!
//! The overload is made of requests that are held by a gate, so that nothing depends on how fast
//! the machine is: they fill the inbound cap, or they are let in and do not end.

use crate::client::{get, Client, Reply};
use crate::patience::eventually;
use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{echo, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;

/// Answers at once, but for targets with `held`, which wait for the gate.
pub fn holding() -> (Upstream, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream = Upstream::start(move |seen: &Seen| {
        let mut script = vec![Step::Send(echo(seen))];
        if seen.target().contains("held") {
            script.insert(0, Step::Wait(Arc::clone(&waiting)));
        }
        script
    });
    (upstream, gate)
}

/// One worker, so that what one looks at is all there is.
fn service(upstream: &Upstream, parts: Vec<Value>, admission: Value) -> Running {
    Service::new()
        .upstream("up", upstream)
        .view("one", "/one/{id}", parts)
        .view("hold", "/hold/{id}", vec![strong("it", "/held/{id}")])
        .admission(admission)
        .start()
}

fn hold(plane: &Running, upstream: &Upstream, requests: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..requests).map(|_| plane.client()).collect();
    for (id, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/hold/{id}")));
    }
    eventually("all are held", || upstream.active() >= requests);
    clients
}

/// How many calls this target got.
fn called(upstream: &Upstream, target: &str) -> usize {
    let seen = upstream.seen();
    seen.iter().filter(|seen| seen.target() == target).count()
}

fn degraded(reply: &Reply) -> Vec<String> {
    let names = reply.json()["degraded"].as_array().cloned();
    let names = names.unwrap_or_default().into_iter();
    names
        .map(|name| name.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Reads so long until this is what the reply leaves out.
fn until_left_out(plane: &Running, expected: &[&str]) {
    let mut client = plane.client();
    eventually(&format!("left out: {expected:?}"), || {
        degraded(&client.get("/one/7")) == expected
    });
}

fn weak_parts() -> Vec<Value> {
    vec![
        strong("it", "/one/{id}"),
        weak("first", "/first/{id}"),
        with(weak("second", "/second/{id}"), json!({"drop": 1})),
        weak("third", "/third/{id}"),
    ]
}

// req 9.1c
#[test]
fn weak_parts_are_left_out_in_order_and_come_back_in_reverse() {
    let (upstream, gate) = holding();
    // The ladder of three rungs: at 60, 75 and 90 of 100 calls. A reply of `one` needs 4.
    let plane = service(
        &upstream,
        weak_parts(),
        json!({"calls_max": 100, "shed": {"cpu": null, "delay_ms": 500.0},
               "brownout": {"start": 0.6, "full": 0.9, "band": 0.05, "dwell_ms": 100.0}}),
    );
    until_left_out(&plane, &[]);
    let first = hold(&plane, &upstream, 65);
    until_left_out(&plane, &["second"]);
    let reply = plane.get("/one/7");
    assert_eq!(reply.status, 200, "a part goes before any request does");
    let said = reply.header("tailrace-degraded");
    assert_eq!(said, Some("second;reason=brownout"));
    let before = called(&upstream, "/second/7");
    plane.get("/one/7");
    let after = called(&upstream, "/second/7");
    assert_eq!(before, after, "what is left out is not called for");

    let second = hold_more(&plane, &upstream, 15, 80);
    until_left_out(&plane, &["second", "third"]);
    let third = hold_more(&plane, &upstream, 12, 92);
    until_left_out(&plane, &["first", "second", "third"]);
    assert!((plane.metric("tailrace_brownout_rung", "view=\"one\"") - 3.0).abs() < 0.1);
    assert_eq!(plane.get("/one/7").status, 200);
    assert_eq!(
        plane.counter("tailrace_admission_decisions_total", "result=\"refused\""),
        0
    );

    // The clients leave in the reverse order, and so do the rungs.
    drop(third);
    until_left_out(&plane, &["second", "third"]);
    drop(second);
    until_left_out(&plane, &["second"]);
    drop(first);
    until_left_out(&plane, &[]);
    gate.open();
    let parts = "part=\"second\",result=\"brownout\"";
    assert!(plane.counter("tailrace_part_results_total", parts) >= 4);
}

fn hold_more(plane: &Running, upstream: &Upstream, more: usize, all: usize) -> Vec<Client> {
    let clients = hold(plane, upstream, more);
    eventually("these too", || upstream.active() >= all);
    clients
}

// req 4.4, 9.2
#[test]
fn requests_are_let_in_by_the_calls_they_need() {
    let (upstream, gate) = holding();
    let plane = service(
        &upstream,
        weak_parts(),
        json!({"calls_max": 10, "brownout": null, "shed": null}),
    );
    let mut held = hold(&plane, &upstream, 7);
    // Three are left: a view of four calls is refused, one of a single call is not.
    let refused = plane.get("/one/7");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "overloaded")
    );
    assert!(refused.header("retry-after").is_some());
    held.extend(hold_more(&plane, &upstream, 3, 10));
    assert!((plane.metric("tailrace_inbound_calls", "") - 10.0).abs() < 0.1);
    assert_eq!(plane.get("/hold/x").status, 503);
    drop(held);
    eventually("everything was given back", || {
        plane.metric("tailrace_inbound_calls", "").abs() < 0.1
    });
    assert_eq!(plane.get("/one/7").status, 200);
    gate.open();
}

fn asking(client: &mut Client, priority: &str) -> Reply {
    let line = format!("\r\ntailrace-priority: {priority}\r\n\r\n");
    client.send(get("/one/7").replace("\r\n\r\n", &line));
    client.reply()
}

const CLASSES: [&str; 4] = ["sheddable", "sheddable_plus", "critical", "critical_plus"];

/// So many requests of each class; how many of each were refused.
fn refused_of_each(client: &mut Client, requests: usize) -> [usize; 4] {
    CLASSES.map(|class| {
        let replies =
            (0..requests).map(|turn| asking(client, &format!("{class};cohort={}", turn % 32)));
        let refused = |reply: &Reply| {
            assert!(reply.status == 200 || reply.code() == "shed", "{reply:?}");
            reply.status == 503
        };
        replies.filter(refused).count()
    })
}

/// Requests are let in and do not end: the delay of the ready queue, which is never less than a
/// microsecond, says overload, and its excess is their number.
fn overloaded(admission: &Value) -> (Running, Upstream, Arc<Gate>, Vec<Client>) {
    let (upstream, gate) = holding();
    let mut declared = json!({"shed": {"cpu": null, "delay_ms": 0.000_001}, "brownout": null});
    crate::service::merge(&mut declared, admission.clone());
    let plane = service(&upstream, vec![strong("it", "/one/{id}")], declared);
    // The threshold is found among requests that came.
    refused_of_each(&mut plane.client(), 64);
    let held = hold(&plane, &upstream, 20);
    (plane, upstream, gate, held)
}

// req 16.4, RELIABILITY A06
#[test]
fn what_matters_less_is_refused_first() {
    let (plane, upstream, gate, mut held) = overloaded(&json!({"trusted": ["127.0.0.1"]}));
    let mut client = plane.client();
    eventually("half is refused, and not all", || {
        held.push(hold_or_not(&plane));
        (0.3..0.9).contains(&plane.metric("tailrace_shed_ratio", ""))
    });
    let before = called(&upstream, "/one/7");
    let refused = refused_of_each(&mut client, 32);
    assert!(
        refused.is_sorted_by(|less, more| less >= more),
        "{refused:?}"
    );
    assert!(refused[0] > refused[3], "{refused:?}");
    assert_eq!(refused[0], 32, "{refused:?}");
    let passed = 4 * 32 - refused.iter().sum::<usize>();
    let called = called(&upstream, "/one/7") - before;
    assert_eq!(called, passed, "what is refused is not called for");
    let counted = plane.counter("tailrace_shed_requests_total", "class=\"sheddable\"");
    assert!(counted >= 32);
    gate.open();
}

/// One more request that is held, or refused.
fn hold_or_not(plane: &Running) -> Client {
    let mut client = plane.client();
    client.send(get("/hold/more"));
    client
}

// RELIABILITY S27
#[test]
fn who_is_not_trusted_gains_nothing_by_naming_a_priority() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    for _ in 0..10 {
        assert_eq!(asking(&mut client, "critical_plus").status, 200);
    }
    assert_eq!(plane.counter("tailrace_ignored_priorities_total", ""), 10);
    let told = upstream
        .seen()
        .iter()
        .filter(|seen| seen.header("tailrace-priority").is_some())
        .count();
    assert_eq!(told, 0, "what was ignored is not passed on");
}

#[test]
fn a_priority_travels_with_the_calls() {
    let upstream = Upstream::echo();
    let sheddable = json!({"priority": "sheddable"});
    let plane = Service::one(&upstream)
        .view_with(
            "two",
            "/two/{id}",
            vec![strong("it", "/two/{id}")],
            sheddable,
        )
        .admission(json!({"trusted": ["127.0.0.1"]}))
        .start();
    let mut client = plane.client();
    asking(&mut client, "critical_plus;cohort=5");
    plane.get("/one/7");
    plane.get("/two/7");
    let told: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.header("tailrace-priority"))
        .collect();
    assert_eq!(told[0].as_deref(), Some("critical_plus;cohort=5"));
    assert_eq!(told[1], None, "the usual one is not said");
    assert!(
        told[2]
            .as_ref()
            .is_some_and(|one| one.starts_with("sheddable;cohort=")),
        "{told:?}"
    );
}

// DESIGN 9: what a service has that says nothing, as it is in force.
#[test]
fn the_usual_admission_is_in_force_and_serves() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).usual_admission().start();
    let admission = &plane.config()["admission"];
    assert_eq!(admission["shed"], json!({"delay_ms": 5.0, "cpu": 0.95}));
    assert_eq!(
        admission["brownout"],
        json!({"start": 0.85, "full": 0.97, "band": 0.1, "dwell_ms": 1_000.0})
    );
    assert_eq!(admission["feasibility"], json!({"refused_max": 0.2}));
    assert_eq!(admission["calls_max"], 8_192);
    assert_eq!(admission["trusted"], json!([]), "nobody's word counts");
    // How busy the machine is decides how many, so only that it serves is sure.
    let mut client = plane.client();
    eventually("it serves", || client.get("/one/7").status == 200);
    eventually("the processor is looked at", || {
        client.get("/one/7");
        plane.metric("tailrace_cpu_ratio", "") > 0.0
    });
}

// req 16.4: the other sign of overload, on a real processor.
#[test]
fn a_processor_above_its_target_refuses() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream)
        .admission(json!({"shed": {"cpu": 0.1, "delay_ms": 500.0}, "brownout": null}))
        .start();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = plane.client();
                eventually("the load is too high", || {
                    let replies: Vec<_> = (0..200).map(|_| client.get("/one/7")).collect();
                    replies.iter().any(|reply| {
                        assert!(reply.status == 200 || reply.code() == "shed", "{reply:?}");
                        reply.status == 503
                    })
                });
            });
        }
    });
}

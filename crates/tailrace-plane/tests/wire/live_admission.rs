//! Live configuration of admission: rates, caps and what happens under pressure change between two
//! requests; what was spent stays spent, and nobody who is inside is put out (req 9.1a, 9.1c, 9.2).
//!
//! A burst that takes minutes to come back makes the counts exact, however slow the machine is.

use crate::client::{get, Client};
use crate::patience::eventually;
use crate::pressure::holding;
use crate::service::{strong, weak, Running, Service};
use crate::upstream::Upstream;
use serde_json::{json, Value};

fn change(plane: &Running, service: &Service) {
    let changed = plane.reconfigure(service.source(), b"{}".to_vec(), "test");
    let changed = changed.unwrap_or_else(|error| panic!("{error}"));
    assert!(!changed.is_empty());
}

/// This many at once; the next one after a thousand seconds.
fn burst(burst: u32) -> Value {
    json!({"per_second": 0.001, "burst": burst})
}

/// How many of twenty requests, over one connection, are answered.
fn answered(client: &mut Client) -> usize {
    let replies = (0..20).map(|_| client.get("/one/7"));
    replies.filter(|reply| reply.status == 200).count()
}

/// Puts rates in force one after the other. What was spent of the first is not given back by the
/// second, and one that was away begins anew.
fn follows(upstream: &Upstream, with: impl Fn(Value) -> Service) {
    let plane = with(Value::Null).start();
    let mut client = plane.client();
    assert_eq!(answered(&mut client), 20, "no rate yet");
    change(&plane, &with(burst(3)));
    assert_eq!(answered(&mut client), 3);
    change(&plane, &with(burst(5)));
    assert_eq!(answered(&mut client), 2, "three are spent");
    change(&plane, &with(burst(2)));
    assert_eq!(answered(&mut client), 0);
    change(&plane, &with(Value::Null));
    assert_eq!(answered(&mut client), 20);
    change(&plane, &with(burst(1)));
    assert_eq!(answered(&mut client), 1);
    assert_eq!(upstream.count(), 20 + 3 + 2 + 20 + 1);
}

// req 9.1a
#[test]
fn a_clients_rate_follows() {
    let upstream = Upstream::echo();
    follows(&upstream, |rate| {
        Service::one(&upstream).admission(json!({"rate": rate}))
    });
}

// req 9.1a
#[test]
fn a_views_rate_follows_and_its_header_with_it() {
    let upstream = Upstream::echo();
    let with = |rate: Value| {
        let parts = vec![strong("it", "/one/{id}")];
        Service::new().upstream("up", &upstream).view_with(
            "one",
            "/one/{id}",
            parts,
            json!({"rate": rate}),
        )
    };
    follows(&upstream, with);
    let plane = with(burst(1)).start();
    change(&plane, &with(burst(9)));
    let reply = plane.get("/one/7");
    let policy = reply.header("ratelimit-policy").unwrap_or_default();
    assert!(policy.contains("\"view/one\";q=9"), "{policy}");
}

// req 9.1a
#[test]
fn an_upstreams_rate_follows() {
    let upstream = Upstream::echo();
    follows(&upstream, |rate| {
        let part = strong("it", "/one/{id}");
        Service::new()
            .upstream_with("up", &upstream, json!({"rate": rate}))
            .view("one", "/one/{id}", vec![part])
    });
}

fn service(upstream: &Upstream, admission: Value) -> Service {
    let parts = vec![strong("it", "/one/{id}"), weak("more", "/more/{id}")];
    Service::new()
        .upstream("up", upstream)
        .view("one", "/one/{id}", parts)
        .view("hold", "/hold/{id}", vec![strong("it", "/held/{id}")])
        .admission(admission)
}

fn hold(plane: &Running, upstream: &Upstream, requests: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..requests).map(|_| plane.client()).collect();
    for client in &mut clients {
        client.send(get("/hold/7"));
    }
    eventually("all are held", || upstream.active() >= requests);
    clients
}

// req 4.4, 9.2
#[test]
fn a_lower_cap_puts_nobody_out_and_a_higher_one_lets_in_at_once() {
    let (upstream, gate) = holding();
    let with = |calls: u32| service(&upstream, json!({"calls_max": calls, "brownout": null}));
    let plane = with(100).start();
    let held = hold(&plane, &upstream, 10);
    assert_eq!(plane.get("/one/7").status, 200);
    change(&plane, &with(10));
    let refused = plane.get("/one/7");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "overloaded")
    );
    change(&plane, &with(12));
    assert_eq!(plane.get("/one/7").status, 200);
    change(&plane, &with(3));
    gate.open();
    for mut client in held {
        assert_eq!(client.reply().status, 200, "let in under another cap");
    }
    eventually("everything was given back", || {
        plane.metric("tailrace_inbound_calls", "").abs() < 0.1
    });
    assert_eq!(plane.get("/one/7").status, 200);
    assert!((plane.metric("tailrace_inbound_calls_max", "") - 3.0).abs() < 0.1);
}

// req 9.1c
#[test]
fn brownout_follows_and_gives_back_what_it_left_out() {
    let (upstream, gate) = holding();
    let with = |brownout: Value| {
        let admission = json!({"calls_max": 100, "brownout": brownout});
        service(&upstream, admission)
    };
    let at = |start: f64| json!({"start": start, "full": 0.9, "band": 0.05, "dwell_ms": 100.0});
    let plane = with(Value::Null).start();
    let held = hold(&plane, &upstream, 60);
    let left_out = |expected: Value| {
        let mut client = plane.client();
        eventually(&format!("left out: {expected}"), || {
            client.get("/one/7").json()["degraded"] == expected
        });
    };
    left_out(json!([]));
    change(&plane, &with(at(0.5)));
    left_out(json!(["more"]));
    change(&plane, &with(at(0.8)));
    left_out(json!([]));
    change(&plane, &with(at(0.5)));
    left_out(json!(["more"]));
    change(&plane, &with(Value::Null));
    left_out(json!([]));
    gate.open();
    drop(held);
}

// req 9.1c
#[test]
fn the_order_in_which_parts_go_follows() {
    let (upstream, gate) = holding();
    let with = |one: Value, other: Value| {
        let part = |name: &str, drop: Value| {
            crate::service::with(weak(name, "/weak/{id}"), json!({"drop": drop}))
        };
        let parts = vec![strong("it", "/one/{id}"), part("a", one), part("b", other)];
        Service::new()
            .upstream("up", &upstream)
            .view("one", "/one/{id}", parts)
            .view("hold", "/hold/{id}", vec![strong("it", "/held/{id}")])
            .admission(json!({"calls_max": 100, "brownout":
                {"start": 0.5, "full": 0.9, "band": 0.05, "dwell_ms": 100.0}}))
    };
    let plane = with(Value::Null, Value::Null).start();
    let held = hold(&plane, &upstream, 60);
    let left_out = |expected: Value| {
        let mut client = plane.client();
        eventually(&format!("left out: {expected}"), || {
            client.get("/one/7").json()["degraded"] == expected
        });
    };
    left_out(json!(["b"]));
    change(&plane, &with(json!(1), Value::Null));
    // Under the first request of the new order, not only after the next look at the pressure.
    assert_eq!(plane.get("/one/7").json()["degraded"], json!(["a"]));
    change(&plane, &with(json!(1), json!(1)));
    left_out(json!(["a", "b"]));
    change(&plane, &with(json!(2), json!(1)));
    left_out(json!(["b"]));
    gate.open();
    drop(held);
}

// req 16.4
#[test]
fn shedding_follows_and_is_forgotten_when_it_is_switched_off() {
    let (upstream, gate) = holding();
    // The delay of the ready queue is never less than a microsecond: overload, while more requests
    // come than end.
    let tight = json!({"cpu": null, "delay_ms": 0.000_001});
    let with = |shed: &Value| service(&upstream, json!({"shed": shed, "brownout": null}));
    let plane = with(&Value::Null).start();
    let mut held = hold(&plane, &upstream, 20);
    assert!(plane.metric("tailrace_shed_ratio", "").abs() < 1e-9);
    change(&plane, &with(&tight));
    eventually("requests are refused", || {
        let mut client = plane.client();
        client.send(get("/hold/7"));
        held.push(client);
        plane.metric("tailrace_shed_ratio", "") > 0.3
    });
    change(&plane, &with(&Value::Null));
    // Before the worker's next look, too.
    for _ in 0..40 {
        assert_eq!(plane.get("/one/7").status, 200);
    }
    eventually("the share is forgotten", || {
        plane.metric("tailrace_shed_ratio", "").abs() < 1e-9
    });
    gate.open();
}

#[test]
fn feasibility_follows() {
    let upstream = Upstream::echo();
    let with = |feasibility: Value| {
        service(
            &upstream,
            json!({"feasibility": feasibility, "brownout": null}),
        )
    };
    let plane = with(Value::Null).start();
    assert_eq!(plane.get("/one/7").status, 200);
    change(&plane, &with(json!({"refused_max": 0.5})));
    assert_eq!(plane.get("/one/7").status, 200);
    assert_eq!(
        plane.config()["admission"]["feasibility"]["refused_max"],
        0.5
    );
}

#[test]
fn who_is_known_and_trusted_needs_a_restart() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    for (field, to, said) in [
        (
            "trusted",
            json!(["10.0.0.0/8"]),
            "admission.trusted  -> 10.0.0.0/8",
        ),
        (
            "clients_max",
            json!(1_024),
            "admission.clients_max 65536 -> 1024",
        ),
    ] {
        let mut admission = json!({"calls_max": 77});
        admission[field] = to;
        let wanted = Service::one(&upstream).admission(admission);
        let refused = plane.reconfigure(wanted.source(), b"{}".to_vec(), "test");
        assert_eq!(refused.unwrap_err(), format!("needs a restart: {said}"));
        assert_eq!(
            plane.config()["admission"]["calls_max"],
            8_192,
            "all of it is refused"
        );
    }
}

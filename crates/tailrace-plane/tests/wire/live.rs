//! Live configuration: limits change under load, no request is lost, nothing that was learned is
//! reset, and what cannot change is refused by name.

use crate::client::get;
use crate::patience::eventually;
use crate::service::{strong, with, Running, Service};
use crate::upstream::{answer, echo, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

/// Puts `service` in force; panics with the refusal.
fn change(plane: &Running, service: &Service) -> usize {
    let changed = plane.reconfigure(service.source(), b"{}".to_vec(), "test");
    changed.unwrap_or_else(|error| panic!("{error}")).len()
}

fn held(gate: &Arc<Gate>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::start(move |seen: &Seen| vec![Step::Wait(Arc::clone(&gate)), Step::Send(echo(seen))])
}

/// Calls in flight at upstream `up`, as the bulkhead counts them.
fn in_flight(plane: &Running) -> u64 {
    plane.counter("tailrace_bulkhead_in_flight", r#"upstream="up""#)
}

/// The service of the load test in its `turn`th revision: every limit that may change does.
fn revision(upstream: &Upstream, turn: u32) -> Service {
    let odd = turn % 2 == 1;
    let number = |even: u32, other: u32| if odd { other } else { even };
    let declared = json!({
        "timeout_ms": 9_000.0 + f64::from(turn),
        "bulkhead": {"limit": 64 + turn, "queue": number(64, 256)},
        "retry": if odd { json!({"attempts": 2}) } else { Value::Null },
        "hedge": if odd { Value::Null } else { json!({"extra": 0.001, "delay_min_ms": 1_900.0}) },
        "breaker": {"consecutive": number(7, 9)},
        "throttle": if turn.is_multiple_of(3) { Value::Null } else { json!({"factor": 2.5}) },
        "adaptive": if odd { json!({"min": 32, "init": 32}) } else { Value::Null },
        "forward_headers": if odd { json!(["x-tenant"]) } else { json!([]) },
    });
    let rate = json!({"per_second": 1e6, "burst": 100_000 + turn});
    let admission = json!({
        "rate": if odd { rate.clone() } else { Value::Null },
        "calls_max": 8_000 + turn,
        "shed": if odd { Value::Null } else { json!({"cpu": null, "delay_ms": 500.0}) },
        "brownout": if odd { json!({"start": 0.9}) } else { Value::Null },
        "feasibility": if odd { Value::Null } else { json!({"refused_max": 0.1}) },
        "priorities": if odd { json!([{"client": "127.0.0.1", "priority": "sheddable"}]) }
                      else { json!([]) },
    });
    let view = json!({
        "rate": if odd { Value::Null } else { rate },
        "priority": if odd { "sheddable" } else { "critical" },
        "deadline_ms": 10_000.0 + f64::from(turn),
        "fanout": number(1, 8),
        "extra_attempts": number(0, 3),
    });
    let parts = vec![
        with(strong("it", "/one/{id}"), json!({"timeout_ms": 8_000.0})),
        strong("other", "/two/{id}"),
    ];
    let mut service = Service::new()
        .workers(2)
        .admission(admission)
        .upstream_with("up", upstream, declared)
        .view_with("one", "/one/{id}", parts, view);
    for (name, even, other) in [
        ("idle_ms", 30_000, 60_000),
        ("head_max_bytes", 16_384, 32_768),
        ("connections_max", 1_000, 2_000),
        ("pool_idle_ms", 4_000, 8_000),
        ("reserve_ms", 1, 2),
        ("json_depth_max", 32, 64),
    ] {
        service = service.limit(name, number(even, other));
    }
    service
}

// No request is lost, doubled or refused; no permit leaks; connections and the policies stay.
#[test]
fn two_hundred_changes_under_load_lose_no_request() {
    const CHANGES: u32 = 200;
    const CLIENTS: usize = 4;
    let upstream = Upstream::echo();
    let plane = revision(&upstream, 0).start();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = plane.client();
                while !stop.load(SeqCst) {
                    let reply = client.get("/one/abc");
                    assert_eq!(reply.status, 200, "{}", reply.code());
                    let body = reply.json();
                    assert_eq!(
                        (&body["it"]["id"], &body["other"]["id"]),
                        (&json!("abc"), &json!("abc"))
                    );
                    answered.fetch_add(1, SeqCst);
                }
            });
        }
        for turn in 1..=CHANGES {
            let before = answered.load(SeqCst);
            assert!(change(&plane, &revision(&upstream, turn)) >= 15);
            assert_eq!(plane.revision(), u64::from(turn) + 1);
            // Each revision serves: its changes are not merely replaced by the next.
            eventually("requests are answered", || {
                answered.load(SeqCst) >= before + CLIENTS
            });
        }
        stop.store(true, SeqCst);
    });
    let answered = answered.load(SeqCst);
    assert_eq!(
        upstream.count(),
        2 * answered,
        "two calls each, whatever the revision"
    );
    assert_eq!(
        plane.counter("tailrace_requests_total", r#"status="200""#),
        answered as u64
    );
    assert_eq!(
        plane.counter("tailrace_config_changes_total", r#"result="ok""#),
        u64::from(CHANGES)
    );
    assert_eq!(in_flight(&plane), 0, "no permit leaked");
    let config = plane.config();
    assert_eq!(config["revision"], CHANGES + 1);
    assert_eq!(config["upstreams"]["up"]["timeout_ms"], 9_200.0);
    assert_eq!(config["upstreams"]["up"]["bulkhead"], 264);
    assert_eq!(config["upstreams"]["up"]["breaker"]["consecutive"], 7);
    assert_eq!(config["upstreams"]["up"]["retry"], Value::Null);
    assert_eq!(
        config["changes"]["upstreams.up.timeout_ms"]["revision"],
        CHANGES + 1
    );
    assert_eq!(config["changes"]["upstreams.up.timeout_ms"]["from"], "9199");
    // Pools are carried over: two calls at a time for each client at the most.
    assert!(
        upstream.connections() <= 2 * CLIENTS,
        "{} connections",
        upstream.connections()
    );
    println!(
        "live: {answered} requests over {CHANGES} changes, 0 lost, {} upstream connections",
        upstream.connections()
    );
}

#[test]
fn a_request_in_flight_keeps_the_limits_it_began_with() {
    let gate = Arc::default();
    let upstream = held(&gate);
    let view = |timeout: f64, deadline: f64| {
        Service::new()
            .upstream_with("up", &upstream, json!({"timeout_ms": timeout}))
            .view_with(
                "one",
                "/one/{id}",
                vec![strong("it", "/one/{id}")],
                json!({"deadline_ms": deadline}),
            )
    };
    let plane = view(15_000.0, 20_000.0).start();
    let mut first = plane.client();
    first.send(get("/one/a"));
    eventually("the first call is out", || upstream.count() == 1);
    assert_eq!(change(&plane, &view(5.0, 100.0)), 2);
    // Who comes now has five milliseconds, on the connection that is already there as well.
    for client in [&mut plane.client(), &mut plane.client()] {
        let reply = client.get("/one/b");
        assert_eq!((reply.status, reply.code().as_str()), (504, "timeout"));
    }
    gate.open();
    assert_eq!(first.reply().status, 200);
    assert_eq!(in_flight(&plane), 0);
}

#[test]
fn a_lower_bulkhead_admits_nobody_until_enough_have_left() {
    let gate = Arc::default();
    let upstream = held(&gate);
    let limited = |limit: u32, queue: u32| {
        Service::new()
            .upstream_with(
                "up",
                &upstream,
                json!({"bulkhead": {"limit": limit, "queue": queue}}),
            )
            .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
    };
    let plane = limited(3, 0).start();
    let mut clients = [plane.client(), plane.client(), plane.client()];
    for client in &mut clients {
        client.send(get("/one/a"));
    }
    eventually("three are in", || upstream.count() == 3);
    change(&plane, &limited(1, 0));
    let refused = plane.get("/one/b");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "bulkhead_full")
    );
    assert_eq!(in_flight(&plane), 3, "nobody is put out");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
    eventually("their places are free", || in_flight(&plane) == 0);
    assert_eq!(plane.get("/one/c").status, 200);
    assert_eq!(plane.config()["upstreams"]["up"]["bulkhead"], 1);
    // And a higher limit lets in more.
    change(&plane, &limited(50, 0));
    assert_eq!(plane.config()["upstreams"]["up"]["bulkhead"], 50);
}

#[test]
fn what_the_throttle_has_learned_outlives_the_change() {
    const LATER: usize = 40;
    let upstream = Upstream::start(|_| {
        vec![Step::Send(answer(
            "503 Service Unavailable",
            "text/plain",
            "",
        ))]
    });
    let throttled = |factor: f64| {
        Service::new()
            .upstream_with("up", &upstream, json!({"throttle": {"factor": factor}}))
            .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
    };
    let plane = throttled(2.0).start();
    let mut client = plane.client();
    for _ in 0..200 {
        client.get("/one/a");
    }
    change(&plane, &throttled(1.5));
    let refused = (0..LATER)
        .filter(|_| client.get("/one/a").code() == "throttled")
        .count();
    // One that began anew would send its first fifty calls.
    assert!(refused > LATER / 2, "{refused} of {LATER}");
}

#[test]
fn connections_that_are_open_follow_too() {
    let upstream = Upstream::echo();
    let limits = |idle: u32, head: u32| {
        Service::one(&upstream)
            .limit("idle_ms", idle)
            .limit("head_max_bytes", head)
    };
    let plane = limits(600_000, 16_384).start();
    let large = format!(
        "GET /one/a HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(8_000)
    );
    let (mut busy, mut idle) = (plane.client(), plane.client());
    busy.send(&large);
    assert_eq!((busy.reply().status, idle.get("/one/a").status), (200, 200));
    change(&plane, &limits(600_000, 4_096));
    busy.send(&large);
    assert_eq!(busy.reply().status, 431);
    // It waited for ten minutes; now it waits for no longer than a millisecond.
    change(&plane, &limits(1, 4_096));
    assert!(idle.rest().is_empty());
}

#[test]
fn addresses_may_change_and_the_new_one_is_called() {
    let (old, new) = (Upstream::echo(), Upstream::echo());
    let plane = Service::one(&old).start();
    let mut client = plane.client();
    assert_eq!(client.get("/one/a").status, 200);
    assert_eq!(change(&plane, &Service::one(&new)), 1);
    assert_eq!(client.get("/one/a").status, 200);
    assert_eq!((old.count(), new.count()), (1, 1));
    assert_eq!(
        plane.config()["upstreams"]["up"]["addresses"],
        json!([new.address().to_string()])
    );
    let unknown = Service::new()
        .upstream_with(
            "up",
            &new,
            json!({"addresses": ["http://nowhere.invalid:80"]}),
        )
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")]);
    let refused = plane.reconfigure(unknown.source(), b"{}".to_vec(), "test");
    let error = refused.expect_err("the name does not resolve");
    assert!(
        error.starts_with("upstreams.up.addresses: nowhere.invalid:80 "),
        "{error}"
    );
    assert_eq!((client.get("/one/a").status, plane.revision()), (200, 2));
}

#[test]
fn what_needs_a_restart_or_is_nonsense_changes_nothing() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let before = plane.config();
    let nonsense = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"timeout_ms": 9.0, "bulkhead": {"limit": 0}}),
        )
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")]);
    let other_view = Service::new()
        .upstream_with("up", &upstream, json!({"timeout_ms": 9.0}))
        .view("one", "/other/{id}", vec![strong("it", "/one/{id}")]);
    let cases = [
        (
            Service::one(&upstream).workers(7).source(),
            "needs a restart: listen.workers 1 -> 7",
        ),
        (
            other_view.source(),
            "needs a restart: views.one.path /one/{id} -> /other/{id}",
        ),
        (nonsense.source(), "upstreams[0].bulkhead.limit: "),
        (b"{".to_vec(), "line 1 column 1: "),
    ];
    for (source, expected) in cases {
        let refused = plane.reconfigure(source, b"{}".to_vec(), "test");
        let error = refused.expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
        let config = plane.config();
        assert_eq!(config["refused"]["error"], error);
        assert_eq!(config["refused"]["source"], "test");
        for key in ["revision", "upstreams", "views", "limits", "changes"] {
            assert_eq!(config[key], before[key], "{key}");
        }
    }
    assert_eq!(
        plane.counter("tailrace_config_changes_total", r#"result="refused""#),
        4
    );
    // The same again is no change, and no new revision.
    assert_eq!(change(&plane, &Service::one(&upstream).workers(1)), 0);
    assert_eq!(plane.revision(), 1);
}

#[test]
fn the_access_log_follows_its_format() {
    let upstream = Upstream::echo();
    let path = std::env::temp_dir().join(format!("tailrace-live-{}.log", std::process::id()));
    let logged = |format: &str| {
        let log = json!({"format": format, "path": path.to_str()});
        Service::one(&upstream).access_log(log)
    };
    let plane = logged("json").start();
    let lines = || {
        std::fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .count()
    };
    let mut client = plane.client();
    for (format, expected) in [("json", 1), ("text", 2), ("off", 2), ("json", 3)] {
        change(&plane, &logged(format));
        assert_eq!(client.get("/one/a").status, 200);
        eventually("the line is written", || lines() == expected);
    }
    let text = std::fs::read_to_string(&path).expect("the log");
    let starts: Vec<_> = text.lines().map(|line| line.starts_with('{')).collect();
    assert_eq!(starts, [true, false, true]);
    std::fs::remove_file(&path).ok();
}

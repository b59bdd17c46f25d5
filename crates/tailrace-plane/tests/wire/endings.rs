//! What a plane says of itself is what happened: requests that its end cut off, log lines that were
//! lost, limits that decide.

use crate::client::get;
use crate::patience::{eventually, PATIENCE};
use crate::service::{strong, with, Service, LIST, THING};
use crate::upstream::{Step, Upstream};
use serde_json::{json, Value};

// req 11.4: workers that the drain's own timer ended have not answered everything.
#[test]
fn requests_in_flight_at_the_end_of_the_drain_are_counted() {
    for (drain_ms, held) in [(1, 1), (40, 3), (300, 5)] {
        let upstream = Upstream::start(|_| vec![Step::Hold]);
        let service = Service::one(&upstream).limit("drain_ms", drain_ms);
        let plane = service.workers(2).start();
        let mut clients: Vec<_> = (0..held).map(|_| plane.client()).collect();
        for client in &mut clients {
            client.send(get("/one/7"));
        }
        eventually("all are in flight", || upstream.active() == held);
        plane.drain();
        assert!(plane.wait(PATIENCE));
        assert_eq!(plane.cut_off(), held as u64, "drain of {drain_ms} ms");
    }
}

#[test]
fn a_stop_counts_requests_and_not_silent_connections() {
    let upstream = Upstream::start(|_| vec![Step::Hold]);
    let plane = Service::one(&upstream).start();
    let mut held = plane.client();
    held.send(get("/one/7"));
    let silent = plane.client();
    eventually("both are there", || {
        upstream.active() == 1 && plane.connections() == 2
    });
    assert!(plane.end());
    assert_eq!(plane.cut_off(), 1);
    drop(silent);
}

#[test]
fn a_drain_that_answers_everything_cuts_nothing_off() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    assert_eq!(client.get("/one/7").status, 200);
    plane.drain();
    assert!(plane.wait(PATIENCE));
    assert_eq!(plane.cut_off(), 0);
}

// req 5.2: lines that a full disk took are a number, not silence.
#[cfg(target_os = "linux")]
#[test]
fn lines_that_cannot_be_written_are_counted() {
    let upstream = Upstream::echo();
    let log = json!({"format": "json", "path": "/dev/full"});
    let plane = Service::one(&upstream).access_log(log).start();
    let mut client = plane.client();
    for _ in 0..7 {
        assert_eq!(client.get("/one/7").status, 200);
    }
    eventually("all seven are counted", || {
        (plane.metric("tailrace_access_log_failed_total", "") - 7.0).abs() < f64::EPSILON
    });
    assert!(plane.metric("tailrace_access_log_dropped_total", "").abs() < f64::EPSILON);
}

// req 5.2: a full ring drops and counts, and nobody waits for it.
#[test]
fn what_finds_the_ring_full_is_counted_and_answered_all_the_same() {
    const ASKED: usize = 256;
    let path = std::env::temp_dir().join(format!("tailrace-ring-{}.log", std::process::id()));
    let upstream = Upstream::echo();
    let log = json!({"format": "json", "path": path.to_str(), "ring": 1});
    let plane = Service::one(&upstream).access_log(log).start();
    let mut client = plane.client();
    client.send(get("/one/7").repeat(ASKED));
    (0..ASKED).for_each(|_| assert_eq!(client.reply().status, 200));
    let dropped = || plane.metric("tailrace_access_log_dropped_total", "") as usize;
    let lines = || std::fs::read_to_string(&path).map_or(0, |text| text.lines().count());
    eventually("every request is a line or a number", || {
        lines() + dropped() == ASKED
    });
    assert!(dropped() > 0, "{} lines", lines());
    std::fs::remove_file(&path).ok();
}

fn number(config: &Value, pointer: &str) -> f64 {
    let value = config.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{pointer} is not in {config:#}"))
}

// req 12: whatever decides can be read.
#[test]
fn the_configuration_shows_every_limit_that_decides() {
    let upstream = Upstream::echo();
    let each = json!({"part": "it", "field": ["items"], "items_max": 9});
    let each = json!({"each": each, "timeout_ms": 20.0, "shape": THING});
    let parts = vec![
        with(strong("it", "/one/{id}"), json!({"shape": LIST})),
        with(strong("list", "/item/{item.id}"), each),
    ];
    let declared = json!({"timeout_ms": 60.0, "bulkhead": {"limit": 12, "queue": 34}});
    let plane = Service::new()
        .upstream_with("up", &upstream, declared)
        .view_with(
            "one",
            "/one/{id}",
            parts,
            json!({"deadline_ms": 150.0, "fanout": 3}),
        )
        .access_log(json!({"format": "text", "path": "/dev/null", "ring": 77}))
        .start();
    let _open = plane.client();
    eventually("the connection is there", || plane.connections() == 1);
    let config = plane.config();
    for (pointer, expected) in [
        ("/connections", 1.0),
        ("/access_log/ring", 77.0),
        (
            "/limits/connections_max",
            number(&config, "/limits/connections_max"),
        ),
        ("/upstreams/up/timeout_ms", 60.0),
        ("/upstreams/up/bulkhead", 12.0),
        ("/upstreams/up/bulkhead_queue", 34.0),
        ("/upstreams/up/codel_target_ms", 5.0),
        ("/upstreams/up/codel_interval_ms", 100.0),
        ("/views/one/deadline_ms", 150.0),
        ("/views/one/fanout", 3.0),
        ("/views/one/parts/it/timeout_ms", 60.0),
        ("/views/one/parts/list/timeout_ms", 20.0),
        ("/views/one/parts/list/items_max", 9.0),
    ] {
        let shown = number(&config, pointer);
        assert!((shown - expected).abs() < 1e-9, "{pointer}: {shown}");
    }
    assert_eq!(config["access_log"]["format"], "text");
    assert_eq!(config["access_log"]["path"], "/dev/null");
}

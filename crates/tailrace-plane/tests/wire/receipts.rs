//! What a request cost stands in its receipt, and the tail has a cause (req 3.1, 3.2, 3.3, 3.4, 3.5
//! and 3.6).

use crate::service::{strong, weak, with, Service};
use crate::upstream::{answer, echo, Step, Upstream};
use serde_json::{json, Value};
use std::time::Duration;

/// The newest receipts that `query` finds.
fn receipts(plane: &crate::service::Running, query: &str) -> Vec<Value> {
    let reply = plane.admin(&format!("/receipts?{query}"));
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let listed = reply.json();
    assert_eq!(listed["format_version"], 1);
    listed["receipts"].as_array().expect("a list").clone()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("a number: {value}"))
}

/// In nanoseconds, as they were before they were milliseconds.
fn nanos(value: &Value) -> u64 {
    (number(value) * 1e6).round() as u64
}

/// The steps are the duration, and the upstream's pauses are among them.
fn adds_up(one: &Value) {
    let steps = one["tail"]["steps"].as_array().expect("steps");
    let sum: u64 = steps.iter().map(|step| nanos(&step["took_ms"])).sum();
    assert_eq!(sum, nanos(&one["duration_ms"]), "{steps:?}");
    let upstream_time = steps.iter().filter(|step| step["step"] == "upstream");
    assert!(
        upstream_time
            .map(|step| number(&step["took_ms"]))
            .sum::<f64>()
            >= 6.0
    );
}

// `then` reads a field of `first`, so both are on the path, whatever the machine does.
#[test]
fn a_receipt_tells_path_steps_calls_and_bytes() {
    let upstream = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(3)),
            Step::Send(echo(seen)),
        ]
    });
    let parts = vec![strong("first", "/a/{id}"), strong("then", "/b/{first.id}")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("chain", "/chain/{id}", parts)
        .start();
    let mut client = plane.client();
    client.send("GET /chain/7 HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    let found = receipts(&plane, "view=chain");
    let [one] = found.as_slice() else {
        panic!("one receipt: {found:?}");
    };
    assert_eq!(
        (&one["request_id"], &one["status"]),
        (&json!("mine-1"), &json!(200))
    );
    assert_eq!(
        (&one["view"], &one["route"]),
        (&json!("chain"), &json!("/chain/{id}"))
    );
    let path: Vec<_> = one["tail"]["path"]
        .as_array()
        .expect("a path")
        .iter()
        .collect();
    let names: Vec<_> = path.iter().map(|part| part["part"].clone()).collect();
    assert_eq!(names, ["first", "then"]);
    // Nothing runs beside them: without one of them its whole time is saved.
    assert!(
        path.iter().all(|part| number(&part["saving_ms"]) >= 3.0),
        "{path:?}"
    );
    adds_up(one);
    let io = &one["io"];
    assert_eq!(
        (&io["attempts"], &io["retries"], &io["hedges"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(
        io["connects"], 1,
        "the second call finds the connection idle"
    );
    assert!(number(&io["bytes_out"]) > 100.0 && number(&io["bytes_in"]) > 100.0);
    assert_eq!(one["concurrency"]["calls"], 2);
    assert_eq!(one["concurrency"]["in_flight_max"], 1);
    assert!(number(&one["cpu"]["poll_ms"]) > 0.0 && number(&one["cpu"]["polls"]) >= 3.0);
    assert_eq!(one["memory"]["peak_bytes"], 20, "two bodies of ten bytes");
    let second = &one["parts"][1];
    assert_eq!(
        (&second["name"], &second["needs"]),
        (&json!("then"), &json!(["first"]))
    );
    let attempt = &second["calls"][0]["attempts"][0];
    assert_eq!(
        (&attempt["kind"], &attempt["outcome"]),
        (&json!("first"), &json!("ok"))
    );
    assert_eq!(
        (&attempt["status"], &attempt["opened"]),
        (&json!(200), &json!(false))
    );
}

// A retry and a degraded part: what failed, in the words of the reply.
#[test]
fn attempts_and_their_failures_are_told() {
    let upstream = Upstream::start(|seen| {
        let fails = answer("503 Service Unavailable", "application/json", "{}");
        if seen.target().starts_with("/bad") {
            vec![Step::Send(fails)]
        } else {
            vec![Step::Send(echo(seen))]
        }
    });
    let retry = json!({"retry": {"attempts": 2, "backoff_ms": 1.0}});
    let parts = vec![strong("it", "/it/{id}"), weak("bad", "/bad/{id}")];
    let plane = Service::new()
        .upstream_with("up", &upstream, retry)
        .view("mixed", "/mixed/{id}", parts)
        .start();
    assert_eq!(plane.get("/mixed/1").status, 200);
    let found = receipts(&plane, "troubled=1");
    let [one] = found.as_slice() else {
        panic!("one receipt: {found:?}");
    };
    assert_eq!(
        (&one["degraded"], &one["status"]),
        (&json!(true), &json!(200))
    );
    let bad = &one["parts"][1];
    assert_eq!(
        (&bad["failed"], &bad["source"]),
        (&json!("server_error"), &json!("missing"))
    );
    let attempts = bad["calls"][0]["attempts"].as_array().expect("attempts");
    let told: Vec<_> = attempts
        .iter()
        .map(|one| {
            (
                one["kind"].clone(),
                one["status"].clone(),
                one["outcome"].clone(),
            )
        })
        .collect();
    let failed = |kind: &str| (json!(kind), json!(503), json!("server_error"));
    assert_eq!(told, [failed("first"), failed("retry")]);
    assert_eq!(
        (&one["io"]["attempts"], &one["io"]["retries"]),
        (&json!(3), &json!(1))
    );
    assert!(receipts(&plane, "slower_than=100s").is_empty());
}

// req 9.1d: the slow part is found, and says how much it cost.
#[test]
fn why_ranks_the_part_that_made_the_tail() {
    let upstream = Upstream::start(|seen| {
        let slow = seen.target() == "/b/slow";
        let pause = Duration::from_millis(if slow { 400 } else { 0 });
        vec![Step::Pause(pause), Step::Send(echo(seen))]
    });
    let parts = vec![weak("quick", "/a/{id}"), strong("late", "/b/{id}")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("tail", "/tail/{id}", parts)
        .start();
    let why = || plane.admin("/why?view=tail").json()["views"][0].clone();
    let mut client = plane.client();
    for id in 0..140 {
        assert_eq!(client.get(&format!("/tail/{id}")).status, 200);
    }
    let before = why();
    assert_eq!(
        before["counted"], 12,
        "the first 128 only make the P99 known"
    );
    assert_eq!(client.get("/tail/slow").status, 200);
    let after = why();
    assert!(number(&after["slow"]) >= 1.0, "{after}");
    let first = &after["parts"][0];
    assert_eq!(
        (&first["part"], &first["upstream"]),
        (&json!("late"), &json!("up"))
    );
    assert!(number(&first["saving_ms"]) > 0.0 && number(&first["on_path_share"]) > 0.0);
    let means = |steps: &Value| -> f64 {
        let steps = steps.as_object().expect("steps");
        steps.values().map(number).sum()
    };
    let parts = after["parts"].as_array().expect("parts").iter();
    let sum = parts.map(|part| means(&part["steps"])).sum::<f64>() + means(&after["steps"]);
    let mean = number(&after["slow_mean_ms"]);
    assert!((sum - mean).abs() < 1e-6, "{sum} is not {mean}: {after}");
    let slowest = receipts(&plane, "view=tail&sort=slowest&limit=1");
    assert!(number(&slowest[0]["duration_ms"]) >= 400.0);
    let label = "view=\"tail\" part=\"late\"";
    assert!(plane.metric("tailrace_tail_part_saving_seconds_total", label) > 0.0);
}

#[test]
fn what_is_not_known_is_refused() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    for query in [
        "/receipts?veiw=one",
        "/receipts?view=two",
        "/receipts?slower_than=200",
        "/receipts?limit=0",
        "/receipts?limit=201",
        "/receipts?sort=fastest",
        "/receipts?troubled=yes",
        "/receipts?since_ms=now",
        "/why?limit=1",
        "/why?view=two",
    ] {
        let reply = plane.admin(query);
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.body.len() > 10, "{query}: it says why");
    }
    assert_eq!(plane.admin("/why").json()["views"][0]["slow"], 0);
}

// Bounded: requests that were refused before their first call leave no receipt.
#[test]
fn refused_requests_are_not_kept() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    assert_eq!(plane.get("/nowhere").status, 404);
    let mut client = plane.client();
    client.send("DELETE /one/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.reply().status, 405);
    assert!(receipts(&plane, "").is_empty());
    assert_eq!(plane.get("/one/1").status, 200);
    assert_eq!(receipts(&plane, "").len(), 1);
}

// One request in 64 is measured with the clocks that cost something.
#[test]
fn one_request_in_sixty_four_is_measured_closely() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    for id in 0..64 {
        assert_eq!(client.get(&format!("/one/{id}")).status, 200);
    }
    let all = receipts(&plane, "limit=200");
    let measured = all.iter().filter(|one| !one["cpu"]["thread_ms"].is_null());
    let measured: Vec<_> = measured.collect();
    assert_eq!((all.len(), measured.len()), (64, 1));
    for one in measured {
        assert!(number(&one["cpu"]["thread_ms"]) > 0.0, "{one}");
        let (total, worst) = (
            number(&one["concurrency"]["wake_delay_ms"]),
            number(&one["concurrency"]["wake_delay_worst_ms"]),
        );
        assert!(total >= worst && worst > 0.0, "{one}");
    }
}

#[test]
fn server_timing_is_told_to_who_asks_where_it_is_on() {
    let upstream = Upstream::start(|seen| {
        if seen.target().starts_with("/bad") {
            let fails = answer("404 Not Found", "application/json", "{}");
            return vec![Step::Send(fails)];
        }
        vec![Step::Send(echo(seen))]
    });
    let service = |timing: bool| {
        let parts = vec![
            strong("it", "/it/{id}"),
            with(weak("bad", "/bad/{id}"), json!({"name": "bad"})),
        ];
        let service = Service::new()
            .upstream("up", &upstream)
            .view("v", "/v/{id}", parts);
        let service = if timing {
            service.server_timing()
        } else {
            service
        };
        service.start()
    };
    let asks = "GET /v/1 HTTP/1.1\r\nHost: x\r\nTailrace-Timing: 1\r\n\r\n";
    let told = |plane: &crate::service::Running, request: &str| {
        let mut client = plane.client();
        client.send(request);
        let reply = client.reply();
        assert_eq!(reply.status, 200);
        reply.header("server-timing").map(str::to_owned)
    };
    let (on, off) = (service(true), service(false));
    assert_eq!(told(&off, asks), None);
    assert_eq!(told(&on, "GET /v/1 HTTP/1.1\r\nHost: x\r\n\r\n"), None);
    assert_eq!(told(&on, &asks.replace(": 1", ": 0")), None);
    let line = told(&on, asks).expect("it asked");
    let names: Vec<_> = line
        .split(", ")
        .map(|one| one.split_once(";dur=").expect("a duration"))
        .collect();
    let names_only: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    assert_eq!(names_only, ["total", "admission", "it", "bad"], "{line}");
    for (name, value) in &names {
        let (duration, about) = value.split_once(';').unwrap_or((value, ""));
        assert!(duration.parse::<f64>().is_ok(), "{name} {value}");
        let expected = if *name == "bad" {
            "desc=\"not_found\""
        } else {
            ""
        };
        assert_eq!(about, expected);
    }
    assert!(!line.contains("up") && !line.contains("127."), "{line}");
}

//! RELIABILITY A01, A04, A05: nothing an upstream or a client does holds a request, a sibling or
//! another view longer than declared (req 4.3, 4.4, 4.5).

use crate::patience::{eventually, now};
use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{echo, json as json_answer, Seen, Step, Upstream};
use serde_json::json;
use std::time::Duration;

const TIMEOUT_MS: u64 = 150;
/// A shared machine is late at times; what is late by design is late by seconds.
pub(crate) const LATE: Duration = Duration::from_millis(1_500);

pub(crate) const FAULTS: [&str; 9] = [
    "hang",
    "in_head",
    "after_head",
    "in_body",
    "in_chunk",
    "trickled_head",
    "trickled_body",
    "interim",
    "two_lines",
];

/// An upstream that misbehaves in time, by the name in the path.
pub(crate) fn fault(seen: &Seen) -> Vec<Step> {
    const LENGTH: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let send = |text: &str| Step::Send(text.as_bytes().to_vec());
    let slow = Duration::from_millis(30);
    let target = seen.target();
    match target.rsplit('/').next().unwrap_or_default() {
        "hang" => vec![Step::Hold],
        "in_head" => vec![send("HTTP/1.1 20"), Step::Hold],
        "after_head" => vec![send(LENGTH), Step::Hold],
        "in_body" => vec![send(LENGTH), send(r#"{"id":"#), Step::Hold],
        "in_chunk" => vec![send(CHUNKED), send("5\r\n{"), Step::Hold],
        "trickled_head" => vec![Step::Trickle(json_answer("{}"), slow)],
        "trickled_body" => vec![send(LENGTH), Step::Trickle(vec![b' '; 400], slow)],
        "interim" => vec![send("HTTP/1.1 102 Wait\r\n\r\n"), Step::Hold],
        "two_lines" => vec![
            send("HTTP/1.1 200 OK\r\nx: y\r\n"),
            Step::Pause(slow),
            Step::Hold,
        ],
        _ => vec![Step::Send(echo(seen))],
    }
}

fn faulty() -> (Upstream, Running) {
    let upstream = Upstream::start(fault);
    let own = json!({"timeout_ms": TIMEOUT_MS as f64});
    let deadline = json!({"deadline_ms": TIMEOUT_MS as f64});
    let weak_parts = vec![
        strong("fine", "/fine"),
        with(weak("it", "/{n}"), own.clone()),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view(
            "strong",
            "/strong/{n}",
            vec![with(strong("it", "/{n}"), own)],
        )
        .view("weak", "/weak/{n}", weak_parts)
        .view_with(
            "cut",
            "/cut/{n}",
            vec![strong("it", "/{n}")],
            deadline.clone(),
        )
        .view_with(
            "weakcut",
            "/weakcut/{n}",
            vec![weak("it", "/{n}")],
            deadline,
        )
        .start();
    (upstream, plane)
}

/// Asks and checks that the reply comes after the time limit, and soon after it.
fn timed(plane: &Running, target: &str) -> (crate::client::Reply, Duration) {
    let mut client = plane.client();
    let started = now();
    let reply = client.get(target);
    let took = started.elapsed();
    let limit = Duration::from_millis(TIMEOUT_MS);
    assert!(
        took + Duration::from_millis(5) >= limit,
        "{target} gave up after {took:?}"
    );
    assert!(took < limit + LATE, "{target} took {took:?}");
    (reply, took.saturating_sub(limit))
}

#[test]
fn a_slow_strong_part_is_504_and_a_slow_weak_part_degrades() {
    let (upstream, plane) = faulty();
    let mut latest = Duration::ZERO;
    for fault in FAULTS {
        for (view, reason) in [("strong", "timeout"), ("cut", "deadline")] {
            let (reply, late) = timed(&plane, &format!("/{view}/{fault}"));
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (504, reason),
                "{view} {fault}"
            );
            latest = latest.max(late);
        }
        for (view, reason) in [("weak", "timeout"), ("weakcut", "deadline")] {
            let (reply, late) = timed(&plane, &format!("/{view}/{fault}"));
            let header = format!("it;reason={reason}");
            assert_eq!(reply.status, 200, "{view} {fault}");
            assert_eq!(
                reply.header("tailrace-degraded"),
                Some(header.as_str()),
                "{fault}"
            );
            latest = latest.max(late);
        }
    }
    println!(
        "A01: {} faults in 4 kinds of part, latest reply {latest:?} over",
        FAULTS.len()
    );
    eventually("every slow connection is closed", || {
        upstream.abandoned() == FAULTS.len() * 4
    });
    assert!(plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON);
    let timeouts = plane.metric("tailrace_upstream_timeouts_total", "");
    assert!(
        (timeouts - (FAULTS.len() * 4) as f64).abs() < f64::EPSILON,
        "{timeouts}"
    );
}

/// A peer that takes no connection: the packets go nowhere.
#[test]
fn a_black_hole_is_a_timeout_and_a_closed_port_fails_at_once() {
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let silent = silent.expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    silent.bind(&any.into()).expect("a free port");
    silent.listen(0).expect("a bound socket");
    let address = silent
        .local_addr()
        .ok()
        .and_then(|a| a.as_socket())
        .expect("an address");
    // Once the queue of a listener that never accepts is full, the kernel drops what else comes.
    let wait = Duration::from_millis(50);
    let connect = || std::net::TcpStream::connect_timeout(&address, wait);
    let full: Vec<_> = std::iter::from_fn(|| connect().ok()).take(64).collect();
    assert!(full.len() < 64, "the queue of the listener never filled");
    // A port that is taken and not listened on: nobody else can answer there meanwhile.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let silent = silent.expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    silent.bind(&any.into()).expect("a free port");
    let closed = silent.local_addr().ok().and_then(|a| a.as_socket());
    let closed = closed.expect("an address");
    let upstream = Upstream::echo();
    let at = |address: std::net::SocketAddr| {
        let address = format!("http://{address}");
        json!({"addresses": [address], "timeout_ms": TIMEOUT_MS as f64})
    };
    let part = |to: &str| vec![with(strong("it", "/x"), json!({"upstream": to}))];
    let plane = Service::new()
        .upstream_with("hole", &upstream, at(address))
        .upstream_with("closed", &upstream, at(closed))
        .view("hole", "/hole", part("hole"))
        .view("closed", "/closed", part("closed"))
        .start();
    let (reply, _) = timed(&plane, "/hole");
    assert_eq!((reply.status, reply.code().as_str()), (504, "timeout"));
    let reply = plane.get("/closed");
    assert_eq!((reply.status, reply.code().as_str()), (502, "connect"));
}

/// ALGORITHMS 3: a later call is told what is left, not what was there at the start.
#[test]
fn a_call_is_told_what_is_left_of_the_deadline() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/first" => vec![
            Step::Pause(Duration::from_millis(100)),
            Step::Send(echo(seen)),
        ],
        _ => vec![Step::Send(echo(seen))],
    });
    let parts = vec![
        strong("first", "/first"),
        strong("second", "/second/{first.id}"),
    ];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("two", "/two", parts, json!({"deadline_ms": 1_000.0}))
        .start();
    assert_eq!(plane.get("/two").status, 200);
    let told: Vec<u64> = upstream
        .seen()
        .iter()
        .map(|seen| {
            seen.header("x-envoy-expected-rq-timeout-ms")
                .expect("a time")
                .parse()
        })
        .map(|ms| ms.expect("a number"))
        .collect();
    assert!(
        told[0] <= 998 && told[0] > 500 && told[1] + 100 <= told[0],
        "{told:?}"
    );
}

/// What waits for a slow part when the deadline comes is named too.
#[test]
fn parts_that_never_started_are_cut_by_the_deadline() {
    let upstream = Upstream::start(fault);
    let parts = vec![weak("a", "/hang"), weak("b", "/{a.id}"), weak("c", "/fine")];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("x", "/x", parts, json!({"deadline_ms": TIMEOUT_MS as f64}))
        .start();
    let (reply, _) = timed(&plane, "/x");
    let header = reply
        .header("tailrace-degraded")
        .expect("a degraded reply")
        .to_owned();
    assert!(
        header.starts_with("a;reason=deadline, b;reason=d"),
        "{header}"
    );
    assert_eq!(reply.json()["c"]["id"], "fine");
    assert_eq!(upstream.count(), 2);
}

/// req 4.5, ALGORITHMS 3: what a caller asks for can only shorten.
#[test]
fn a_caller_can_only_shorten_the_deadline() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/hang" => vec![Step::Hold],
        _ => vec![Step::Send(echo(seen))],
    });
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with(
            "quick",
            "/quick",
            vec![strong("it", "/quick")],
            json!({"deadline_ms": 400.0}),
        )
        .view_with(
            "hang",
            "/hang",
            vec![strong("it", "/hang")],
            json!({"deadline_ms": 9000.0}),
        )
        .start();
    let mut client = plane.client();
    let mut told = |line: &str| {
        let before = upstream.count();
        client.send(format!("GET /quick HTTP/1.1\r\nHost: a\r\n{line}\r\n"));
        assert_eq!(client.reply().status, 200, "{line}");
        let told = upstream.seen()[before].header("x-envoy-expected-rq-timeout-ms");
        told.and_then(|ms| ms.parse::<u64>().ok())
            .expect("a number of milliseconds")
    };
    for longer in [
        "",
        "grpc-timeout: 1H\r\n",
        "grpc-timeout: 99999999H\r\n",
        "grpc-timeout: 999999999S\r\n",
        "grpc-timeout: -1S\r\n",
        "grpc-timeout: soon\r\n",
        "x-envoy-expected-rq-timeout-ms: 3600000\r\n",
        "x-envoy-expected-rq-timeout-ms: 99999999999999999999\r\n",
        "x-envoy-expected-rq-timeout-ms: 0\r\n",
        "x-envoy-expected-rq-timeout-ms: -5\r\n",
        "connect-timeout-ms: 9999999999\r\n",
    ] {
        let told = told(longer);
        assert!(
            (1..400).contains(&told),
            "{longer:?} told the upstream {told} ms"
        );
    }
    for shorter in [
        "grpc-timeout: 200m\r\n",
        "grpc-timeout: 200000u\r\n",
        "x-envoy-expected-rq-timeout-ms: 200\r\n",
        "connect-timeout-ms: 200\r\n",
        "grpc-timeout: 1H\r\nx-envoy-expected-rq-timeout-ms: 200\r\n",
    ] {
        let told = told(shorter);
        assert!(
            (1..200).contains(&told),
            "{shorter:?} told the upstream {told} ms"
        );
    }
    let started = now();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 100m\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, reply.code().as_str()), (504, "deadline"));
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "the view's own 9 s were waited for"
    );
}

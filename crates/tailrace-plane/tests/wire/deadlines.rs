//! RELIABILITY A01, A04, A05: nothing an upstream or a client does holds a request, a sibling or another
//! view longer than declared (req 4.3, 4.4, 4.5).

use crate::client::{get, Client};
use crate::patience::{eventually, now};
use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{answer, echo, json as json_answer, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT_MS: u64 = 150;
/// A shared machine is late at times; what is late by design is late by seconds.
const LATE: Duration = Duration::from_millis(1_500);

const FAULTS: [&str; 9] = [
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
fn fault(seen: &Seen) -> Vec<Step> {
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
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound port")
    };
    let upstream = Upstream::echo();
    let at = |address: std::net::SocketAddr| json!({"addresses": [format!("http://{address}")], "timeout_ms": TIMEOUT_MS as f64});
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

// req 4.3
#[test]
fn one_request_never_has_more_calls_than_its_fanout() {
    let upstream = Upstream::start(|seen| match seen.target().as_str() {
        "/list" => {
            let items: Vec<Value> = (0..20).map(|n| json!({"id": n.to_string()})).collect();
            vec![Step::Send(json_answer(json!({"items": items}).to_string()))]
        }
        _ => vec![
            Step::Pause(Duration::from_millis(5)),
            Step::Send(echo(seen)),
        ],
    });
    let parts = (0..12)
        .map(|n| strong(&format!("p{n}"), &format!("/{n}")))
        .collect();
    let list = with(
        strong("list", "/list"),
        json!({"shape": crate::service::LIST}),
    );
    let each = json!({"each": {"part": "list", "field": ["items"], "items_max": 64}});
    let items = vec![list, with(strong("items", "/item/{item.id}"), each)];
    let plane = Service::new()
        .upstream("up", &upstream)
        .view_with("wide", "/wide", parts, json!({"fanout": 3}))
        .view_with("each", "/each", items, json!({"fanout": 4}))
        .start();
    for _ in 0..5 {
        assert_eq!(plane.get("/wide").status, 200);
    }
    assert_eq!((upstream.count(), upstream.active_max()), (60, 3));
    let reply = plane.get("/each");
    assert_eq!(reply.json()["items"].as_array().map(Vec::len), Some(20));
    assert_eq!((upstream.count(), upstream.active_max()), (81, 4));
    println!("req 4.3: 60 calls at fanout 3, 20 at fanout 4, never more at once");
}

// req 4.4
#[test]
fn two_workers_share_one_bulkhead() {
    let upstream = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(2)),
            Step::Send(echo(seen)),
        ]
    });
    let bulkhead = json!({"bulkhead": {"limit": 5, "queue": 64}});
    let plane = Service::new()
        .workers(2)
        .upstream_with("up", &upstream, bulkhead)
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let address = plane.address();
    let served: usize = std::thread::scope(|scope| {
        let client = |_| {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                (0..10)
                    .filter(|n| client.get(&format!("/one/{n}")).status == 200)
                    .count()
            })
        };
        let clients: Vec<_> = (0..32).map(client).collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .sum()
    });
    println!(
        "req 4.4: {served} of 320 served, at most {} at once",
        upstream.active_max()
    );
    assert_eq!(upstream.active_max(), 5);
    // A queue whose delay stays high sheds, so how many were served depends on the machine.
    assert!(served >= 32, "{served}");
    assert_eq!(upstream.count(), served);
    eventually("every place is given back", || {
        plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON
    });
}

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
        assert_eq!((plane.in_flight(), upstream.active()), (0, 0));
    }
    assert!(plane.metric("tailrace_bulkhead_in_flight", "").abs() < f64::EPSILON);
    println!("A04: 20 clients left, 60 calls stopped, 0 in flight");
}

/// The same at moments nobody chose, with calls running, waiting for a place, or already answered.
#[test]
fn disconnects_at_any_moment_leak_nothing() {
    const SEED: u64 = 0x0a04;
    let upstream = Upstream::start(|seen| {
        vec![
            Step::Pause(Duration::from_millis(3)),
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
    for round in 0..500 {
        let mut client = plane.client();
        let request = get(&format!("/x/{round}"));
        let cut = if random.bool() {
            request.len()
        } else {
            random.usize(..request.len())
        };
        client.send(&request[..cut]);
        open.push(client);
        if open.len() > 8 {
            drop(open.swap_remove(random.usize(..open.len())));
        }
    }
    drop(open);
    eventually("nothing is left", || {
        let zero = |name| plane.metric(name, "").abs() < f64::EPSILON;
        plane.connections() == 0
            && plane.in_flight() == 0
            && zero("tailrace_bulkhead_in_flight")
            && zero("tailrace_bulkhead_queued")
    });
    eventually("only pooled connections are left", || upstream.open() <= 8);
    println!("A04: seed {SEED}: 500 random disconnects, 0 permits, connections or requests left");
    let reply = plane.get("/x/honest");
    assert_eq!(
        (reply.status, reply.json()["a"]["id"].as_str()),
        (200, Some("honest"))
    );
}

/// RELIABILITY A05: one dead upstream takes its own places and nobody else's.
#[test]
fn a_dead_upstream_takes_its_places_and_no_more() {
    let dead = Upstream::start(|_| vec![Step::Hold]);
    let healthy = Upstream::echo();
    let on_dead = with(weak("it", "/x"), json!({"upstream": "dead"}));
    let plane = Service::new()
        .upstream("up", &healthy)
        .upstream_with("dead", &dead, json!({"bulkhead": {"limit": 3, "queue": 0}}))
        .view("dead", "/dead", vec![on_dead])
        .view("fine", "/fine/{n}", vec![strong("it", "/{n}")])
        .start();
    let mut stuck: Vec<_> = (0..3).map(|_| plane.client()).collect();
    for client in &mut stuck {
        client.send(get("/dead"));
    }
    eventually("the dead upstream holds its places", || dead.active() == 3);
    let mut client = plane.client();
    for n in 0..100 {
        let refused = client.get("/dead");
        assert_eq!(
            refused.header("tailrace-degraded"),
            Some("it;reason=bulkhead_full")
        );
        assert_eq!(client.get(&format!("/fine/{n}")).status, 200);
    }
    assert_eq!((dead.count(), healthy.count()), (3, 100));
}

//! RELIABILITY A01: whatever an upstream does, the reply comes when the deadline says. Every kind
//! of fault meets every one of twelve parts; every second part is strong.

use crate::client::{Client, Reply};
use crate::counts::{count, is_full};
use crate::deadlines::{fault, FAULTS, LATE};
use crate::patience::{eventually, now};
use crate::service::{strong, weak, with, Running, Service};
use crate::upstream::{Seen, Step, Upstream};
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const PARTS: usize = 12;
const DEADLINE: Duration = Duration::from_millis(100);
/// What RELIABILITY allows on an idle machine; counted here, because tests share theirs.
const GRACE: Duration = Duration::from_millis(10);
const CLIENTS: usize = 16;

/// The nine that hold an answer back (`deadlines.rs`), and three that end it.
fn kinds() -> Vec<&'static str> {
    let ends = ["reset", "closes", "black_hole"];
    FAULTS.into_iter().chain(ends).collect()
}

/// `/<part>/<kind>/<at>`: the part `at` meets the fault.
fn script(seen: &Seen) -> Vec<Step> {
    let target = seen.target();
    let words: Vec<&str> = target.split('/').skip(1).collect();
    match words[..] {
        [part, "reset", at] if part == at => vec![Step::Reset],
        [part, "closes", at] if part == at => vec![Step::Close],
        [part, kind, at] if part == at => fault(&Seen {
            connection: seen.connection,
            head: format!("GET /{kind} HTTP/1.1\r\n\r\n").into_bytes(),
            body: Vec::new(),
        }),
        _ => fault(seen),
    }
}

fn part(index: usize, path: &str) -> Value {
    let name = format!("p{index}");
    if is_strong(index) {
        strong(&name, path)
    } else {
        weak(&name, path)
    }
}

fn is_strong(index: usize) -> bool {
    index.is_multiple_of(2)
}

/// An address that takes no connection: the packets go nowhere. What fills its queue is held.
fn black_hole() -> (socket2::Socket, SocketAddr, Vec<std::net::TcpStream>) {
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let silent = silent.expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    silent.bind(&any.into()).expect("a free port");
    silent.listen(0).expect("a bound socket");
    let address = silent.local_addr().ok().and_then(|a| a.as_socket());
    let address = address.expect("an address");
    let wait = Duration::from_millis(50);
    let connect = || std::net::TcpStream::connect_timeout(&address, wait);
    let full: Vec<_> = std::iter::from_fn(|| connect().ok()).take(64).collect();
    assert!(full.len() < 64, "the queue of the listener never filled");
    (silent, address, full)
}

/// One view for the scripted faults, and one per part whose connection goes nowhere.
fn service(upstream: &Upstream, hole: SocketAddr) -> Running {
    let own = |index: usize| json!({"upstream": format!("up{index}")});
    let limits = json!({"deadline_ms": DEADLINE.as_secs_f64() * 1000.0, "fanout": PARTS});
    let plenty = json!({"bulkhead": {"limit": 4 * CLIENTS}});
    let nowhere =
        json!({"addresses": [format!("http://{hole}")], "bulkhead": {"limit": 4 * CLIENTS}});
    let mut service = Service::new().upstream_with("hole", upstream, nowhere);
    for index in 0..PARTS {
        service = service.upstream_with(&format!("up{index}"), upstream, plenty.clone());
    }
    let scripted = |index| {
        with(
            part(index, &format!("/{index}/{{kind}}/{{at}}")),
            own(index),
        )
    };
    let parts = (0..PARTS).map(scripted).collect();
    service = service.view_with("all", "/all/{kind}/{at}", parts, limits.clone());
    for at in 0..PARTS {
        let to = |index| {
            if index == at {
                json!({"upstream": "hole"})
            } else {
                own(index)
            }
        };
        let parts =
            (0..PARTS).map(|index| with(part(index, &format!("/{index}/fine/x")), to(index)));
        let path = format!("/all/black_hole/p{at}");
        service = service.view_with(&format!("hole{at}"), &path, parts.collect(), limits.clone());
    }
    service.start()
}

/// The faulty part is named. On a crowded machine a healthy one may be late as well; exactly which
/// parts a reply names is A03's (`partial.rs`).
fn check(kind: &str, at: usize, reply: &Reply) {
    let what = format!("{kind} at {at}: {reply:?}");
    if reply.status == 200 {
        assert!(!is_strong(at), "{what}");
        let degraded = reply.json()["degraded"].clone();
        let named = degraded
            .as_array()
            .is_some_and(|all| all.contains(&json!(format!("p{at}"))));
        assert!(named, "{what}");
        return;
    }
    assert!([502, 504].contains(&reply.status), "{what}");
}

/// How late replies were, over all clients.
#[derive(Default)]
struct Lateness {
    replies: AtomicUsize,
    over: AtomicUsize,
    most_us: AtomicUsize,
}

impl Lateness {
    fn note(&self, took: Duration) {
        let late = took.saturating_sub(DEADLINE);
        self.replies.fetch_add(1, Relaxed);
        self.over.fetch_add(usize::from(late > GRACE), Relaxed);
        self.most_us.fetch_max(late.as_micros() as usize, Relaxed);
    }
}

#[test]
fn whatever_an_upstream_does_the_reply_is_in_time() {
    let upstream = Upstream::start(script);
    let (_listener, hole, _full) = black_hole();
    let plane = service(&upstream, hole);
    let address = plane.address();
    let kinds = kinds();
    let each = count(2, 1000);
    let lateness = Lateness::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                loop {
                    let round = next.fetch_add(1, Relaxed);
                    let (kind, at) = (kinds[round % kinds.len()], round / kinds.len() % PARTS);
                    if round >= each * kinds.len() * PARTS {
                        return;
                    }
                    let prefix = if kind == "black_hole" { "p" } else { "" };
                    let sent = now();
                    let reply = client.get(&format!("/all/{kind}/{prefix}{at}"));
                    let took = sent.elapsed();
                    check(kind, at, &reply);
                    assert!(took < DEADLINE + LATE, "{kind} at {at} took {took:?}");
                    lateness.note(took);
                }
            });
        }
    });
    let most = Duration::from_micros(lateness.most_us.load(Relaxed) as u64);
    println!(
        "A01: {} kinds x {PARTS} parts x {each}: {} replies, latest {most:?} after the deadline, \
         {} of them more than {GRACE:?}{}",
        kinds.len(),
        lateness.replies.load(Relaxed),
        lateness.over.load(Relaxed),
        if is_full() { "" } else { " (reduced)" }
    );
    assert_eq!(lateness.replies.load(Relaxed), each * kinds.len() * PARTS);
    eventually("every place is given back", || {
        plane.in_flight() == 0 && plane.counter("tailrace_bulkhead_in_flight", "") == 0
    });
}

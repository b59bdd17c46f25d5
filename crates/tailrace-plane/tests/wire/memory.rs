//! The bytes of bodies that all requests hold together are bounded, and come back (req 11.1).

use crate::client::{get, Client, Reply};
use crate::patience::eventually;
use crate::service::{strong, weak, with, Running, Service, ANY};
use crate::upstream::{json as json_answer, Gate, Step, Upstream};
use crate::upstream_limits::list_of;
use serde_json::json;
use std::sync::Arc;

const ALL: u32 = 1_000_000;
const ONE: u32 = 500_000;

/// An upstream that sends the head of its answer, and the body when the gate is open.
fn slow_body(gate: &Arc<Gate>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::start(move |seen| {
        let whole = json_answer(list_of(&seen.target()));
        let at = whole.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = whole.split_at(at.expect("a head") + 4);
        vec![
            Step::Send(head.to_vec()),
            Step::Wait(Arc::clone(&gate)),
            Step::Send(body.to_vec()),
        ]
    })
}

fn start(upstream: &Upstream) -> Running {
    let part = |part| with(part, json!({"shape": ANY}));
    Service::new()
        .workers(1)
        .limit("memory_max_bytes", ALL)
        .limit("request_memory_max_bytes", ONE)
        .upstream_with("up", upstream, json!({"timeout_ms": 9_000}))
        .view("one", "/one/{n}", vec![part(strong("it", "/{n}"))])
        .view("may", "/may/{n}", vec![part(weak("it", "/{n}"))])
        .view_with(
            "kept",
            "/kept",
            vec![part(strong("it", "/100"))],
            json!({"method": "POST", "body": {"name": "draft", "shape": ANY}}),
        )
        .start()
}

fn held(plane: &Running) -> u64 {
    plane.config()["memory_held_bytes"]
        .as_u64()
        .expect("a number")
}

fn expect_full(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "memory_full"),
        "{reply:?}"
    );
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
}

#[test]
fn answers_that_do_not_fit_together_are_refused_at_once() {
    let gate = Arc::<Gate>::default();
    let upstream = slow_body(&gate);
    let plane = start(&upstream);
    assert_eq!(plane.config()["limits"]["memory_max_bytes"], json!(ALL));
    let mut holders: Vec<Client> = (0..5).map(|_| plane.client()).collect();
    for holder in &mut holders {
        holder.send(get("/one/200000"));
    }
    eventually("all is held", || held(&plane) == u64::from(ALL));
    expect_full(&plane.get("/one/200000"));
    let reply = plane.get("/may/200000");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("tailrace-degraded"),
        Some("it;reason=memory_full")
    );
    gate.open();
    for holder in &mut holders {
        assert_eq!(holder.reply().status, 200);
    }
    eventually("it comes back", || held(&plane) == 0);
    assert_eq!(plane.get("/one/200000").status, 200);
    eventually("it is shown", || {
        plane.counter("tailrace_memory_held_bytes", "") == 0
    });
    assert_eq!(
        plane.counter("tailrace_memory_max_bytes", ""),
        u64::from(ALL)
    );
}

#[test]
fn a_request_body_that_does_not_fit_is_refused_before_it_is_read_whole() {
    let gate = Arc::<Gate>::default();
    let upstream = slow_body(&gate);
    let plane = start(&upstream);
    let mut holders = [plane.client(), plane.client()];
    for holder in &mut holders {
        holder.send(get("/one/450000"));
    }
    eventually("most is held", || held(&plane) >= 900_000);
    let head = "POST /kept HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let mut poster = plane.client();
    // The rest of it is never sent.
    poster.send(format!(
        "{head}Content-Length: 300000\r\n\r\n{}",
        list_of("200000")
    ));
    let reply = poster.reply();
    expect_full(&reply);
    assert!(reply.closes(), "{reply:?}");
    gate.open();
    for holder in &mut holders {
        assert_eq!(holder.reply().status, 200);
    }
    eventually("it comes back", || held(&plane) == 0);
    let mut poster = plane.client();
    poster.send(format!(
        "{head}Content-Length: 200000\r\n\r\n{}",
        list_of("200000")
    ));
    assert_eq!(poster.reply().status, 200);
}

#[test]
fn a_reply_is_held_until_its_client_has_it() {
    let gate = Arc::<Gate>::default();
    gate.open();
    let upstream = slow_body(&gate);
    let plane = start(&upstream);
    // More than the sockets between the two take by themselves: it is written as it is read.
    let mut slow: Vec<Client> = (0..24).map(|_| plane.client()).collect();
    for client in &mut slow {
        for _ in 0..64 {
            client.send(get("/one/400000"));
        }
    }
    eventually("replies are held", || held(&plane) > 500_000);
    drop(slow);
    eventually("nobody waits for them", || held(&plane) == 0);
}

// A client that leaves takes what it held with it (RELIABILITY A04).
#[test]
fn what_a_client_held_comes_back_when_it_leaves() {
    let gate = Arc::<Gate>::default();
    let upstream = slow_body(&gate);
    let plane = start(&upstream);
    let mut holder = plane.client();
    holder.send(get("/one/450000"));
    eventually("it is held", || held(&plane) >= 450_000);
    drop(holder);
    eventually("it comes back", || held(&plane) == 0);
    gate.open();
}

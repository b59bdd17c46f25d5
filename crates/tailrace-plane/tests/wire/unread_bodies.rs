//! Admission before the body: what the load refuses is refused before anybody reads a megabyte of
//! it, and what is asked about early is asked about once (req 9.1a, 9.1c, ALGORITHMS 10).

use crate::client::{get, Client};
use crate::patience::eventually;
use crate::service::Service;
use crate::upstream::{echo, Gate, Seen, Step, Upstream};
use serde_json::{json, Value};
use std::sync::Arc;

/// This many at once; the next one after a thousand seconds.
fn burst(burst: u32) -> Value {
    json!({"rate": {"per_second": 0.001, "burst": burst}})
}

fn head(lines: &str) -> String {
    format!("GET /one/7 HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// A request of a megabyte, of which nothing but the head comes.
fn large() -> String {
    head("Content-Length: 1000000\r\n")
}

// req 9.1a
#[test]
fn a_rate_refuses_before_the_body_is_waited_for() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).admission(burst(1)).start();
    assert_eq!(plane.get("/one/7").status, 200);
    for lines in [
        "Content-Length: 1000000\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 9\r\nExpect: 100-continue\r\n",
    ] {
        let mut client = plane.client();
        client.send(head(lines));
        // No `100 Continue` comes before it, and nothing of the body is read after it.
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (429, "client_rate"),
            "{lines}"
        );
        assert!(reply.closes(), "{lines}: what follows is no request");
        assert!(reply.header("retry-after").is_some());
        assert!(reply
            .header("ratelimit")
            .is_some_and(|one| one.contains("r=0")));
        client.finish();
        assert!(client.rest().is_empty());
    }
    assert_eq!(upstream.count(), 1);
    eventually("nothing is in flight", || plane.in_flight() == 0);
    assert_eq!(
        plane.counter("tailrace_requests_total", "status=\"429\""),
        3
    );
}

// A body that is there already costs no wait: the connection goes on.
#[test]
fn a_body_that_came_with_its_head_keeps_the_connection() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).admission(burst(1)).start();
    let mut client = plane.client();
    let whole = head("Content-Length: 3\r\n") + "abc";
    client.send(&whole);
    assert_eq!(client.reply().status, 200);
    for _ in 0..3 {
        client.send(&whole);
        let reply = client.reply();
        assert_eq!((reply.status, reply.closes()), (429, false));
    }
}

// Early or not, a request is one request: of its rate and in the counts.
#[test]
fn a_request_is_asked_about_once() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).admission(burst(3)).start();
    let mut client = plane.client();
    for turn in 0..3 {
        client.send(head("Content-Length: 6\r\nExpect: 100-continue\r\n"));
        let invited = client.reply_without_body();
        assert_eq!(invited.status, 100);
        client.send("abc");
        client.send("def");
        let reply = client.reply();
        assert_eq!(reply.status, 200);
        let left = format!("r={}", 2 - turn);
        assert!(reply
            .header("ratelimit")
            .is_some_and(|one| one.contains(&left)));
    }
    client.send(head("Content-Length: 6\r\n"));
    assert_eq!(client.reply().status, 429);
    let decided = |result: &str| {
        let label = format!("limit=\"client_rate\",result=\"{result}\"");
        plane.counter("tailrace_admission_decisions_total", &label)
    };
    assert_eq!((decided("accepted"), decided("refused")), (3, 1));
}

// What was asked about for a client that left is not what the next request is let in by.
#[test]
fn a_client_that_leaves_before_its_body_leaves_nothing_behind() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).admission(burst(4)).start();
    let asked = || {
        let label = "limit=\"client_rate\",result=\"accepted\"";
        plane.counter("tailrace_admission_decisions_total", label)
    };
    for round in 1..=2 {
        let mut client = plane.client();
        client.send(large());
        client.send("abc");
        eventually("the rate has counted it", || asked() == round);
        drop(client);
        eventually("it is gone", || plane.connections() == 0);
    }
    let replies: Vec<_> = (0..4).map(|_| plane.get("/one/7").status).collect();
    assert_eq!(replies, [200, 200, 429, 429]);
    assert!(plane.metric("tailrace_inbound_calls", "").abs() < 0.1);
}

// req 16.4: requests that are let in and do not end, and a ready queue that is never early enough.
#[test]
fn shedding_refuses_before_the_body_is_waited_for() {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream = Upstream::start(move |seen: &Seen| {
        vec![Step::Wait(Arc::clone(&waiting)), Step::Send(echo(seen))]
    });
    let tight = json!({"shed": {"cpu": null, "delay_ms": 0.000_001}, "brownout": null});
    let plane = Service::one(&upstream).admission(tight).start();
    let mut held: Vec<Client> = Vec::new();
    eventually("nearly all is refused", || {
        let mut client = plane.client();
        client.send(get("/one/7"));
        held.push(client);
        plane.metric("tailrace_shed_ratio", "") > 0.9
    });
    let mut refused = None;
    eventually("one of those that may be is", || {
        let mut client = plane.client();
        client.send(large());
        // Let in, it would wait for its body; that it came is seen by the count.
        if client.is_silent(std::time::Duration::from_millis(200)) {
            return false;
        }
        refused = Some(client.reply());
        true
    });
    let reply = refused.expect("a reply");
    assert_eq!((reply.status, reply.code().as_str()), (503, "shed"));
    assert!(reply.closes());
    gate.open();
}

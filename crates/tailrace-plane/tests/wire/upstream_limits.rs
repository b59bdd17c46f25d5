//! DESIGN 9, the side of the upstreams: what one answer, and all answers of a request, may cost.

use crate::client::Reply;
use crate::patience::eventually;
use crate::service::{strong, with, Service, ANY};
use crate::upstream::{echo, json as json_answer, Gate, Step, Upstream};
use serde_json::json;
use std::sync::Arc;

/// A service that passes any JSON through, and an upstream that answers with `body(target)`.
fn anything(body: impl Fn(&str) -> String + Send + Sync + 'static) -> (Upstream, Service) {
    let upstream = Upstream::start(move |seen| vec![Step::Send(json_answer(body(&seen.target())))]);
    let part = |name: &str| with(strong(name, "/{n}"), json!({"shape": ANY}));
    let service = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{n}", vec![part("it")])
        .view("two", "/two/{n}", vec![part("a"), part("b")]);
    (upstream, service)
}

/// A JSON list of exactly this many bytes; no single text in it is long.
pub(crate) fn list_of(bytes: &str) -> String {
    const WORD: &str = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";
    let bytes: usize = bytes
        .trim_start_matches('/')
        .parse()
        .expect("a number of bytes");
    let words = (bytes - 2) / (WORD.len() + 1);
    let list = format!("[{}]", vec![WORD; words].join(","));
    let missing = bytes - list.len();
    format!("{list}{}", " ".repeat(missing))
}

fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{reply:?}"
    );
}

#[test]
fn an_upstream_body_of_more_than_4_mib_fails_its_part() {
    let (_upstream, service) = anything(list_of);
    let plane = service.start();
    let most = 4 * 1024 * 1024;
    assert_eq!(plane.get(&format!("/one/{most}")).status, 200);
    refused(
        &plane.get(&format!("/one/{}", most + 1)),
        502,
        "body_too_large",
    );
}

#[test]
fn one_upstream_may_have_its_own_bound() {
    let upstream = Upstream::start(|seen| vec![Step::Send(json_answer(list_of(&seen.target())))]);
    let plane = Service::new()
        .upstream_with("up", &upstream, json!({"body_max_bytes": 100}))
        .view(
            "one",
            "/{n}",
            vec![with(strong("it", "/{n}"), json!({"shape": ANY}))],
        )
        .start();
    assert_eq!(
        plane.config()["upstreams"]["up"]["body_max_bytes"],
        json!(100)
    );
    assert_eq!(plane.get("/100").status, 200);
    refused(&plane.get("/101"), 502, "body_too_large");
}

#[test]
fn all_bodies_of_a_request_share_one_bound() {
    let (_upstream, service) = anything(list_of);
    let plane = service.limit("request_memory_max_bytes", 100_000).start();
    let mut client = plane.client();
    assert_eq!(client.get("/two/50000").status, 200);
    let reply = client.get("/two/50001");
    refused(&reply, 503, "memory");
    let seconds: u32 = reply
        .header("retry-after")
        .and_then(|s| s.parse().ok())
        .expect("seconds");
    assert!((1..=2).contains(&seconds));
    assert_eq!(
        client.get("/two/50000").status,
        200,
        "the bound is per request"
    );
}

#[test]
fn json_deeper_than_64_breaks_the_model() {
    let (_upstream, service) = anything(|target| {
        let depth: usize = target.trim_start_matches('/').parse().expect("a depth");
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    });
    let plane = service.start();
    assert_eq!(plane.get("/one/64").status, 200);
    refused(&plane.get("/one/65"), 502, "model_mismatch");
}

#[test]
fn an_idle_upstream_connection_is_closed_before_its_peer_would() {
    let upstream = Upstream::echo();
    let plane = crate::limits::limited(&upstream, "pool_idle_ms", 200);
    let mut client = plane.client();
    for _ in 0..3 {
        assert_eq!(client.get("/one/7").status, 200);
    }
    assert_eq!(upstream.connections(), 1, "a warm connection is used again");
    eventually("the idle connection is closed", || upstream.open() == 0);
    assert_eq!(client.get("/one/7").status, 200);
    assert_eq!(upstream.connections(), 2);
}

// req 4.4
#[test]
fn a_full_bulkhead_is_503_with_a_time_to_return() {
    let gate = Arc::new(Gate::default());
    let waiting = Arc::clone(&gate);
    let upstream =
        Upstream::start(move |seen| vec![Step::Wait(Arc::clone(&waiting)), Step::Send(echo(seen))]);
    let plane = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"bulkhead": {"limit": 1, "queue": 0}}),
        )
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    assert_eq!(plane.config()["upstreams"]["up"]["bulkhead"], json!(1));
    let mut holder = plane.client();
    holder.send(crate::client::get("/one/7"));
    eventually("the place is taken", || upstream.count() == 1);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let reply = plane.get("/one/8");
        refused(&reply, 503, "bulkhead_full");
        waits.push(
            reply
                .header("retry-after")
                .expect("a time to return")
                .to_owned(),
        );
    }
    waits.sort_unstable();
    assert_eq!(
        waits,
        ["1", "1", "2", "2"],
        "refused callers do not return together"
    );
    gate.open();
    assert_eq!(holder.reply().status, 200);
    assert_eq!(plane.get("/one/9").status, 200);
    assert_eq!((upstream.count(), upstream.active_max()), (2, 1));
}

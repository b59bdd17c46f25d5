//! The other side of `answers.rs`: every framing an honest upstream may choose is an answer, whole
//! or in pieces, and its connection is used again exactly when both sides agreed to.

use crate::patience::eventually;
use crate::service::{strong, Service};
use crate::upstream::{echo, Step, Upstream};
use serde_json::json;
use std::time::Duration;

const KIND: &str = "content-type: application/json\r\n";

const BODY: &str = r#"{"id":"honest","more":[1,2]}"#;

/// Name and answer of what leaves the connection open.
fn kept() -> Vec<(&'static str, String)> {
    let length = BODY.len();
    let (first, second) = BODY.split_at(9);
    let (one, two) = (first.len(), second.len());
    let chunked = format!("HTTP/1.1 200 OK\r\n{KIND}transfer-encoding: chunked\r\n\r\n");
    let sized = format!("{KIND}content-length: {length}\r\n");
    let rest = format!("{sized}\r\n{BODY}");
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let chunks = format!("{one:x}\r\n{first}\r\n{two:X}\r\n{second}\r\n0\r\n\r\n");
    let extended = format!("{length:x};a=\"b\"\r\n{BODY}\r\n0;c\r\nx-sum: 1\r\n\r\n");
    let suffix = rest.replace("/json", "/hal+json; charset=utf-8");
    vec![
        ("length", format!("HTTP/1.1 200 OK\r\n{rest}")),
        ("chunked", format!("{chunked}{chunks}")),
        ("extensions", format!("{chunked}{extended}")),
        (
            "http10_kept",
            format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n{rest}"),
        ),
        ("interim", format!("{hints}HTTP/1.1 200 OK\r\n{rest}")),
        ("created", format!("HTTP/1.1 201 Created\r\n{rest}")),
        ("no_reason", format!("HTTP/1.1 200\r\n{rest}")),
        ("suffix", format!("HTTP/1.1 200 OK\r\n{suffix}")),
    ]
}

/// The same of what ends it.
fn closing() -> Vec<(&'static str, String)> {
    let length = BODY.len();
    let close = "connection: close\r\n";
    let sized = format!("{KIND}content-length: {length}\r\n");
    let chunks = format!("\r\n{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    vec![
        (
            "until_close",
            format!("HTTP/1.1 200 OK\r\n{KIND}\r\n{BODY}"),
        ),
        (
            "close",
            format!("HTTP/1.1 200 OK\r\n{close}{sized}\r\n{BODY}"),
        ),
        (
            "chunked_close",
            format!("HTTP/1.1 200 OK\r\n{close}{KIND}transfer-encoding: chunked\r\n{chunks}"),
        ),
        ("http10", format!("HTTP/1.0 200 OK\r\n{sized}\r\n{BODY}")),
    ]
}

/// Name, answer, and whether its connection goes on.
fn forms() -> Vec<(&'static str, String, bool)> {
    let kept = kept()
        .into_iter()
        .map(|(name, answer)| (name, answer, true));
    let closing = closing()
        .into_iter()
        .map(|(name, answer)| (name, answer, false));
    kept.chain(closing).collect()
}

fn play(pieces: impl Fn(Vec<u8>) -> Vec<Step> + Send + Sync + 'static) {
    let upstream = Upstream::start(move |seen| {
        let target = seen.target();
        let form = forms()
            .into_iter()
            .find(|(name, ..)| target.strip_prefix('/') == Some(name));
        let Some((name, text, _)) = form else {
            return vec![Step::Send(echo(seen))];
        };
        let mut steps = pieces(text.into_bytes());
        if name == "until_close" {
            steps.push(Step::Close);
        }
        steps
    });
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("one", "/one/{n}", vec![strong("it", "/{n}")])
        .start();
    let mut client = plane.client();
    for (name, _, kept) in forms() {
        let reply = client.get(&format!("/one/{name}"));
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!(reply.json()["it"], json!({"id": "honest"}), "{name}");
        assert_eq!(client.get("/one/next").json()["it"]["id"], "next", "{name}");
        let seen = upstream.seen();
        let [.., answer, next] = &seen[..] else {
            panic!("two requests")
        };
        assert_eq!(answer.connection == next.connection, kept, "{name}");
    }
}

#[test]
fn every_honest_framing_is_an_answer() {
    play(|bytes| vec![Step::Send(bytes)]);
    println!(
        "S02: {} honest framings, {} answers",
        forms().len(),
        forms().len()
    );
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    play(|bytes| {
        bytes
            .into_iter()
            .map(|byte| Step::Send(vec![byte]))
            .collect()
    });
}

#[test]
fn an_answer_may_take_its_time_between_head_and_body() {
    play(|bytes| {
        let end = bytes
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .map_or(0, |at| at + 4);
        let (head, body) = bytes.split_at(end);
        let pause = Step::Pause(Duration::from_millis(5));
        vec![Step::Send(head.to_vec()), pause, Step::Send(body.to_vec())]
    });
}

/// An upstream may close between two requests; nobody notices.
#[test]
fn a_connection_its_peer_closed_while_idle_is_not_used() {
    let upstream = Upstream::start(|seen| vec![Step::Send(echo(seen)), Step::Close]);
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    for round in 0..50 {
        assert_eq!(
            client.get(&format!("/one/{round}")).status,
            200,
            "round {round}"
        );
        eventually("the peer has closed", || upstream.open() == 0);
    }
    assert_eq!((upstream.connections(), upstream.count()), (50, 50));
}

//! Streams as the plane sees them: what is sent without a grant is bounded, and an end is an end.

use crate::bridge::{register, text};
use crate::patience::eventually;
use crate::service::Service;
use crate::upstream::{Step, Upstream};
use std::time::Duration;
use tailrace_blueprint::Blueprint;
use tailrace_plane::bridge::{Asked, Bridge, Event, Letter, Post, Ticket, Wish};
use tailrace_plane::Engine;

/// As `bridge/stream.rs` has it, and the most of one piece.
const WINDOW: usize = 256 * 1024;
const PIECE_MAX: usize = 64 * 1024;

fn engine(upstream: &Upstream) -> (Engine, usize) {
    let source = text(&Service::new().upstream("up", upstream));
    let checked = Blueprint::from_json(source.as_bytes()).expect("a blueprint");
    let engine = Engine::start(&checked, source.clone().into_bytes()).expect("it starts");
    let number = register(engine.bridge(), &source, "/big/{id}", &["id"]);
    (engine, number)
}

fn begin(bridge: &Bridge, number: usize, body_max: u64) {
    let wish = Wish {
        token: 7,
        template: bridge.template(number).expect("registered"),
        values: vec![Some(b"a".to_vec())],
        asked: Asked {
            within: Duration::from_secs(60).as_nanos() as u64,
            request_id: b"r-1".to_vec(),
            trace: Default::default(),
        },
        body_max: Some(body_max),
    };
    let post = bridge.stream(wish).expect("room");
    bridge.post(vec![(Ticket(1), post)]);
}

fn tell(bridge: &Bridge, letter: Letter) {
    bridge.post(vec![(Ticket(1), Post::Letter(letter))]);
}

/// Takes what comes until `enough` bytes of a body have.
fn read(bridge: &Bridge, enough: usize) -> (usize, Vec<Event>) {
    let (mut bytes, mut others) = (0, Vec::new());
    eventually("the body comes", || {
        for event in bridge.take().events {
            match event {
                Event::Chunk { bytes: piece, .. } => {
                    assert!((1..=PIECE_MAX).contains(&piece.len()));
                    bytes += piece.len();
                }
                other => others.push(other),
            }
        }
        bytes >= enough
    });
    (bytes, others)
}

#[test]
fn no_more_is_sent_than_was_granted_and_a_withdrawn_stream_closes_its_connection() {
    let upstream = Upstream::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut chunk = b"8000\r\n".to_vec();
        chunk.resize(chunk.len() + 0x8000, b'x');
        chunk.extend_from_slice(b"\r\n");
        vec![Step::Send(head.to_vec()), Step::Endless(chunk)]
    });
    let (engine, number) = engine(&upstream);
    let bridge = engine.bridge();
    begin(bridge, number, u64::MAX);
    let (first, mut others) = read(bridge, WINDOW);
    assert!(first < WINDOW + PIECE_MAX, "{first}");
    match others.pop() {
        Some(Event::Head { head, .. }) => {
            let said = (head.status, head.content_type.as_deref(), head.length);
            assert_eq!(said, (200, Some("a/b"), None));
        }
        other => panic!("no head: {other:?}"),
    }
    assert!(bridge.take().events.is_empty(), "nothing without a grant");
    tell(bridge, Letter::Grant(first as u64));
    let (second, others) = read(bridge, WINDOW - PIECE_MAX);
    assert!(second < WINDOW + PIECE_MAX, "{second}");
    assert!(others.is_empty());
    tell(bridge, Letter::Withdraw(7));
    eventually("the upstream sees the end", || upstream.active() == 0);
    let id = upstream.seen()[0].header("x-request-id");
    assert_eq!(id.as_deref(), Some("r-1"));
    assert!(engine.end());
}

#[test]
fn a_body_over_its_limit_ends_with_the_reason() {
    let upstream = Upstream::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789".to_vec();
        vec![Step::Send(head)]
    });
    let (engine, number) = engine(&upstream);
    for (limit, reason) in [(9, Some("body_too_large")), (10, None)] {
        begin(engine.bridge(), number, limit);
        let mut ended = None;
        eventually("it is over", || {
            for event in engine.bridge().take().events {
                if let Event::Over { failed, .. } = event {
                    ended = Some(failed.map(|failed| failed.reason.code()));
                }
            }
            ended.is_some()
        });
        assert_eq!(ended, Some(reason));
    }
    assert!(engine.end());
}

//! RELIABILITY A01 on the service's own clock: every kind of fault at each of twelve parts, and no
//! reply after its deadline. Real sockets show the machine's lateness too (`tests/wire`); here
//! there is none, so the bound is the deadline itself.

use super::client::End;
use super::upstream::{Answer, Script};
use super::world::{play, Machine, Story};
use super::{ledger, seeds};
use crate::clock::MILLI;
use serde_json::{json, Value};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;
use tailrace_policy::Nanos;

const PARTS: usize = 12;
const DEADLINE_MS: u64 = 150;
/// Requests of each kind and part in one story.
const EACH: u64 = 4;
/// Requests per second of virtual time.
const RATE: u64 = 1_000;
const KINDS: [&str; 12] = [
    "hangs",
    "in_head",
    "after_head",
    "in_body",
    "in_chunk",
    "interim",
    "too_late",
    "on_time",
    "in_halves",
    "closes",
    "closes_in_body",
    "garbage",
];

fn is_strong(part: usize) -> bool {
    part.is_multiple_of(2)
}

/// Request number so and so: every kind meets every part in turn.
fn target(id: u64) -> String {
    let (kinds, parts) = (KINDS.len() as u64, PARTS as u64);
    format!(
        "/all/{}/{}",
        KINDS[(id % kinds) as usize],
        id / kinds % parts
    )
}

fn fault(kind: &str) -> Answer {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let at_once = |text: String| Answer::raw(Duration::ZERO, text.into_bytes());
    let fine = |after| Answer::json(Duration::from_millis(after), 200, r#"{"id":"late"}"#);
    let sized = format!("{HEAD}content-length: 400\r\n\r\n");
    match kind {
        "hangs" => Answer::never(),
        "in_head" => at_once("HTTP/1.1 20".to_owned()),
        "after_head" => at_once(sized),
        "in_body" => at_once(sized + r#"{"id":"#),
        "in_chunk" => at_once(format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{{")),
        "interim" => at_once("HTTP/1.1 102 Wait\r\n\r\n".to_owned()),
        "too_late" => fine(10 * DEADLINE_MS),
        "on_time" => fine(DEADLINE_MS),
        "in_halves" => Answer {
            pause: Some(Duration::from_millis(2 * DEADLINE_MS)),
            ..fine(1)
        },
        "closes" => at_once(String::new()).closing(),
        "closes_in_body" => at_once(sized + r#"{"id":"#).closing(),
        _ => at_once("\0\r\n\r\nwhat?".to_owned()),
    }
}

fn address(part: usize) -> SocketAddr {
    ([10, 2, 0, part as u8 + 1], 80).into()
}

/// Part `p3` asks `/3/{kind}/{at}` of its own upstream, which fails when `at` is 3.
fn script(part: usize) -> Script {
    Box::new(move |seen| {
        let mut words = seen.target.split('/').skip(2);
        let (kind, at) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if at == part.to_string() {
            fault(kind)
        } else {
            Answer::json(Duration::from_millis(5), 200, r#"{"id":"fine"}"#)
        }
    })
}

fn blueprint() -> Value {
    let upstream = |part: usize| {
        json!({
            "name": format!("up{part}"),
            "addresses": [format!("http://{}", address(part))],
            "timeout_ms": 5_000.0,
            "bulkhead": {"limit": 256},
        })
    };
    let declared = |part: usize| {
        let (strength, shape) = if is_strong(part) {
            ("strong", 1)
        } else {
            ("weak", 2)
        };
        let parameter = |name: &str| json!({"parameter": name});
        let text = |text: &str| json!({"text": text});
        let own = format!("/{part}/");
        let path = [text(&own), parameter("kind"), text("/"), parameter("at")];
        json!({"name": format!("p{part}"), "strength": strength, "upstream": format!("up{part}"),
               "method": "GET", "path": path, "shape": shape})
    };
    let parameter = |name: &str| json!({"name": name, "in": "path", "shape": 0, "required": true});
    json!({
        "format_version": 1,
        "service": "faults",
        "listen": {},
        "limits": {},
        "upstreams": (0..PARTS).map(upstream).collect::<Vec<_>>(),
        "views": [{
            "name": "all", "method": "GET", "path": "/all/{kind}/{at}",
            "deadline_ms": DEADLINE_MS as f64, "fanout": PARTS,
            "allow_overcommit": "faults are about what happens when time runs out",
            "parameters": [parameter("kind"), parameter("at")],
            "parts": (0..PARTS).map(declared).collect::<Vec<_>>(),
        }],
        "shapes": [
            {"kind": "string"},
            {"kind": "object", "extra": "drop",
             "fields": [{"name": "id", "shape": 0, "required": true}]},
            {"kind": "optional", "inner": 1},
        ],
    })
}

/// The story of one seed; how many replies there were, and the latest.
fn play_one(seed: u64) -> (u64, Nanos) {
    let requests = EACH * KINDS.len() as u64 * PARTS as u64;
    let machine = |part| Machine {
        upstream: part,
        address: address(part),
        servers: None,
        script: script(part),
    };
    let story = Story {
        blueprint: blueprint(),
        workers: 2,
        machines: (0..PARTS).map(machine).collect(),
        load: vec![(requests * 1_000 / RATE, RATE)],
        leaves_one_in: None,
        target,
    };
    let run = play(story, seed);
    ledger::check(&run, |_, _| {});
    let mut latest = 0;
    for record in &run.records {
        let End::Answered(reply) = &record.end else {
            panic!("{}: {:?}", target(record.id), record.end)
        };
        let at = (record.id / KINDS.len() as u64) as usize % PARTS;
        let what = format!("{}: {reply:?}", target(record.id));
        if is_strong(at) {
            assert!([502, 504].contains(&reply.status), "{what}");
        } else {
            let (named, faulty) = (reply.degraded(), format!("p{at}"));
            let parts: Vec<_> = named.iter().map(|(part, _)| *part).collect();
            assert_eq!(
                (reply.status, parts),
                (200, vec![faulty.as_str()]),
                "{what}"
            );
        }
        latest = latest.max(record.took);
    }
    (run.records.len() as u64, latest)
}

// RELIABILITY A01; a thousand requests of each kind and part with `TAILRACE_COUNT_FULL=1`.
#[test]
fn no_fault_makes_a_reply_late() {
    let full = seeds::is_full();
    let (replies, latest) = (Cell::new(0), Cell::new(0));
    seeds::each("simulation::faults", if full { 250 } else { 1 }, |seed| {
        let (many, late) = play_one(seed);
        replies.set(replies.get() + many);
        latest.set(latest.get().max(late));
    });
    println!(
        "A01: {} kinds x {PARTS} parts: {} replies by the service's own clock, latest after {} us \
         of {DEADLINE_MS} ms",
        KINDS.len(),
        replies.get(),
        latest.get() / 1_000
    );
    assert!(latest.get() <= DEADLINE_MS * MILLI);
}

//! RELIABILITY S01, S13: hostile requests against a live plane. The canary is a request hidden in
//! each row; it must never reach the upstream, and no row may be answered twice.

use crate::client::{get, Client, Reply};
use crate::corpus::{bytes, rows};
use crate::service::{strong, Running, Service};
use crate::upstream::Upstream;

const CORPUS: &str = include_str!("../h1/corpus/requests.txt");

/// What a row of the corpus asks of the plane.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// This status and code, then the connection closes.
    Refused(u16, &'static str),
    /// One reply; the connection goes on or not.
    Served { keep: bool },
    /// The request never ends: no reply.
    Cut,
}

struct Row {
    name: &'static str,
    verdict: Verdict,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Row> {
    let one = |row: Vec<&'static str>| {
        let words: Vec<_> = row[1].split(' ').collect();
        let verdict = match words[..] {
            ["partial", ..] | [_, _, "body_truncated"] => Verdict::Cut,
            ["ok", _, end, ..] => Verdict::Served {
                keep: end == "keep",
            },
            [_, status, code] => Verdict::Refused(status.parse().expect("a status"), code),
            _ => panic!("{}: an unknown expectation", row[0]),
        };
        Row {
            name: row[0],
            verdict,
            bytes: bytes(row[2]),
        }
    };
    rows(CORPUS, 3).into_iter().map(one).collect()
}

/// The limits the corpus was written for, and a view for every path it asks for.
fn start(upstream: &Upstream) -> Running {
    let view = |path: &str| vec![strong("it", path)];
    Service::new()
        .upstream("up", upstream)
        .limit("head_max_bytes", 2048)
        .limit("headers_max", 32)
        .limit("uri_max_bytes", 512)
        .limit("request_body_max_bytes", 4096)
        .view("root", "/", view("/root"))
        .view("good", "/good", view("/good"))
        .view("canary", "/canary", view("/canary"))
        .start()
}

/// Plays `reads` and checks that the plane says exactly what the row's verdict allows.
fn play(plane: &Running, upstream: &Upstream, row: &Row, before: &str, reads: &[&[u8]]) {
    let name = row.name;
    let mut client = plane.client();
    client.send(before);
    let asked = upstream.count();
    for read in reads {
        client.send_lossy(read);
    }
    if !before.is_empty() {
        assert_eq!(
            client.reply().status,
            200,
            "{name}: the good request before"
        );
    }
    match row.verdict {
        Verdict::Refused(status, code) => {
            let reply = client.reply();
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (status, code),
                "{name}"
            );
            assert!(
                (400..600).contains(&status) && reply.closes(),
                "{name}: {reply:?}"
            );
            ends(&mut client, name);
            let reached = upstream.count() - asked;
            assert!(
                reached <= usize::from(!before.is_empty()),
                "{name}: {reached} calls"
            );
        }
        Verdict::Served { keep } => {
            let reply = served(&mut client, name);
            assert_eq!(reply.closes(), !keep, "{name}: {reply:?}");
            if keep {
                let next = client.get("/good");
                assert_eq!((next.status, next.closes()), (200, false), "{name}: next");
                client.finish();
            }
            ends(&mut client, name);
        }
        Verdict::Cut => {
            client.finish();
            ends(&mut client, name);
        }
    }
}

fn served(client: &mut Client, name: &str) -> Reply {
    let reply = client.reply();
    let expected = [200, 204, 404, 405];
    assert!(expected.contains(&reply.status), "{name}: {reply:?}");
    reply
}

/// The connection ends and nothing more was said on it.
fn ends(client: &mut Client, name: &str) {
    let rest = client.rest();
    assert!(
        rest.is_empty(),
        "{name}: extra {:?}",
        String::from_utf8_lossy(&rest)
    );
}

fn run(cut: impl Fn(&[u8]) -> Vec<&[u8]>, before: &str) {
    let upstream = Upstream::echo();
    let plane = start(&upstream);
    let corpus = corpus();
    let mut refused = 0;
    for row in &corpus {
        play(&plane, &upstream, row, before, &cut(&row.bytes));
        refused += usize::from(matches!(row.verdict, Verdict::Refused(..)));
    }
    let canaries = upstream
        .seen()
        .iter()
        .filter(|seen| seen.target() == "/canary")
        .count();
    println!(
        "S01: {} rows, {refused} refused and closed, {canaries} canaries, 0 extra replies",
        corpus.len()
    );
    assert!(corpus.len() >= 160 && refused >= 160);
    assert_eq!(canaries, 0);
    assert_eq!(plane.in_flight(), 0);
    assert_eq!(
        plane.get("/good").status,
        200,
        "an honest client afterwards"
    );
}

#[test]
fn every_row_whole() {
    run(|bytes| vec![bytes], "");
}

#[test]
fn every_row_behind_a_good_request() {
    run(|bytes| vec![bytes], &get("/good"));
}

#[test]
fn every_row_in_two_segments() {
    run(
        |bytes| {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            vec![first, second]
        },
        "",
    );
}

/// The canary is not a request that could not arrive anyway.
#[test]
fn a_canary_sent_openly_arrives() {
    let upstream = Upstream::echo();
    let plane = start(&upstream);
    assert_eq!(plane.get("/canary").status, 200);
    assert_eq!(upstream.seen()[0].target(), "/canary");
}

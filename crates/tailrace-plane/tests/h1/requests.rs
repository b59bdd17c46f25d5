//! The request corpus: every row whole, cut at every byte, byte by byte, and before and after a
//! good one.

use tailrace_plane::h1::Framing;

use super::corpus::{bytes, rows};
use super::peer::{Outcome, Peer, Reading};

const CORPUS: &str = include_str!("corpus/requests.txt");
const GOOD: &[u8] = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n";

#[derive(Debug)]
struct Row {
    name: &'static str,
    expected: &'static str,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Row> {
    rows(CORPUS, 3)
        .into_iter()
        .map(|row| Row {
            name: row[0],
            expected: row[1],
            bytes: bytes(row[2]),
        })
        .collect()
}

/// Plays the reads to a server; no canary may ever come out as a request (S01).
fn play(reading: Reading, reads: &[&[u8]]) -> Vec<Outcome> {
    let mut server = Peer::server(reading);
    for read in reads {
        server.read(read);
    }
    let (outcomes, paths) = server.end();
    assert!(
        !paths.iter().any(|path| path.starts_with(b"/canary")),
        "a canary got through"
    );
    outcomes
}

/// The outcome in the words of the corpus.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Message {
            framing,
            keep_alive,
            body,
            ..
        } => {
            let end = if *keep_alive { "keep" } else { "close" };
            format!(
                "ok {} {end} body={}",
                framing_words(*framing),
                String::from_utf8_lossy(body)
            )
        }
        Outcome::Head(error) => format!("head {} {}", error.status(), error.code()),
        Outcome::Body(error) => format!("body {} {}", error.status(), error.code()),
        Outcome::Partial => "partial".into(),
        other => panic!("not an outcome of a server: {other:?}"),
    }
}

pub(crate) fn framing_words(framing: Framing) -> String {
    match framing {
        Framing::None => "none".into(),
        Framing::Length(length) => format!("length:{length}"),
        Framing::Chunked => "chunked".into(),
        Framing::UntilClose => "until_close".into(),
    }
}

/// Without `body=` in the corpus, any body will do.
pub(crate) fn meets(said: &str, expected: &str) -> bool {
    let without_body = said.split_once(" body=").map_or(said, |(before, _)| before);
    said == expected || without_body == expected
}

fn is_cut(row: &Row) -> bool {
    row.expected == "partial" || row.expected.ends_with("truncated")
}

#[test]
fn the_corpus_is_large_and_its_names_are_unique() {
    let mut names: Vec<_> = corpus().iter().map(|row| row.name).collect();
    println!("request corpus: {} rows", names.len());
    assert!(names.len() >= 170, "only {} rows", names.len());
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(before, names.len());
}

#[test]
fn every_row_has_its_verdict() {
    for row in corpus() {
        for reading in [Reading::Parse, Reading::HeadEnd] {
            let outcomes = play(reading, &[&row.bytes]);
            assert_eq!(outcomes.len(), 1, "{}: {outcomes:?}", row.name);
            let said = words(&outcomes[0]);
            assert!(
                meets(&said, row.expected),
                "{}: {said}, not {}",
                row.name,
                row.expected
            );
        }
    }
}

#[test]
fn no_cut_changes_a_verdict() {
    for row in corpus() {
        let whole = play(Reading::Parse, &[&row.bytes]);
        for cut in 0..=row.bytes.len() {
            let (first, second) = row.bytes.split_at(cut);
            for reading in [Reading::Parse, Reading::HeadEnd] {
                let outcomes = play(reading, &[first, second]);
                assert_eq!(outcomes, whole, "{} cut at {cut}, {reading:?}", row.name);
            }
        }
        for reading in [Reading::Parse, Reading::HeadEnd] {
            let reads: Vec<_> = row.bytes.chunks(1).collect();
            assert_eq!(play(reading, &reads), whole, "{} byte by byte", row.name);
        }
    }
}

#[test]
fn a_good_request_before_changes_nothing() {
    let good = play(Reading::Parse, &[GOOD]);
    for row in corpus() {
        let both = [GOOD, &row.bytes].concat();
        let expected = [good.clone(), play(Reading::Parse, &[&row.bytes])].concat();
        for cut in 0..=both.len() {
            let (first, second) = both.split_at(cut);
            let outcomes = play(Reading::HeadEnd, &[first, second]);
            assert_eq!(outcomes, expected, "{} cut at {cut}", row.name);
        }
    }
}

/// After an accepted keep-alive row the next request is seen; after any other it never is.
#[test]
fn a_good_request_after_is_seen_only_when_the_connection_lives() {
    let good = play(Reading::Parse, &[GOOD]);
    for row in corpus().iter().filter(|row| !is_cut(row)) {
        let both = [&row.bytes, GOOD].concat();
        let mut expected = play(Reading::Parse, &[&row.bytes]);
        if matches!(
            expected[0],
            Outcome::Message {
                keep_alive: true,
                ..
            }
        ) {
            expected.extend(good.clone());
        }
        for cut in 0..=both.len() {
            let (first, second) = both.split_at(cut);
            let outcomes = play(Reading::HeadEnd, &[first, second]);
            assert_eq!(outcomes, expected, "{} cut at {cut}", row.name);
        }
    }
}

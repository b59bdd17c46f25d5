//! The response corpus: every row whole, cut at every byte, byte by byte, and before and after a
//! good one.

use tailrace_plane::h1::Method;

use super::corpus::{bytes, rows};
use super::peer::{Outcome, Peer, Reading};
use super::requests::{framing_words, meets};

const CORPUS: &str = include_str!("corpus/responses.txt");
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

#[derive(Debug)]
struct Row {
    name: &'static str,
    method: Method,
    expected: &'static str,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Row> {
    let method = |word| match word {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        other => panic!("unknown method {other}"),
    };
    rows(CORPUS, 4)
        .into_iter()
        .map(|row| Row {
            name: row[0],
            method: method(row[1]),
            expected: row[2],
            bytes: bytes(row[3]),
        })
        .collect()
}

fn play(reading: Reading, requests: &[Method], reads: &[&[u8]]) -> Vec<Outcome> {
    let mut client = Peer::client(reading, requests);
    for read in reads {
        client.read(read);
    }
    client.end().0
}

/// The outcome in the words of the corpus.
fn words(outcomes: &[Outcome]) -> String {
    let surplus = match &outcomes[1..] {
        [] => "",
        [Outcome::Surplus(_)] => " surplus",
        more => panic!("more than one answer: {more:?}"),
    };
    match &outcomes[0] {
        Outcome::Message {
            status,
            framing,
            keep_alive,
            json,
            body,
        } => {
            let end = if *keep_alive { "keep" } else { "close" };
            let json = if *json { " json" } else { "" };
            let body = String::from_utf8_lossy(body);
            format!(
                "ok {status} {} {end}{json}{surplus} body={body}",
                framing_words(*framing)
            )
        }
        Outcome::Head(error) => format!("head {}", error.code()),
        Outcome::Body(error) => format!("body {}", error.code()),
        Outcome::InterimFlood => "head interim_flood".into(),
        Outcome::Partial => "partial".into(),
        Outcome::Surplus(_) => panic!("surplus before any answer"),
    }
}

#[test]
fn the_corpus_is_large_and_its_names_are_unique() {
    let mut names: Vec<_> = corpus().iter().map(|row| row.name).collect();
    println!("response corpus: {} rows", names.len());
    assert!(names.len() >= 85, "only {} rows", names.len());
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(before, names.len());
}

#[test]
fn every_row_has_its_verdict() {
    for row in corpus() {
        for reading in [Reading::Parse, Reading::HeadEnd] {
            let said = words(&play(reading, &[row.method], &[&row.bytes]));
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
        let whole = play(Reading::Parse, &[row.method], &[&row.bytes]);
        for cut in 0..=row.bytes.len() {
            let (first, second) = row.bytes.split_at(cut);
            for reading in [Reading::Parse, Reading::HeadEnd] {
                let outcomes = play(reading, &[row.method], &[first, second]);
                assert_eq!(outcomes, whole, "{} cut at {cut}, {reading:?}", row.name);
            }
        }
        for reading in [Reading::Parse, Reading::HeadEnd] {
            let reads: Vec<_> = row.bytes.chunks(1).collect();
            let outcomes = play(reading, &[row.method], &reads);
            assert_eq!(outcomes, whole, "{} byte by byte", row.name);
        }
    }
}

/// On a reused connection the row's verdict is the same, and the answer before it stays whole.
#[test]
fn a_good_response_before_changes_nothing() {
    let good = play(Reading::Parse, &[Method::Get], &[GOOD]);
    for row in corpus() {
        let both = [GOOD, &row.bytes].concat();
        let alone = play(Reading::Parse, &[row.method], &[&row.bytes]);
        let expected = [good.clone(), alone].concat();
        for cut in 0..=both.len() {
            let (first, second) = both.split_at(cut);
            let outcomes = play(
                Reading::HeadEnd,
                &[Method::Get, row.method],
                &[first, second],
            );
            assert_eq!(outcomes, expected, "{} cut at {cut}", row.name);
        }
    }
}

/// A second answer that nobody asked for is surplus after a framed row, and invisible after any
/// other.
#[test]
fn a_good_response_after_is_never_an_answer() {
    for row in corpus() {
        if row.expected == "partial" || row.expected.ends_with("truncated") {
            continue;
        }
        let both = [&row.bytes, GOOD].concat();
        let alone = play(Reading::Parse, &[row.method], &[&row.bytes]);
        for cut in 0..=both.len() {
            let (first, second) = both.split_at(cut);
            let outcomes = play(Reading::HeadEnd, &[row.method], &[first, second]);
            if row.expected.contains("until_close") {
                assert!(
                    outcomes.len() == 1,
                    "{}: all of it is the body, or too large",
                    row.name
                );
                continue;
            }
            assert_eq!(outcomes[0], alone[0], "{} cut at {cut}", row.name);
            let framed = matches!(outcomes[0], Outcome::Message { .. });
            let surplus = matches!(outcomes.get(1), Some(Outcome::Surplus(_)));
            assert_eq!(framed, surplus, "{} cut at {cut}: {outcomes:?}", row.name);
        }
    }
}

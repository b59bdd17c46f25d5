//! Requests: hyper's server beside ours.

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};

use super::corpus::{bytes, rows};
use super::mutation::{mutate, seed};
use super::strictness::{Tally, DIFFERENT};
use super::{hyper_server, ours};

const CORPUS: &str = include_str!("../h1/corpus/requests.txt");
/// Appended to every input: where a reader thinks the next request starts shows in what it makes of
/// this one.
const CANARY: &[u8] = b"GET /appended HTTP/1.1\r\nHost: a\r\n\r\n";
const MUTATIONS: usize = 20_000;

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O")
}

/// Plays the bytes alone and with a request after them; the codes that were ours alone.
fn play(runtime: &Runtime, bytes: &[u8]) -> Result<Option<&'static str>, String> {
    let with_canary = [bytes, CANARY].concat();
    let mut alone = None;
    for input in [&with_canary, bytes] {
        let theirs = runtime.block_on(hyper_server::requests(input));
        alone = ours::requests(input).compare(&theirs)?;
    }
    Ok(alone)
}

#[test]
fn what_ours_accepts_of_the_corpus_hyper_accepts_alike() {
    let runtime = runtime();
    let mut tally = Tally::default();
    let corpus = rows(CORPUS, 3);
    for row in &corpus {
        let verdict = play(&runtime, &bytes(row[2]));
        if DIFFERENT.iter().any(|(name, _)| *name == row[0]) {
            assert!(verdict.is_err(), "{}: no difference any more", row[0]);
            continue;
        }
        let code = verdict.unwrap_or_else(|why| panic!("{}: {why}", row[0]));
        tally.add(code);
    }
    println!(
        "{} request rows, {} refused by ours alone: {:?}",
        corpus.len(),
        tally.total(),
        tally.0
    );
    assert!(corpus.len() >= 160);
    tally.check_counts(|row| row.1);
}

#[test]
fn what_ours_accepts_of_mutations_hyper_accepts_alike() {
    let runtime = runtime();
    let corpus: Vec<_> = rows(CORPUS, 3).iter().map(|row| bytes(row[2])).collect();
    let (good, bad) = corpus
        .iter()
        .map(Vec::as_slice)
        .partition::<Vec<_>, _>(|row| !ours::requests(row).messages.is_empty());
    let mut rng = Rng::with_seed(seed());
    let mut tally = Tally::default();
    let mut accepted = 0;
    for number in 0..MUTATIONS {
        let input = mutate(&mut rng, &good, &bad);
        let code = play(&runtime, &input)
            .unwrap_or_else(|why| panic!("mutation {number}, {}: {why}", input.escape_ascii()));
        tally.add(code);
        accepted += usize::from(!ours::requests(&input).messages.is_empty());
    }
    println!(
        "{MUTATIONS} mutated requests, {accepted} accepted alike, {} refused by ours alone: {:?}",
        tally.total(),
        tally.0
    );
    // Damage that never leaves anything to accept would prove nothing.
    assert!(accepted > MUTATIONS / 10, "only {accepted} accepted");
    tally.check_codes();
}

//! Responses: hyper's client beside ours.

use fastrand::Rng;
use tailrace_plane::h1::Method;
use tokio::runtime::Runtime;

use super::corpus::{bytes, rows};
use super::mutation::{mutate, seed};
use super::requests::runtime;
use super::strictness::{Tally, DIFFERENT};
use super::{hyper_client, ours};

const CORPUS: &str = include_str!("../h1/corpus/responses.txt");
/// Appended to every input: an answer nobody asked for.
const FOREIGN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nappended";
const METHODS: [(&str, Method); 3] = [
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
];
const MUTATIONS: usize = 10_000;

fn play(runtime: &Runtime, bytes: &[u8], asked: &str) -> Result<Option<&'static str>, String> {
    let (_, method) = METHODS
        .into_iter()
        .find(|(name, _)| *name == asked)
        .expect("a method of the corpus");
    let with_foreign = [bytes, FOREIGN].concat();
    let mut alone = None;
    for input in [&with_foreign, bytes] {
        let theirs = runtime.block_on(hyper_client::answer(input, asked));
        alone = ours::answer(input, method).compare(&theirs)?;
    }
    Ok(alone)
}

#[test]
fn what_ours_accepts_of_the_corpus_hyper_accepts_alike() {
    let runtime = runtime();
    let mut tally = Tally::default();
    let corpus = rows(CORPUS, 4);
    for row in &corpus {
        let verdict = play(&runtime, &bytes(row[3]), row[1]);
        if DIFFERENT.iter().any(|(name, _)| *name == row[0]) {
            assert!(verdict.is_err(), "{}: no difference any more", row[0]);
            continue;
        }
        let code = verdict.unwrap_or_else(|why| panic!("{}: {why}", row[0]));
        tally.add(code);
    }
    println!(
        "{} response rows, {} refused by ours alone: {:?}",
        corpus.len(),
        tally.total(),
        tally.0
    );
    assert!(corpus.len() >= 80);
    tally.check_counts(|row| row.2);
}

#[test]
fn what_ours_accepts_of_mutations_hyper_accepts_alike() {
    let runtime = runtime();
    let corpus: Vec<_> = rows(CORPUS, 4).iter().map(|row| bytes(row[3])).collect();
    let (good, bad) = corpus
        .iter()
        .map(Vec::as_slice)
        .partition::<Vec<_>, _>(|row| !ours::answer(row, Method::Get).messages.is_empty());
    let mut rng = Rng::with_seed(seed());
    let mut tally = Tally::default();
    let mut accepted = 0;
    for number in 0..MUTATIONS {
        let input = mutate(&mut rng, &good, &bad);
        let (asked, method) = METHODS[rng.usize(..METHODS.len())];
        let code = play(&runtime, &input, asked).unwrap_or_else(|why| {
            panic!(
                "mutation {number} for {asked}, {}: {why}",
                input.escape_ascii()
            )
        });
        tally.add(code);
        accepted += usize::from(!ours::answer(&input, method).messages.is_empty());
    }
    println!(
        "{MUTATIONS} mutated responses, {accepted} accepted alike, {} refused by ours alone: {:?}",
        tally.total(),
        tally.0
    );
    // Damage that never leaves anything to accept would prove nothing.
    assert!(accepted > MUTATIONS / 10, "only {accepted} accepted");
    tally.check_codes();
}

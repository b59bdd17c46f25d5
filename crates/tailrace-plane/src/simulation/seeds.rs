//! Which seeds a test plays, and the command that plays a failed one again.
//!
//! `TAILRACE_SEED=17` plays that one only; `TAILRACE_SEEDS=20000` plays so many in all instead of
//! the usual ones, as a nightly run does, and `TAILRACE_PLANS=7000` so many plans of the model
//! test; `TAILRACE_COUNT_FULL=1` asks for as many as RELIABILITY does.

use std::env;

/// Seeds of all stories together, unless told otherwise (RELIABILITY 7).
const SEEDS: u64 = 500;
/// Plans of the model test, unless told otherwise (RELIABILITY A02): usually, and in full.
const PLANS: u64 = 2_000;
const PLANS_FULL: u64 = 100_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Seeds that all stories share.
pub fn stories() -> u64 {
    number("TAILRACE_SEEDS").unwrap_or(SEEDS)
}

pub fn plans() -> u64 {
    let usual = if is_full() { PLANS_FULL } else { PLANS };
    number("TAILRACE_PLANS").unwrap_or(usual)
}

/// Whether the counts that RELIABILITY asks for are wanted, which take minutes.
pub fn is_full() -> bool {
    env::var_os("TAILRACE_COUNT_FULL").is_some_and(|value| value == "1")
}

/// Plays `many` seeds, or the one that is asked for; `test` is the caller's name for cargo.
pub fn each(test: &str, many: u64, play: impl Fn(u64)) {
    let seeds = number("TAILRACE_SEED").map_or(0..many, |only| only..only + 1);
    for seed in seeds {
        let _replay = Replay { test, seed };
        play(seed);
    }
}

/// True when curves are to be written instead of compared.
pub fn recording() -> bool {
    env::var_os("TAILRACE_RECORD").is_some()
}

/// Says how to play a seed again when it fails.
struct Replay<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed } = self;
            eprintln!(
                "seed {seed} failed; again: TAILRACE_SEED={seed} \
                 cargo test --profile ci -p tailrace-plane --lib {test}"
            );
        }
    }
}

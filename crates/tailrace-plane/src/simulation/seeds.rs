//! Which seeds a test plays, and the command that plays a failed one again.
//!
//! `TAILRACE_SEED=17` plays that one only; `TAILRACE_SEEDS=20000` plays so many in all instead of
//! the usual ones, as a nightly run does.

use std::env;

/// The seeds of all stories together, unless told otherwise (RELIABILITY 7).
pub const STORY_SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Plays one part in `parts` of all seeds; `test` is the name that cargo knows the caller by.
pub fn each(test: &str, usual: u64, parts: u64, play: impl Fn(u64)) {
    let seeds = match number("TAILRACE_SEED") {
        Some(only) => only..only + 1,
        None => 0..number("TAILRACE_SEEDS").unwrap_or(usual).div_ceil(parts),
    };
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

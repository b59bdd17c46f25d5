//! The curve of a run, for a reviewer: what was offered, what came of it and how much was under
//! way, step by step of virtual time.
//!
//! A controller is reviewed by its curve. Those of seed 0 are kept beside this file; a change that
//! bends one is seen in its diff and recorded with
//! `TAILRACE_RECORD=1 cargo test --profile ci -p tailrace-plane --lib simulation`.

use super::client::End;
use super::seeds;
use super::world::{Run, STEP};
use crate::clock::MILLI;
use std::fmt::Write as _;
use std::path::PathBuf;
use tailrace_policy::Nanos;

#[derive(Debug, Default, Clone)]
struct Row {
    offered: u64,
    whole: u64,
    degraded: u64,
    refused: u64,
    failed: u64,
    took: Vec<Nanos>,
    attempts: u64,
}

/// Holds the curve of `run` to the one kept under this name, or keeps it when recording.
pub fn compare(name: &str, run: &Run) {
    let drawn = draw(name, run);
    let file = name.rsplit("::").next().unwrap_or(name);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/simulation/curves")
        .join(format!("{file}.txt"));
    if seeds::recording() {
        std::fs::write(&path, drawn).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(drawn.lines())
        .find(|(kept, drawn)| kept != drawn);
    assert!(
        kept == drawn,
        "the curve of {file} changed; first: {differs:?}\nif that was meant, record it with \
         TAILRACE_RECORD=1 cargo test --profile ci -p tailrace-plane --lib simulation, and look at \
         the diff of src/simulation/curves"
    );
}

/// One line per step. Requests count in the step they were sent in, attempts where they arrived.
fn draw(name: &str, run: &Run) -> String {
    let step = |at: Nanos| ((at - run.started) / STEP) as usize;
    let last = run
        .records
        .iter()
        .map(|record| step(record.at))
        .max()
        .unwrap_or(0);
    let mut rows = vec![Row::default(); last + 3];
    for record in &run.records {
        let row = &mut rows[step(record.at)];
        row.offered += 1;
        let End::Answered(reply) = &record.end else {
            continue;
        };
        row.took.push(record.took);
        match reply.status {
            200 if reply.degraded().is_empty() => row.whole += 1,
            200 => row.degraded += 1,
            503 => row.refused += 1,
            _ => row.failed += 1,
        }
    }
    for upstream in &run.upstreams {
        for at in upstream.record.arrivals.borrow().iter() {
            if let Some(row) = rows.get_mut(step(*at)) {
                row.attempts += 1;
            }
        }
    }
    let mut out = format!(
        "{name}, seed 0: per 100 ms of virtual time\n\
         at_ms offered whole degraded refused failed p50_ms p99_ms attempts requests calls \
         offered= whole#\n"
    );
    for (index, row) in rows.iter_mut().enumerate() {
        row.took.sort_unstable();
        let at = |share: usize| {
            let rank = (row.took.len() * share / 100).min(row.took.len().saturating_sub(1));
            row.took.get(rank).map_or(0, |took| took / MILLI)
        };
        let sample = run.samples.get(index);
        let (requests, calls) = sample.map_or((0, 0), |sample| (sample.requests, sample.calls));
        let bar: String = (0..row.offered.div_ceil(4))
            .map(|mark| {
                if mark < row.whole.div_ceil(4) {
                    '#'
                } else {
                    '='
                }
            })
            .collect();
        let line = format!(
            "{:5} {:7} {:5} {:8} {:7} {:6} {:6} {:6} {:8} {requests:8} {calls:5} {bar:.32}",
            index as u64 * STEP / MILLI,
            row.offered,
            row.whole,
            row.degraded,
            row.refused,
            row.failed,
            at(50),
            at(99),
            row.attempts,
        );
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    out
}

//! What `/metrics` counts per upstream.
//!
//! The failure prevented: a call that was not retried, and nobody can say why. Calls, attempts and
//! every refused extra attempt are separate series, all there from the start with 0.

use super::text::{sum, Labelled, Read};
use super::{WorkerMetrics, REFUSALS};
use crate::shared::Shared;
use std::sync::Arc;

pub fn counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let list: [(&'static str, &'static str, Read); 10] = [
        ("tailrace_upstream_calls", "Logical calls", |w, i| {
            &w.upstreams[i].calls
        }),
        (
            "tailrace_upstream_failed_calls",
            "Logical calls that ended without an answer, whatever was tried",
            |w, i| &w.upstreams[i].calls_failed,
        ),
        ("tailrace_upstream_attempts", "Wire exchanges", |w, i| {
            &w.upstreams[i].attempts
        }),
        (
            "tailrace_upstream_retries",
            "Attempts after a failed one",
            |w, i| &w.upstreams[i].retries,
        ),
        (
            "tailrace_upstream_hedges",
            "Attempts beside a slow one",
            |w, i| &w.upstreams[i].hedges,
        ),
        (
            "tailrace_upstream_hedge_wins",
            "Hedges that answered before the attempt they were beside",
            |w, i| &w.upstreams[i].hedge_wins,
        ),
        (
            "tailrace_upstream_failures",
            "Attempts that failed",
            |w, i| &w.upstreams[i].failures,
        ),
        (
            "tailrace_upstream_timeouts",
            "Attempts that ran out of time",
            |w, i| &w.upstreams[i].timeouts,
        ),
        (
            "tailrace_upstream_connects",
            "Connections opened",
            |w, i| &w.upstreams[i].connects,
        ),
        (
            "tailrace_upstream_received_bytes",
            "Bytes of answers",
            |w, i| &w.upstreams[i].bytes_in,
        ),
    ];
    let program = shared.program();
    let per_upstream = |read: Read| {
        let one = |(index, upstream): (usize, &Arc<crate::upstream::Upstream>)| {
            (
                vec![("upstream", upstream.name.clone())],
                sum(&shared.metrics, index, read),
            )
        };
        program.upstreams.iter().enumerate().map(one).collect()
    };
    let mut found: Vec<_> = list
        .into_iter()
        .map(|(name, help, read)| (name, help, per_upstream(read)))
        .collect();
    found.push((
        "tailrace_attempt_refusals",
        "Retries and hedges that were refused, by code",
        refusals(shared),
    ));
    found
}

/// Why extra attempts were not made; each is asked before any wait (req 9.4).
fn refusals(shared: &Shared) -> Labelled<u64> {
    let mut found = Vec::new();
    for (index, upstream) in shared.program().upstreams.iter().enumerate() {
        for (at, code) in REFUSALS.iter().enumerate() {
            let labels = vec![
                ("upstream", upstream.name.clone()),
                ("code", (*code).to_owned()),
            ];
            let one = |worker: &Arc<WorkerMetrics>| worker.upstreams[index].refusals[at].get();
            found.push((labels, shared.metrics.iter().map(one).sum()));
        }
    }
    found
}

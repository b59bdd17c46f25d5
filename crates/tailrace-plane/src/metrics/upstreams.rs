//! What `/metrics` counts per upstream.
//!
//! The failure prevented: a call that was not retried, and nobody can say why. Calls, attempts and
//! every refused extra attempt are separate series, all there from the start with 0.

use super::histogram::Merged;
use super::split::{rows, Ended};
use super::text::{sum, Read};
use super::write::{Family, Labelled};
use super::{WorkerMetrics, REFUSALS};
use crate::events::{self, Metric};
use crate::h1::Method;
use crate::program::Program;
use crate::shared::Shared;
use crate::upstream::Upstream;
use std::sync::Arc;

/// What is counted, in the catalogue's words.
const COUNTERS: [(&Metric, Read); 10] = [
    (&events::UPSTREAM_CALLS, |w, i| &w.upstreams[i].calls),
    (&events::UPSTREAM_FAILED_CALLS, |w, i| {
        &w.upstreams[i].calls_failed
    }),
    (&events::UPSTREAM_ATTEMPTS, |w, i| &w.upstreams[i].attempts),
    (&events::UPSTREAM_RETRIES, |w, i| &w.upstreams[i].retries),
    (&events::UPSTREAM_HEDGES, |w, i| &w.upstreams[i].hedges),
    (&events::UPSTREAM_HEDGE_WINS, |w, i| {
        &w.upstreams[i].hedge_wins
    }),
    (&events::UPSTREAM_FAILURES, |w, i| &w.upstreams[i].failures),
    (&events::UPSTREAM_TIMEOUTS, |w, i| &w.upstreams[i].timeouts),
    (&events::UPSTREAM_CONNECTS, |w, i| &w.upstreams[i].connects),
    (&events::UPSTREAM_RECEIVED, |w, i| &w.upstreams[i].bytes_in),
];

pub fn families(shared: &Shared) -> Vec<Family> {
    let (workers, program) = (&shared.metrics, shared.program());
    let whole = |(metric, read): (&'static Metric, Read)| {
        let series = per_upstream(&program, |index| sum(workers, index, read));
        Family::whole(metric, series)
    };
    let waits = per_upstream(&program, |index| {
        Merged::of(workers.iter().map(|w| &w.upstreams[index].queue_wait))
    });
    let gauge =
        |metric, read: &dyn Fn(usize) -> f64| Family::real(metric, per_upstream(&program, read));
    let bulkhead = |index: usize| &program.upstreams[index].bulkhead;
    let idle = |index: usize| sum(workers, index, |w, i| &w.upstreams[i].idle) as f64;
    let mut found = vec![Family::distributions(
        &events::ATTEMPT_DURATION,
        durations(shared, &program),
    )];
    found.extend(COUNTERS.map(whole));
    found.extend([
        Family::whole(&events::ATTEMPT_REFUSALS, refusals(shared)),
        Family::distributions(&events::BULKHEAD_WAIT, waits),
        gauge(&events::BULKHEAD_IN_FLIGHT, &|i| {
            f64::from(bulkhead(i).in_flight())
        }),
        gauge(&events::BULKHEAD_QUEUED, &|i| {
            f64::from(bulkhead(i).queued())
        }),
        gauge(&events::BULKHEAD_LIMIT, &|i| f64::from(bulkhead(i).limit())),
        gauge(&events::UPSTREAM_IDLE, &idle),
    ]);
    found
}

fn per_upstream<T>(program: &Program, read: impl Fn(usize) -> T) -> Labelled<T> {
    let one = |(index, upstream): (usize, &Arc<Upstream>)| {
        (vec![("upstream", upstream.name.clone())], read(index))
    };
    program.upstreams.iter().enumerate().map(one).collect()
}

/// Durations of attempts by method and how they ended. An upstream is one server to a reader of
/// these: with one address it is called by that, with several by its name, and their ports are said
/// when they are the same.
fn durations(shared: &Shared, program: &Program) -> Labelled<Merged> {
    let mut found = Vec::new();
    for (index, upstream) in program.upstreams.iter().enumerate() {
        let (address, port) = server(upstream);
        let own = shared.metrics.iter();
        let own = own.map(|worker| &worker.upstreams[index].durations);
        for row in rows(own, Some((Method::Get, Ended::Status(200)))) {
            let mut labels = vec![
                ("upstream", upstream.name.clone()),
                ("server_address", address.clone()),
                ("server_port", port.clone()),
                ("http_request_method", row.method.to_owned()),
            ];
            let status = row.status.map(str::to_owned);
            labels.extend(status.map(|status| ("http_response_status_code", status)));
            labels.extend(row.error.map(|error| ("error_type", error.to_owned())));
            found.push((labels, row.merged));
        }
    }
    found
}

fn server(upstream: &Upstream) -> (String, String) {
    let mut origins = upstream.origins.iter();
    let Some(first) = origins.next() else {
        return (upstream.name.clone(), String::new());
    };
    let alone = upstream.origins.len() == 1;
    let address = if alone { &first.host } else { &upstream.name };
    let same = origins.all(|origin| origin.port == first.port);
    let port = if same {
        first.port.to_string()
    } else {
        String::new()
    };
    (address.clone(), port)
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

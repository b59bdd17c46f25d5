//! What must be true of every run, whatever its story (RELIABILITY A01, A03, A04, A05, S26).

use super::client::{End, Record, Reply};
use super::network;
use super::upstream::{Traffic, Upstream};
use super::world::Run;
use crate::clock::MILLI;
use crate::metrics::split::STATUSES;
use crate::metrics::ViewMetrics;
use crate::shared::Shared;
use serde_json::Value;
use std::rc::Rc;

/// Nothing is held once nothing is asked: no request, place, queue or upstream connection.
pub fn rested(shared: &Shared, upstreams: &[Rc<Upstream>], traffic: &Traffic) {
    assert_eq!(shared.in_flight(), 0, "requests in flight at rest");
    for upstream in &shared.program().upstreams {
        let held = (upstream.bulkhead.in_flight(), upstream.bulkhead.queued());
        assert_eq!(held, (0, 0), "places of {} held at rest", upstream.name);
    }
    assert_eq!(traffic.active(), 0, "calls under way at rest");
    for upstream in upstreams {
        let overlaps = upstream.record.overlaps.get();
        assert_eq!(
            overlaps, 0,
            "a connection of {} was shared",
            upstream.address
        );
    }
    let clients = 2 * shared.connections() as usize;
    assert_eq!(
        network::open(),
        clients,
        "upstream connections open at rest"
    );
}

/// After the drain no connection is left at all.
pub fn ended(shared: &Shared) {
    assert_eq!(
        (shared.connections(), network::open()),
        (0, 0),
        "connections after the end"
    );
    assert_eq!(shared.in_flight(), 0);
}

/// Checks one run: who was answered when and with what, and how much was asked for it.
pub fn check(run: &Run, whole: impl Fn(u64, &Reply)) {
    let deadline = run.shared.program().views[0].deadline;
    for record in &run.records {
        let Record { id, took, .. } = record;
        match &record.end {
            End::Broken(what) => panic!("request {id}: {what}"),
            // A01, without the machine's own time: that a simulation does not spend.
            End::Answered(_) | End::Left => {
                assert!(*took <= deadline, "request {id} took {} ms", took / MILLI);
            }
        }
        if let End::Answered(reply) = &record.end {
            assert!(
                matches!(reply.status, 200 | 404 | 502 | 503 | 504),
                "request {id}: {reply:?}"
            );
            if reply.status == 200 {
                truthful(reply);
                whole(*id, reply);
            }
        }
    }
    let receipts = super::receipts::check(&run.shared);
    assert!(receipts > 0, "requests leave receipts");
    answered_once(run);
    abandoned(run);
    bounded(run);
}

/// A03: the body's list and the header name the same parts; a degraded reply is not to be stored.
fn truthful(reply: &Reply) {
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let listed: Vec<&str> = body["degraded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let header: Vec<&str> = reply.degraded().iter().map(|entry| entry.0).collect();
    assert_eq!(listed, header);
    let stored = reply.header("cache-control") != Some("no-store");
    assert_eq!(stored, listed.is_empty(), "{reply:?}");
}

/// The service's own numbers agree with what clients and upstreams saw.
fn answered_once(run: &Run) {
    let left = run
        .records
        .iter()
        .filter(|one| matches!(one.end, End::Left))
        .count() as u64;
    let answered = run.records.len() as u64 - left;
    let (mut replies, mut cancelled) = (0, 0);
    for worker in &run.shared.metrics {
        let counts = |view: &ViewMetrics| {
            let known = 0..STATUSES.len();
            known.map(|at| view.durations.count(at)).sum::<u64>()
        };
        replies += worker.views.iter().map(counts).sum::<u64>();
        cancelled += worker
            .views
            .iter()
            .map(|view| view.cancelled.get())
            .sum::<u64>();
    }
    // A client may leave while its reply is under way, or before its request has come.
    assert!(
        replies >= answered,
        "{replies} replies for {answered} answered"
    );
    assert!(
        replies + cancelled <= answered + left,
        "{replies} replies, {cancelled} cancelled"
    );
}

/// A04: once its client has left, a request sends nothing more.
fn abandoned(run: &Run) {
    for record in run
        .records
        .iter()
        .filter(|one| matches!(one.end, End::Left))
    {
        let left = record.at + record.took;
        for upstream in &run.upstreams {
            let last = upstream
                .record
                .last
                .borrow()
                .get(&format!("r{}", record.id))
                .copied();
            assert!(
                last <= Some(left),
                "request {}: a call for a client that left",
                record.id
            );
        }
    }
}

/// Per upstream: never told of more time than there is (req 4.5), never more calls at once than
/// its bulkhead (req 4.4), nor more attempts than calls and what was granted beyond (S26).
fn bounded(run: &Run) {
    let mut hedged = false;
    for (index, upstream) in run.shared.program().upstreams.iter().enumerate() {
        let count = |one: fn(&crate::metrics::UpstreamMetrics) -> u64| -> u64 {
            let workers = run.shared.metrics.iter();
            workers.map(|worker| one(&worker.upstreams[index])).sum()
        };
        let attempts = count(|one| one.attempts.get());
        let calls = count(|one| one.calls.get());
        let extra = count(|one| one.retries.get() + one.hedges.get());
        assert!(
            attempts <= calls + extra,
            "{}: {attempts} attempts",
            upstream.name
        );
        let machines = || {
            run.upstreams
                .iter()
                .filter(|machine| machine.index == index)
        };
        let told = machines()
            .map(|machine| machine.record.timeout_max_ms.get())
            .max();
        assert!(
            told.unwrap_or(0) <= upstream.timeout / MILLI,
            "{}: {told:?}",
            upstream.name
        );
        let seen = machines().map(|machine| machine.record.arrivals.borrow().len() as u64);
        let seen: u64 = seen.sum();
        assert!(
            seen <= attempts,
            "{}: {seen} seen of {attempts}",
            upstream.name
        );
        let (at_once, limit) = (
            run.traffic.upstream_max(index),
            upstream.bulkhead_params.limit,
        );
        assert!(
            at_once <= limit as usize,
            "{}: {at_once} at once, limit {limit}",
            upstream.name
        );
        hedged |= upstream.policies.hedge.is_some();
    }
    // A hedge runs beside its call; the request's purse bounds all of them (req 4.3). A fetch of
    // what is kept is the process's: it may outlive the wait of the request whose id it carries.
    let program = run.shared.program();
    let view = &program.views[0];
    let extra = if hedged {
        view.extra_attempts as usize
    } else {
        0
    };
    let kept = view
        .parts
        .iter()
        .filter(|part| part.cache.is_some())
        .count();
    let at_once = run.traffic.request_max();
    assert!(
        at_once <= view.fanout + extra + kept,
        "{at_once} calls of one request at once"
    );
}

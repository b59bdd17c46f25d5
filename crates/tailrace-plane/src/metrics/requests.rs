//! What `/metrics` says of requests: durations, statuses, and what their clients got (req 12.1).
//!
//! The failure prevented: a service that is slow or incomplete, and nobody can say where: view,
//! part and reason stand beside each number (req 9.1d).

use super::split::{rows, status_name, Ending, Replied, Row, STATUSES};
use super::tail::in_seconds;
use super::text::{sum, Read};
use super::write::{Distribution, Family, Labelled, Labels};
use super::{ViewMetrics, WorkerMetrics};
use crate::events;
use crate::h1::Method;
use crate::program::Program;
use crate::reason::Reason;
use crate::shared::Shared;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// The view and route of a request that reached none (RELIABILITY S23).
const UNMATCHED: &str = "_unmatched";

pub fn families(shared: &Shared) -> Vec<Family> {
    let workers = &shared.metrics;
    let program = shared.program();
    let per_view = |read: Read| -> Labelled<u64> {
        let one = |index| sum(workers, index, read);
        let views = program.views.iter().enumerate();
        views
            .map(|(index, view)| (vec![label(&view.name)], one(index)))
            .collect()
    };
    let one = |read: Read| vec![(vec![], sum(workers, 0, read))];
    // Read before the statuses, which are counted after it.
    let degraded = per_view(|w, i| &w.views[i].degraded);
    let log_failed = shared.log_failed.load(Ordering::Relaxed);
    let log_dropped = shared.log_lines.dropped();
    vec![
        Family::distributions(&events::REQUEST_DURATION, durations(shared, &program)),
        Family::whole(&events::REPLIES, replies(shared, &program, &degraded)),
        Family::whole(&events::REQUESTS, requests(workers, &program)),
        Family::whole(&events::DEGRADED_REPLIES, degraded),
        Family::whole(
            &events::INTERPRETER_ENTRIES,
            per_view(|w, i| &w.views[i].entries),
        ),
        Family::whole(
            &events::CANCELLED_REQUESTS,
            per_view(|w, i| &w.views[i].cancelled),
        ),
        Family::whole(&events::UNMATCHED_REQUESTS, unmatched(workers)),
        Family::whole(
            &events::MEASURED_REQUESTS,
            per_view(|w, i| &w.views[i].measured.requests),
        ),
        Family::real(
            &events::MEASURED_CPU,
            in_seconds(per_view(|w, i| &w.views[i].measured.cpu_ns)),
        ),
        Family::whole(
            &events::MEASURED_ALLOCATIONS,
            per_view(|w, i| &w.views[i].measured.allocations),
        ),
        Family::whole(
            &events::MEASURED_BYTES,
            per_view(|w, i| &w.views[i].measured.allocated_bytes),
        ),
        Family::real(
            &events::IN_FLIGHT_REQUESTS,
            vec![(vec![], shared.in_flight() as f64)],
        ),
        Family::whole(&events::PART_RESULTS, part_results(workers, &program)),
        Family::whole(
            &events::ACCESS_LOG_DROPPED,
            one(|w, _| &w.access_log_dropped),
        ),
        Family::whole(&events::ACCESS_LOG_FAILED, vec![(vec![], log_failed)]),
        Family::whole(&events::LOG_DROPPED, vec![(vec![], log_dropped)]),
    ]
}

fn label(view: &str) -> (&'static str, String) {
    ("view", view.to_owned())
}

fn row_labels(view: &str, route: Option<&str>, row: &Row) -> Labels {
    let mut labels = vec![label(view)];
    let mut push = |name, value: Option<&str>| {
        labels.extend(value.map(|value| (name, value.to_owned())));
    };
    push("http_route", route);
    push("http_request_method", Some(row.method));
    push("http_response_status_code", row.status);
    push("url_scheme", Some("http"));
    push("error_type", row.error);
    labels
}

fn durations(shared: &Shared, program: &Program) -> Labelled<Distribution> {
    let workers = &shared.metrics;
    let mut found = Vec::new();
    for (index, view) in program.views.iter().enumerate() {
        let method = Method::from(program.declared.views[index].method);
        let own = workers.iter().map(|worker| &worker.views[index].durations);
        for row in rows(own, Some((method, Replied(200)))) {
            let exemplars = shared.exemplars.of(index, |of| {
                let (status, error) = Replied::labels(Replied(of.status).index());
                of.method == row.method && (status, error) == (row.status, row.error)
            });
            let labels = row_labels(&view.name, Some(&view.route), &row);
            let merged = row.merged;
            found.push((labels, Distribution { merged, exemplars }));
        }
    }
    let own = workers.iter().map(|worker| &worker.unmatched);
    for row in rows(own, Some((Method::Get, Replied(404)))) {
        let labels = row_labels(UNMATCHED, None, &row);
        found.push((labels, row.merged.into()));
    }
    found
}

fn status_sum(workers: &[Arc<WorkerMetrics>], view: usize, status: usize) -> u64 {
    let of = |view: &ViewMetrics| view.durations.count(status);
    workers.iter().map(|worker| of(&worker.views[view])).sum()
}

fn requests(workers: &[Arc<WorkerMetrics>], program: &Program) -> Labelled<u64> {
    let mut found = Vec::new();
    for (index, view) in program.views.iter().enumerate() {
        for at in 0..STATUSES.len() {
            let labels = vec![label(&view.name), ("status", status_name(at).to_owned())];
            found.push((labels, status_sum(workers, index, at)));
        }
    }
    found
}

/// What clients got, so that an objective is one metric: the share of `complete`.
fn replies(shared: &Shared, program: &Program, degraded: &Labelled<u64>) -> Labelled<u64> {
    let mut found = Vec::new();
    for (index, view) in program.views.iter().enumerate() {
        let of = |wanted: fn(u16) -> bool| -> u64 {
            let known = STATUSES.iter().enumerate();
            let known = known.filter(|(_, status)| wanted(**status));
            known
                .map(|(at, _)| status_sum(&shared.metrics, index, at))
                .sum()
        };
        let (degraded, answered) = (degraded[index].1, of(|status| (200..300).contains(&status)));
        for (outcome, value) in [
            ("complete", answered.saturating_sub(degraded)),
            ("degraded", degraded),
            ("failed", of(|status| status >= 500)),
            ("rejected", of(|status| (400..500).contains(&status))),
        ] {
            found.push((
                vec![label(&view.name), ("outcome", outcome.to_owned())],
                value,
            ));
        }
    }
    shared.floors.hold(&events::REPLIES, &mut found);
    found
}

fn unmatched(workers: &[Arc<WorkerMetrics>]) -> Labelled<u64> {
    let one = |at: usize| {
        let own = workers.iter().map(|worker| worker.unmatched.count(at));
        (vec![("status", status_name(at).to_owned())], own.sum())
    };
    (0..STATUSES.len()).map(one).collect()
}

fn part_results(workers: &[Arc<WorkerMetrics>], program: &Program) -> Labelled<u64> {
    let mut found = Vec::new();
    for (view, part) in program.parts() {
        let labels = |result: &str| {
            vec![
                label(&view.name),
                ("part", part.name.clone()),
                ("result", result.to_owned()),
            ]
        };
        let of = |read: Read| sum(workers, part.metric, read);
        found.push((labels("ok"), of(|w, i| &w.parts[i].ok)));
        found.push((labels("skipped"), of(|w, i| &w.parts[i].skipped)));
        for reason in Reason::ALL.into_iter().filter(|one| !one.is_computed()) {
            let count = |w: &Arc<WorkerMetrics>| w.parts[part.metric].failed[reason.index()].get();
            found.push((labels(reason.code()), workers.iter().map(count).sum()));
        }
    }
    for (view, field) in program.computed() {
        let labels = |result: &str| {
            vec![
                label(&view.name),
                ("part", field.name.clone()),
                ("result", result.to_owned()),
            ]
        };
        let ok = sum(workers, field.metric, |w, i| &w.parts[i].ok);
        found.push((labels("ok"), ok));
        // It fails in its own ways, or in those of anything without time or memory.
        let local = [Reason::Deadline, Reason::Memory, Reason::MemoryFull];
        let own = |one: &Reason| one.is_computed() || local.contains(one);
        for reason in Reason::ALL.into_iter().filter(own) {
            let failed = workers.iter().map(|w| &w.parts[field.metric].failed);
            let failed = failed.map(|failed| failed[reason.index()].get());
            found.push((labels(reason.code()), failed.sum()));
        }
    }
    found
}

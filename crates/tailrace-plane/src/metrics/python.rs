//! What Python does on the request path: how full handlers are, what computed fields take, how late
//! their loop is.

use super::histogram::{Histogram, Merged};
use super::text::{sum, Labelled};
use super::ComputedMetrics;
use crate::bridge::{Bridge, Gate};
use crate::program::View;
use crate::reason::Reason;
use crate::shared::Shared;
use std::sync::atomic::Ordering;

/// A field fails in its own ways, in those of anything that has no time or no memory, or not at
/// all because something else failed first.
fn can_befall_a_field(reason: Reason) -> bool {
    reason.is_computed() || matches!(reason, Reason::Deadline | Reason::Memory)
}

/// How computed fields ended, among the results of the parts.
pub fn results(shared: &Shared) -> Labelled<u64> {
    let (workers, program) = (&shared.metrics, shared.program());
    let mut results = Vec::new();
    for (view, field) in program.computed() {
        let labels = |result: &str| {
            vec![
                ("view", view.name.clone()),
                ("part", field.name.clone()),
                ("result", result.to_owned()),
            ]
        };
        let ok = sum(workers, field.metric, |w, i| &w.parts[i].ok);
        results.push((labels("ok"), ok));
        for reason in Reason::ALL
            .into_iter()
            .filter(|one| can_befall_a_field(*one))
        {
            let failed = workers.iter().map(|w| &w.parts[field.metric].failed);
            let failed = failed.map(|failed| failed[reason.index()].get());
            results.push((labels(reason.code()), failed.sum()));
        }
    }
    results
}

fn entries(shared: &Shared) -> Labelled<u64> {
    let views = shared.program();
    let views = views.views.iter().enumerate();
    let entries = |index| sum(&shared.metrics, index, |w, i| &w.views[i].entries);
    views
        .map(|(index, view)| (vec![("view", view.name.clone())], entries(index)))
        .collect()
}

pub fn counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let entered = (
        "tailrace_interpreter_entries",
        "Requests handed to Python, to a handler or for computed fields; 0 for any other view",
        entries(shared),
    );
    let Some(bridge) = &shared.bridge else {
        return vec![entered];
    };
    let each = |read: &dyn Fn(&Gate) -> u64| per_gate(shared, bridge, is_handler, read);
    let computed = |read: &dyn Fn(&Gate) -> u64| per_gate(shared, bridge, is_computed, read);
    vec![
        entered,
        (
            "tailrace_computed_refused",
            "Requests whose computed fields were not asked for: too many waited",
            computed(&|gate| gate.refused.load(Ordering::Relaxed)),
        ),
        (
            "tailrace_computed_stalls",
            "Times a computed field of this view was seen to hold the event loop",
            computed(&|gate| gate.stalls.load(Ordering::Relaxed)),
        ),
        (
            "tailrace_handler_refused",
            "Requests refused because their handler was full",
            each(&|gate| gate.refused.load(Ordering::Relaxed)),
        ),
        (
            "tailrace_handler_errors",
            "Handlers that ended with an exception of their own",
            each(&|gate| gate.crashes.load(Ordering::Relaxed)),
        ),
        (
            "tailrace_handler_stalls",
            "Times this handler was seen to hold the event loop",
            each(&|gate| gate.stalls.load(Ordering::Relaxed)),
        ),
        (
            "tailrace_handler_overdue",
            "Times this handler was seen to run on after it was cancelled",
            each(&|gate| gate.overdue.load(Ordering::Relaxed)),
        ),
    ]
}

pub fn gauges(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<f64>)> {
    let Some(bridge) = &shared.bridge else {
        return Vec::new();
    };
    let (waiting, _) = bridge.waiting();
    vec![
        (
            "tailrace_handler_in_flight",
            "Requests in this handler, also those whose client was told 504",
            per_gate(shared, bridge, is_handler, &|gate| f64::from(gate.inside())),
        ),
        (
            "tailrace_computed_in_flight",
            "Requests whose computed fields Python has, also those that went on without",
            per_gate(shared, bridge, is_computed, &|gate| {
                f64::from(gate.inside())
            }),
        ),
        (
            "tailrace_python_waiting_seconds",
            "How long the oldest of what waits for the event loop has waited",
            vec![(vec![], waiting as f64 / 1e9)],
        ),
    ]
}

pub fn histograms(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<Merged>)> {
    let Some(bridge) = &shared.bridge else {
        return Vec::new();
    };
    vec![
        (
            "tailrace_computed_seconds",
            "Time in Python for all computed fields of a request",
            computed(shared, |metrics| &metrics.python),
        ),
        (
            "tailrace_computed_wait_seconds",
            "Waits for Python and for its answer, computed fields of a request",
            computed(shared, |metrics| &metrics.wait),
        ),
        (
            "tailrace_python_loop_lag_seconds",
            "From an event for Python to its event loop taking it, per batch",
            vec![(vec![], Merged::of(std::iter::once(&bridge.lag)))],
        ),
        (
            "tailrace_python_lock_wait_seconds",
            "Waits of the event loop's thread for the interpreter lock, per batch",
            vec![(vec![], Merged::of(std::iter::once(&bridge.lock_wait)))],
        ),
    ]
}

fn computed(shared: &Shared, read: fn(&ComputedMetrics) -> &Histogram) -> Labelled<Merged> {
    let program = shared.program();
    let views = program.views.iter().enumerate();
    views
        .filter(|(_, view)| is_computed(view))
        .map(|(index, view)| {
            let workers = shared.metrics.iter();
            let metrics = workers.filter_map(|worker| worker.views[index].computed.as_deref());
            let merged = Merged::of(metrics.map(read));
            (vec![("view", view.name.clone())], merged)
        })
        .collect()
}

fn is_handler(view: &View) -> bool {
    view.handler.is_some()
}

fn is_computed(view: &View) -> bool {
    view.computed.is_some()
}

fn per_gate<T>(
    shared: &Shared,
    bridge: &Bridge,
    kind: fn(&View) -> bool,
    read: &dyn Fn(&Gate) -> T,
) -> Labelled<T> {
    let program = shared.program();
    let views = program.views.iter().zip(&bridge.gates);
    views
        .filter(|(view, _)| kind(view))
        .filter_map(|(view, gate)| {
            let gate = gate.as_ref()?;
            Some((vec![("view", view.name.clone())], read(gate)))
        })
        .collect()
}

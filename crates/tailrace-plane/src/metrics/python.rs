//! What Python does on the request path: how full handlers are, how late their loop is.

use super::histogram::Merged;
use super::text::Labelled;
use crate::bridge::{Bridge, Gate};
use crate::shared::Shared;
use std::sync::atomic::Ordering;

pub fn counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let Some(bridge) = &shared.bridge else {
        return Vec::new();
    };
    let each = |read: &dyn Fn(&Gate) -> u64| per_handler(shared, bridge, read);
    vec![
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
            per_handler(shared, bridge, &|gate| f64::from(gate.inside())),
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

fn per_handler<T>(shared: &Shared, bridge: &Bridge, read: &dyn Fn(&Gate) -> T) -> Labelled<T> {
    let program = shared.program();
    let views = program.views.iter().zip(&bridge.gates);
    views
        .filter_map(|(view, gate)| {
            let gate = gate.as_ref()?;
            Some((vec![("view", view.name.clone())], read(gate)))
        })
        .collect()
}

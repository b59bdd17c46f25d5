//! What Python does on the request path: how full handlers are, what computed fields take, how late
//! their loop is.

use super::histogram::{Histogram, Merged};
use super::write::{Family, Labelled};
use super::ComputedMetrics;
use crate::bridge::{Bridge, Gate};
use crate::events;
use crate::program::View;
use crate::shared::Shared;
use std::sync::atomic::Ordering;

pub fn families(shared: &Shared) -> Vec<Family> {
    let Some(bridge) = &shared.bridge else {
        return Vec::new();
    };
    let whole = |read: &dyn Fn(&Gate) -> u64| per_gate(shared, bridge, is_handler, read);
    let made = |read: &dyn Fn(&Gate) -> u64| per_gate(shared, bridge, is_computed, read);
    let inside = |kind| per_gate(shared, bridge, kind, &|gate| f64::from(gate.inside()));
    let one = |histogram: &Histogram| Merged::of(std::iter::once(histogram));
    let pauses = ["0", "1", "2"].into_iter().zip(&bridge.gc_pauses);
    let pauses = pauses.map(|(name, own)| (vec![("generation", name.to_owned())], one(own)));
    let (waiting, _) = bridge.waiting();
    vec![
        Family::real(&events::HANDLER_IN_FLIGHT, inside(is_handler)),
        Family::whole(
            &events::HANDLER_REFUSED,
            whole(&|gate| gate.refused.load(Ordering::Relaxed)),
        ),
        Family::whole(
            &events::HANDLER_ERRORS,
            whole(&|gate| gate.crashes.load(Ordering::Relaxed)),
        ),
        Family::whole(
            &events::HANDLER_STALLS,
            whole(&|gate| gate.stalls.load(Ordering::Relaxed)),
        ),
        Family::whole(
            &events::HANDLER_OVERDUE,
            whole(&|gate| gate.overdue.load(Ordering::Relaxed)),
        ),
        Family::distributions(&events::COMPUTED, computed(shared, |one| &one.python)),
        Family::distributions(&events::COMPUTED_WAIT, computed(shared, |one| &one.wait)),
        Family::real(&events::COMPUTED_IN_FLIGHT, inside(is_computed)),
        Family::whole(
            &events::COMPUTED_REFUSED,
            made(&|gate| gate.refused.load(Ordering::Relaxed)),
        ),
        Family::whole(
            &events::COMPUTED_STALLS,
            made(&|gate| gate.stalls.load(Ordering::Relaxed)),
        ),
        Family::distributions(&events::PYTHON_LOOP_LAG, vec![(vec![], one(&bridge.lag))]),
        Family::distributions(
            &events::PYTHON_LOCK_WAIT,
            vec![(vec![], one(&bridge.lock_wait))],
        ),
        Family::distributions(&events::PYTHON_GC_PAUSE, pauses.collect()),
        Family::real(
            &events::PYTHON_WAITING,
            vec![(vec![], waiting as f64 / 1e9)],
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

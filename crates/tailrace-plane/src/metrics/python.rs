//! What Python does on the request path: how full handlers are, how late their loop is.

use super::histogram::{Histogram, Merged};
use super::write::{Family, Labelled};
use crate::bridge::{Bridge, Gate};
use crate::events;
use crate::shared::Shared;
use std::sync::atomic::Ordering;

pub fn families(shared: &Shared) -> Vec<Family> {
    let Some(bridge) = &shared.bridge else {
        return Vec::new();
    };
    let whole = |read: &dyn Fn(&Gate) -> u64| per_handler(shared, bridge, read);
    let inside = per_handler(shared, bridge, &|gate| f64::from(gate.inside()));
    let one = |histogram: &Histogram| Merged::of(std::iter::once(histogram));
    let pauses = ["0", "1", "2"].into_iter().zip(&bridge.gc_pauses);
    let pauses = pauses.map(|(name, own)| (vec![("generation", name.to_owned())], one(own)));
    let (waiting, _) = bridge.waiting();
    vec![
        Family::real(&events::HANDLER_IN_FLIGHT, inside),
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

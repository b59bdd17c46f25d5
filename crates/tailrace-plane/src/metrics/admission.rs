//! What `/metrics` says about admission: who was let in, who was not and by which limit.
//!
//! The failure prevented: a service that refuses, and nobody can say whom and why. Each limit
//! counts its decisions in the order in which they are asked, so that a request is refused by one
//! limit at most and accepted by all before it.

use super::write::{Family, Labelled};
use crate::admission::load::Load;
use crate::admission::refusal::Limit;
use crate::clock;
use crate::events;
use crate::shared::Shared;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use tailrace_policy::shed::Class;

fn sum(shared: &Shared, read: impl Fn(&Load) -> u64) -> u64 {
    shared.admission.loads.iter().map(|load| read(load)).sum()
}

pub fn families(shared: &Shared) -> Vec<Family> {
    let shed = Class::ALL.map(|class| {
        let labels = vec![("class", class.name().to_owned())];
        (labels, sum(shared, |load| load.shed[class as usize].get()))
    });
    let clients = shared.admission.clients.as_ref();
    let evicted = clients.map(|rate| (vec![], rate.evicted()));
    let ignored = vec![(vec![], sum(shared, |load| load.ignored.get()))];
    let mut found = vec![
        Family::whole(&events::ADMISSION_DECISIONS, decisions(shared)),
        Family::whole(&events::SHED_REQUESTS, shed.to_vec()),
        Family::whole(&events::IGNORED_PRIORITIES, ignored),
        Family::whole(&events::RATE_CLIENTS_EVICTED, evicted.into_iter().collect()),
    ];
    found.extend(gauges(shared));
    found
}

fn decisions(shared: &Shared) -> Labelled<u64> {
    // Read from the last limit to the first, and the requests asked last: what is refused meanwhile
    // must not make an earlier number smaller than a later one.
    let mut refused = Limit::ALL.map(|_| 0);
    for limit in Limit::ALL.into_iter().rev() {
        refused[limit.index()] = sum(shared, |load| load.refused[limit.index()].get());
    }
    let mut left = sum(shared, |load| load.asked.get());
    let mut found = Vec::new();
    for limit in Limit::ALL {
        let no = refused[limit.index()];
        left = left.saturating_sub(no);
        for (result, count) in [("accepted", left), ("refused", no)] {
            let labels = vec![
                ("limit", limit.name().to_owned()),
                ("result", result.to_owned()),
            ];
            found.push((labels, count));
        }
    }
    shared.floors.hold(&events::ADMISSION_DECISIONS, &mut found);
    found
}

/// Nothing while there is no limit.
fn room(shared: &Shared) -> Labelled<f64> {
    let loads = shared.admission.loads.iter();
    let rooms = loads.map(|load| load.room.load(Ordering::Relaxed));
    let least = rooms.min().filter(|room| *room != u64::MAX);
    least
        .map(|room| (vec![], room as f64))
        .into_iter()
        .collect()
}

fn gauges(shared: &Shared) -> Vec<Family> {
    let admission = &shared.admission;
    let worst = |read: &dyn Fn(&Load) -> f64| {
        let values = admission.loads.iter().map(|load| read(load));
        vec![(vec![], values.fold(0.0, f64::max))]
    };
    let one = |value: f64| vec![(vec![], value)];
    let program = shared.program();
    let rung = |view: usize| {
        let loads = admission.loads.iter();
        let rungs = loads.map(|load: &Arc<Load>| load.rung(view));
        f64::from(rungs.max().unwrap_or(0))
    };
    let rungs = program.views.iter().enumerate();
    let rungs = rungs.map(|(index, view)| (vec![("view", view.name.clone())], rung(index)));
    let clients = admission.clients.as_ref();
    let clients = clients.map(|rate| (vec![], rate.live(clock::now()) as f64));
    let inbound = &admission.inbound;
    vec![
        Family::real(&events::SHED_RATIO, worst(&Load::shed_rate)),
        Family::real(
            &events::READY_DELAY,
            worst(&|load| load.delay.load(Ordering::Relaxed) as f64 / 1e9),
        ),
        Family::real(&events::ROOM, room(shared)),
        Family::real(&events::CPU_RATIO, worst(&Load::cpu)),
        Family::real(&events::BROWNOUT_RUNG, rungs.collect()),
        Family::real(&events::INBOUND_CALLS, one(f64::from(inbound.in_use()))),
        Family::real(
            &events::INBOUND_CALLS_MAX,
            one(f64::from(inbound.calls_max())),
        ),
        Family::real(&events::RATE_CLIENTS, clients.into_iter().collect()),
    ]
}

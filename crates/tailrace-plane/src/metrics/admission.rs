//! What `/metrics` says about admission: who was let in, who was not and by which limit.
//!
//! The failure prevented: a service that refuses, and nobody can say whom and why. Each limit
//! counts its decisions in the order in which they are asked, so that a request is refused by one
//! limit at most and accepted by all before it.

use super::text::Labelled;
use crate::admission::load::Load;
use crate::admission::refusal::Limit;
use crate::clock;
use crate::shared::Shared;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use tailrace_policy::shed::Class;

type Counters = Vec<(&'static str, &'static str, Labelled<u64>)>;
type Gauges = Vec<(&'static str, &'static str, Labelled<f64>)>;

fn sum(shared: &Shared, read: impl Fn(&Load) -> u64) -> u64 {
    shared.admission.loads.iter().map(|load| read(load)).sum()
}

pub fn counters(shared: &Shared) -> Counters {
    let shed = Class::ALL.map(|class| {
        let labels = vec![("class", class.name().to_owned())];
        (labels, sum(shared, |load| load.shed[class as usize].get()))
    });
    let evicted = shared
        .admission
        .clients
        .as_ref()
        .map(|rate| (vec![], rate.evicted()));
    vec![
        (
            "tailrace_admission_decisions",
            "Requests by the limit that was asked and what it said",
            decisions(shared),
        ),
        (
            "tailrace_shed_requests",
            "Requests refused under overload, by what they are worth",
            shed.to_vec(),
        ),
        (
            "tailrace_ignored_priorities",
            "Priorities named by peers that are not trusted to",
            vec![(vec![], sum(shared, |load| load.ignored.get()))],
        ),
        (
            "tailrace_rate_clients_evicted",
            "Clients forgotten while they still owed something: clients_max is too low",
            evicted.into_iter().collect(),
        ),
    ]
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

pub fn gauges(shared: &Shared) -> Gauges {
    let admission = &shared.admission;
    let worst = |read: &dyn Fn(&Load) -> f64| {
        let values = admission.loads.iter().map(|load| read(load));
        vec![(vec![], values.fold(0.0, f64::max))]
    };
    let one = |value: f64| vec![(vec![], value)];
    let program = shared.program();
    let rungs = program.views.iter().enumerate();
    let rung = |view: usize| {
        let rungs = admission
            .loads
            .iter()
            .map(|load: &Arc<Load>| load.rung(view));
        f64::from(rungs.max().unwrap_or(0))
    };
    let clients = admission.clients.as_ref();
    let clients = clients.map(|rate| (vec![], rate.live(clock::now()) as f64));
    vec![
        (
            "tailrace_shed_rate",
            "Share of requests refused under overload, of the worker that refuses most",
            worst(&Load::shed_rate),
        ),
        (
            "tailrace_ready_delay_seconds",
            "How long what is ready waits to run, of the worker where it waits longest",
            worst(&|load| load.delay.load(Ordering::Relaxed) as f64 / 1e9),
        ),
        (
            "tailrace_room_requests",
            "Requests a worker works on at once under overload, of the worker with least",
            room(shared),
        ),
        (
            "tailrace_cpu_share",
            "Processor used, of what this process may have, of the busiest worker",
            worst(&Load::cpu),
        ),
        (
            "tailrace_brownout_rung",
            "Weak parts left out, in steps of the view's order, of the worker that left out most",
            rungs
                .map(|(index, view)| (vec![("view", view.name.clone())], rung(index)))
                .collect(),
        ),
        (
            "tailrace_inbound_calls",
            "Calls that the requests in progress are expected to need",
            one(f64::from(admission.inbound.in_use())),
        ),
        (
            "tailrace_inbound_calls_max",
            "Calls that the requests in progress may need",
            one(f64::from(admission.inbound.calls_max())),
        ),
        (
            "tailrace_rate_clients",
            "Clients whose rate is remembered",
            clients.into_iter().collect(),
        ),
    ]
}

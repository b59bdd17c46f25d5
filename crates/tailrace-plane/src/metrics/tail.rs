//! The slowest requests of each view, and what each part had to do with them (req 3.5).

use super::text::Labelled;
use super::Count;
use crate::program::{Program, View};
use crate::receipt::{json, PartTail, Shelf, ViewTail};
use crate::shared::Shared;
use std::sync::Arc;

pub fn counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let program = shared.program();
    let views = program.views.iter().enumerate();
    let of_view = |(index, view): (usize, &View)| {
        let slow = tails(shared, index).map(|tail| tail.slow.get()).sum();
        (vec![("view", view.name.clone())], slow)
    };
    let lost = shared.shelves.iter().map(|shelf| shelf.lost.get()).sum();
    vec![
        (
            "tailrace_tail_requests",
            "Requests slower than the running P99 of their view",
            views.map(of_view).collect(),
        ),
        (
            "tailrace_tail_part_requests",
            "Slow requests on whose critical path the part was",
            per_part(shared, &program, |part| part.on_path.get()),
        ),
        (
            "tailrace_receipts_lost",
            "Receipts not kept because somebody read at that moment",
            vec![(vec![], lost)],
        ),
    ]
}

pub fn seconds(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<f64>)> {
    let program = shared.program();
    let total = |part: &PartTail| part.steps.iter().map(Count::get).sum();
    vec![
        (
            "tailrace_tail_part_path_seconds",
            "Time of the part on the critical path of slow requests",
            in_seconds(per_part(shared, &program, total)),
        ),
        (
            "tailrace_tail_part_saving_seconds",
            "How much earlier slow requests had ended, had the part taken no time",
            in_seconds(per_part(shared, &program, |part| part.saving.get())),
        ),
    ]
}

fn in_seconds(series: Labelled<u64>) -> Labelled<f64> {
    let one = |(labels, nanos)| (labels, nanos as f64 / 1e9);
    series.into_iter().map(one).collect()
}

/// The tails of one view, by worker.
fn tails(shared: &Shared, view: usize) -> impl Iterator<Item = &ViewTail> {
    let shelves: &[Arc<Shelf>] = &shared.shelves;
    shelves
        .iter()
        .filter_map(move |shelf| shelf.tails.get(view))
}

/// One number of each part, added up over the workers. A handler's parts are the upstreams it
/// calls: those it has not called are left out.
fn per_part(shared: &Shared, program: &Program, read: impl Fn(&PartTail) -> u64) -> Labelled<u64> {
    let mut series = Vec::new();
    for (index, view) in program.views.iter().enumerate() {
        let parts = tails(shared, index).map(|tail| tail.parts.len()).max();
        for part in 0..parts.unwrap_or(0) {
            let own = |tail: &ViewTail| tail.parts.get(part).map_or(0, &read);
            let total = tails(shared, index).map(own).sum();
            if total == 0 && view.handler.is_some() {
                continue;
            }
            let labels = vec![
                ("view", view.name.clone()),
                (
                    "part",
                    json::part_name(program, Some(view), part as u16).to_owned(),
                ),
            ];
            series.push((labels, total));
        }
    }
    series
}

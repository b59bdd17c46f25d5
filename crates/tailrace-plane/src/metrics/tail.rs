//! The slowest requests of each view, and what each part had to do with them (req 3.5).

use super::write::{Family, Labelled};
use super::Count;
use crate::events;
use crate::program::{Program, View};
use crate::receipt::{json, PartTail, Shelf, ViewTail};
use crate::shared::Shared;
use std::sync::Arc;

pub fn families(shared: &Shared) -> Vec<Family> {
    let program = shared.program();
    let views = program.views.iter().enumerate();
    let of_view = |(index, view): (usize, &View)| {
        let slow = tails(shared, index).map(|tail| tail.slow.get()).sum();
        (vec![("view", view.name.clone())], slow)
    };
    let lost = shared.shelves.iter().map(|shelf| shelf.lost.get()).sum();
    let path = |part: &PartTail| part.steps.iter().map(Count::get).sum();
    let parts = |read: &dyn Fn(&PartTail) -> u64| per_part(shared, &program, read);
    vec![
        Family::whole(&events::TAIL_REQUESTS, views.map(of_view).collect()),
        Family::whole(
            &events::TAIL_PART_REQUESTS,
            parts(&|part| part.on_path.get()),
        ),
        Family::real(&events::TAIL_PART_PATH, in_seconds(parts(&path))),
        Family::real(
            &events::TAIL_PART_SAVING,
            in_seconds(parts(&|part| part.saving.get())),
        ),
        Family::whole(&events::RECEIPTS_LOST, vec![(vec![], lost)]),
    ]
}

pub(super) fn in_seconds(series: Labelled<u64>) -> Labelled<f64> {
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

//! Which parts cause the tail: the counters of all workers, ranked (req 3.5, 9.1d).
//!
//! Figures are means over the slow requests of a view, so that those of the parts and of the steps
//! that are no part's add up to the mean duration of a slow request.

use super::json::{ms, part_name};
use super::tail::{Steps, ViewTail, WINDOW};
use super::Step;
use crate::metrics::Count;
use crate::program::{Program, View};
use crate::shared::Shared;
use serde_json::{json, Map, Value};

/// The ranking of each view that had requests, or of the one called `only`.
pub fn ranking(shared: &Shared, only: Option<&str>) -> Value {
    let program = shared.program();
    let views = program.views.iter().enumerate();
    let views = views.filter(|(_, view)| only.is_none_or(|name| name == view.name));
    let shown = views.map(|(index, view)| {
        let tails: Vec<&ViewTail> = shared
            .shelves
            .iter()
            .filter_map(|shelf| shelf.tails.get(index))
            .collect();
        of_view(&program, view, &tails)
    });
    json!({
        "format_version": 1,
        "service": program.service,
        "window": WINDOW,
        "workers": shared.shelves.len(),
        "views": shown.collect::<Vec<_>>(),
    })
}

/// The sum of one count over the workers.
fn sum<'a>(tails: &[&'a ViewTail], read: impl Fn(&'a ViewTail) -> &'a Count) -> u64 {
    tails.iter().map(|tail| read(tail).get()).sum()
}

fn of_view(program: &Program, view: &View, tails: &[&ViewTail]) -> Value {
    let slow = sum(tails, |tail| &tail.slow);
    let mean = |total: u64| ms(total) / slow.max(1) as f64;
    let p99 = tails.iter().map(|tail| tail.p99.get()).max().unwrap_or(0);
    let count = tails.first().map_or(0, |tail| tail.parts.len());
    let mut parts: Vec<(u64, u64, Value)> = Vec::new();
    for part in 0..count {
        let each =
            |read: fn(&super::tail::PartTail) -> &Count| sum(tails, |tail| read(&tail.parts[part]));
        let on_path = each(|part| &part.on_path);
        if on_path == 0 {
            continue;
        }
        let saving = each(|part| &part.saving);
        let steps = totals(tails, |tail| &tail.parts[part].steps);
        let path: u64 = steps.iter().sum();
        let declared = view.parts.get(part);
        let upstream = declared.map_or(part, |part| part.upstream);
        let shown = json!({
            "part": part_name(program, Some(view), part as u16),
            "upstream": program.upstreams.get(upstream).map(|upstream| &upstream.name),
            "on_path": on_path,
            "on_path_share": on_path as f64 / slow.max(1) as f64,
            "path_ms": mean(path),
            "saving_ms": mean(saving),
            "steps": named(&steps, mean),
        });
        parts.push((saving, path, shown));
    }
    parts.sort_by_key(|(saving, path, _)| std::cmp::Reverse((*saving, *path)));
    json!({
        "view": view.name,
        "route": view.route,
        "handler": view.handler.is_some(),
        "counted": sum(tails, |tail| &tail.counted),
        "slow": slow,
        // Of several workers the highest.
        "p99_ms": (p99 > 0).then(|| ms(p99)),
        "slow_mean_ms": (slow > 0).then(|| mean(sum(tails, |tail| &tail.slow_time))),
        "parts": parts.into_iter().map(|(_, _, shown)| shown).collect::<Vec<_>>(),
        "steps": named(&totals(tails, |tail| &tail.steps), mean),
    })
}

/// Each step's total over the workers.
fn totals<'a>(
    tails: &[&'a ViewTail],
    read: impl Fn(&'a ViewTail) -> &'a Steps,
) -> [u64; Step::ALL.len()] {
    let mut totals = [0; Step::ALL.len()];
    for tail in tails {
        for (total, own) in totals.iter_mut().zip(read(tail)) {
            *total += own.get();
        }
    }
    totals
}

/// Steps that took any time, by name.
fn named(totals: &[u64], mean: impl Fn(u64) -> f64) -> Map<String, Value> {
    let each = Step::ALL.iter().zip(totals);
    let taken = each.filter(|(_, total)| **total > 0);
    taken
        .map(|(step, total)| (step.code().to_owned(), mean(*total).into()))
        .collect()
}

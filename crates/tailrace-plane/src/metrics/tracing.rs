//! What became of traces.

use super::write::Family;
use crate::events;
use crate::shared::Shared;
use crate::trace::{Lane, Sent, Traces};
use std::sync::atomic::{AtomicU64, Ordering};
use tailrace_policy::trace_sample::Kept;

/// Zeros when nothing is traced: a dashboard then says so, rather than nothing.
pub fn families(shared: &Shared) -> Vec<Family> {
    let (none, nothing) = (Sent::default(), Vec::new());
    let traces = shared.traces.as_ref();
    let lanes = traces.map_or(&nothing, |traces| &traces.lanes);
    let sent = traces.map_or(&none, |traces| &traces.sent);
    let sum = |read: &dyn Fn(&Lane) -> u64| lanes.iter().map(read).sum::<u64>();
    let label = |name, value: &str| vec![(name, value.to_owned())];
    let kept = Kept::ALL.iter().map(|kept| {
        let count = sum(&|lane| lane.kept[*kept as usize].get());
        (label("reason", kept.code()), count)
    });
    let dropped = [
        ("rate_limited", sum(&|lane| lane.rate_limited.get())),
        ("queue_full", sum(&|lane| lane.queue_full.get())),
        ("unreachable", read(&sent.unreachable.traces)),
        ("refused", read(&sent.refused.traces)),
    ];
    let spans = [
        ("unreachable", read(&sent.unreachable.spans)),
        ("refused", read(&sent.refused.spans)),
    ];
    let exports = [
        ("ok", read(&sent.ok)),
        ("retried", read(&sent.retried)),
        ("failed", read(&sent.failed)),
    ];
    let by = |name, rows: &[(&str, u64)]| {
        let rows = rows.iter();
        rows.map(|(value, count)| (label(name, value), *count))
            .collect()
    };
    let waiting = traces.map_or(0, Traces::waiting) as f64;
    vec![
        Family::whole(&events::TRACES_KEPT, kept.collect()),
        Family::whole(&events::TRACES_DROPPED, by("reason", &dropped)),
        Family::real(&events::TRACES_WAITING, vec![(vec![], waiting)]),
        Family::whole(&events::SPANS_EXPORTED, vec![(vec![], read(&sent.spans))]),
        Family::whole(&events::SPANS_DROPPED, by("reason", &spans)),
        Family::whole(&events::TRACE_EXPORTS, by("result", &exports)),
    ]
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

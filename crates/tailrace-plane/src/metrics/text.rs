//! `/metrics` and `/stats`: the workers' numbers added up.
//!
//! The failure prevented: a reader that dies of a service with too many series. There are at most
//! `SERIES_MAX`, whatever was asked for; zeros are left out first, and what is left out is counted
//! (RELIABILITY S23).

use super::histogram::Ranks;
use super::write::{Family, Format};
use super::{
    admission, cache, process, python, requests, tail, tracing, upstreams, Count, WorkerMetrics,
};
use crate::events;
use crate::shared::Shared;
use std::sync::Arc;

/// Series that one scrape may have.
pub const SERIES_MAX: usize = 5_000;

/// All series.
pub fn render(shared: &Shared, format: Format) -> Vec<u8> {
    let families = families(shared);
    let mut out = String::with_capacity(64 * 1024);
    for family in families.iter().filter(|family| family.len() > 0) {
        family.write(format, &mut out);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out.into_bytes()
}

/// Everything read once, so that one scrape is consistent with itself, and cut to `SERIES_MAX`.
fn families(shared: &Shared) -> Vec<Family> {
    let mut families = requests::families(shared);
    families.extend(upstreams::families(shared));
    families.extend(cache::families(shared));
    families.extend(admission::families(shared));
    families.extend(python::families(shared));
    families.extend(tail::families(shared));
    families.extend(tracing::families(shared));
    families.extend(process::families(shared));
    let dropped = cap(&mut families, SERIES_MAX - 2);
    let series: usize = families.iter().map(Family::len).sum();
    let one = |value: usize| vec![(vec![], value as f64)];
    families.push(Family::real(&events::METRICS_SERIES, one(series + 2)));
    families.push(Family::real(&events::METRICS_DROPPED_SERIES, one(dropped)));
    families
}

/// Cuts to `max` series: zeros of the widest families first, then what counts, of the last families
/// first. How many went.
fn cap(families: &mut [Family], max: usize) -> usize {
    let series = |families: &[Family]| families.iter().map(Family::len).sum::<usize>();
    let before = series(families);
    let mut over = before.saturating_sub(max);
    let mut widest: Vec<usize> = (0..families.len()).collect();
    widest.sort_by_key(|index| std::cmp::Reverse(families[*index].len()));
    for index in widest {
        over = families[index].trim(over, true);
    }
    for family in families.iter_mut().rev() {
        over = family.trim(over, false);
    }
    before - series(families)
}

/// Percentiles since start as JSON; an upper bound at most an eighth too high.
pub fn stats(shared: &Shared) -> Vec<u8> {
    let summary = |ranks: &Ranks| {
        serde_json::json!({
            "count": ranks.count(),
            "p50_ms": ranks.percentile_ms(0.50),
            "p95_ms": ranks.percentile_ms(0.95),
            "p99_ms": ranks.percentile_ms(0.99),
        })
    };
    let (workers, program) = (&shared.metrics, shared.program());
    let views = program.views.iter().enumerate().map(|(index, view)| {
        let own = workers.iter().map(|w| &w.views[index].durations.fine);
        (view.name.clone(), summary(&Ranks::of(own)))
    });
    let upstreams = program.upstreams.iter().enumerate().map(|(index, one)| {
        let own = workers.iter().map(|w| &w.upstreams[index].durations.fine);
        (one.name.clone(), summary(&Ranks::of(own)))
    });
    let stats = serde_json::json!({
        "format_version": 1,
        "started_epoch_ms": shared.started_epoch_ms,
        "views": views.collect::<serde_json::Map<_, _>>(),
        "upstreams": upstreams.collect::<serde_json::Map<_, _>>(),
    });
    stats.to_string().into_bytes()
}

/// Reads one worker's number.
pub(super) type Read = fn(&WorkerMetrics, usize) -> &Count;

pub(super) fn sum(workers: &[Arc<WorkerMetrics>], index: usize, read: Read) -> u64 {
    workers.iter().map(|worker| read(worker, index).get()).sum()
}

#[cfg(test)]
mod tests {
    use super::{cap, families, render, SERIES_MAX};
    use crate::bridge::Bridge;
    use crate::events::{self, Kind, Metric};
    use crate::h1::Method;
    use crate::metrics::split::{Ended, Replied};
    use crate::metrics::write::{Family, Format, Labels, Series};
    use crate::program::Program;
    use crate::reason::Reason;
    use crate::shared::Shared;
    use std::collections::BTreeSet;
    use std::sync::atomic::Ordering;
    use std::sync::Arc;

    /// A service of `views` views that has all that can be measured.
    fn everything(views: usize) -> Shared {
        let view = |index: usize| {
            serde_json::json!({"name": format!("v{index}"), "method": "GET",
                "path": format!("/v{index}"), "deadline_ms": 100.0, "fanout": 1,
                "parameters": [], "parts": [{"name": "it", "upstream": "up", "method": "GET",
                "path": [{"text": "/it"}], "strength": "strong", "shape": 0}]})
        };
        let mut views: Vec<_> = (0..views).map(view).collect();
        views[0]["computed"] = serde_json::json!({"limit": 2, "time_ms": 5.0,
            "fields": [{"name": "made", "strength": "strong", "after": 1}]});
        views.push(
            serde_json::json!({"name": "python", "method": "GET", "path": "/python",
            "deadline_ms": 100.0, "parameters": [], "parts": [], "fanout": 1,
            "handler": {"limit": 2}}),
        );
        let source = serde_json::json!({"format_version": 1, "service": "all", "listen": {},
            "access_log": {}, "limits": {}, "views": views,
            "admission": {"rate": {"per_second": 10.0, "burst": 10}},
            "shapes": [{"kind": "string"}],
            "upstreams": [{"name": "up", "addresses": ["http://up.example:81"],
                "timeout_ms": 50.0, "bulkhead": {"limit": 4}}]});
        let source = source.to_string().into_bytes();
        let declared: tailrace_blueprint::Blueprint = serde_json::from_slice(&source).unwrap();
        let program = Arc::new(Program::compile(&declared).unwrap());
        let mut shared = Shared::new(program, 2, source, b"{}".to_vec());
        let bridge = Bridge::new(&shared.program(), 2).unwrap();
        bridge.gc_pauses[2].record(1_000_000);
        shared.bridge = Some(Arc::new(bridge));
        shared.admission.loads[0].room.store(9, Ordering::Relaxed);
        for worker in &shared.metrics {
            for view in &worker.views {
                view.durations.record(Method::Get, Replied(502), 1_000);
            }
            worker.unmatched.record(Method::Other, Replied(501), 1_000);
            let attempts = &worker.upstreams[0].durations;
            attempts.record(Method::Get, Ended::Not(Reason::Timeout), 1_000);
        }
        shared
    }

    fn labels(family: &Family) -> BTreeSet<&'static str> {
        let names = |labels: &Labels| labels.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        match &family.series {
            Series::Whole(series) => series.iter().flat_map(|(one, _)| names(one)).collect(),
            Series::Real(series) => series.iter().flat_map(|(one, _)| names(one)).collect(),
            Series::Distributions(series) => {
                series.iter().flat_map(|(one, _)| names(one)).collect()
            }
        }
    }

    // req 12.1: the catalogue names what is shown, and what it names is shown.
    #[test]
    fn what_is_shown_is_what_the_catalogue_names() {
        let shown = families(&everything(1));
        let mut seen = BTreeSet::new();
        for family in &shown {
            let metric = family.metric;
            assert!(seen.insert(metric.name), "{} is shown twice", metric.name);
            let known: BTreeSet<_> = metric.labels.iter().copied().collect();
            assert_eq!(labels(family), known, "{}", metric.name);
            let kind = match &family.series {
                Series::Distributions(_) => Kind::Histogram,
                Series::Whole(_) => Kind::Counter,
                Series::Real(_) => metric.kind,
            };
            assert_eq!(kind, metric.kind, "{}", metric.name);
        }
        let named = events::all().flat_map(|event| event.metrics.iter());
        let named: BTreeSet<_> = named.map(|metric: &&Metric| metric.name).collect();
        assert_eq!(seen, named);
    }

    // RELIABILITY S23: a service can be as large as it likes.
    #[test]
    fn there_are_never_more_series_than_the_most() {
        let shared = everything(400);
        let text = String::from_utf8(render(&shared, Format::Text)).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series <= SERIES_MAX, "{series}");
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(value("tailrace_metrics_series "), series);
        let dropped = value("tailrace_metrics_dropped_series ");
        assert!(dropped > 10_000, "{dropped}");
        let failures = text.matches("http_response_status_code=\"502\"").count();
        assert!(failures > 1_000, "what counts goes last: {failures}");
    }

    #[test]
    fn zeros_of_the_widest_go_first_and_what_counts_of_the_last() {
        let whole = |values: &[u64]| {
            let label = |index: usize| vec![("upstream", index.to_string())];
            let series = values.iter().enumerate();
            let series = series.map(|(index, value)| (label(index), *value));
            Family::whole(&events::UPSTREAM_CALLS, series.collect())
        };
        let mut families = [whole(&[0, 1, 0, 2]), whole(&[1, 0])];
        let lengths = |families: &[Family]| families.iter().map(Family::len).collect::<Vec<_>>();
        assert_eq!(cap(&mut families, 5), 1);
        assert_eq!(lengths(&families), [3, 2]);
        assert_eq!(cap(&mut families, 3), 2);
        assert_eq!(lengths(&families), [2, 1]);
        assert_eq!(cap(&mut families, 1), 2);
        assert_eq!(lengths(&families), [1, 0]);
    }

    #[test]
    fn openmetrics_ends_with_its_mark_and_text_does_not() {
        let shared = everything(1);
        assert!(render(&shared, Format::OpenMetrics).ends_with(b"\n# EOF\n"));
        assert!(!render(&shared, Format::Text).ends_with(b"# EOF\n"));
    }
}

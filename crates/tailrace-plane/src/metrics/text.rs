//! `/metrics`: the workers' numbers added up, written by prometheus-client's encoder.

use super::histogram::{Histogram, Merged, BOUNDS_S};
use super::{admission, cache, python, upstreams, Count, WorkerMetrics, STATUSES};
use crate::reason::Reason;
use crate::shared::{Phase, Shared};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::Arc;

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All series as OpenMetrics text.
pub fn render(shared: &Shared) -> Vec<u8> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(Numbers::read(shared))));
    let mut out = String::with_capacity(16 * 1024);
    match encode(&mut out, &registry) {
        Ok(()) => out.into_bytes(),
        Err(fmt::Error) => b"# EOF\n".to_vec(),
    }
}

/// Percentiles since start as JSON; an upper bound at most an eighth too high.
pub fn stats(shared: &Shared) -> Vec<u8> {
    let summary = |merged: &Merged| {
        serde_json::json!({
            "count": merged.count,
            "p50_ms": merged.percentile_ms(0.50),
            "p95_ms": merged.percentile_ms(0.95),
            "p99_ms": merged.percentile_ms(0.99),
        })
    };
    let named = |series: &Labelled<Merged>| -> serde_json::Map<String, serde_json::Value> {
        let one = |(labels, merged): &(Vec<(_, String)>, Merged)| {
            labels
                .first()
                .map(|(_, name)| (name.clone(), summary(merged)))
        };
        series.iter().filter_map(one).collect()
    };
    let all = histograms(shared);
    let stats = serde_json::json!({
        "format_version": 1,
        "started_epoch_ms": shared.started_epoch_ms,
        "views": named(&all[0].2),
        "upstreams": named(&all[1].2),
    });
    stats.to_string().into_bytes()
}

/// One number with its labels.
pub(super) type Labelled<T> = Vec<(Vec<(&'static str, String)>, T)>;

/// Everything read once, so that one scrape is consistent with itself.
#[derive(Debug)]
struct Numbers {
    counters: Vec<(&'static str, &'static str, Labelled<u64>)>,
    gauges: Vec<(&'static str, &'static str, Labelled<f64>)>,
    histograms: Vec<(&'static str, &'static str, Labelled<Merged>)>,
}

#[derive(Debug)]
struct Snapshot(Numbers);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, series) in &self.0.counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in series {
                family(&mut metric, labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)?;
            }
        }
        for (name, help, series) in &self.0.gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in series {
                family(&mut metric, labels)?.encode_gauge(value)?;
            }
        }
        for (name, help, series) in &self.0.histograms {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (labels, merged) in series {
                let bounds = BOUNDS_S.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(merged.bounds).collect();
                family(&mut metric, labels)?.encode_histogram::<NoLabelSet>(
                    merged.sum_s,
                    merged.count,
                    &buckets,
                    None,
                )?;
            }
        }
        Ok(())
    }
}

fn family<'a>(
    metric: &'a mut MetricEncoder<'_>,
    labels: &'a Vec<(&'static str, String)>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    metric.encode_family(labels)
}

/// Reads one worker's number.
pub(super) type Read = fn(&WorkerMetrics, usize) -> &Count;
type ReadHistogram = fn(&WorkerMetrics, usize) -> &Histogram;

impl Numbers {
    fn read(shared: &Shared) -> Self {
        let mut counters = process_counters(shared);
        counters.extend(view_counters(shared));
        counters.extend(upstreams::counters(shared));
        counters.extend(admission::counters(shared));
        counters.extend(cache::counters(shared));
        counters.extend(python::counters(shared));
        let mut gauges = gauges(shared);
        gauges.extend(admission::gauges(shared));
        gauges.extend(cache::gauges(shared));
        gauges.extend(python::gauges(shared));
        let mut histograms = histograms(shared);
        histograms.extend(python::histograms(shared));
        Self {
            counters,
            gauges,
            histograms,
        }
    }
}

pub(super) fn sum(workers: &[Arc<WorkerMetrics>], index: usize, read: Read) -> u64 {
    workers.iter().map(|worker| read(worker, index).get()).sum()
}

fn process_counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let workers = &shared.metrics;
    let one = |read: Read| vec![(vec![], sum(workers, 0, read))];
    let unmatched = STATUSES.iter().enumerate().map(|(index, status)| {
        (
            vec![("status", status_name(*status))],
            sum(workers, index, |w, i| &w.unmatched[i]),
        )
    });
    let log_failed = shared.log_failed.load(Ordering::Relaxed);
    let journal = shared.live.journal();
    let changes = [("ok", journal.ok), ("refused", journal.refused)];
    let changes = changes.map(|(result, count)| (vec![("result", result.to_owned())], count));
    drop(journal);
    let resolve = shared.resolve_failures.load(Ordering::Relaxed);
    vec![
        (
            "tailrace_unmatched_requests",
            "Requests that reached no view",
            unmatched.collect(),
        ),
        (
            "tailrace_connections_accepted",
            "Client connections accepted",
            one(|w, _| &w.connections_accepted),
        ),
        (
            "tailrace_connections_refused",
            "Client connections over the limit",
            one(|w, _| &w.connections_refused),
        ),
        (
            "tailrace_access_log_dropped",
            "Records the full ring dropped",
            one(|w, _| &w.access_log_dropped),
        ),
        (
            "tailrace_buffer_pool_hits",
            "Buffers taken from the pool",
            one(|w, _| &w.buffer_hits),
        ),
        (
            "tailrace_buffer_pool_misses",
            "Buffers allocated",
            one(|w, _| &w.buffer_misses),
        ),
        (
            "tailrace_access_log_failed",
            "Records whose line could not be written",
            vec![(vec![], log_failed)],
        ),
        (
            "tailrace_resolve_failures",
            "Upstream names that did not resolve",
            vec![(vec![], resolve)],
        ),
        (
            "tailrace_config_changes",
            "Changes of the configuration that were asked for, by how they ended",
            changes.to_vec(),
        ),
    ]
}

fn view_counters(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<u64>)> {
    let (workers, program) = (&shared.metrics, shared.program());
    let mut requests = Vec::new();
    let mut degraded = Vec::new();
    let mut cancelled = Vec::new();
    let mut results = Vec::new();
    for (index, view) in program.views.iter().enumerate() {
        let label = || ("view", view.name.clone());
        for (at, status) in STATUSES.iter().enumerate() {
            let total: u64 = workers
                .iter()
                .map(|w| w.views[index].statuses[at].get())
                .sum();
            requests.push((vec![label(), ("status", status_name(*status))], total));
        }
        degraded.push((
            vec![label()],
            sum(workers, index, |w, i| &w.views[i].degraded),
        ));
        cancelled.push((
            vec![label()],
            sum(workers, index, |w, i| &w.views[i].cancelled),
        ));
    }
    for (view, part) in program.parts() {
        let labels = |result: &str| {
            vec![
                ("view", view.name.clone()),
                ("part", part.name.clone()),
                ("result", result.to_owned()),
            ]
        };
        results.push((
            labels("ok"),
            sum(workers, part.metric, |w, i| &w.parts[i].ok),
        ));
        results.push((
            labels("skipped"),
            sum(workers, part.metric, |w, i| &w.parts[i].skipped),
        ));
        for reason in Reason::ALL.into_iter().filter(|one| !one.is_computed()) {
            let count = |w: &Arc<WorkerMetrics>| w.parts[part.metric].failed[reason.index()].get();
            results.push((labels(reason.code()), workers.iter().map(count).sum()));
        }
    }
    results.extend(python::results(shared));
    vec![
        ("tailrace_requests", "Replies by view and status", requests),
        (
            "tailrace_degraded_replies",
            "Replies with at least one part missing",
            degraded,
        ),
        (
            "tailrace_cancelled_requests",
            "Clients that left before their reply",
            cancelled,
        ),
        (
            "tailrace_part_results",
            "Parts by how they ended: ok, skipped (its condition did not hold) or the reason",
            results,
        ),
    ]
}

fn gauges(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<f64>)> {
    let workers = &shared.metrics;
    let one = |value: f64| vec![(vec![], value)];
    let ready = f64::from(u8::from(shared.phase() == Phase::Running));
    let program = shared.program();
    let per_upstream = |read: &dyn Fn(usize) -> f64| -> Labelled<f64> {
        let names = program.upstreams.iter().enumerate();
        names
            .map(|(index, u)| (vec![("upstream", u.name.clone())], read(index)))
            .collect()
    };
    let bulkhead = |index: usize| &program.upstreams[index].bulkhead;
    let idle = |index: usize| sum(workers, index, |w, i| &w.upstreams[i].idle) as f64;
    vec![
        (
            "tailrace_ready",
            "1 while the service takes requests",
            one(ready),
        ),
        (
            "tailrace_config_revision",
            "The configuration in force, counted from 1",
            one(shared.live.revision() as f64),
        ),
        (
            "tailrace_workers",
            "Worker threads",
            one(workers.len() as f64),
        ),
        (
            "tailrace_connections",
            "Client connections open",
            one(f64::from(shared.connections())),
        ),
        (
            "tailrace_in_flight_requests",
            "Requests in flight",
            one(shared.in_flight() as f64),
        ),
        (
            "tailrace_bulkhead_in_flight",
            "Calls in flight",
            per_upstream(&|i| f64::from(bulkhead(i).in_flight())),
        ),
        (
            "tailrace_bulkhead_queued",
            "Calls waiting for a place",
            per_upstream(&|i| f64::from(bulkhead(i).queued())),
        ),
        (
            "tailrace_bulkhead_limit",
            "Calls allowed in flight",
            per_upstream(&|i| f64::from(bulkhead(i).limit())),
        ),
        (
            "tailrace_upstream_idle_connections",
            "Idle pooled connections",
            per_upstream(&idle),
        ),
    ]
}

fn histograms(shared: &Shared) -> Vec<(&'static str, &'static str, Labelled<Merged>)> {
    let workers = &shared.metrics;
    let merge = |index: usize, read: ReadHistogram| {
        Merged::of(workers.iter().map(move |worker| read(worker, index)))
    };
    let program = shared.program();
    let views = program.views.iter().enumerate().map(|(index, view)| {
        (
            vec![("view", view.name.clone())],
            merge(index, |w, i| &w.views[i].duration),
        )
    });
    let upstreams = |read: ReadHistogram| -> Labelled<Merged> {
        let all = program.upstreams.iter().enumerate();
        all.map(|(index, u)| (vec![("upstream", u.name.clone())], merge(index, read)))
            .collect()
    };
    vec![
        (
            "tailrace_request_duration_seconds",
            "From head to reply",
            views.collect(),
        ),
        (
            "tailrace_upstream_duration_seconds",
            "One attempt, from dispatch to the end of its answer",
            upstreams(|w, i| &w.upstreams[i].duration),
        ),
        (
            "tailrace_bulkhead_wait_seconds",
            "Waits of calls that had to queue",
            upstreams(|w, i| &w.upstreams[i].queue_wait),
        ),
    ]
}

fn status_name(status: u16) -> String {
    if status == 0 {
        "other".to_owned()
    } else {
        status.to_string()
    }
}

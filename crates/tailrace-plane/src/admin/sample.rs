//! `/live`: one look at every number that moves, for the console and `tailrace top`.
//!
//! The failure prevented: two pictures of one service. Console and terminal read the same sample,
//! made from the workers' own counters, and make rates of two of them; nothing is kept here per
//! reader, so any number of them costs what their reads cost. Counters only grow; what is zero is
//! left out of lists of reasons and statuses. Durations are histograms since start, as pairs of
//! (upper bound in microseconds, count): percentiles of a stretch of time are of a difference.
//!
//! The size is bounded by the declaration: no request adds a name.

use crate::admission::load::Load;
use crate::clock;
use crate::metrics::histogram::{Fine, Ranks};
use crate::metrics::split::{rows, Replied, Split};
use crate::metrics::{Count, PartMetrics, UpstreamMetrics, ViewMetrics, REFUSALS};
use crate::program::{Part, Program, Strength, View};
use crate::reason::Reason;
use crate::shared::{Phase, Shared};
use crate::source::Source;
use crate::upstream::Upstream;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use tailrace_policy::breaker::State;
use tailrace_policy::Nanos;

pub(super) fn render(shared: &Shared) -> Vec<u8> {
    let program = shared.program();
    let now = clock::now();
    let views = program.views.iter().enumerate();
    let views: Vec<_> = views
        .map(|(index, one)| view(shared, &program, index, one))
        .collect();
    let upstreams = program.upstreams.iter().enumerate();
    let upstreams: Vec<_> = upstreams
        .map(|(index, one)| upstream(shared, index, one, now))
        .collect();
    let unmatched = statuses(shared.metrics.iter().map(|worker| &worker.unmatched));
    let sample = json!({
        "format_version": 1,
        "service": program.service,
        "version": env!("CARGO_PKG_VERSION"),
        "at_ms": now as f64 / 1e6,
        "epoch_ms": clock::epoch_ms(),
        "started_epoch_ms": shared.started_epoch_ms,
        "phase": match shared.phase() {
            Phase::Running => "running",
            Phase::Draining => "draining",
            Phase::Stopping => "stopping",
        },
        "protections": if program.naive { "off" } else { "on" },
        "revision": program.revision,
        "receipts": !shared.shelves.is_empty(),
        "lab": !shared.live.lab().is_empty(),
        "workers": shared.metrics.len(),
        "connections": shared.connections(),
        "in_flight": shared.in_flight(),
        "unmatched": unmatched.values().filter_map(Value::as_u64).sum::<u64>(),
        "admission": admission(shared),
        "views": views,
        "upstreams": upstreams,
    });
    sample.to_string().into_bytes()
}

fn total<'a>(counts: impl Iterator<Item = &'a Count>) -> u64 {
    counts.map(Count::get).sum()
}

/// What is not zero, by name.
fn named(counts: impl Iterator<Item = (String, u64)>) -> Map<String, Value> {
    let some = counts.filter(|(_, count)| *count > 0);
    some.map(|(name, count)| (name, count.into())).collect()
}

fn durations<'a>(of: impl Iterator<Item = &'a Fine>) -> Value {
    let ranks = Ranks::of(of);
    let pairs = ranks.buckets().map(|(bound, count)| [bound, count]);
    pairs.collect()
}

/// Replies by status, over all methods; a client that had left got none.
fn statuses<'a>(of: impl Iterator<Item = &'a Split<Replied>>) -> Map<String, Value> {
    let mut counts = BTreeMap::new();
    for row in rows(of, None) {
        if let Some(status) = row.status {
            *counts.entry(status.to_owned()).or_insert(0) += row.merged.count();
        }
    }
    named(counts.into_iter())
}

fn admission(shared: &Shared) -> Value {
    let loads = &shared.admission.loads;
    let refused = crate::admission::Limit::ALL.into_iter().map(|limit| {
        let count = total(loads.iter().map(|load| &load.refused[limit.index()]));
        (limit.name().to_owned(), count)
    });
    let worst = |read: fn(&Load) -> f64| loads.iter().map(|load| read(load)).fold(0.0, f64::max);
    let inbound = &shared.admission.inbound;
    json!({
        "asked": total(loads.iter().map(|load| &load.asked)),
        "refused": named(refused),
        "shed_share": worst(Load::shed_rate),
        "cpu_share": worst(Load::cpu),
        "ready_delay_ms": worst(|load| load.delay.load(Ordering::Relaxed) as f64 / 1e6),
        "inbound_calls": inbound.in_use(),
        "inbound_calls_max": inbound.calls_max(),
    })
}

fn view(shared: &Shared, program: &Program, index: usize, view: &View) -> Value {
    let of = |read: fn(&ViewMetrics) -> &Count| {
        total(
            shared
                .metrics
                .iter()
                .map(|worker| read(&worker.views[index])),
        )
    };
    let rungs = shared.admission.loads.iter().map(|load| load.rung(index));
    let parts: Vec<_> = view
        .parts
        .iter()
        .map(|one| part(shared, program, view, one))
        .collect();
    json!({
        "name": view.name,
        "method": program.declared.views[index].method,
        "route": view.route,
        "deadline_ms": ms(view.deadline),
        "handler": view.handler.is_some(),
        "statuses": statuses(shared.metrics.iter().map(|w| &w.views[index].durations)),
        "degraded": of(|view| &view.degraded),
        "cancelled": of(|view| &view.cancelled),
        "rung": rungs.max().unwrap_or(0),
        "rungs": view.rungs.len().saturating_sub(1),
        "duration_us": durations(shared.metrics.iter().map(|w| &w.views[index].durations.fine)),
        "parts": parts,
    })
}

fn part(shared: &Shared, program: &Program, view: &View, part: &Part) -> Value {
    let all = || {
        shared
            .metrics
            .iter()
            .map(|worker| &worker.parts[part.metric])
    };
    let of = |read: fn(&PartMetrics) -> &Count| total(all().map(read));
    let failed = Reason::ALL.into_iter().map(|reason| {
        let count = total(all().map(|part| &part.failed[reason.index()]));
        (reason.code().to_owned(), count)
    });
    let sources = Source::ALL.into_iter().map(|source| {
        let count = total(all().map(|part| &part.sources[source as usize]));
        (source.code().to_owned(), count)
    });
    let needs = view.parts.iter().enumerate();
    let needs = needs.filter(|(at, _)| part.needs & (1 << at) != 0);
    let needs: Vec<_> = needs.map(|(_, one)| one.name.as_str()).collect();
    let other = part.otherwise.as_ref();
    json!({
        "name": part.name,
        "upstream": program.upstreams[part.upstream].name,
        "otherwise": other.map(|other| program.upstreams[other.upstream].name.as_str()),
        "strength": match part.strength {
            Strength::Strong => "strong",
            Strength::Weak => "weak",
        },
        "needs": needs,
        "timeout_ms": ms(part.timeout),
        "ok": of(|part| &part.ok),
        "skipped": of(|part| &part.skipped),
        "stood_in": of(|part| &part.stood_in),
        "failed": named(failed),
        "sources": named(sources),
    })
}

fn upstream(shared: &Shared, index: usize, upstream: &Upstream, now: Nanos) -> Value {
    let all = || shared.metrics.iter().map(|worker| &worker.upstreams[index]);
    let of = |read: fn(&UpstreamMetrics) -> &Count| total(all().map(read));
    let refused = REFUSALS.iter().enumerate().map(|(at, code)| {
        let count = total(all().map(|upstream| &upstream.refusals[at]));
        ((*code).to_owned(), count)
    });
    let policies = &upstream.policies;
    let retry = policies.retry.as_ref();
    json!({
        "name": upstream.name,
        "timeout_ms": ms(upstream.timeout),
        "addresses": addresses(upstream),
        "calls": of(|upstream| &upstream.calls),
        "calls_failed": of(|upstream| &upstream.calls_failed),
        "attempts": of(|upstream| &upstream.attempts),
        "failures": of(|upstream| &upstream.failures),
        "timeouts": of(|upstream| &upstream.timeouts),
        "retries": of(|upstream| &upstream.retries),
        "hedges": of(|upstream| &upstream.hedges),
        "hedge_wins": of(|upstream| &upstream.hedge_wins),
        "refused": named(refused),
        "connects": of(|upstream| &upstream.connects),
        "idle": of(|upstream| &upstream.idle),
        "limit": upstream.bulkhead_params.limit,
        "limit_live": upstream.bulkhead.limit(),
        "adaptive": policies.adaptive.is_some(),
        "in_flight": upstream.bulkhead.in_flight(),
        "queued": upstream.bulkhead.queued(),
        "queue_limit": upstream.bulkhead_params.queue,
        "retry_budget": retry.map(|retry| retry.budget.balance(now)),
        "throttled_share": policies.throttle.as_ref().map(|one| one.reject_share(now)),
        "breaker": policies.breaker.is_some(),
        "duration_us": durations(all().map(|upstream| &upstream.durations.fine)),
    })
}

fn addresses(upstream: &Upstream) -> Vec<Value> {
    let set = upstream.addresses();
    // Nobody asks the breaker of an only address: ejecting it would help nobody.
    let used = set.addresses.len() > 1;
    let states = set.breakers.iter().map(|breaker| match breaker.state() {
        State::Closed => "closed",
        State::Open | State::Turning => "open",
        State::Probe => "probe",
    });
    let states = states
        .map(|state| used.then_some(state))
        .chain(std::iter::repeat(None));
    let addresses = set.addresses.iter().zip(states);
    addresses
        .map(|(address, state)| json!({"address": address.socket.to_string(), "breaker": state}))
        .collect()
}

fn ms(nanos: Nanos) -> f64 {
    nanos as f64 / 1e6
}

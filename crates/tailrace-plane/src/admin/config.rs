//! `/config`: every limit in force, read from where the plane reads it.
//!
//! The failure prevented: an operator who reads the declaration and believes it, while a default,
//! an override or `protections = off` decides.

use crate::program::{Part, View};
use crate::shared::Shared;
use crate::upstream::Upstream;
use serde_json::{json, Map, Value};
use tailrace_blueprint as blueprint;
use tailrace_policy::{freshness, Nanos};

pub(super) fn render(shared: &Shared) -> Vec<u8> {
    let current = shared.live.current();
    let program = &current.program;
    let upstreams = program.upstreams.iter();
    let upstreams = upstreams.zip(&program.declared.upstreams);
    let upstreams: Map<_, _> = upstreams
        .map(|(one, declared)| (one.name.clone(), upstream(one, declared)))
        .collect();
    let views = program.views.iter();
    let views: Map<_, _> = views.map(|v| (v.name.clone(), view(v))).collect();
    let origins: Value = serde_json::from_slice(&current.origins).unwrap_or(Value::Null);
    let journal = shared.live.journal();
    let config = json!({
        "format_version": 1,
        "service": program.service,
        "workers": shared.metrics.len(),
        "protections": if program.naive { "off" } else { "on" },
        "limits": program.limits,
        "connections": shared.connections(),
        "memory_held_bytes": shared.memory.used(),
        "access_log": program.declared.access_log,
        "admission": program.declared.admission,
        "cpus": shared.admission.cpus,
        "upstreams": upstreams,
        "views": views,
        "origins": origins,
        "revision": program.revision,
        "changes": journal.changes(),
        "refused": journal.refusal(),
    });
    config.to_string().into_bytes()
}

fn upstream(upstream: &Upstream, declared: &blueprint::Upstream) -> Value {
    let set = upstream.addresses();
    let addresses: Vec<_> = set.addresses.iter().map(|a| a.socket.to_string()).collect();
    let params = &upstream.bulkhead_params;
    json!({
        "addresses": addresses,
        "timeout_ms": ms(upstream.timeout),
        "bulkhead": upstream.bulkhead.limit(),
        "bulkhead_queue": params.queue,
        "codel_target_ms": ms(params.codel_target),
        "codel_interval_ms": ms(params.codel_interval),
        "lifo_above": params.lifo_above,
        "in_flight": upstream.bulkhead.in_flight(),
        "queued": upstream.bulkhead.queued(),
        "body_max_bytes": upstream.body_max,
        "forward_headers": upstream.forward_headers,
        // Null: off.
        "retry": declared.retry,
        "hedge": declared.hedge,
        "breaker": declared.breaker,
        "throttle": declared.throttle,
        "adaptive": declared.adaptive,
        "rate": declared.rate,
    })
}

fn view(view: &View) -> Value {
    let parts: Map<_, _> = view
        .parts
        .iter()
        .map(|p| (p.name.clone(), part(p)))
        .collect();
    json!({
        "deadline_ms": ms(view.deadline),
        // Without protections there is none.
        "rate": view.rate.as_ref().map(|rate| json!({
            "per_second": rate.params.per_second, "burst": rate.params.burst,
        })),
        "priority": view.class.name(),
        "fanout": (view.fanout != usize::MAX).then_some(view.fanout),
        "extra_attempts": view.extra_attempts,
        "parts": parts,
    })
}

fn part(part: &Part) -> Value {
    let mut shown = json!({"timeout_ms": ms(part.timeout)});
    if let Some(keep) = &part.cache {
        shown["cache"] = cache(&keep.params);
    }
    if let Some(other) = &part.otherwise {
        shown["otherwise"] = self::part(other);
    }
    if let Some(each) = &part.each {
        shown["items_max"] = each.items_max.into();
    }
    shown
}

fn cache(params: &freshness::Params) -> Value {
    json!({
        "ttl_ms": ms(params.ttl),
        "stale_ms": ms(params.stale_while_revalidate),
        "stale_if_error_ms": ms(params.stale_if_error),
        "negative_ms": ms(params.negative),
        "jitter": params.jitter,
        "early": params.beta,
    })
}

fn ms(nanos: Nanos) -> f64 {
    nanos as f64 / 1e6
}

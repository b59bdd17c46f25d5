//! The live task dump: every request in flight and what it waits for, as JSON.
//!
//! Names come from the program that the request began with. Request ids are those of
//! `Exchange::take_request_id`: harmless characters only. Times are milliseconds at the moment of
//! the worker's answer.

use super::look::Seen;
use super::survey::{Request, Wait, Waiting};
use super::threads::{self, state};
use crate::receipt::json::{ms, part_name};
use crate::shared::Shared;
use serde_json::{json, Value};
use std::time::Duration;
use tailrace_policy::Nanos;

/// A worker answers in its next turn; one that has not by then is stuck.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Asks all workers and shows what they say.
pub async fn dump(shared: &Shared) -> Value {
    let seen = shared.profiler.lookouts.answers(PATIENCE).await;
    let workers = seen.iter().enumerate().map(|(index, seen)| match seen {
        Some(seen) => answered(index, seen),
        None => stuck(shared, index),
    });
    json!({
        "format_version": 1,
        "profile": "tasks",
        "service": shared.program().service,
        "epoch_ms": crate::clock::epoch_ms(),
        "answer_within_ms": PATIENCE.as_millis() as u64,
        "workers": workers.collect::<Vec<_>>(),
    })
}

fn answered(index: usize, seen: &Seen) -> Value {
    let requests = seen.found.requests.iter();
    json!({
        "worker": index,
        "answered": true,
        "connections": seen.connections,
        "in_flight": seen.in_flight,
        "requests": requests.map(|one| request(one, seen.at)).collect::<Vec<_>>(),
        "requests_left_out": seen.found.left_out,
    })
}

/// A worker that does not answer: what the system says of its thread.
fn stuck(shared: &Shared, index: usize) -> Value {
    let known = shared.profiler.threads.named(&threads::worker(index));
    json!({
        "worker": index,
        "answered": false,
        "why": match &known {
            Some(_) => "its thread did not come to its next turn in time",
            None => "its thread has ended",
        },
        "in_flight": shared.metrics.get(index).map(|metrics| metrics.in_flight.get()),
        "system": known.as_ref().map(state),
    })
}

fn request(request: &Request, at: Nanos) -> Value {
    let view = request.program.views.get(request.view);
    let waits = request.waits.iter();
    json!({
        "view": view.map(|view| &view.name),
        "request_id": String::from_utf8_lossy(&request.id),
        "number": request.number,
        "age_ms": ms(at.saturating_sub(request.started)),
        "deadline_left_ms": signed_ms(request.deadline, at),
        "parts": request.parts,
        "parts_done": request.parts_done,
        "waits": waits.map(|one| waiting(request, one, at)).collect::<Vec<_>>(),
        "waits_left_out": request.waits_left_out,
    })
}

fn waiting(request: &Request, one: &Waiting, at: Nanos) -> Value {
    let program = &request.program;
    let view = program.views.get(request.view);
    let name = |part: u16| part_name(program, view, part);
    let upstream = one
        .upstream
        .and_then(|one| program.upstreams.get(usize::from(one)));
    let mut told = json!({
        "part": one.part.map(name),
        "waits_for": one.wait.code(),
        "for_ms": (one.since > 0).then(|| ms(at.saturating_sub(one.since))),
        "left_ms": (one.until > 0 && one.until != Nanos::MAX).then(|| signed_ms(one.until, at)),
    });
    let mut put = |name: &str, value: Value| told[name] = value;
    if let Wait::Parts(needs) = one.wait {
        let needs = (0..64_u16)
            .filter(|part| needs & (1 << part) != 0)
            .map(name);
        put("needs", needs.collect::<Vec<_>>().into());
    }
    if let Some(upstream) = upstream {
        put("upstream", upstream.name.as_str().into());
    }
    if one.attempt > 0 {
        put("attempt", one.attempt.into());
        put("kind", one.kind.code().into());
        put("address", one.address.into());
    }
    if one.other {
        put("otherwise", true.into());
    }
    if one.item > 0 || is_list(request, one) {
        put("item", one.item.into());
    }
    told
}

fn is_list(request: &Request, one: &Waiting) -> bool {
    let view = request.program.views.get(request.view);
    let part = view.zip(one.part);
    let part = part.and_then(|(view, part)| view.parts.get(usize::from(part)));
    part.is_some_and(|part| part.each.is_some())
}

/// Milliseconds from `at` to `end`; negative when it has passed.
fn signed_ms(end: Nanos, at: Nanos) -> f64 {
    if end >= at {
        ms(end - at)
    } else {
        -ms(at - end)
    }
}

//! The cache's step of a call: a hit, a wait for a fetch, and what stands in when that fails.

use super::flight::{self, Waiter};
use super::key::{self, Key};
use super::{Asked, Copy, Keep, Kept};
use crate::call::{governed, Answer, Call};
use crate::json::Json;
use crate::program::Part;
use crate::reason::Reason;
use crate::receipt::Held;
use crate::source::Source;
use crate::template::Rendered;
use crate::worker::Worker;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use tailrace_policy::flight::Flight;
use tailrace_policy::freshness::{excuses, Use};
use tailrace_policy::Nanos;

const SECOND: Nanos = 1_000_000_000;

/// The answer of a call whose part may be cached. Asked before everything that can refuse: a hit
/// takes nothing from anybody (DESIGN 5).
pub async fn answer(call: Call, keep: Keep) -> Answer {
    let worker = Rc::clone(&call.worker);
    let made = call.made.clone();
    let part = made.part(&worker.program);
    let (cache, now) = (worker.shared.cache(), worker.now.get());
    let metrics = &worker.metrics.upstreams[part.upstream].cache;
    let mut key = worker.buffers.take();
    key::push(part, keep.scope, &call.rendered, &mut key);
    let hash = cache.hash(&key);
    // Before the answer is read: one that is read after an invalidation has the new epoch.
    let epoch = cache.epoch(hash);
    let draw = worker.draw();
    let near = worker.near.borrow_mut().get(cache, hash, &key, now, draw);
    if let Some(copy) = near {
        metrics.hot.add(1);
        worker.buffers.give(key);
        worker.buffers.give(call.rendered.bytes);
        return serve(&copy, Source::Cached, now, &call.memory);
    }
    let asked = cache.ask(hash, &key, now, draw);
    if let Asked::Serve { copy, found, .. } = &asked {
        if *found == Use::Fresh {
            let mut near = worker.near.borrow_mut();
            near.offer(hash, &key, copy, epoch, now);
            worker.metrics.hot_keys.set(near.len() as u64);
        }
    }
    worker.buffers.give(key);
    match asked {
        Asked::Serve {
            copy,
            found,
            refresh,
        } => {
            metrics.found(found, matches!(copy.value, Kept::Absent(_)));
            serve_kept(call, keep, &copy, found, refresh)
        }
        Asked::Wait {
            waiter,
            start,
            kept,
        } => waited(call, keep, waiter, start, kept.as_ref()).await,
        Asked::Alone { kept } => {
            metrics.alone.add(1);
            let memory = Rc::clone(&call.memory);
            let answer = governed(call).await;
            or_stale(&worker, part, answer, kept.as_ref(), &memory)
        }
    }
}

/// Serves what is kept and starts the refresh, when there is one.
fn serve_kept(
    call: Call,
    keep: Keep,
    copy: &Copy,
    found: Use,
    refresh: Option<(Key, Flight)>,
) -> Answer {
    let worker = Rc::clone(&call.worker);
    let memory = Rc::clone(&call.memory);
    let source = if found == Use::Revalidate {
        Source::Stale
    } else {
        Source::Cached
    };
    if let Some((key, flight)) = refresh {
        let upstream = call.part().upstream;
        worker.metrics.upstreams[upstream].cache.refreshes.add(1);
        flight::start(key, flight, call, keep);
    } else {
        worker.buffers.give(call.rendered.bytes);
    }
    serve(copy, source, worker.now.get(), &memory)
}

/// Waits for a fetch, which it starts when nobody has.
async fn waited(
    call: Call,
    keep: Keep,
    waiter: Waiter,
    start: bool,
    kept: Option<&Copy>,
) -> Answer {
    let (worker, made) = (Rc::clone(&call.worker), call.made.clone());
    let part = made.part(&worker.program);
    let metrics = &worker.metrics.upstreams[part.upstream].cache;
    let (ends, cut, memory) = (call.until, call.cut, Rc::clone(&call.memory));
    call.tally.shared.set(true);
    if start {
        metrics.misses.add(1);
        flight::start(waiter.key.clone(), waiter.flight, call, keep);
    } else {
        metrics.coalesced.add(1);
        worker.buffers.give(call.rendered.bytes);
    }
    let mut waiter = pin!(waiter);
    let fetched = poll_fn(|cx| match waiter.as_mut().poll(cx) {
        Poll::Ready(fetched) => Poll::Ready(Some(fetched)),
        Poll::Pending if worker.now.get() >= ends => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let fetched = match fetched.await {
        Some(fetched) => fetched.and_then(|json| hold(json, &memory)),
        None if cut => Err(Reason::Deadline),
        None => Err(Reason::Timeout),
    };
    let answer = Answer {
        landed: fetched,
        ..Answer::from(Ok(None))
    };
    or_stale(&worker, part, answer, kept, &memory)
}

/// The answer, or what is kept when the fetch failed and that excuses a stale answer (RFC 5861 4).
fn or_stale(
    worker: &Worker,
    part: &Part,
    answer: Answer,
    kept: Option<&Copy>,
    memory: &Held,
) -> Answer {
    let (Some(copy), Err(reason)) = (kept, &answer.landed) else {
        return answer;
    };
    let now = worker.now.get();
    let usable = copy.entry.at(now, 0, 0).serves_on_error();
    if !usable || !excuses(reason.upstream_status()) {
        return answer;
    }
    let metrics = &worker.metrics.upstreams[part.upstream].cache;
    metrics.stale_on_error.add(1);
    Answer {
        failed: Some(*reason),
        ..serve(copy, Source::Stale, now, memory)
    }
}

/// What is kept of a call that was not made: it was dropped before it began (req 8.3).
pub fn look(worker: &Worker, part: &Part, rendered: &Rendered, memory: &Held) -> Option<Answer> {
    let keep = part.cache.as_ref()?;
    let (cache, now) = (worker.shared.cache(), worker.now.get());
    let mut key = worker.buffers.take();
    key::push(part, keep.scope, rendered, &mut key);
    let kept = cache.kept(cache.hash(&key), &key, now);
    worker.buffers.give(key);
    let (copy, found) = kept?;
    let source = if found == Use::Fresh {
        Source::Cached
    } else {
        Source::Stale
    };
    Some(serve(&copy, source, now, memory)).filter(|answer| answer.landed.is_ok())
}

fn serve(copy: &Copy, source: Source, now: Nanos, memory: &Held) -> Answer {
    let landed = match &copy.value {
        Kept::Value(json) => hold(json.clone(), memory),
        Kept::Absent(reason) => Err(*reason),
    };
    Answer {
        landed,
        source,
        age_s: u32::try_from(copy.entry.age(now) / SECOND).unwrap_or(u32::MAX),
        failed: None,
    }
}

/// Shared bytes count as the request's: a list of many large answers is as long a reply.
fn hold(json: Option<std::sync::Arc<[u8]>>, memory: &Held) -> Result<Option<Json>, Reason> {
    let Some(json) = json else { return Ok(None) };
    memory.take(json.len() as u64)?;
    Ok(Some(Json::Shared(json)))
}

//! Extra attempts: the hedge beside a slow attempt and the retry after a failed one.
//!
//! Both draw on the same two purses, before any wait: the request's own, so that one request cannot
//! multiply its calls, and the upstream's budget, so that all requests together cannot. Each refusal
//! has a code and a count. The loser of a hedge is dropped, which closes its connection: it is never
//! reused half-read; how long it had run is recorded as a lower bound, so that the percentile that
//! decides the next hedge does not collapse.

use crate::attempt::{attempt, choose, Attempted};
use crate::call::Call;
use crate::metrics::UpstreamMetrics;
use crate::program::Part;
use crate::template::Rendered;
use crate::upstream::Upstream;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::task::Poll;
use tailrace_policy::bulkhead::Permit;
use tailrace_policy::retry;
use tailrace_policy::Nanos;

/// Every call earns its upstream a share of an extra attempt.
pub fn earn(upstream: &Upstream, now: Nanos) {
    if let Some(retry) = &upstream.policies.retry {
        retry.budget.deposit(now);
    }
    if let Some(hedge) = &upstream.policies.hedge {
        hedge.deposit(now);
    }
}

/// One attempt; when it is slower than usual, a second one at another address beside it.
pub async fn hedged(
    call: &Call,
    rendered: &Rendered,
    part: &Part,
    upstream: &Upstream,
    avoid: Option<usize>,
) -> Attempted {
    let worker = &*call.worker;
    let addresses = worker.pools.addresses(part.upstream, upstream);
    let chosen = match choose(worker, &addresses, avoid) {
        Ok(chosen) => chosen,
        Err(reason) => return Attempted::nowhere(reason),
    };
    let picked = chosen.index;
    let started = worker.now.get();
    let mut first = pin!(attempt(call, rendered, part, upstream, &addresses, chosen));
    let Some(delay) = upstream
        .policies
        .hedge
        .as_ref()
        .and_then(|hedge| hedge.delay(started))
    else {
        return first.await;
    };
    if let Some(done) = call.before(started + delay, first.as_mut()).await {
        return done;
    }
    let Some(place) = may_hedge(call, part, upstream) else {
        return first.await;
    };
    let Ok(other) = choose(worker, &addresses, Some(picked)) else {
        return first.await;
    };
    let hedged_at = worker.now.get();
    let second = Box::pin(attempt(call, rendered, part, upstream, &addresses, other));
    let (done, won) = race(first, second).await;
    drop(place);
    let metrics = &worker.metrics.upstreams[part.upstream];
    let (now, loser) = (worker.now.get(), if won { started } else { hedged_at });
    if won {
        metrics.hedge_wins.add(1);
    }
    if let Some(hedge) = &upstream.policies.hedge {
        hedge.record(now, now.saturating_sub(loser), true);
    }
    done
}

/// The first success, or the last failure; `true` when it is the second future's.
async fn race(
    mut first: Pin<&mut impl Future<Output = Attempted>>,
    mut second: Pin<Box<impl Future<Output = Attempted>>>,
) -> (Attempted, bool) {
    let mut failed: Option<bool> = None;
    poll_fn(|cx| {
        if failed != Some(false) {
            if let Poll::Ready(done) = first.as_mut().poll(cx) {
                if done.landed.is_ok() || failed.is_some() {
                    return Poll::Ready((done, false));
                }
                failed = Some(false);
            }
        }
        if failed != Some(true) {
            if let Poll::Ready(done) = second.as_mut().poll(cx) {
                if done.landed.is_ok() || failed.is_some() {
                    return Poll::Ready((done, true));
                }
                failed = Some(true);
            }
        }
        Poll::Pending
    })
    .await
}

/// Asks purse, bulkhead and budget for a second attempt, the cheapest first.
fn may_hedge(call: &Call, part: &Part, upstream: &Upstream) -> Option<Permit> {
    let worker = &*call.worker;
    let metrics = &worker.metrics.upstreams[part.upstream];
    let hedge = upstream.policies.hedge.as_ref()?;
    if let Err(refused) = call.purse.try_take() {
        return refuse(metrics, refused.code());
    }
    let Some(place) = upstream.bulkhead.try_acquire() else {
        call.purse.put_back();
        return refuse(metrics, "bulkhead_full");
    };
    if let Err(refused) = hedge.try_hedge(worker.now.get()) {
        call.purse.put_back();
        return refuse(metrics, refused.code());
    }
    metrics.hedges.add(1);
    Some(place)
}

/// Decides about another attempt after a failed one, waits, and takes its place in the bulkhead.
pub async fn again(
    call: &Call,
    part: &Part,
    upstream: &Upstream,
    number: u32,
    failed: &Attempted,
) -> Option<Permit> {
    let worker = &*call.worker;
    let metrics = &worker.metrics.upstreams[part.upstream];
    let retrying = upstream.policies.retry.as_ref()?;
    let now = worker.now.get();
    let attempt = retry::Attempt {
        number,
        idempotent: true, // every call is a GET so far
        failure: failed.failure,
        retry_after: failed.retry_after,
    };
    let usual = retrying.latency.median(now).unwrap_or(0);
    let left = call.until.saturating_sub(now);
    let wait = match retrying.policy.decide(attempt, left, usual, worker.draw()) {
        Ok(wait) => wait,
        Err(refused) => return refuse(metrics, refused.code()),
    };
    if let Err(refused) = call.purse.try_take() {
        return refuse(metrics, refused.code());
    }
    if let Err(refused) = retrying.budget.try_withdraw(now) {
        call.purse.put_back();
        return refuse(metrics, refused.code());
    }
    call.pause(now + wait).await;
    let place = upstream.bulkhead.try_acquire();
    if place.is_none() {
        call.purse.put_back();
        return refuse(metrics, "bulkhead_full");
    }
    metrics.retries.add(1);
    place
}

fn refuse(metrics: &UpstreamMetrics, code: &'static str) -> Option<Permit> {
    metrics.refuse(code);
    None
}

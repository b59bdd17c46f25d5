//! Extra attempts: the hedge beside a slow attempt and the retry after a failed one.
//!
//! Both draw on the same two purses, before any wait: the request's own, so that one request
//! cannot multiply its calls, and the upstream's budget, so that all requests together cannot.
//! Each refusal has a code and a count, and what was taken for an attempt that another policy
//! refused is given back. The loser of a hedge is dropped, which closes its connection: it is
//! never reused half-read; how long it had run is recorded as a lower bound, so that the
//! percentile that decides the next hedge does not collapse.
//!
//! Limits: a retry pays its upstream's budget before the wait. When no place or address is free
//! after it, the purse gets its attempt back, the budget does not: another moment's share is not
//! this one's.

use crate::attempt::{attempt, choose, may_choose, Attempted, Chosen};
use crate::call::Call;
use crate::metrics::UpstreamMetrics;
use crate::program::Part;
use crate::receipt::Kind;
use crate::upstream::AddressSet;
use crate::upstream::Upstream;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tailrace_policy::bulkhead::Permit;
use tailrace_policy::hedge::Hedge;
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

/// What the next attempt needs, in hand.
#[derive(Debug)]
pub struct Next {
    pub place: Permit,
    pub chosen: Chosen,
}

/// One attempt; when it is slower than usual, a second one at another address beside it.
pub async fn hedged(
    call: &Call,
    part: &Part,
    addresses: &Rc<AddressSet>,
    picked: usize,
    mut first: Pin<&mut impl Future<Output = Attempted>>,
) -> Attempted {
    let worker = &*call.worker;
    let upstream = &worker.program.upstreams[part.upstream];
    let started = worker.now.get();
    let policy = upstream.policies.hedge.as_ref().filter(|_| part.hedgeable);
    let left = call.until.saturating_sub(started);
    let Some((hedge, delay)) = policy.and_then(|one| Some((one, one.delay(started, left)?))) else {
        return first.await;
    };
    call.tally.hedge_at.set(started + delay);
    let done = call.before(started + delay, first.as_mut()).await;
    call.tally.hedge_at.set(0);
    if let Some(done) = done {
        return done;
    }
    // Apart: what few calls need must not be room in the state of every call.
    let beside = beside(call, part, addresses, picked, (hedge, started), first);
    Box::pin(beside).await
}

/// Goes on with `first`, and with a second attempt beside it where one may be made.
async fn beside(
    call: &Call,
    part: &Part,
    addresses: &Rc<AddressSet>,
    picked: usize,
    (hedge, started): (&Hedge, Nanos),
    first: Pin<&mut impl Future<Output = Attempted>>,
) -> Attempted {
    let worker = &*call.worker;
    let upstream = &worker.program.upstreams[part.upstream];
    // The address first: nothing is taken or counted for an attempt that has none.
    let Ok(other) = choose(worker, addresses, Some(picked)) else {
        return first.await;
    };
    let Some(place) = may_hedge(call, part, upstream) else {
        drop(other);
        return first.await;
    };
    let hedged_at = worker.now.get();
    let second = Box::pin(attempt(call, part, other, Kind::Hedge));
    let raced = race(first, second).await;
    drop(place);
    let now = worker.now.get();
    if raced.by_second && raced.done.landed.is_ok() {
        let metrics = &worker.metrics.upstreams[part.upstream];
        metrics.hedge_wins.add(1);
    }
    if raced.loser_dropped {
        let since = if raced.by_second { started } else { hedged_at };
        hedge.record(now, now.saturating_sub(since), true);
    }
    raced.done
}

/// How a race ended.
#[derive(Debug)]
struct Raced {
    done: Attempted,
    /// `done` is the second attempt's.
    by_second: bool,
    /// The other one was still under way. One that ended by itself has recorded its own time.
    loser_dropped: bool,
}

/// The first success, or the last failure.
async fn race(
    mut first: Pin<&mut impl Future<Output = Attempted>>,
    mut second: Pin<Box<impl Future<Output = Attempted>>>,
) -> Raced {
    // Which of the two has failed: `true` for the second.
    let mut failed: Option<bool> = None;
    poll_fn(|cx| {
        if failed != Some(false) {
            if let Poll::Ready(done) = first.as_mut().poll(cx) {
                if done.landed.is_ok() || failed.is_some() {
                    return Poll::Ready(Raced {
                        done,
                        by_second: false,
                        loser_dropped: failed.is_none(),
                    });
                }
                failed = Some(false);
            }
        }
        if failed != Some(true) {
            if let Poll::Ready(done) = second.as_mut().poll(cx) {
                if done.landed.is_ok() || failed.is_some() {
                    return Poll::Ready(Raced {
                        done,
                        by_second: true,
                        loser_dropped: failed.is_none(),
                    });
                }
                failed = Some(true);
            }
        }
        Poll::Pending
    })
    .await
}

/// The upstream's own rate counts attempts, so extra ones too.
const UPSTREAM_RATE: &str = "upstream_rate";

/// Asks for a second attempt, the cheapest first: purse, place, hedges' share, the budget that
/// retries and hedges share (ALGORITHMS 4). Whatever refuses, the others get back what they gave.
fn may_hedge(call: &Call, part: &Part, upstream: &Upstream) -> Option<Permit> {
    let worker = &*call.worker;
    let now = worker.now.get();
    let metrics = &worker.metrics.upstreams[part.upstream];
    let hedge = upstream.policies.hedge.as_ref()?;
    if !upstream.policies.may_spend(now) {
        return refuse(metrics, UPSTREAM_RATE);
    }
    if let Err(refused) = call.purse.try_take() {
        return refuse(metrics, refused.code());
    }
    let Some(place) = upstream.bulkhead.try_acquire() else {
        call.purse.put_back();
        return refuse(metrics, "bulkhead_full");
    };
    if let Err(refused) = hedge.try_hedge(now) {
        call.purse.put_back();
        return refuse(metrics, refused.code());
    }
    if let Some(retry) = &upstream.policies.retry {
        if let Err(refused) = retry.budget.try_withdraw(now) {
            call.purse.put_back();
            hedge.put_back(now);
            return refuse(metrics, refused.code());
        }
    }
    if upstream.policies.spend(now).is_err() {
        call.purse.put_back();
        hedge.put_back(now);
        return refuse(metrics, UPSTREAM_RATE);
    }
    metrics.hedges.add(1);
    Some(place)
}

/// Decides about another attempt after a failed one, waits, and takes what it needs: a place in the
/// bulkhead and an address, another than `avoid` when there is one.
pub async fn again(
    call: &Call,
    part: &Part,
    upstream: &Upstream,
    number: u32,
    avoid: Option<usize>,
    failed: &Attempted,
) -> Option<Next> {
    let worker = &*call.worker;
    let metrics = &worker.metrics.upstreams[part.upstream];
    let retrying = upstream.policies.retry.as_ref()?;
    let now = worker.now.get();
    let attempt = retry::Attempt {
        number,
        idempotent: part.repeatable,
        failure: failed.failure,
        retry_after: failed.retry_after,
    };
    let usual = retrying.latency.median(now).unwrap_or(0);
    let left = call.until.saturating_sub(now);
    let wait = match retrying.policy.decide(attempt, left, usual, worker.draw()) {
        Ok(wait) => wait,
        Err(refused) => return refuse(metrics, refused.code()),
    };
    let addresses = worker.pools.addresses(part.upstream, upstream);
    if !may_choose(worker, &addresses, avoid) {
        return refuse(metrics, "no_address");
    }
    if !upstream.policies.may_spend(now) {
        return refuse(metrics, UPSTREAM_RATE);
    }
    if let Err(refused) = call.purse.try_take() {
        return refuse(metrics, refused.code());
    }
    // Last before the wait: what is withdrawn here is spent, whatever happens after it.
    if let Err(refused) = retrying.budget.try_withdraw(now) {
        call.purse.put_back();
        return refuse(metrics, refused.code());
    }
    call.tally.retry_at.set(now + wait);
    call.pause(now + wait).await;
    call.tally.retry_at.set(0);
    let Some(place) = upstream.bulkhead.try_acquire() else {
        call.purse.put_back();
        return refuse(metrics, "bulkhead_full");
    };
    // Names may have resolved anew, and breakers moved, while it waited.
    let addresses = worker.pools.addresses(part.upstream, upstream);
    let Ok(chosen) = choose(worker, &addresses, avoid) else {
        call.purse.put_back();
        return refuse(metrics, "no_address");
    };
    if upstream.policies.spend(worker.now.get()).is_err() {
        call.purse.put_back();
        return refuse(metrics, UPSTREAM_RATE);
    }
    metrics.retries.add(1);
    Some(Next { place, chosen })
}

fn refuse<T>(metrics: &UpstreamMetrics, code: &'static str) -> Option<T> {
    metrics.refuse(code);
    None
}

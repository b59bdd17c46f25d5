//! The fetch of one key, and those who wait for it (req 16.5).
//!
//! The failure prevented is a first caller that takes the answer of ninety-nine others with it. The
//! fetch is a task of its own on the worker that started it, with its own deadline and its own
//! memory; callers only wait. The last one that leaves ends it in the same step that takes it out
//! of the table (`tailrace_policy::flight`), so nobody inherits an abort. However it ends, by an
//! answer, a panic or the end of its worker, it lands, and whoever waits is told.
//!
//! Limits: a fetch draws on the extra attempts of the request that started it. Its deadline is the
//! upstream's timeout, or the part's when that is longer: who has less time leaves earlier.

use super::key::Key;
use super::meeting::Meeting;
use super::store::Landing;
use super::{Cache, Fetched, Keep};
use crate::call::{governed, Call};
use crate::clock::timer::Timer;
use crate::json::Json;
use crate::metrics::CacheMetrics;
use crate::reason::Reason;
use crate::receipt::{Held, Tally};
use crate::worker::Worker;
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::flight::Flight;
use tailrace_policy::freshness::Params;
use tailrace_policy::Nanos;

/// One who waits; dropping it is leaving.
#[derive(Debug)]
pub struct Waiter {
    cache: Arc<Cache>,
    pub key: Key,
    pub flight: Flight,
    meeting: Arc<Meeting>,
    seat: Option<usize>,
    done: bool,
}

impl Waiter {
    pub(super) fn new(cache: Arc<Cache>, key: Key, flight: Flight, meeting: Arc<Meeting>) -> Self {
        Self {
            cache,
            key,
            flight,
            meeting,
            seat: None,
            done: false,
        }
    }
}

impl Future for Waiter {
    type Output = Fetched;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fetched> {
        let this = self.get_mut();
        let polled = this.meeting.poll(&mut this.seat, context);
        this.done = polled.is_ready();
        polled
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.done {
            if let Some(seat) = self.seat {
                self.meeting.give_up(seat);
            }
            self.cache.leave(self.key.hash, self.flight);
        }
    }
}

/// A flight that has not landed; it lands when it is dropped at the latest.
struct InAir {
    worker: Rc<Worker>,
    cache: Arc<Cache>,
    key: Key,
    flight: Flight,
    params: Params,
    empty_allowed: bool,
    upstream: usize,
    started: Nanos,
    landed: bool,
}

impl InAir {
    fn land(&mut self, fetched: Fetched) {
        self.landed = true;
        let now = self.worker.now.get();
        let landing = Landing {
            key: &self.key,
            flight: self.flight,
            params: &self.params,
            empty_allowed: self.empty_allowed,
            cost: now.saturating_sub(self.started),
        };
        let stored = self.cache.land(&landing, fetched, now, self.worker.draw());
        self.metrics().stored(stored);
    }

    fn metrics(&self) -> &CacheMetrics {
        &self.worker.metrics.upstreams[self.upstream].cache
    }
}

impl Drop for InAir {
    fn drop(&mut self) {
        if !self.landed {
            self.land(Err(Reason::Cancelled));
        }
    }
}

/// Starts the fetch of a flight; `call` is what the part that needs it would have called, `keep`
/// how long its answers are kept.
pub(super) fn start(key: Key, flight: Flight, call: Call, keep: Keep) {
    let worker = Rc::clone(&call.worker);
    let cache = worker.shared.cache();
    let made = call.made.clone();
    let part = made.part(&worker.program);
    let (hash, now) = (key.hash, worker.now.get());
    let time = worker.program.upstreams[part.upstream]
        .timeout
        .max(part.timeout);
    let air = InAir {
        worker: Rc::clone(&worker),
        cache: Arc::clone(cache),
        key,
        flight,
        params: keep.params,
        empty_allowed: part.empty_allowed,
        upstream: part.upstream,
        started: now,
        landed: false,
    };
    let memory = u64::from(worker.program.limits.request_memory_max_bytes);
    // Its owner is another: it has a tally of its own, and tells its caller's what it met.
    let (asker, tally) = (Rc::clone(&call.tally), Rc::<Tally>::default());
    tally.begin(now, now);
    *asker.fetch.borrow_mut() = Some(Rc::clone(&tally));
    // In the trace of who asked for it.
    tally.span.set(asker.span.get());
    let call = Call {
        memory: Held::new(memory, Some(&worker.memory)),
        until: now + time,
        cut: false,
        tally: Rc::clone(&tally),
        together: Cell::new(false),
        ..call
    };
    let task = tokio::task::spawn_local(fetch(air, call, asker));
    cache.depart(hash, flight, task.abort_handle());
}

/// Drives the call as a request would: with one timer, at the times that the call asks for.
async fn fetch(mut air: InAir, call: Call, asker: Rc<Tally>) {
    let worker = Rc::clone(&call.worker);
    let (tally, until) = (Rc::clone(&call.tally), call.until);
    let mut running = pin!(governed(call));
    let mut timer = Timer::default();
    let answer = poll_fn(|context| {
        worker.tick();
        loop {
            tally.wake.set(until);
            if let Poll::Ready(answer) = running.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if timer.poll_until(tally.wake.get(), context).is_pending() {
                return Poll::Pending;
            }
            worker.tick();
        }
    })
    .await;
    asker.take_over(&tally);
    let fetched = answer.landed.map(|json| {
        json.map(|json| match json {
            Json::Own(bytes) => {
                let shared = bytes.as_slice().into();
                worker.buffers.give(bytes);
                shared
            }
            Json::Shared(bytes) => bytes,
        })
    });
    air.land(fetched);
}

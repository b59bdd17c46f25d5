//! An attempt that has begun: where it goes, and who is told how it ended.
//!
//! The failure prevented: two kinds of attempt, for whole answers and for streams, that count
//! differently. What learns from attempts (load statistics, breaker, throttle, adaptive limit,
//! percentiles, metrics) is told by `Begun::ended` and nowhere else. One that is dropped before
//! that gives back its breaker's leave and its pending count, and teaches nothing.

use super::request::push_request;
use super::{judge, Chosen};
use crate::client::{self, Answered, ExchangeError};
use crate::metrics::split::Ended;
use crate::program::Part;
use crate::reason::Reason;
use crate::receipt::{Held, Kind, Noted, Tally};
use crate::template::Rendered;
use crate::upstream::Upstream;
use crate::worker::Worker;
use std::rc::Rc;
use tailrace_policy::balance;
use tailrace_policy::outcome::Outcome;
use tailrace_policy::Nanos;

#[derive(Debug)]
pub struct Begun<'a> {
    worker: &'a Worker,
    part: &'a Part,
    chosen: Chosen,
    pending: Option<balance::Pending>,
    pub noted: Noted<'a>,
    pub started: Nanos,
}

impl<'a> Begun<'a> {
    pub fn new(
        worker: &'a Worker,
        part: &'a Part,
        chosen: Chosen,
        tally: &'a Tally,
        kind: Kind,
    ) -> Self {
        // Load statistics choose among addresses; with one there is nothing to choose, and they
        // would only pass a cache line from core to core.
        let endpoints = &chosen.addresses.endpoints;
        let pending = (endpoints.len() > 1).then(|| endpoints[chosen.index].start());
        let started = worker.now.get();
        Self {
            worker,
            part,
            noted: tally.attempt(kind, chosen.index, started),
            chosen,
            pending,
            started,
        }
    }

    /// What is sent, by an attempt that must be over at `until`.
    pub fn request(
        &self,
        rendered: &Rendered,
        until: Nanos,
        body_max: u64,
        memory: &'a Rc<Held>,
    ) -> client::Request<'a> {
        let address = &self.chosen.addresses.addresses[self.chosen.index];
        let mut bytes = self.worker.buffers.take();
        let left = until.saturating_sub(self.started);
        let span = self.noted.span();
        push_request(self.part, rendered, address, left, span, &mut bytes);
        client::Request {
            upstream: self.part.upstream,
            socket: address.socket,
            method: self.part.method,
            bytes,
            body_max,
            memory,
            noted: self.noted,
        }
    }

    /// Tells all who learn from attempts how this one ended, and says what that means for the part;
    /// `cut` as `judge` has it.
    pub fn ended<A: Answered>(
        self,
        answered: Option<Result<A, ExchangeError>>,
        cut: bool,
    ) -> Result<A, Reason> {
        let how = Ended::of(answered.as_ref());
        let (outcome, result) = judge(answered, cut);
        let (worker, now) = (self.worker, self.worker.now.get());
        let took = now.saturating_sub(self.started);
        let metrics = &worker.metrics.upstreams[self.part.upstream];
        metrics.durations.record(self.part.method, how, took);
        if outcome.is_failure() {
            metrics.failures.add(1);
        }
        if outcome == Outcome::Timeout {
            metrics.timeouts.add(1);
        }
        if let Some(pending) = self.pending {
            pending.finish(now, took, outcome);
        }
        if let Some(guard) = self.chosen.guard {
            guard.settle(now, outcome, took, worker.draw());
        }
        let upstream = &worker.program.upstreams[self.part.upstream];
        teach(upstream, now, took, outcome);
        result
    }
}

/// What the upstream's policies learn from an attempt that ended.
fn teach(upstream: &Upstream, now: Nanos, took: Nanos, outcome: Outcome) {
    // Every attempt that ended counts, a hedge as well: each one was sent.
    if let Some(throttle) = &upstream.policies.throttle {
        throttle.settle(now, outcome);
    }
    if let Some(adaptive) = &upstream.policies.adaptive {
        let in_flight = upstream.bulkhead.in_flight();
        if let Some(limit) = adaptive.sample(now, took, in_flight, outcome) {
            upstream.bulkhead.set_limit(limit);
        }
    }
    if matches!(outcome, Outcome::Ok | Outcome::Timeout) {
        if let Some(latency) = upstream.policies.latency() {
            latency.record(now, took, outcome == Outcome::Timeout);
        }
    }
}

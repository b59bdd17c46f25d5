//! Protections off (req 2.1): what the same view does without governance. Lab only.
//!
//! Every call gets one uniform, generous timeout; a failure is tried again at once, blindly, up to
//! two more times; no bulkhead is asked, no budget, no deadline. It exists so that the collapse can
//! be watched beside the governed plane under the same load; nothing else may call it.

use crate::attempt;
use crate::call::{Answer, Call};
use crate::client;
use crate::metrics::split::Ended;
use crate::reason::Reason;
use crate::receipt::Kind;
use std::time::Duration;

const ATTEMPTS: u32 = 3;

pub async fn call(call: Call) -> Answer {
    let worker = &*call.worker;
    let part = call.part();
    let upstream = &worker.program.upstreams[part.upstream];
    worker.metrics.upstreams[part.upstream].calls.add(1);
    let mut last = Err(Reason::Connect);
    for number in 0..ATTEMPTS {
        let addresses = worker.pools.addresses(part.upstream, upstream);
        let Some(address) = addresses.addresses.first() else {
            break;
        };
        let started = worker.now.get();
        let kind = if number == 0 {
            Kind::First
        } else {
            Kind::Retry
        };
        let noted = call.tally.attempt(kind, 0, started);
        let mut bytes = Vec::new();
        attempt::push_request(
            part,
            &call.rendered,
            address,
            part.timeout,
            noted.span(),
            &mut bytes,
        );
        let request = client::Request {
            upstream: part.upstream,
            socket: address.socket,
            method: part.method,
            bytes,
            body_max: u64::MAX,
            memory: &call.memory,
            noted,
        };
        // A timer per attempt: the request's one timer belongs to governed calls.
        let exchange = client::exchange(worker, request);
        let timeout = Duration::from_nanos(part.timeout);
        let answered = tokio::time::timeout(timeout, exchange).await.ok();
        worker.tick();
        let metrics = &worker.metrics.upstreams[part.upstream];
        let took = worker.now.get().saturating_sub(started);
        let ending = Ended::of(answered.as_ref());
        metrics.durations.record(part.method, ending, took);
        let (outcome, response) = attempt::judge(answered, false);
        if outcome.is_failure() {
            metrics.failures.add(1);
        }
        let status = response.as_ref().map_or(0, |response| response.status);
        last = response.and_then(|response| attempt::accept(&call, &response));
        noted.ended(status, last.as_ref().err().copied(), worker.now.get());
        if !matches!(last, Err(reason) if !matches!(reason, Reason::NotFound | Reason::Gone)) {
            break;
        }
    }
    if last.is_err() {
        let upstream = &worker.metrics.upstreams[part.upstream];
        upstream.calls_failed.add(1);
    }
    last.into()
}

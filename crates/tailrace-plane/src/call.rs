//! The life of one governed call. This is the only place where policies are ordered.
//!
//! ```text
//! deadline -> bulkhead -> address -> attempt -> status -> model
//! ```
//!
//! Each step can refuse; the cheapest refusals come first, and what a step took (a place in the
//! bulkhead, a connection, a pending count) is a value whose drop gives it back. So a call that is
//! dropped, because it timed out, a sibling failed or the client left, needs no clean-up code.

use crate::client::{self, ExchangeError, Response};
use crate::clock::MILLI;
use crate::h1::Method;
use crate::naive;
use crate::program::Part;
use crate::reason::Reason;
use crate::splice::MismatchCode;
use crate::template::Rendered;
use crate::upstream::{AddressSet, Upstream};
use crate::worker::Worker;
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::task::Poll;
use tailrace_policy::bulkhead::{BulkheadFull, Permit};
use tailrace_policy::deadline::{millis_floor, Deadline};
use tailrace_policy::outcome::Outcome;
use tailrace_policy::Nanos;

/// A call below this is not worth sending (ALGORITHMS 3).
const BUDGET_MIN: Nanos = MILLI;

/// Everything one call needs; it owns its data, so it can outlive a borrow of the request.
#[derive(Debug)]
pub struct Call {
    pub worker: Rc<Worker>,
    pub view: usize,
    pub part: usize,
    pub rendered: Rendered,
    /// What the request may still hold of bodies.
    pub memory: Rc<Cell<u64>>,
    /// When this call must be over. Its owner polls it again at that time.
    pub until: Nanos,
    /// True when the request's deadline set `until`, not the part's own timeout.
    pub cut: bool,
}

/// A part's projected JSON, or `None` for an empty (204) answer.
pub type Landed = Result<Option<Vec<u8>>, Reason>;
pub type Running = Pin<Box<dyn Future<Output = Landed>>>;

/// Deadline: asked before anything is taken. Returns when the call must be over and whether the
/// request's deadline, rather than the part's timeout, decided that.
pub fn budget(
    part: &Part,
    deadline: Deadline,
    reserve: Nanos,
    now: Nanos,
) -> Result<(Nanos, bool), Reason> {
    let left = deadline
        .child(now, part.timeout, reserve, BUDGET_MIN)
        .map_err(|_| Reason::Deadline)?;
    Ok((now + left, left < part.timeout))
}

/// Starts a call; nothing happens before its first poll.
pub fn start(call: Call) -> Running {
    if call.worker.program.naive {
        return Box::pin(naive::call(call));
    }
    Box::pin(governed(call))
}

async fn governed(mut call: Call) -> Landed {
    let rendered = std::mem::take(&mut call.rendered);
    let worker = &*call.worker;
    let part = &worker.program.views[call.view].parts[call.part];
    let upstream = &worker.program.upstreams[part.upstream];
    worker.metrics.upstreams[part.upstream].calls.add(1);

    // Bulkhead before address: a call that may not run must not disturb the load statistics, and
    // the limit is the upstream's, whatever the number of its addresses (req 4.4).
    let permit = enter(worker, part.upstream, upstream, call.until).await?;

    // Address and attempt: the clock of the round trip starts at dispatch, not while queueing.
    let sent = worker.now.get();
    let response = attempt(&call, &rendered, part, upstream).await;
    worker.buffers.give(rendered.bytes);
    permit.settle(worker.now.get().saturating_sub(sent));
    drop(permit);

    // Status before body: success is decided before the body is trusted (DESIGN 4). Model last.
    let response = response?;
    let landed = accept(worker, part, &response, &call.memory);
    worker.buffers.give(response.body.buffer);
    landed
}

/// Takes a place in the upstream's bulkhead, waiting in its bounded queue when it is full.
async fn enter(
    worker: &Worker,
    index: usize,
    upstream: &Upstream,
    until: Nanos,
) -> Result<Permit, Reason> {
    if let Some(permit) = upstream.bulkhead.try_acquire() {
        return Ok(permit);
    }
    let queued = worker.now.get();
    let mut waiter = upstream.bulkhead.enqueue(queued, until)?;
    let entered = poll_fn(|cx| match waiter.poll(worker.now.get(), cx.waker()) {
        Poll::Ready(entered) => Poll::Ready(entered.map_err(Reason::from)),
        Poll::Pending if worker.now.get() >= until => Poll::Ready(Err(Reason::QueueDeadline)),
        Poll::Pending => Poll::Pending,
    })
    .await;
    worker.metrics.upstreams[index]
        .queue_wait
        .record(worker.now.get().saturating_sub(queued));
    entered
}

/// One wire attempt, bounded by the call's time.
async fn attempt(
    call: &Call,
    rendered: &Rendered,
    part: &Part,
    upstream: &Upstream,
) -> Result<Response, Reason> {
    let worker = &*call.worker;
    let addresses = worker.pools.addresses(part.upstream, upstream);
    let picked = pick(worker, &addresses).ok_or(Reason::Connect)?;
    let address = &addresses.addresses[picked];
    let pending = addresses.endpoints[picked].start();
    let started = worker.now.get();
    let mut bytes = worker.buffers.take();
    let left = call.until.saturating_sub(started);
    push_request(
        rendered,
        &address.base,
        &address.authority,
        left,
        &mut bytes,
    );
    let request = client::Request {
        upstream: part.upstream,
        socket: address.socket,
        method: Method::Get,
        bytes: &bytes,
        body_max: upstream.body_max,
        memory: &call.memory,
    };
    let answered = until(worker, call.until, client::exchange(worker, request)).await;
    worker.buffers.give(bytes);
    let now = worker.now.get();
    let took = now.saturating_sub(started);
    let metrics = &worker.metrics.upstreams[part.upstream];
    metrics.duration.record(took);
    let (outcome, result) = judge(answered, call.cut);
    if outcome.is_failure() {
        metrics.failures.add(1);
    }
    if outcome == Outcome::Timeout {
        metrics.timeouts.add(1);
    }
    pending.finish(now, took, outcome);
    result
}

fn pick(worker: &Worker, addresses: &AddressSet) -> Option<usize> {
    match addresses.endpoints.len() {
        0 => None,
        1 => Some(0),
        _ => {
            let draw = worker.draw();
            Some(tailrace_policy::balance::pick(
                &addresses.endpoints,
                worker.now.get(),
                draw,
                None,
            ))
        }
    }
}

/// What the attempt means for statistics, and for the part.
pub fn judge(
    answered: Option<Result<Response, ExchangeError>>,
    cut: bool,
) -> (Outcome, Result<Response, Reason>) {
    match answered {
        None => (
            Outcome::Timeout,
            Err(if cut {
                Reason::Deadline
            } else {
                Reason::Timeout
            }),
        ),
        Some(Err(error)) => (Outcome::Failed, Err(error.into())),
        Some(Ok(response)) => {
            let outcome = match response.status {
                429 | 503 => Outcome::RejectedByPeer,
                500.. => Outcome::Failed,
                400.. => Outcome::ClientError,
                _ => Outcome::Ok,
            };
            (outcome, Ok(response))
        }
    }
}

/// Decides success by status, then validates and projects the body in one pass.
pub fn accept(worker: &Worker, part: &Part, response: &Response, memory: &Cell<u64>) -> Landed {
    match response.status {
        204 => return Ok(None),
        200..=299 if response.json => {}
        200..=299 => return Err(Reason::ContentType),
        300..=399 => return Err(Reason::Redirect),
        404 => return Err(Reason::NotFound),
        410 => return Err(Reason::Gone),
        400..=499 => return Err(Reason::ClientError),
        _ => return Err(Reason::ServerError),
    }
    // The projection takes the body's place in the request's memory; defaults can make it longer.
    let mut projected = worker.buffers.take();
    let body = response.body.bytes();
    let left = memory.get().saturating_add(body.len() as u64);
    memory.set(left);
    let bytes_max = usize::try_from(left).unwrap_or(usize::MAX);
    let shapes = &worker.program.shapes;
    let checked = shapes.project_within(part.shape, body, &mut projected, bytes_max);
    let reason = match checked {
        Ok(()) if projected.len() <= bytes_max => {
            memory.set(left - projected.len() as u64);
            return Ok(Some(projected));
        }
        Ok(()) => Reason::Memory,
        Err(mismatch) if mismatch.code == MismatchCode::ProjectionTooLong => Reason::Memory,
        Err(_) => Reason::ModelMismatch,
    };
    worker.buffers.give(projected);
    Err(reason)
}

/// Writes the request: what we say ourselves, then the call's own header lines.
pub fn push_request(
    rendered: &Rendered,
    base: &str,
    authority: &str,
    left: Nanos,
    out: &mut Vec<u8>,
) {
    let (target, lines) = rendered.bytes.split_at(rendered.target);
    for bytes in [
        b"GET ",
        base.as_bytes(),
        target,
        b" HTTP/1.1\r\nhost: ",
        authority.as_bytes(),
        b"\r\naccept: application/json\r\nuser-agent: tailrace\r\nx-envoy-expected-rq-timeout-ms: ",
        itoa::Buffer::new()
            .format(millis_floor(left).max(1))
            .as_bytes(),
        b"\r\n",
        lines,
        b"\r\n",
    ] {
        out.extend_from_slice(bytes);
    }
}

/// Polls `future` until `at`; the owner of the request's timer polls again at that time.
pub async fn until<F: Future>(worker: &Worker, at: Nanos, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if worker.now.get() >= at => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

impl From<BulkheadFull> for Reason {
    fn from(refused: BulkheadFull) -> Self {
        match refused {
            BulkheadFull::QueueFull => Self::BulkheadFull,
            BulkheadFull::WontFit => Self::QueueDeadline,
            BulkheadFull::Shed => Self::QueueDelay,
        }
    }
}

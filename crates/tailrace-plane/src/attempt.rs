//! One wire attempt of a call: address, exchange, status, model.
//!
//! What an attempt means is decided here once: for the address's load, for the percentiles that
//! hedges and retries read, and for the part.

mod begun;
mod request;

use crate::call::{Call, Landed};
use crate::client::{self, Answered, ExchangeError, Response};
use crate::lane::LARGE_BYTES;
use crate::program::Part;
use crate::reason::Reason;
use crate::receipt::{Kind, Noted};
use crate::splice::{self, MismatchCode};
use crate::upstream::AddressSet;
use crate::worker::Worker;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use tailrace_policy::balance;
use tailrace_policy::breaker::Guard;
use tailrace_policy::outcome::Outcome;
use tailrace_policy::retry::Failure;
use tailrace_policy::Nanos;

pub use begun::Begun;
pub use request::{common_lines, push_request};

/// An attempt that ended by itself.
#[derive(Debug)]
pub struct Attempted {
    pub landed: Landed,
    /// What a retry needs to know when `landed` is an error.
    pub failure: Failure,
    pub retry_after: Option<Nanos>,
    /// Index of the address tried.
    pub picked: Option<usize>,
}

impl Attempted {
    /// Nothing was sent: there is no address, or none that may be tried.
    pub fn nowhere(reason: Reason) -> Self {
        Self {
            landed: Err(reason),
            failure: Failure::NotSent,
            retry_after: None,
            picked: None,
        }
    }
}

/// The address to try, and its breaker's leave to do so. Dropped without an attempt, it gives the
/// leave back.
#[derive(Debug)]
pub struct Chosen {
    /// The set that `index` counts in: names may resolve anew meanwhile.
    pub addresses: Rc<AddressSet>,
    pub index: usize,
    pub guard: Option<Guard>,
}

/// One wire attempt, bounded by its own time and by the call's. One that runs out of time is
/// dropped, which closes its connection. It counts as begun at once, not at its first poll.
// Not an `async fn`, whose state would hold `chosen` twice.
pub fn attempt<'a>(
    call: &'a Call,
    part: &'a Part,
    chosen: Chosen,
    kind: Kind,
) -> impl Future<Output = Attempted> + 'a {
    let worker = &*call.worker;
    let picked = chosen.index;
    let begun = Begun::new(worker, part, chosen, &call.tally, kind);
    async move {
        let upstream = &worker.program.upstreams[part.upstream];
        let until = upstream.policies.attempt_until(begun.started, call.until);
        let request = begun.request(&call.rendered, until, upstream.body_max, &call.memory);
        call.line_up().await;
        let answered = {
            let exchange = pin!(client::exchange(worker, request));
            call.before(until, exchange).await
        };
        let noted = begun.noted;
        let result = begun.ended(answered, call.cut && until == call.until);
        let status = result.as_ref().map_or(0, |response| response.status);
        let large = |response: &Response| response.body.range.len() >= LARGE_BYTES;
        let attempted = if result.as_ref().is_ok_and(large) && !has_turn(call, noted).await {
            conclude(call, picked, Err(out_of_time(call.cut)))
        } else {
            conclude(call, picked, result)
        };
        let failed = attempted.landed.as_ref().err().copied();
        noted.ended(status, failed, worker.now.get());
        attempted
    }
}

/// Waits for a turn in the lane of large bodies; false when the call's end comes first.
async fn has_turn(call: &Call, noted: Noted<'_>) -> bool {
    let turn = pin!(call.worker.lane.turn());
    noted.lane(true);
    let had = call.before(call.until, turn).await;
    noted.lane(false);
    had.is_some()
}

fn out_of_time(cut: bool) -> Reason {
    if cut {
        Reason::Deadline
    } else {
        Reason::Timeout
    }
}

/// Success is decided before the body is trusted; then the model decides (DESIGN 4).
fn conclude(call: &Call, picked: usize, result: Result<Response, Reason>) -> Attempted {
    let worker = &*call.worker;
    let picked = Some(picked);
    match result {
        Err(reason) => Attempted {
            landed: Err(reason),
            failure: failure_of(reason, 0),
            retry_after: None,
            picked,
        },
        Ok(response) => {
            call.tally.answered.set(response.status);
            let landed = accept(call, &response);
            let failure = landed.as_ref().err().map_or(Failure::Invalid, |reason| {
                failure_of(*reason, response.status)
            });
            worker.buffers.give(response.body.buffer);
            Attempted {
                landed,
                failure,
                retry_after: response.retry_after,
                picked,
            }
        }
    }
}

fn failure_of(reason: Reason, status: u16) -> Failure {
    match reason {
        Reason::Connect => Failure::NotSent,
        Reason::Reset => Failure::Reset,
        Reason::Timeout | Reason::Deadline => Failure::Timeout,
        Reason::NotFound
        | Reason::Gone
        | Reason::ClientError
        | Reason::ServerError
        | Reason::Redirect => Failure::Status(status),
        _ => Failure::Invalid,
    }
}

/// The address to try; another than `avoid` when there is one. An ejected address is left out,
/// unless so many are that ejecting them would only move the load (panic).
pub fn choose(
    worker: &Worker,
    addresses: &Rc<AddressSet>,
    avoid: Option<usize>,
) -> Result<Chosen, Reason> {
    match addresses.endpoints.len() {
        0 => return Err(Reason::Connect),
        // The only address is never ejected: that would be a breaker for the whole upstream.
        1 => return Ok(only(addresses)),
        _ => {}
    }
    let first = pick(worker, addresses, avoid);
    admit(worker, addresses, first)
        // Another worker took the probe in between: its address is no longer offered.
        .or_else(|| {
            admit(
                worker,
                addresses,
                pick(worker, addresses, Some(first.index)),
            )
        })
        .ok_or(Reason::BreakerOpen)
}

fn only(addresses: &Rc<AddressSet>) -> Chosen {
    Chosen {
        addresses: Rc::clone(addresses),
        index: 0,
        guard: None,
    }
}

/// Whether `choose` would find an address now. Asks no breaker for its leave.
pub fn may_choose(worker: &Worker, addresses: &AddressSet, avoid: Option<usize>) -> bool {
    if addresses.endpoints.is_empty() {
        return false;
    }
    let picked = pick(worker, addresses, avoid);
    let breaker = addresses.breakers.get(picked.index);
    picked.panic || breaker.is_none_or(|breaker| breaker.available(worker.now.get()))
}

/// `addresses` is not empty.
fn pick(worker: &Worker, addresses: &AddressSet, avoid: Option<usize>) -> balance::Picked {
    let (endpoints, now) = (&addresses.endpoints, worker.now.get());
    let draw = match endpoints.len() {
        1 => 0,
        _ => worker.draw(),
    };
    balance::pick_available(endpoints, &addresses.breakers, now, draw, avoid)
}

fn admit(worker: &Worker, addresses: &Rc<AddressSet>, picked: balance::Picked) -> Option<Chosen> {
    let now = worker.now.get();
    let guard = match addresses.breakers.get(picked.index) {
        None => None,
        Some(breaker) if picked.panic => Some(breaker.admit_anyway(now)),
        Some(breaker) => Some(breaker.admit(now).ok()?),
    };
    Some(Chosen {
        addresses: Rc::clone(addresses),
        index: picked.index,
        guard,
    })
}

/// What the attempt means for statistics, and for the part.
pub fn judge<A: Answered>(
    answered: Option<Result<A, ExchangeError>>,
    cut: bool,
) -> (Outcome, Result<A, Reason>) {
    match answered {
        None => (Outcome::Timeout, Err(out_of_time(cut))),
        // Our memory, not the upstream's fault: nothing is learnt from it.
        Some(Err(error @ ExchangeError::Memory(_))) => (Outcome::Cancelled, Err(error.into())),
        Some(Err(error)) => (Outcome::Failed, Err(error.into())),
        Some(Ok(response)) => {
            let outcome = match response.status() {
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
pub fn accept(call: &Call, response: &Response) -> Landed {
    match Reason::of_status(response.status) {
        Some(reason) => return Err(reason),
        None if response.status == 204 => return Ok(None),
        None if response.json => {}
        None => return Err(Reason::ContentType),
    }
    // The projection takes the body's place in the request's memory; defaults can make it longer.
    let (worker, memory) = (&*call.worker, &*call.memory);
    let mut projected = worker.buffers.take();
    let body = response.body.bytes();
    let bytes_max = memory.left().saturating_add(body.len() as u64);
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let part = call.part();
    let shape = part.unwrap.as_ref().map_or(part.shape, |(shape, _)| *shape);
    let checked = call
        .shapes()
        .project_within(shape, body, &mut projected, bytes_max);
    if checked.is_ok() {
        if let Some((_, field)) = &part.unwrap {
            unwrap(field, &mut projected);
        }
    }
    let reason = match checked {
        Ok(()) => match response.body.taken.land(projected.len() as u64) {
            Ok(()) => return Ok(Some(projected)),
            Err(short) => short.into(),
        },
        Err(mismatch) if mismatch.code == MismatchCode::ProjectionTooLong => Reason::Memory,
        Err(_) => Reason::ModelMismatch,
    };
    worker.buffers.give(projected);
    Err(reason)
}

/// Keeps only the value at `field`; null when it is not there, which its shape has allowed.
fn unwrap(field: &[String], json: &mut Vec<u8>) {
    match splice::span(json, field) {
        Some(span) => {
            json.truncate(span.end);
            json.drain(..span.start);
        }
        None => {
            json.clear();
            json.extend_from_slice(b"null");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, ExchangeError, Outcome, Reason, Response};
    use crate::receipt::Short;

    // A service without room must not take its upstreams for broken, all of them at once.
    #[test]
    fn what_does_not_fit_into_our_memory_is_not_held_against_the_upstream() {
        for (short, reason) in [
            (Short::Request, Reason::Memory),
            (Short::Process, Reason::MemoryFull),
        ] {
            let answered = Some(Err(ExchangeError::Memory(short)));
            let (outcome, result) = judge::<Response>(answered, false);
            assert!(!outcome.is_failure());
            assert_eq!((outcome, result.err()), (Outcome::Cancelled, Some(reason)));
        }
    }
}

//! The bridge as Python sees it: what waits for the event loop, and what it sends back.
//!
//! Beside when computed fields are made ([`compute`]) nothing is decided here. Everything is copied
//! between Python's objects and the plane's: no Python object ever leaves the thread that made it,
//! so none can be dropped on a worker. What the loop sends is kept until `flush`, so that calls of
//! one turn of the loop can cross together.

mod compute;
mod convert;

use crate::PlaneError;
use compute::{count, listed, Compute};
use convert::calls;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tailrace_plane::bridge::{self, Asked, End, Group, Letter, Post, Ticket, Wish};
use tailrace_plane::{manual, Reason};

/// The end of the bridge that Python holds.
#[pyclass(frozen, module = "tailrace._plane")]
#[derive(Debug)]
pub struct Bridge {
    inner: Arc<bridge::Bridge>,
    /// What was sent since the last flush.
    outgoing: Mutex<Vec<(Ticket, Post)>>,
}

impl Bridge {
    pub fn new(inner: &Arc<bridge::Bridge>) -> Self {
        Self {
            inner: Arc::clone(inner),
            outgoing: Mutex::default(),
        }
    }

    fn send(&self, ticket: u64, post: Post) {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        outgoing.push((Ticket(ticket), post));
    }

    /// Posts what begins a conversation; false when it may not begin.
    fn begin(&self, ticket: u64, post: Option<Post>) -> bool {
        let admitted = post.is_some();
        if let Some(post) = post {
            self.send(ticket, post);
        }
        admitted
    }

    fn end(&self, ticket: u64, view: usize, end: End) {
        let (ticket, post) = self.inner.ended(Ticket(ticket), view, end);
        self.send(ticket.0, post);
    }
}

/// A descriptor of the loop that calls, for the time of the call.
#[expect(unsafe_code, reason = "Python has descriptors as numbers only")]
fn borrowed(number: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: the loop holds it open until its last turn is over; one that is closed all the same
    // is an error of the wait, which ends it.
    unsafe { BorrowedFd::borrow_raw(*number) }
}

/// A stream as Python asks for it.
type Wanted = (usize, Vec<Option<Vec<u8>>>, f64, u64, Caller);

/// Whom calls are made for: request id, `traceparent` and `tracestate`; empty where unknown.
type Caller = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Saturated far from what a sum with it could not hold.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn told(seconds: f64, (request_id, parent, state): Caller) -> Asked {
    let within = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Asked {
        within: nanos(within),
        request_id,
        trace: [parent, state],
    }
}

#[pymethods]
impl Bridge {
    /// The descriptor that becomes readable when something waits.
    #[getter]
    fn descriptor(&self) -> i32 {
        self.inner.descriptor()
    }

    /// Worker threads.
    #[getter]
    fn workers(&self) -> usize {
        self.inner.workers()
    }

    /// Registers a call, declared as the only part of a blueprint; returns its number.
    fn register(&self, py: Python<'_>, blueprint: &[u8]) -> PyResult<usize> {
        let register = || {
            let declared = tailrace_blueprint::Blueprint::from_json(blueprint);
            let declared = declared.map_err(crate::listed)?;
            self.inner.register(&declared)
        };
        let registered = py.detach(register);
        registered.map_err(|message| PlaneError::new_err((message, 2)))
    }

    /// Everything that waits: (0, ticket, view, values, request id, seconds left), (1, token,
    /// answers), (2, ticket); of a stream (3, token, (status, content type, length)), (4, token,
    /// bytes), (5, token, failure). Computed fields are made by `compute`, here and now. For the
    /// thread of the event loop only.
    #[pyo3(signature = (compute = None))]
    fn take<'py>(
        &self,
        py: Python<'py>,
        compute: Compute<'_, 'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let taken = py.detach(|| self.inner.take());
        self.inner.locked(&taken);
        listed(py, self.sort(py, taken, compute))
    }

    /// One turn of a loop that waits in the plane: hands over what was sent, waits at most
    /// `seconds` (negative: without an end) until something is there or `other` can be read, and
    /// takes everything, as `take` gives it; true when `other` can be read. When only computed
    /// fields have come, whose code has asked nothing of the loop, it waits on for the rest of its
    /// time.
    #[pyo3(signature = (seconds, other, compute = None, asked = None))]
    fn turn<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        other: RawFd,
        compute: Compute<'_, 'py>,
        asked: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<(Bound<'py, PyList>, bool)> {
        let most = Duration::try_from_secs_f64(seconds).ok();
        let end = most.map(|most| manual::read().saturating_add(nanos(most)));
        let before = asked.map(count).transpose()?;
        let other = borrowed(&other);
        self.flush();
        loop {
            let most = end.map(|end| Duration::from_nanos(end.saturating_sub(manual::read())));
            let (taken, ready) = py.detach(|| self.inner.turn(most, other));
            self.inner.locked(&taken);
            let over = taken.events.is_empty();
            let others = self.sort(py, taken, compute);
            let after = asked.map(count).transpose()?;
            let due = end.is_some_and(|end| manual::read() >= end);
            let asked_more = after.is_none() || after != before;
            if over || ready || due || asked_more || !others.is_empty() {
                return Ok((listed(py, others)?, ready));
            }
        }
    }

    /// Calls of a conversation: (template, strong, values) each.
    fn calls(&self, ticket: u64, token: u64, calls_: &Bound<'_, PyList>) -> PyResult<()> {
        let calls = calls(&self.inner, calls_)?;
        let group = Group { token, calls };
        self.send(ticket, Post::Letter(Letter::Calls(group)));
        Ok(())
    }

    /// Calls without a conversation, to be over within `seconds`; false when there are too many.
    fn alone(
        &self,
        ticket: u64,
        token: u64,
        calls_: &Bound<'_, PyList>,
        seconds: f64,
        caller: Caller,
    ) -> PyResult<bool> {
        let calls = calls(&self.inner, calls_)?;
        let post = self
            .inner
            .alone(Group { token, calls }, told(seconds, caller));
        Ok(self.begin(ticket, post))
    }

    /// A call whose body comes in pieces: (template, values, seconds, most bytes or 0 for what the
    /// upstream declares, whom it is for); false when there are too many conversations.
    fn stream(&self, ticket: u64, token: u64, asked: Wanted) -> PyResult<bool> {
        let (template, values, seconds, most, caller) = asked;
        let post = self.inner.stream(Wish {
            token,
            template: convert::template(&self.inner, template)?,
            values,
            asked: told(seconds, caller),
            body_max: (most > 0).then_some(most),
        });
        Ok(self.begin(ticket, post))
    }

    /// A stream may send so many bytes more.
    fn grant(&self, ticket: u64, amount: u64) {
        self.send(ticket, Post::Letter(Letter::Grant(amount)));
    }

    /// Nobody waits for this group any more.
    fn withdraw(&self, ticket: u64, token: u64) {
        self.send(ticket, Post::Letter(Letter::Withdraw(token)));
    }

    /// The handler returned `body`; `degraded` are (name, reason) of weak calls that failed.
    fn reply(
        &self,
        ticket: u64,
        view: usize,
        body: &Bound<'_, PyBytes>,
        degraded: Vec<(String, String)>,
    ) {
        let known = |(name, code): (String, String)| Some((name, Reason::of_code(&code)?));
        let degraded = degraded.into_iter().filter_map(known).collect();
        let body = body.as_bytes().to_vec();
        self.end(ticket, view, End::Reply { body, degraded });
    }

    /// A failed call of `upstream` ended the handler.
    fn fail(&self, ticket: u64, view: usize, upstream: String, reason: &str) {
        let end =
            Reason::of_code(reason).map_or(End::Crashed, |reason| End::Failed { upstream, reason });
        self.end(ticket, view, end);
    }

    /// The handler ended with an exception of its own.
    fn crash(&self, ticket: u64, view: usize) {
        self.end(ticket, view, End::Crashed);
    }

    /// The handler was cancelled.
    fn cancelled(&self, ticket: u64, view: usize) {
        self.end(ticket, view, End::Cancelled);
    }

    /// Hands over everything sent since the last time.
    fn flush(&self) {
        let outgoing = {
            let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *outgoing)
        };
        self.inner.post(outgoing);
    }

    /// Seconds that the oldest of what waits has waited, and the number of batches taken so far.
    fn waiting(&self) -> (f64, u64) {
        let (waited, taken) = self.inner.waiting();
        (waited as f64 / 1e9, taken)
    }

    /// Waits at most `seconds` until something has waited for `after` seconds, outside the
    /// interpreter; true when it has.
    fn late(&self, py: Python<'_>, after: f64, seconds: f64) -> bool {
        let after = Duration::from_secs_f64(after.clamp(0.0, 3600.0));
        let seconds = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
        py.detach(|| self.inner.late(after, seconds))
    }

    /// The handler of `view` was seen to hold the event loop.
    fn stalled(&self, view: usize) {
        self.inner.stalled(view);
    }

    /// Python's garbage collector has run for so long. The caller holds the interpreter lock, so
    /// there is one at a time.
    fn collected(&self, generation: usize, nanoseconds: u64) {
        self.inner.collected(generation, nanoseconds);
    }

    /// The handler of `view` was seen to run on after it was cancelled.
    fn overdue(&self, view: usize) {
        self.inner.overdue(view);
    }
}

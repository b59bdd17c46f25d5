//! The life of one governed call. This is the only place where policies are ordered.
//!
//! ```text
//! deadline -> cache -> throttle -> rate -> bulkhead
//!          -> attempt (address, breaker -> exchange -> status -> model)
//!          -> hedge -> retry
//! ```
//!
//! Each step can refuse; the cheapest refusals come first, and what a step took (a place in the
//! bulkhead, a connection, a pending count) is a value whose drop gives it back. So a call that is
//! dropped, because it timed out, a sibling failed or the client left, needs no clean-up code.

use crate::attempt::{attempt, choose, Attempted};
use crate::bridge::Template;
use crate::cache::{self, Keep};
use crate::clock::MILLI;
use crate::extra;
use crate::json::Json;
use crate::naive;
use crate::program::{Part, Program};
use crate::reason::Reason;
use crate::receipt::{Held, Kind, Tally};
use crate::source::Source;
use crate::splice::Shapes;
use crate::template::Rendered;
use crate::worker::Worker;
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tailrace_policy::bulkhead::{BulkheadFull, Permit};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::purse::Purse;
use tailrace_policy::Nanos;

/// In `Call::wake`: the owner polls again when it has polled the calls beside this one.
pub const AT_ONCE: Nanos = 0;

/// A call below this is not worth sending (ALGORITHMS 3).
const BUDGET_MIN: Nanos = MILLI;

/// A call's state is no larger: beyond it the allocator takes its slow path, for each call.
const STATE_MAX_BYTES: usize = 1024;

/// What a call is made from: a part of a view, or a template that Python code registered.
#[derive(Debug, Clone)]
pub enum Made {
    /// `other`: it is the part's `otherwise`.
    Part {
        view: usize,
        part: usize,
        other: bool,
    },
    Template(Arc<Template>),
}

impl Made {
    pub fn part<'a>(&'a self, program: &'a Program) -> &'a Part {
        match self {
            Self::Template(template) => &template.part,
            Self::Part { view, part, other } => program.views[*view].parts[*part].called(*other),
        }
    }

    /// How long its answers are kept, if they are.
    pub fn keep(&self, program: &Program) -> Option<Keep> {
        match self {
            Self::Template(template) => template.keep(program),
            Self::Part { .. } => self.part(program).cache,
        }
    }
}

/// Everything one call needs; it owns its data, so it can outlive a borrow of the request.
#[derive(Debug)]
pub struct Call {
    pub worker: Rc<Worker>,
    pub made: Made,
    pub rendered: Rendered,
    /// What the request may still hold of bodies.
    pub memory: Rc<Held>,
    /// When this call must be over. Its owner polls it again at that time.
    pub until: Nanos,
    /// True when the request's deadline set `until`, not the part's own timeout.
    pub cut: bool,
    /// When the owner must poll again, and what happened so far. The owner sets `tally.wake` to
    /// `until` before each poll.
    pub tally: Rc<Tally>,
    /// Set by the owner when it starts other calls in the same turn.
    pub together: Cell<bool>,
    /// Extra attempts of the whole request, shared by its calls.
    pub purse: Rc<Purse>,
}

/// A part's projected JSON, or `None` for an empty (204) answer.
pub type Landed = Result<Option<Vec<u8>>, Reason>;
pub type Running = Pin<Box<dyn Future<Output = Answer>>>;

/// What became of a call, and where the value is from.
#[derive(Debug)]
pub struct Answer {
    pub landed: Result<Option<Json>, Reason>,
    pub source: Source,
    /// How old it is, when it is from the cache.
    pub age_s: u32,
    /// Why a stale value stands in.
    pub failed: Option<Reason>,
}

impl From<Landed> for Answer {
    fn from(landed: Landed) -> Self {
        Self {
            landed: landed.map(|json| json.map(Json::Own)),
            source: Source::Fresh,
            age_s: 0,
            failed: None,
        }
    }
}

/// Deadline: asked before anything is taken. Returns when the call must be over and whether the
/// request's deadline, rather than the part's timeout, decided that.
pub fn budget(
    timeout: Nanos,
    deadline: Deadline,
    reserve: Nanos,
    now: Nanos,
) -> Result<(Nanos, bool), Reason> {
    let left = deadline
        .child(now, timeout, reserve, BUDGET_MIN)
        .map_err(|_| Reason::Deadline)?;
    Ok((now + left, left < timeout))
}

/// Starts a call; nothing happens before its first poll.
pub fn start(call: Call) -> Running {
    if call.worker.program.naive {
        return Box::pin(naive::call(call));
    }
    // Cache first: a hit takes nothing from upstream, bulkhead or budget, and of all that miss the
    // same at once one goes on (req 16.5).
    if let Some(keep) = call.made.keep(&call.worker.program) {
        return Box::pin(cache::answer(call, keep));
    }
    // Made where it stays: a state made first and moved then would be copied whole, most of it
    // room for what comes later.
    let governed = Box::write(Box::new_uninit(), governed(call));
    debug_assert!(
        cfg!(test) || size_of_val(&*governed) <= STATE_MAX_BYTES,
        "{} bytes of state in every call",
        size_of_val(&*governed)
    );
    Box::into_pin(governed)
}

/// A call as far as it goes on beyond the cache.
// An `async fn` would hold its argument twice, and what a call holds is what its polls must fetch.
#[allow(clippy::manual_async_fn)]
pub fn governed(mut call: Call) -> impl Future<Output = Answer> {
    async move {
        let landed = attempts(&call).await;
        if landed.is_err() {
            let upstream = &call.worker.metrics.upstreams[call.part().upstream];
            upstream.calls_failed.add(1);
        }
        let rendered = std::mem::take(&mut call.rendered);
        call.worker.buffers.give(rendered.bytes);
        call.worker.buffers.give(rendered.body);
        landed.into()
    }
}

/// The policies in their order, around the attempts.
async fn attempts(call: &Call) -> Landed {
    let worker = &*call.worker;
    let part = call.part();
    let upstream = &worker.program.upstreams[part.upstream];
    extra::earn(upstream, worker.now.get());
    let mut permit = admit(worker, part.upstream, call.until, &call.tally).await?;
    let (mut number, mut kind) = (1, Kind::First);
    let mut avoid = None;
    let addresses = worker.pools.addresses(part.upstream, upstream);
    let mut chosen = choose(worker, &addresses, avoid);
    loop {
        // Attempt, with a second one beside it when the first is slower than usual. The clock of
        // the round trip starts at dispatch, not while queueing; nothing sent is no round trip.
        let attempted = match chosen {
            Ok(chosen) => {
                let (sent, picked) = (worker.now.get(), chosen.index);
                let first = pin!(attempt(call, part, chosen, kind));
                let attempted = extra::hedged(call, part, &addresses, picked, first).await;
                permit.settle(worker.now.get().saturating_sub(sent));
                attempted
            }
            Err(reason) => Attempted::nowhere(reason),
        };
        drop(permit);
        if attempted.landed.is_ok() {
            return attempted.landed;
        }
        // Retry: everything that can refuse is asked before the wait, and each refusal is counted
        // (req 9.4). A retry never queues: it takes a free place or is refused.
        avoid = attempted.picked.or(avoid);
        let Some(next) = extra::again(call, part, upstream, number, avoid, &attempted).await else {
            return attempted.landed;
        };
        permit = next.place;
        chosen = Ok(next.chosen);
        (number, kind) = (number + 1, Kind::Retry);
    }
}

/// A place for one call of the upstream, or why it may not be made; the cheapest refusals first.
pub async fn admit(
    worker: &Worker,
    index: usize,
    until: Nanos,
    tally: &Tally,
) -> Result<Permit, Reason> {
    let upstream = &worker.program.upstreams[index];
    worker.metrics.upstreams[index].calls.add(1);

    // Throttle first: an upstream that refuses is not worth a place, nor a wait.
    if let Some(throttle) = &upstream.policies.throttle {
        let admitted = throttle.admit(worker.now.get(), worker.draw());
        admitted.map_err(|_| Reason::Throttled)?;
    }

    // Rate before bulkhead: an attempt that may not be sent must not hold a place meanwhile. After
    // the throttle, for what that refuses was never sent (req 9.1a).
    let spent = upstream.policies.spend(worker.now.get());
    spent.map_err(|_| Reason::UpstreamRate)?;

    // Bulkhead before address: a call that may not run must not disturb the load statistics, and
    // the limit is the upstream's, whatever the number of its addresses (req 4.4).
    enter(worker, index, until, tally).await
}

/// Takes a place in the upstream's bulkhead, waiting in its bounded queue when it is full.
async fn enter(
    worker: &Worker,
    index: usize,
    until: Nanos,
    tally: &Tally,
) -> Result<Permit, Reason> {
    let upstream = &worker.program.upstreams[index];
    if let Some(permit) = upstream.bulkhead.try_acquire() {
        tally.permitted.set(worker.now.get());
        return Ok(permit);
    }
    let queued = worker.now.get();
    let mut waiter = upstream.bulkhead.enqueue(queued, until)?;
    tally.queued.set(queued);
    let entered = poll_fn(|cx| match waiter.poll(worker.now.get(), cx.waker()) {
        Poll::Ready(entered) => Poll::Ready(entered.map_err(Reason::from)),
        Poll::Pending if worker.now.get() >= until => Poll::Ready(Err(Reason::QueueDeadline)),
        Poll::Pending => Poll::Pending,
    })
    .await;
    let now = worker.now.get();
    if entered.is_ok() {
        tally.permitted.set(now);
    }
    worker.metrics.upstreams[index]
        .queue_wait
        .record(now.saturating_sub(queued));
    entered
}

impl Call {
    pub fn part(&self) -> &Part {
        self.made.part(&self.worker.program)
    }

    /// The table that `part().shape` is an index into.
    pub fn shapes(&self) -> &Shapes {
        match &self.made {
            Made::Part { .. } => &self.worker.program.shapes,
            Made::Template(template) => &template.shapes,
        }
    }

    /// Lets the calls that start in the same turn come as far as this one. Then all of them write,
    /// one after another: our code and the kernel's each run while they are in the caches, and a
    /// peer that has been woken finds more than one request.
    pub async fn line_up(&self) {
        let mut waits = self.together.take();
        poll_fn(|_| {
            if std::mem::take(&mut waits) {
                self.tally.wake.set(AT_ONCE);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until `at`, or until the call's own end.
    pub async fn pause(&self, at: Nanos) {
        self.before(at, pin!(std::future::pending::<()>())).await;
    }

    /// The output of `future` if it comes before `at`, or before the call's own end. Waits may
    /// stand inside one another and side by side: each that goes on waiting brings the next poll
    /// forward to its own end, and the owner puts it back to the call's end before every poll.
    // Not an `async fn`, whose state would hold its arguments twice.
    pub fn before<'a, F: Future>(
        &'a self,
        at: Nanos,
        mut future: Pin<&'a mut F>,
    ) -> impl Future<Output = Option<F::Output>> + 'a {
        let at = at.min(self.until);
        poll_fn(move |cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.worker.now.get() >= at => Poll::Ready(None),
            Poll::Pending => {
                let wake = &self.tally.wake;
                wake.set(wake.get().min(at));
                Poll::Pending
            }
        })
    }
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

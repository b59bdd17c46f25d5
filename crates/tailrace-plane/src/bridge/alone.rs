//! A client's calls: governed like any others, with a deadline of their own instead of a request's.

use super::groups::{Bounds, Groups};
use super::message::{Asked, Group, Letter, Ticket};
use super::{Bridge, Mailbox};
use crate::clock::timer::Timer;
use crate::receipt::Receipt;
use crate::trace::{self, Carried};
use crate::worker::Worker;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::Nanos;

/// Retries and hedges that the calls of one submission share.
const EXTRA_ATTEMPTS: u32 = 3;
/// Calls of one submission in flight at the same time.
const FANOUT: usize = 64;

/// One submission, while it runs.
struct Alone {
    worker: Rc<Worker>,
    bridge: Arc<Bridge>,
    ticket: Ticket,
    mailbox: Rc<Mailbox>,
    groups: Groups,
    timer: Timer,
    /// Set when the calls are traced.
    traced: Option<Box<Receipt>>,
}

/// Gives the calls a task of their own; it ends with them.
pub(super) fn start(
    worker: &Rc<Worker>,
    bridge: &Arc<Bridge>,
    ticket: Ticket,
    group: Group,
    asked: &Asked,
) {
    let now = worker.now.get();
    let (id_line, trace) = lines(worker, asked);
    let bounds = Bounds {
        deadline: Deadline::inbound(now, asked.within, None),
        fanout: FANOUT,
        extra_attempts: EXTRA_ATTEMPTS,
        // Nobody is let in here, so there is no pressure to look at.
        weak_left_out: false,
        lines: Vec::new(),
        id_line,
        noted: trace.is_some(),
    };
    let mut alone = Alone {
        worker: Rc::clone(worker),
        bridge: Arc::clone(bridge),
        ticket,
        mailbox: worker.conversations.open_as(ticket),
        groups: Groups::new(worker, bounds),
        timer: Timer::default(),
        traced: trace.map(|trace| receipt(worker, asked, trace, now)),
    };
    alone.groups.add(worker, group);
    tokio::task::spawn_local(async move { poll_fn(|context| alone.poll(context)).await });
}

/// What of a submission's trace is known before its calls.
fn receipt(worker: &Worker, asked: &Asked, trace: trace::Context, now: Nanos) -> Box<Receipt> {
    let mut receipt = Box::<Receipt>::default();
    receipt.begin(0, worker.index, false, now);
    // Its calls are Python code's: their parts are upstreams.
    receipt.handler = true;
    receipt.trace = trace;
    receipt.fanned = now;
    receipt.deadline = now.saturating_add(asked.within);
    receipt.set_id(&asked.request_id);
    receipt
}

/// The header lines of a submission: the request id, the caller's own or a new one when it has none
/// that may stand in a header; and the trace it belongs to.
pub(super) fn lines(worker: &Worker, asked: &Asked) -> (Vec<u8>, Option<trace::Context>) {
    let request_id = &asked.request_id;
    let mut line = b"x-request-id: ".to_vec();
    if crate::request::is_request_id(request_id) {
        line.extend_from_slice(request_id);
    } else {
        worker.push_request_id(&mut line);
    }
    line.extend_from_slice(b"\r\n");
    let names: [&[u8]; 2] = [b"traceparent", b"tracestate"];
    let headers = names.into_iter().zip(asked.trace.iter().map(Vec::as_slice));
    let carried = Carried::read(headers.filter(|(_, value)| !value.is_empty()), &mut line);
    let Some(traces) = &worker.shared.traces else {
        carried.push_line(&mut line);
        return (line, None);
    };
    let context = traces.open(&carried, || worker.draw());
    context.push_line(&mut line);
    (line, Some(context))
}

impl Alone {
    /// All calls are over, or nobody waits for them any more.
    fn finish_trace(&mut self) {
        let (Some(mut receipt), Some(traces)) = (self.traced.take(), &self.worker.shared.traces)
        else {
            return;
        };
        let now = self.worker.now.get();
        self.groups.settle(now, &mut receipt);
        (receipt.done, receipt.ended) = (now, now);
        traces.offer(&receipt, false);
    }

    /// Ready when every group is over or withdrawn.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let worker = Rc::clone(&self.worker);
        worker.tick();
        loop {
            for letter in self.mailbox.take(context.waker()) {
                match letter {
                    Letter::Withdraw(token) => self.groups.withdraw(&worker, token),
                    Letter::Calls(group) => self.groups.add(&worker, group),
                    Letter::Grant(_) | Letter::End(_) | Letter::Computed(_) => {}
                }
            }
            if self.groups.poll(&worker, context) {
                while let Some(landed) = self.groups.next_over() {
                    self.bridge.push(worker.now.get(), landed, None);
                }
            }
            if self.groups.is_empty() {
                return Poll::Ready(());
            }
            // What is not empty has calls in flight, and each has its end.
            let next = self.groups.wake().unwrap_or_else(|| worker.now.get());
            if self.timer.poll_until(next, context).is_pending() {
                return Poll::Pending;
            }
            worker.tick();
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.finish_trace();
        self.groups.end(&self.worker);
        self.worker.conversations.close(self.ticket);
        self.bridge.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

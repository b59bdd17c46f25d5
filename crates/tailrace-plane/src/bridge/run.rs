//! One request in a handler, as the plane sees it.
//!
//! The plane keeps the deadline and the connection; Python gets the parameters and asks for calls.
//! Whatever ends the request first, its answer, its deadline or its client, ends the calls with it
//! by dropping them, and the handler is told (RELIABILITY A04, A09).

use super::groups::{Bounds, Groups, Stale};
use super::message::{End, Event, Letter, Start, Ticket};
use super::waits::Waits;
use super::{Bridge, Full, Mailbox};
use crate::clock::timer::Timer;
use crate::receipt::Receipt;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::Nanos;

/// A request that a handler answers.
#[derive(Debug)]
pub struct Run {
    worker: Rc<Worker>,
    bridge: Arc<Bridge>,
    ticket: Ticket,
    mailbox: Rc<Mailbox>,
    groups: Groups,
    waits: Arc<Waits>,
    cutoff: Nanos,
    /// Python has said that the handler is over.
    ended: bool,
}

impl Run {
    /// Hands the request to Python; refused when the handler is full.
    pub fn begin(
        worker: &Rc<Worker>,
        bridge: &Arc<Bridge>,
        view: usize,
        values: Vec<Option<Vec<u8>>>,
        request_id: &[u8],
        bounds: Bounds,
    ) -> Result<Self, Full> {
        let gate = bridge.gates[view].as_ref().ok_or(Full)?;
        if !gate.enter() {
            return Err(Full);
        }
        let (ticket, mailbox) = worker.conversations.open(worker.index);
        let reserve = crate::clock::limit(worker.program.limits.reserve_ms);
        let cutoff = bounds.deadline.at.saturating_sub(reserve);
        let start = Start {
            ticket,
            view,
            values,
            request_id: request_id.to_vec(),
            cutoff,
        };
        worker.metrics.views[view].entries.add(1);
        let waits = Arc::<Waits>::default();
        bridge.push(worker.now.get(), Event::Start(start), Some(&waits));
        Ok(Self {
            worker: Rc::clone(worker),
            bridge: Arc::clone(bridge),
            ticket,
            mailbox,
            groups: Groups::new(worker, bounds),
            waits,
            cutoff,
            ended: false,
        })
    }

    /// Calls for which a kept answer stood in, up to now.
    pub fn take_stale(&mut self) -> Vec<Stale> {
        self.groups.take_stale()
    }

    /// Drives the handler's calls; ready when it has ended, `None` when its time is over. The timer
    /// is the request's.
    pub fn poll(&mut self, timer: &mut Timer, context: &mut Context<'_>) -> Poll<Option<End>> {
        let worker = Rc::clone(&self.worker);
        loop {
            for letter in self.mailbox.take(context.waker()) {
                match letter {
                    Letter::Calls(group) => self.groups.add(&worker, group),
                    Letter::Withdraw(token) => self.groups.withdraw(&worker, token),
                    Letter::End(end) => {
                        self.ended = true;
                        return Poll::Ready(Some(end));
                    }
                    // A handler has neither streams nor fields.
                    Letter::Grant(_) | Letter::Computed(_) => {}
                }
            }
            let now = worker.now.get();
            if self.groups.poll(&worker, context) {
                for landed in self.groups.take_over() {
                    self.bridge.push(now, landed, Some(&self.waits));
                }
            }
            if now >= self.cutoff {
                return Poll::Ready(None);
            }
            let next = self.groups.wake();
            let next = next.map_or(self.cutoff, |wake| wake.min(self.cutoff));
            if timer.poll_until(next, context).is_pending() {
                return Poll::Pending;
            }
            worker.tick();
        }
    }
}

impl Run {
    /// Ends the calls, and writes what they cost into the receipt.
    pub fn settle(mut self, receipt: &mut Receipt) {
        self.groups.settle(self.worker.now.get(), receipt);
        receipt.python = Some(self.waits.python());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.worker.conversations.close(self.ticket);
        if !self.ended {
            let now = self.worker.now.get();
            self.bridge.push(now, Event::Cancel(self.ticket), None);
        }
    }
}

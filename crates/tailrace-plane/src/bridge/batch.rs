//! The computed fields of one request, as the plane sees them: one crossing for all of them.
//!
//! The parts are there; Python gets their JSON and gives back that of the fields. The plane keeps
//! the deadline: what is late is missing, and the code that is late keeps its place until it has
//! really ended ([`super::gate`], RELIABILITY A09).

use super::message::{Event, Letter, Made, Start, Ticket};
use super::waits::Waits;
use super::{Bridge, Full, Mailbox};
use crate::clock::timer::Timer;
use crate::receipt::Receipt;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::Nanos;

/// A request whose fields are being made.
#[derive(Debug)]
pub struct Batch {
    worker: Rc<Worker>,
    bridge: Arc<Bridge>,
    ticket: Ticket,
    mailbox: Rc<Mailbox>,
    waits: Arc<Waits>,
    /// When Python was asked.
    pub began: Nanos,
    cutoff: Nanos,
    /// Python has answered.
    ended: bool,
}

impl Batch {
    /// Hands the values over; refused when too many requests of the view wait for theirs.
    pub fn begin(
        worker: &Rc<Worker>,
        bridge: &Arc<Bridge>,
        view: usize,
        values: Vec<Option<Vec<u8>>>,
        request_id: &[u8],
        cutoff: Nanos,
    ) -> Result<Self, Full> {
        let gate = bridge.gates[view].as_ref().ok_or(Full)?;
        if !gate.enter() {
            return Err(Full);
        }
        let (ticket, mailbox) = worker.conversations.open(worker.index);
        let start = Start {
            ticket,
            view,
            values,
            request_id: request_id.to_vec(),
            cutoff,
        };
        let began = worker.now.get();
        worker.metrics.views[view].entries.add(1);
        let waits = Arc::<Waits>::default();
        bridge.push(began, Event::Compute(start), Some(&waits));
        Ok(Self {
            worker: Rc::clone(worker),
            bridge: Arc::clone(bridge),
            ticket,
            mailbox,
            waits,
            began,
            cutoff,
            ended: false,
        })
    }

    /// Ready when Python has answered; `None` when the time is over. The timer is the request's.
    pub fn poll(&mut self, timer: &mut Timer, context: &mut Context<'_>) -> Poll<Option<Made>> {
        loop {
            for letter in self.mailbox.take(context.waker()) {
                if let Letter::Computed(made) = letter {
                    self.ended = true;
                    return Poll::Ready(Some(made));
                }
            }
            if self.worker.now.get() >= self.cutoff {
                return Poll::Ready(None);
            }
            if timer.poll_until(self.cutoff, context).is_pending() {
                return Poll::Pending;
            }
            self.worker.tick();
        }
    }

    /// Writes what the fields cost into the receipt.
    pub fn settle(self, now: Nanos, receipt: &mut Receipt) {
        receipt.computed = now;
        receipt.python = Some(self.waits.python());
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.worker.conversations.close(self.ticket);
        if !self.ended {
            let now = self.worker.now.get();
            self.bridge.push(now, Event::Cancel(self.ticket), None);
        }
    }
}

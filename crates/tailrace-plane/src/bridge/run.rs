//! One request in a handler, as the plane sees it.
//!
//! The plane keeps the deadline and the connection; Python gets the parameters and asks for calls.
//! Whatever ends the request first, its answer, its deadline or its client, ends the calls with it
//! by dropping them, and the handler is told (RELIABILITY A04, A09).

use super::groups::{Bounds, Groups, Stale};
use super::message::{End, Event, Letter, Start, Ticket};
use super::waits::Waits;
use super::{Bridge, Mailbox};
use crate::fanout::timer::Timer;
use crate::receipt::{Python, Receipt};
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
    timer: Timer,
    /// Python has said that the handler is over.
    ended: bool,
}

/// Every place of the handler is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandlerFull;

impl Run {
    /// Hands the request to Python; refused when the handler is full.
    pub fn begin(
        worker: &Rc<Worker>,
        bridge: &Arc<Bridge>,
        view: usize,
        values: Vec<Option<Vec<u8>>>,
        request_id: &[u8],
        bounds: Bounds,
    ) -> Result<Self, HandlerFull> {
        let gate = bridge.gates[view].as_ref().ok_or(HandlerFull)?;
        if !gate.enter() {
            return Err(HandlerFull);
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
            timer: Timer::default(),
            ended: false,
        })
    }

    /// Calls for which a kept answer stood in, up to now.
    pub fn take_stale(&mut self) -> Vec<Stale> {
        self.groups.take_stale()
    }

    /// Drives the handler's calls; ready when it has ended, `None` when its time is over.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        let worker = Rc::clone(&self.worker);
        loop {
            for letter in self.mailbox.take(context.waker()) {
                match letter {
                    Letter::Calls(group) => self.groups.add(&worker, group),
                    Letter::Withdraw(token) => self.groups.withdraw(&worker, token),
                    Letter::Grant(_) => {}
                    Letter::End(end) => {
                        self.ended = true;
                        return Poll::Ready(Some(end));
                    }
                }
            }
            let now = worker.now.get();
            if self.groups.poll(&worker, context) {
                for (token, answers) in self.groups.take_over() {
                    let landed = Event::Landed { token, answers };
                    self.bridge.push(now, landed, Some(&self.waits));
                }
            }
            if now >= self.cutoff {
                return Poll::Ready(None);
            }
            let next = self.groups.wake();
            let next = next.map_or(self.cutoff, |wake| wake.min(self.cutoff));
            if self.timer.poll_until(next, context).is_pending() {
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
        receipt.python = Some(Python {
            loop_wait: self.waits.turn(),
            lock_wait: self.waits.lock(),
        });
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

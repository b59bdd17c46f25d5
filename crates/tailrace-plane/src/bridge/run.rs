//! One request in a handler, as the plane sees it.
//!
//! The plane keeps the deadline and the connection; Python gets the parameters and asks for calls.
//! Whatever ends the request first, its answer, its deadline or its client, ends the calls with it
//! by dropping them, and the handler is told (RELIABILITY A04, A09).

use super::conversation::Conversation;
use super::groups::{Bounds, Groups, Stale};
use super::message::{End, Event, Letter};
use super::{Bridge, Full};
use crate::clock::timer::Timer;
use crate::profile::survey::{Request, Wait, Waiting};
use crate::receipt::Receipt;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request that a handler answers.
#[derive(Debug)]
pub struct Run {
    conversation: Conversation,
    groups: Groups,
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
        let reserve = crate::clock::limit(worker.program.limits.reserve_ms);
        let cutoff = bounds.deadline.at.saturating_sub(reserve);
        Ok(Self {
            conversation: Conversation::begin(
                worker,
                bridge,
                view,
                values,
                request_id,
                cutoff,
                Event::Start,
            )?,
            groups: Groups::new(worker, bounds),
        })
    }

    /// Writes down what its calls wait for; without any it is Python's turn.
    pub fn note_waits(&self, into: &mut Request) {
        self.groups.note_waits(into);
        if into.waits.is_empty() {
            into.push(Waiting {
                until: self.conversation.cutoff,
                ..Waiting::of(Wait::Handler, None, 0)
            });
        }
    }

    /// Calls for which a kept answer stood in, up to now.
    pub fn take_stale(&mut self) -> Vec<Stale> {
        self.groups.take_stale()
    }

    /// Drives the handler's calls; ready when it has ended, `None` when its time is over. The timer
    /// is the request's.
    pub fn poll(&mut self, timer: &mut Timer, context: &mut Context<'_>) -> Poll<Option<End>> {
        let worker = Rc::clone(&self.conversation.worker);
        loop {
            for letter in self.conversation.mailbox.take(context.waker()) {
                match letter {
                    Letter::Calls(group) => self.groups.add(&worker, group),
                    Letter::Withdraw(token) => self.groups.withdraw(&worker, token),
                    Letter::End(end) => {
                        self.conversation.ended = true;
                        return Poll::Ready(Some(end));
                    }
                    // A handler has neither streams nor fields.
                    Letter::Grant(_) | Letter::Computed(_) => {}
                }
            }
            let now = worker.now.get();
            if self.groups.poll(&worker, context) {
                while let Some(landed) = self.groups.next_over() {
                    self.conversation
                        .bridge
                        .push(now, landed, Some(&self.conversation.waits));
                }
            }
            if now >= self.conversation.cutoff {
                return Poll::Ready(None);
            }
            let next = self.groups.wake();
            let next = next.map_or(self.conversation.cutoff, |wake| {
                wake.min(self.conversation.cutoff)
            });
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
        self.groups
            .settle(self.conversation.worker.now.get(), receipt);
        self.groups.end(&self.conversation.worker);
        receipt.python = Some(self.conversation.waits.python());
    }
}

//! The computed fields of one request, as the plane sees them: one crossing for all of them.
//!
//! The parts are there; Python gets their JSON and gives back that of the fields. The plane keeps
//! the deadline: what is late is missing, and the code that is late keeps its place until it has
//! really ended ([`super::gate`], RELIABILITY A09).

use super::conversation::Conversation;
use super::message::{Event, Letter, Made};
use super::{Bridge, Full};
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
    conversation: Conversation,
    /// When Python was asked.
    pub began: Nanos,
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
        let conversation = Conversation::begin(
            worker,
            bridge,
            view,
            values,
            request_id,
            cutoff,
            Event::Compute,
        )?;
        Ok(Self {
            conversation,
            began: worker.now.get(),
        })
    }

    /// When it is given up.
    pub fn cutoff(&self) -> Nanos {
        self.conversation.cutoff
    }

    /// Ready when Python has answered; `None` when the time is over. The timer is the request's.
    pub fn poll(&mut self, timer: &mut Timer, context: &mut Context<'_>) -> Poll<Option<Made>> {
        let conversation = &mut self.conversation;
        loop {
            for letter in conversation.mailbox.take(context.waker()) {
                if let Letter::Computed(made) = letter {
                    conversation.ended = true;
                    return Poll::Ready(Some(made));
                }
            }
            if conversation.worker.now.get() >= conversation.cutoff {
                return Poll::Ready(None);
            }
            if timer.poll_until(conversation.cutoff, context).is_pending() {
                return Poll::Pending;
            }
            conversation.worker.tick();
        }
    }

    /// Writes what the fields cost into the receipt.
    pub fn settle(self, now: Nanos, receipt: &mut Receipt) {
        receipt.computed = now;
        receipt.python = Some(self.conversation.waits.python());
    }
}

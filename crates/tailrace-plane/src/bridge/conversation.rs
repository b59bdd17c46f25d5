//! A request's conversation with Python: begun within the view's limit, and ended exactly once.
//!
//! A handler ([`super::run`]) and computed fields ([`super::batch`]) both hand a request over, wait
//! for letters and keep the deadline. Whatever ends first, dropping this closes the mailbox and
//! tells Python, unless Python has ended it (RELIABILITY A04, A09).

use super::message::{Event, Start, Ticket};
use super::waits::Waits;
use super::{Bridge, Full, Mailbox};
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;
use tailrace_policy::Nanos;

#[derive(Debug)]
pub struct Conversation {
    pub worker: Rc<Worker>,
    pub bridge: Arc<Bridge>,
    ticket: Ticket,
    pub mailbox: Rc<Mailbox>,
    pub waits: Arc<Waits>,
    /// When it is given up.
    pub cutoff: Nanos,
    /// Python has said that it is over.
    pub ended: bool,
}

impl Conversation {
    /// Hands the request to Python as `event`; refused when too many of the view are there.
    pub fn begin(
        worker: &Rc<Worker>,
        bridge: &Arc<Bridge>,
        view: usize,
        values: Vec<Option<Vec<u8>>>,
        request_id: &[u8],
        cutoff: Nanos,
        event: fn(Start) -> Event,
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
        worker.metrics.views[view].entries.add(1);
        let waits = Arc::<Waits>::default();
        bridge.push(worker.now.get(), event(start), Some(&waits));
        Ok(Self {
            worker: Rc::clone(worker),
            bridge: Arc::clone(bridge),
            ticket,
            mailbox,
            waits,
            cutoff,
            ended: false,
        })
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.worker.conversations.close(self.ticket);
        if !self.ended {
            let now = self.worker.now.get();
            self.bridge.push(now, Event::Cancel(self.ticket), None);
        }
    }
}

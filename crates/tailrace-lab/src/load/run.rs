//! The state of one load run, shared by the schedule, the connections and the reports. A due request
//! takes the connection that has been idle longest and is written there and then; without an idle
//! one it waits in a bounded queue, and that wait is part of its latency.

use super::tally::{Lost, Tally};
use super::target::Target;
use crate::clock;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// A request that is due or under way.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) intended: Instant,
    pub(crate) id: u64,
    /// False during the warm-up: not part of the summary.
    pub(crate) measured: bool,
}

/// One connection's place. The writer is absent while it is being (re)connected.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) writer: RefCell<Option<OwnedWriteHalf>>,
    pub(crate) outstanding: Cell<Option<Due>>,
}

pub(crate) struct Run {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) slots: Vec<Slot>,
    idle: RefCell<VecDeque<usize>>,
    queue: RefCell<VecDeque<Due>>,
    queue_max: usize,
    scratch: RefCell<Vec<u8>>,
    pub(crate) interval: RefCell<Tally>,
    pub(crate) total: RefCell<Tally>,
    pub(crate) pending: Cell<u64>,
    pub(crate) settled: Notify,
    pub(crate) connect_errors: Cell<u64>,
    /// Bodies still to be shown, and where they go.
    pub(crate) fetch_left: Cell<u64>,
    pub(crate) fetched: RefCell<Vec<serde_json::Value>>,
}

impl Run {
    pub(crate) fn new(
        target: Target,
        connections: usize,
        timeout: Duration,
        queue_max: usize,
        fetch: u64,
    ) -> Result<Rc<Self>, String> {
        Ok(Rc::new(Self {
            target,
            timeout,
            slots: (0..connections).map(|_| Slot::default()).collect(),
            idle: RefCell::default(),
            queue: RefCell::default(),
            queue_max,
            scratch: RefCell::default(),
            interval: RefCell::new(Tally::new()?),
            total: RefCell::new(Tally::new()?),
            pending: Cell::new(0),
            settled: Notify::new(),
            connect_errors: Cell::new(0),
            fetch_left: Cell::new(fetch),
            fetched: RefCell::default(),
        }))
    }

    fn count(&self, measured: bool, count: impl Fn(&mut Tally)) {
        count(&mut self.interval.borrow_mut());
        if measured {
            count(&mut self.total.borrow_mut());
        }
    }

    /// A request's moment has come.
    pub(crate) fn due(&self, due: Due) {
        self.pending.set(self.pending.get() + 1);
        self.count(due.measured, |tally| tally.counts.scheduled += 1);
        loop {
            let idle = self.idle.borrow_mut().pop_front();
            match idle {
                // A slot that lost its connection while idle is skipped; it comes back by itself.
                Some(slot) if self.slots[slot].writer.borrow().is_none() => {}
                Some(slot) => return self.send(slot, due, false),
                None => break,
            }
        }
        if self.queue.borrow().len() < self.queue_max {
            self.queue.borrow_mut().push_back(due);
        } else {
            self.lost(due, Lost::Unsent);
        }
    }

    /// Connection `slot` is free: the request that waits longest takes it.
    pub(crate) fn free(&self, slot: usize) {
        let next = self.queue.borrow_mut().pop_front();
        match next {
            Some(due) => self.send(slot, due, true),
            None => self.idle.borrow_mut().push_back(slot),
        }
    }

    fn send(&self, slot: usize, due: Due, waited: bool) {
        let place = &self.slots[slot];
        let mut bytes = self.scratch.borrow_mut();
        self.target.request(due.id, &mut bytes);
        let late = clock::now().saturating_duration_since(due.intended);
        self.count(due.measured, |tally| tally.sent(late, waited));
        place.outstanding.set(Some(due));
        let writer = place.writer.borrow();
        let written = writer.as_ref().map(|writer| writer.try_write(&bytes));
        if !matches!(written, Some(Ok(len)) if len == bytes.len()) {
            // The peer has closed: its reader sees the end, counts the failure and reconnects.
            drop(writer);
            shut(place);
        }
    }

    pub(crate) fn lost(&self, due: Due, how: Lost) {
        let age = clock::now().saturating_duration_since(due.intended);
        self.count(due.measured, |tally| tally.lost(how, age));
        self.settle();
    }

    pub(crate) fn done(&self, due: Due, status: u16, degraded: bool, body_bytes: u64) {
        let age = clock::now().saturating_duration_since(due.intended);
        self.count(due.measured, |tally| {
            tally.done(age, status, degraded, body_bytes);
        });
        self.settle();
    }

    fn settle(&self) {
        self.pending.set(self.pending.get() - 1);
        if self.pending.get() == 0 {
            self.settled.notify_waiters();
        }
    }

    /// Gives up what is older than the timeout, in the queue and on the wire.
    pub(crate) fn sweep(&self, now: Instant) {
        let old = |due: &Due| now.saturating_duration_since(due.intended) >= self.timeout;
        loop {
            let mut queue = self.queue.borrow_mut();
            if !queue.front().is_some_and(old) {
                break;
            }
            let due = queue.pop_front();
            drop(queue);
            if let Some(due) = due {
                self.lost(due, Lost::Unsent);
            }
        }
        for slot in &self.slots {
            if slot.outstanding.get().as_ref().is_some_and(old) {
                if let Some(due) = slot.outstanding.take() {
                    self.lost(due, Lost::TimedOut);
                }
                shut(slot);
            }
        }
    }

    /// The end of the run: whatever is left did not make it.
    pub(crate) fn give_up(&self) {
        while let Some(due) = { self.queue.borrow_mut().pop_front() } {
            self.lost(due, Lost::Unsent);
        }
        for slot in &self.slots {
            if let Some(due) = slot.outstanding.take() {
                self.lost(due, Lost::TimedOut);
            }
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.slots
            .iter()
            .filter(|slot| slot.outstanding.get().is_some())
            .count() as u64
    }
}

/// Ends the connection under its reader, which then reconnects.
fn shut(slot: &Slot) {
    if let Some(writer) = slot.writer.borrow().as_ref() {
        let stream: &tokio::net::TcpStream = writer.as_ref();
        // Fails only when the peer was faster, and then the reader knows already.
        let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Both);
    }
}

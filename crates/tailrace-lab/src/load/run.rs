//! The state of one load run, shared by the schedule, the connections and the reports. A due
//! request takes the connection that has been idle longest and is written there and then; without
//! an idle one it waits in a bounded queue, and that wait is part of its latency.

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
    /// Counted from 0; none during the warm-up, which is not part of the summary.
    pub(crate) stage: Option<usize>,
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
    /// One per stage where there are several, else empty.
    pub(crate) stages: Vec<RefCell<Tally>>,
    pub(crate) pending: Cell<u64>,
    pub(crate) settled: Notify,
    pub(crate) connect_errors: Cell<u64>,
    /// Bodies still to be shown, and where they go.
    pub(crate) fetch_left: Cell<u64>,
    pub(crate) fetched: RefCell<Vec<serde_json::Value>>,
}

/// What is counted: since the last line, over the run, and in each of its stages.
pub(crate) struct Tallies {
    interval: Tally,
    total: Tally,
    stages: Vec<Tally>,
}

impl Tallies {
    pub(crate) fn new(stages: usize, within: Duration) -> Result<Self, String> {
        let several = if stages > 1 { stages } else { 0 };
        Ok(Self {
            interval: Tally::new(within)?,
            total: Tally::by_status(within)?,
            stages: (0..several)
                .map(|_| Tally::by_status(within))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Run {
    pub(crate) fn new(
        target: Target,
        connections: usize,
        timeout: Duration,
        queue_max: usize,
        fetch: u64,
        tallies: Tallies,
    ) -> Rc<Self> {
        Rc::new(Self {
            target,
            timeout,
            slots: (0..connections).map(|_| Slot::default()).collect(),
            idle: RefCell::default(),
            queue: RefCell::default(),
            queue_max,
            scratch: RefCell::default(),
            interval: RefCell::new(tallies.interval),
            total: RefCell::new(tallies.total),
            stages: tallies.stages.into_iter().map(RefCell::new).collect(),
            pending: Cell::new(0),
            settled: Notify::new(),
            connect_errors: Cell::new(0),
            fetch_left: Cell::new(fetch),
            fetched: RefCell::default(),
        })
    }

    fn count(&self, stage: Option<usize>, count: impl Fn(&mut Tally)) {
        count(&mut self.interval.borrow_mut());
        let Some(stage) = stage else { return };
        count(&mut self.total.borrow_mut());
        if let Some(stage) = self.stages.get(stage) {
            count(&mut stage.borrow_mut());
        }
    }

    /// A request's moment has come.
    pub(crate) fn due(&self, due: Due) {
        self.pending.set(self.pending.get() + 1);
        self.count(due.stage, |tally| tally.counts.scheduled += 1);
        let idle = self.idle.borrow_mut().pop_front();
        if let Some(slot) = idle {
            self.send(slot, due, false);
        } else if self.queue.borrow().len() < self.queue_max {
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

    /// Connection `slot` is open.
    pub(crate) fn opened(&self, slot: usize, writer: OwnedWriteHalf) {
        *self.slots[slot].writer.borrow_mut() = Some(writer);
        self.free(slot);
    }

    /// Connection `slot` is gone: nothing may be sent on it, and what was on it has failed.
    pub(crate) fn closed(&self, slot: usize) {
        self.slots[slot].writer.borrow_mut().take();
        self.idle.borrow_mut().retain(|idle| *idle != slot);
        if let Some(due) = self.slots[slot].outstanding.take() {
            self.lost(due, Lost::Failed);
        }
    }

    fn send(&self, slot: usize, due: Due, waited: bool) {
        let place = &self.slots[slot];
        let mut bytes = self.scratch.borrow_mut();
        self.target.request(due.id, &mut bytes);
        let late = clock::now().saturating_duration_since(due.intended);
        self.count(due.stage, |tally| tally.sent(late, waited));
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
        self.count(due.stage, |tally| tally.lost(how, age));
        self.settle();
    }

    pub(crate) fn done(&self, due: Due, status: u16, degraded: bool, body_bytes: u64) {
        let age = clock::now().saturating_duration_since(due.intended);
        self.count(due.stage, |tally| {
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

    /// The end of the run: whatever is left did not make it, for the reason `how`.
    pub(crate) fn give_up(&self, how: Lost) {
        while let Some(due) = { self.queue.borrow_mut().pop_front() } {
            self.lost(due, Lost::Unsent);
        }
        for slot in &self.slots {
            if let Some(due) = slot.outstanding.take() {
                self.lost(due, how);
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

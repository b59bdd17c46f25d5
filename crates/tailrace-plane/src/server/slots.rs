//! One place per connection of a worker: who to wake and when its current wait ends.
//!
//! Connections wait often and expire rarely, so the end of a wait is one number in a table; a sweep
//! a few times a second wakes those whose time has passed. No timer is made or moved per request.

use crate::worker::Worker;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use tailrace_policy::Nanos;

#[derive(Debug)]
struct Entry {
    waker: Waker,
    expires: Nanos,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
}

/// All connections of one worker.
#[derive(Debug, Default, Clone)]
pub struct Slots(Rc<RefCell<Table>>);

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    table: Rc<RefCell<Table>>,
    index: usize,
}

impl Slots {
    pub fn enter(&self, waker: &Waker) -> Slot {
        let mut table = self.0.borrow_mut();
        let entry = Some(Entry {
            waker: waker.clone(),
            expires: Nanos::MAX,
        });
        let index = if let Some(index) = table.free.pop() {
            table.entries[index] = entry;
            index
        } else {
            table.entries.push(entry);
            table.entries.len() - 1
        };
        Slot {
            table: Rc::clone(&self.0),
            index,
        }
    }

    /// Wakes the connections whose wait has ended by `now`.
    pub fn sweep(&self, now: Nanos) {
        self.wake(|entry| entry.expires <= now);
    }

    /// Wakes every connection, so that idle ones notice the drain.
    pub fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, mut chosen: impl FnMut(&Entry) -> bool) {
        for entry in self.0.borrow().entries.iter().flatten() {
            if chosen(entry) {
                entry.waker.wake_by_ref();
            }
        }
    }
}

impl Slot {
    /// The current wait ends `after` from now.
    pub fn expire(&self, worker: &Worker, after: Nanos) {
        self.expire_at(worker.tick() + after);
    }

    pub fn expire_at(&self, expires: Nanos) {
        if let Some(entry) = &mut self.table.borrow_mut().entries[self.index] {
            entry.expires = expires;
        }
    }

    pub fn expired(&self, worker: &Worker) -> bool {
        let now = worker.tick();
        self.table.borrow().entries[self.index]
            .as_ref()
            .is_some_and(|entry| entry.expires <= now)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.table.borrow_mut();
        table.entries[self.index] = None;
        table.free.push(self.index);
    }
}

//! What holds the calls of one conversation, kept from conversation to conversation.
//!
//! The failure prevented is a dozen allocations for every batch of calls that Python code makes.
//! At most [`KEPT`] are kept per worker, none that has grown beyond [`ROOM`] calls or groups; the
//! tallies that go with it have a bound of their own (`Tallies`).

use super::{Groups, Job, Open, Slot, Stale};
use crate::bridge::message::Event;
use crate::receipt::{Calls, Receipt, Tallies};
use crate::worker::Worker;
use std::cell::RefCell;
use std::collections::VecDeque;
use tailrace_policy::Nanos;

/// Sets kept per worker.
pub const KEPT: usize = 64;
/// Calls or groups that a set may have room for and be kept.
const ROOM: usize = 64;

#[derive(Default)]
pub(super) struct Set {
    pub ready: VecDeque<Job>,
    pub running: Vec<Slot>,
    pub open: Vec<Open>,
    /// Groups that are over and not yet told.
    pub over: VecDeque<Event>,
    /// The first of each upstream: the reply names upstreams.
    pub stale: Vec<Stale>,
    pub tallies: Tallies,
    /// The calls that have ended.
    pub calls: Calls,
}

impl Set {
    /// The most that any of its lists has room for.
    fn room(&self) -> usize {
        let calls = self.ready.capacity().max(self.running.capacity());
        calls.max(self.open.capacity()).max(self.over.capacity())
    }
}

/// The sets of one worker that are free.
#[derive(Default)]
pub struct Sets(RefCell<Vec<Set>>);

impl std::fmt::Debug for Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sets").finish_non_exhaustive()
    }
}

impl Sets {
    pub(super) fn take(&self) -> Set {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Sets that are free now.
    pub fn free(&self) -> usize {
        self.0.borrow().len()
    }

    /// Ends what the set still holds, and keeps it.
    pub(super) fn give(&self, mut set: Set) {
        set.ready.clear();
        while let Some(slot) = set.running.pop() {
            drop(slot.running);
            set.tallies.give(slot.tally);
        }
        set.open.clear();
        set.over.clear();
        set.stale.clear();
        set.calls.clear();
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT && set.room() <= ROOM {
            kept.push(set);
        }
    }
}

impl Groups {
    /// Ends all calls, and writes what they cost into the receipt.
    pub fn settle(&mut self, now: Nanos, receipt: &mut Receipt) {
        self.own.ready.clear();
        while let Some(slot) = self.own.running.pop() {
            self.ended(now, slot, None);
        }
        std::mem::swap(&mut receipt.calls, &mut self.own.calls);
        receipt.memory.peak = self.memory.peak();
        receipt.memory.limit = self.memory.limit();
    }

    /// The conversation is over: ends all calls, and keeps what held them for the next one.
    pub fn end(&mut self, worker: &Worker) {
        worker
            .conversations
            .sets
            .give(std::mem::take(&mut self.own));
    }
}

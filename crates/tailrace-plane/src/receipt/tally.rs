//! What one call notes while it runs: when it must be polled again, what it waited for, and what
//! each attempt met.
//!
//! One cell per number and one writer, the call itself, so noting is a store. Whoever drives the
//! call owns the tally, sets `wake` before each poll, and reads the rest when the call lands or is
//! dropped ([`super::Calls::add`]). Tallies are pooled: after the first requests none is allocated.
//!
//! All times are those of the wake-up in which something was seen (`worker.now`): no clock is read
//! for them. 0 is "never".
//!
//! Limits: [`MARKS`] attempts are kept per call, the first ones and the latest. All are counted.

use crate::reason::Reason;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use tailrace_policy::Nanos;

/// Attempts kept per call.
pub const MARKS: usize = 4;

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Kind {
    #[default]
    First,
    /// After one that failed.
    Retry,
    /// Beside one that is slow.
    Hedge,
}

impl Kind {
    /// The word used in receipts and traces.
    pub fn code(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Hedge => "hedge",
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Counted from 1.
    pub number: u16,
    pub kind: Kind,
    /// Index of the address among those of its upstream.
    pub address: u16,
    /// Status of the answer, 0 without one.
    pub status: u16,
    /// A connection was opened for it, none was idle.
    pub opened: bool,
    /// Why it failed; none when it was answered, or dropped (`end` is 0 then).
    pub failed: Option<Reason>,
    pub start: Nanos,
    /// It has its connection.
    pub connected: Nanos,
    /// The request is written.
    pub dispatched: Nanos,
    pub first_byte: Nanos,
    pub end: Nanos,
    /// Written and read on the wire, heads and framing included.
    pub bytes_out: u32,
    pub bytes_in: u32,
}

/// Names one attempt of one call, for whoever makes it.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    tally: &'a Tally,
    number: u16,
}

/// The notes of one call.
#[derive(Debug, Default)]
pub struct Tally {
    /// When the owner must poll again; never after the call's end, which the owner sets before
    /// each poll.
    pub wake: Cell<Nanos>,
    /// When the call could have started, had the fan-out cap allowed it.
    pub ready: Cell<Nanos>,
    pub started: Cell<Nanos>,
    /// When it entered the bulkhead's queue; 0: there was a place at once.
    pub queued: Cell<Nanos>,
    /// When it had its place in the bulkhead.
    pub permitted: Cell<Nanos>,
    /// It waited for an answer that another call fetches, or for its own fetch in a task apart.
    pub shared: Cell<bool>,
    /// Attempts made, also those without a mark.
    pub attempts: Cell<u16>,
    pub retries: Cell<u16>,
    pub hedges: Cell<u16>,
    /// Connections opened.
    pub opened: Cell<u16>,
    /// Number of the attempt that ended last: what it met is what the call met.
    pub decided: Cell<u16>,
    /// Status of the answer that was looked at last; 0: there was none.
    pub answered: Cell<u16>,
    /// When the pause before the next attempt ends; 0: there is none.
    pub retry_at: Cell<Nanos>,
    /// When an attempt may be made beside the one under way; 0: there is no such moment to come.
    pub hedge_at: Cell<Nanos>,
    /// Number of the attempt whose body waits for a turn among the large; 0: none does.
    pub in_lane: Cell<u16>,
    /// The notes of the call's own fetch, in a task apart, while that runs.
    pub fetch: RefCell<Option<Rc<Tally>>>,
    /// Of its trace; those of its attempts are counted on from it. 0: it has none.
    pub span: Cell<u64>,
    marks: RefCell<[Mark; MARKS]>,
}

impl Tally {
    /// Forgets the call before.
    pub fn begin(&self, ready: Nanos, now: Nanos) {
        self.ready.set(ready);
        self.started.set(now);
        self.queued.set(0);
        self.permitted.set(0);
        self.shared.set(false);
        self.attempts.set(0);
        self.retries.set(0);
        self.hedges.set(0);
        self.opened.set(0);
        self.decided.set(0);
        self.answered.set(0);
        self.retry_at.set(0);
        self.hedge_at.set(0);
        self.in_lane.set(0);
        self.fetch.take();
        self.span.set(0);
    }

    /// Begins an attempt.
    pub fn attempt(&self, kind: Kind, address: usize, now: Nanos) -> Noted<'_> {
        let number = self.attempts.get().saturating_add(1);
        self.attempts.set(number);
        match kind {
            Kind::First => {}
            Kind::Retry => self.retries.set(self.retries.get().saturating_add(1)),
            Kind::Hedge => self.hedges.set(self.hedges.get().saturating_add(1)),
        }
        self.marks.borrow_mut()[slot(number)] = Mark {
            number,
            kind,
            address: u16::try_from(address).unwrap_or(u16::MAX),
            start: now,
            ..Mark::default()
        };
        Noted {
            tally: self,
            number,
        }
    }

    /// Attempts that are kept, the oldest first.
    pub fn marks(&self) -> Ref<'_, [Mark]> {
        let kept = usize::from(self.attempts.get()).min(MARKS);
        Ref::map(self.marks.borrow(), |marks| &marks[..kept])
    }

    /// Takes over what a fetch in a task of its own has met for this call.
    pub fn take_over(&self, other: &Self) {
        self.queued.set(other.queued.get());
        self.permitted.set(other.permitted.get());
        self.attempts.set(other.attempts.get());
        self.retries.set(other.retries.get());
        self.hedges.set(other.hedges.get());
        self.opened.set(other.opened.get());
        self.decided.set(other.decided.get());
        *self.marks.borrow_mut() = *other.marks.borrow();
        self.fetch.take();
    }
}

/// The span of an attempt of a call whose own is `call`.
pub fn attempt_span(call: u64, number: u16) -> u64 {
    match call {
        0 => 0,
        call => call + u64::from(number),
    }
}

/// Where the attempt of this number is kept.
fn slot(number: u16) -> usize {
    usize::from(number).saturating_sub(1).min(MARKS - 1)
}

impl Noted<'_> {
    /// Its body, which is large, waits for a turn; or does so no more.
    pub fn lane(self, waits: bool) {
        self.tally.in_lane.set(if waits { self.number } else { 0 });
    }

    /// The attempt's span in its trace; 0 without one.
    pub fn span(self) -> u64 {
        attempt_span(self.tally.span.get(), self.number)
    }

    /// Changes the mark, unless a later attempt has taken its place.
    fn note(self, change: impl FnOnce(&mut Mark)) {
        let mark = &mut self.tally.marks.borrow_mut()[slot(self.number)];
        if mark.number == self.number {
            change(mark);
        }
    }

    /// The attempt has its connection; `opened`: a new one.
    pub fn connected(self, opened: bool, now: Nanos) {
        if opened {
            let before = self.tally.opened.get();
            self.tally.opened.set(before.saturating_add(1));
        }
        self.note(|mark| {
            mark.connected = now;
            mark.opened = opened;
        });
    }

    /// The request is written.
    pub fn dispatched(self, bytes: usize, now: Nanos) {
        self.note(|mark| {
            mark.dispatched = now;
            mark.bytes_out = mark.bytes_out.saturating_add(clipped(bytes));
        });
    }

    /// Bytes of the answer have come.
    pub fn read(self, bytes: usize, now: Nanos) {
        self.note(|mark| {
            if mark.first_byte == 0 {
                mark.first_byte = now;
            }
            mark.bytes_in = mark.bytes_in.saturating_add(clipped(bytes));
        });
    }

    /// The attempt ended by itself; `status` is 0 without an answer.
    pub fn ended(self, status: u16, failed: Option<Reason>, now: Nanos) {
        self.tally.decided.set(self.number);
        self.note(|mark| {
            mark.end = now;
            mark.status = status;
            mark.failed = failed;
        });
    }
}

fn clipped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Tallies of calls that have ended, for the next ones.
#[derive(Debug, Default)]
pub struct Tallies(Vec<Rc<Tally>>);

/// Tallies kept from request to request.
const KEPT: usize = 64;

impl Tallies {
    /// A tally for a call that could start at `ready` and starts now.
    pub fn take(&mut self, ready: Nanos, now: Nanos) -> Rc<Tally> {
        let tally = self.0.pop().unwrap_or_default();
        tally.begin(ready, now);
        tally
    }

    /// Takes one back, unless a fetch still writes into it, or there are enough.
    pub fn give(&mut self, tally: Rc<Tally>) {
        if Rc::strong_count(&tally) == 1 && self.0.len() < KEPT {
            self.0.push(tally);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tallies, Tally, MARKS};
    use crate::reason::Reason;
    use std::rc::Rc;

    // A hedge beside a slow attempt: each writes its own mark, whoever is faster.
    #[test]
    fn two_attempts_at_the_same_time_write_their_own_marks() {
        let tally = Tally::default();
        tally.begin(1, 2);
        let first = tally.attempt(Kind::First, 0, 10);
        let second = tally.attempt(Kind::Hedge, 1, 20);
        second.connected(true, 21);
        first.connected(false, 11);
        second.dispatched(100, 22);
        second.read(7, 30);
        second.read(5, 31);
        second.ended(200, None, 31);
        let marks = tally.marks().to_vec();
        assert_eq!(marks.len(), 2);
        assert_eq!((marks[0].kind, marks[0].connected), (Kind::First, 11));
        assert_eq!((marks[0].end, marks[0].opened), (0, false));
        let two = marks[1];
        assert_eq!((two.kind, two.address, two.opened), (Kind::Hedge, 1, true));
        assert_eq!((two.first_byte, two.end, two.status), (30, 31, 200));
        assert_eq!((two.bytes_out, two.bytes_in), (100, 12));
        assert_eq!((tally.decided.get(), tally.hedges.get()), (2, 1));
        assert_eq!((tally.opened.get(), tally.retries.get()), (1, 0));
    }

    // Bounded: the first attempts and the latest are kept, all are counted.
    #[test]
    fn more_attempts_than_marks_keep_the_first_and_the_latest() {
        let tally = Tally::default();
        tally.begin(0, 1);
        let kinds = [Kind::First, Kind::Retry, Kind::Retry, Kind::Retry];
        let early: Vec<_> = kinds
            .into_iter()
            .map(|kind| tally.attempt(kind, 0, 5))
            .collect();
        let late = tally.attempt(Kind::Retry, 0, 50);
        // One whose mark is taken must not write into the mark of another.
        early[MARKS - 1].ended(500, Some(Reason::ServerError), 60);
        late.ended(0, Some(Reason::Timeout), 70);
        let marks = tally.marks().to_vec();
        let numbers: Vec<_> = marks.iter().map(|mark| mark.number).collect();
        assert_eq!(numbers, [1, 2, 3, 5]);
        assert_eq!(marks[3].failed, Some(Reason::Timeout));
        assert_eq!((tally.attempts.get(), tally.retries.get()), (5, 4));
    }

    #[test]
    fn a_tally_that_somebody_still_writes_into_is_not_used_again() {
        let mut tallies = Tallies::default();
        let one = tallies.take(1, 1);
        let fetch = Rc::clone(&one);
        tallies.give(one);
        assert!(tallies.0.is_empty(), "the fetch would write into the next");
        tallies.give(fetch);
        assert_eq!(tallies.0.len(), 1);
        let again = tallies.take(5, 6);
        assert_eq!((again.ready.get(), again.started.get()), (5, 6));
        assert_eq!((again.attempts.get(), again.marks().len()), (0, 0));
    }
}

//! The calls of one request, as they ended.
//!
//! Sums are of all calls. What is kept of single ones is bounded: when [`CALLS_MAX`] are kept, one
//! more takes the place of the latest of its part, for it is the last to land that decides how long
//! the part took.

use super::tally::{Mark, Tally, MARKS};
use crate::h1::Method;
use crate::metrics::MUTED;
use crate::reason::Reason;
use crate::source::Source;
use std::ops::Range;
use tailrace_policy::Nanos;

/// Calls kept per request.
pub const CALLS_MAX: usize = 64;
/// Attempts kept per request.
pub const MARKS_MAX: usize = CALLS_MAX * MARKS;

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallBill {
    /// Index of the part in its view; for a handler's call, of the upstream.
    pub part: u16,
    /// Index of the item of an `each` part.
    pub item: u16,
    /// Index of the upstream it went to.
    pub upstream: u16,
    /// What it asked for.
    pub method: Method,
    /// It is the part's `otherwise`.
    pub other: bool,
    /// It landed; else it was dropped: out of time, cancelled, nobody waited.
    pub landed: bool,
    /// It waited for a fetch that calls share.
    pub shared: bool,
    pub failed: Option<Reason>,
    pub source: Source,
    /// When it could have started, had the fan-out cap allowed it.
    pub ready: Nanos,
    pub started: Nanos,
    /// When it had its place in the bulkhead; 0 without one.
    pub permitted: Nanos,
    /// When it entered the bulkhead's queue; 0: it did not wait there.
    pub queued: Nanos,
    pub ended: Nanos,
    pub attempts: u16,
    /// In its trace; 0 without one.
    pub span: u64,
    /// Which mark decided, counted from 1 within its own; 0 none.
    decided: u8,
    /// Where its marks are.
    first: u16,
    marks: u8,
}

impl CallBill {
    /// How long it stood in the bulkhead's queue.
    pub fn bulkhead_wait(&self) -> Nanos {
        let until = if self.permitted == 0 {
            self.ended
        } else {
            self.permitted
        };
        match self.queued {
            0 => 0,
            since => until.saturating_sub(since),
        }
    }

    fn range(&self) -> Range<usize> {
        let first = usize::from(self.first);
        first..first + usize::from(self.marks)
    }
}

/// What a call was, for its bill.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
    pub part: usize,
    pub item: usize,
    pub upstream: usize,
    pub method: Method,
    pub other: bool,
}

/// How a call ended; `None`: it was dropped.
pub type Ended = Option<(Source, Option<Reason>)>;

/// Sums over all calls of a request (req 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Io {
    pub calls: u32,
    pub attempts: u32,
    pub retries: u32,
    pub hedges: u32,
    /// Connections opened.
    pub connects: u32,
    /// Calls that ended by a timeout or the deadline.
    pub timeouts: u32,
    /// Bytes of the attempts that are kept.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Waits of all calls added up; they overlap, so this may exceed the request's duration.
    pub fanout_wait: Nanos,
    pub bulkhead_wait: Nanos,
    pub connect_wait: Nanos,
}

/// All calls of one request. The owner keeps it from request to request.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    pub io: Io,
    /// The most in flight at the same time.
    pub in_flight_max: u32,
    /// Calls of which only the sums are known.
    pub left_out: u32,
    bills: Vec<CallBill>,
    marks: Vec<Mark>,
}

impl Calls {
    pub fn clear(&mut self) {
        self.io = Io::default();
        self.in_flight_max = 0;
        self.left_out = 0;
        self.bills.clear();
        self.marks.clear();
    }

    /// The calls that are kept, in the order in which they ended.
    pub fn bills(&self) -> &[CallBill] {
        &self.bills
    }

    /// The attempts of a call, the oldest first.
    pub fn marks(&self, bill: &CallBill) -> &[Mark] {
        self.marks.get(bill.range()).unwrap_or_default()
    }

    /// The attempt that made the call what it became.
    pub fn decided(&self, bill: &CallBill) -> Option<&Mark> {
        let at = usize::from(bill.decided).checked_sub(1)?;
        self.marks(bill).get(at)
    }

    /// `running` calls are in flight.
    pub fn in_flight(&mut self, running: usize) {
        self.in_flight_max = self.in_flight_max.max(running as u32);
    }

    /// Takes what a call noted, when it has ended.
    pub fn add(&mut self, whose: Whose, tally: &Tally, now: Nanos, ended: Ended) {
        if MUTED {
            return;
        }
        let marks = tally.marks();
        self.count(tally, &marks);
        // The latest decides as long as none has ended.
        let latest = match tally.decided.get() {
            0 => tally.attempts.get(),
            decided => decided,
        };
        let place = self.place(whose.part as u16);
        let (first, room, decided) = match place {
            Some(at) => self.keep_marks(at, &marks, latest),
            None => (0, 0, 0),
        };
        let (source, failed) = ended.unwrap_or_default();
        let mut left_out = CallBill::default();
        // Written where it stays: to copy what was just written in pieces, the processor waits.
        let bill = match place {
            Some(at) => &mut self.bills[at],
            None => &mut left_out,
        };
        *bill = CallBill {
            part: whose.part as u16,
            item: whose.item as u16,
            upstream: whose.upstream as u16,
            method: whose.method,
            other: whose.other,
            landed: ended.is_some(),
            shared: tally.shared.get(),
            failed,
            source,
            ready: tally.ready.get(),
            started: tally.started.get(),
            permitted: tally.permitted.get(),
            queued: tally.queued.get(),
            ended: now,
            attempts: tally.attempts.get(),
            span: tally.span.get(),
            decided,
            first,
            marks: room,
        };
        let late = matches!(bill.failed, Some(Reason::Timeout | Reason::Deadline));
        self.io.timeouts += u32::from(late);
        self.io.fanout_wait += bill.started.saturating_sub(bill.ready);
        self.io.bulkhead_wait += bill.bulkhead_wait();
    }

    fn count(&mut self, tally: &Tally, marks: &[Mark]) {
        let io = &mut self.io;
        io.calls += 1;
        io.attempts += u32::from(tally.attempts.get());
        io.retries += u32::from(tally.retries.get());
        io.hedges += u32::from(tally.hedges.get());
        io.connects += u32::from(tally.opened.get());
        for mark in marks {
            io.bytes_out += u64::from(mark.bytes_out);
            io.bytes_in += u64::from(mark.bytes_in);
            if mark.opened {
                io.connect_wait += mark.connected.saturating_sub(mark.start);
            }
        }
    }

    /// Where the bill of a call of `part` goes: behind the others, or, once there are as many as
    /// are kept, over the part's latest.
    fn place(&mut self, part: u16) -> Option<usize> {
        if self.bills.len() < CALLS_MAX {
            self.bills.push(CallBill::default());
            return Some(self.bills.len() - 1);
        }
        self.left_out += 1;
        self.bills.iter().rposition(|one| one.part == part)
    }

    /// Keeps the latest of `marks` as far as there is room, for the bill at `at`: where they begin,
    /// how many they are, and which of them, counted from 1, has the number `latest`.
    fn keep_marks(&mut self, at: usize, marks: &[Mark], latest: u16) -> (u16, u8, u8) {
        let count = marks.len();
        let (first, room) = if self.marks.len() + count <= MARKS_MAX {
            (self.marks.len(), count)
        } else {
            let before = self.bills[at].range();
            (before.start, before.len().min(count))
        };
        let kept = &marks[count - room..];
        if first == self.marks.len() {
            self.marks.extend_from_slice(kept);
        } else {
            self.marks[first..first + room].copy_from_slice(kept);
        }
        let decided = kept.iter().rposition(|mark| mark.number == latest);
        (
            first as u16,
            room as u8,
            decided.map_or(0, |index| index as u8 + 1),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Calls, Whose, CALLS_MAX, MARKS_MAX};
    use crate::reason::Reason;
    use crate::receipt::tally::{Kind, Tally};
    use crate::source::Source;

    fn whose(part: usize, item: usize) -> Whose {
        Whose {
            part,
            item,
            method: crate::h1::Method::Get,
            upstream: part,
            other: false,
        }
    }

    fn call(ready: u64, attempts: u16) -> Tally {
        let tally = Tally::default();
        tally.begin(ready, ready + 5);
        tally.queued.set(ready + 5);
        tally.permitted.set(ready + 7);
        for number in 0..attempts {
            let kind = if number == 0 {
                Kind::First
            } else {
                Kind::Retry
            };
            let noted = tally.attempt(kind, 0, ready + 10);
            noted.connected(number == 0, ready + 13);
            noted.dispatched(100, ready + 13);
            noted.read(40, ready + 20);
            noted.ended(200, None, ready + 21);
        }
        tally
    }

    #[test]
    fn sums_are_of_all_calls() {
        let mut calls = Calls::default();
        calls.add(whose(0, 0), &call(100, 2), 121, Some((Source::Fresh, None)));
        let late = Some((Source::Missing, Some(Reason::Timeout)));
        calls.add(whose(1, 0), &call(200, 0), 290, late);
        let io = calls.io;
        assert_eq!((io.calls, io.attempts, io.retries, io.hedges), (2, 2, 1, 0));
        assert_eq!((io.connects, io.timeouts), (1, 1));
        assert_eq!((io.bytes_out, io.bytes_in), (200, 80));
        assert_eq!((io.fanout_wait, io.bulkhead_wait), (10, 4));
        assert_eq!(io.connect_wait, 3);
        let [one, two] = calls.bills() else {
            panic!("two calls")
        };
        assert_eq!(calls.marks(one).len(), 2);
        assert_eq!(calls.decided(one).map(|mark| mark.number), Some(2));
        assert!(calls.marks(two).is_empty() && calls.decided(two).is_none());
    }

    // A bound that is kept: whatever a request calls, a receipt has its largest size.
    #[test]
    fn what_is_kept_is_bounded_and_the_last_of_a_part_stays() {
        let mut calls = Calls::default();
        let count = CALLS_MAX * 3;
        for item in 0..count {
            let part = usize::from(item > 0);
            let tally = call(1 + item as u64, 1 + (item % 6) as u16);
            let ended = Some((Source::Fresh, None));
            calls.add(whose(part, item), &tally, 1_000 + item as u64, ended);
        }
        assert_eq!(calls.bills().len(), CALLS_MAX);
        assert!(calls.marks.len() <= MARKS_MAX);
        assert_eq!(calls.left_out as usize, count - CALLS_MAX);
        assert_eq!(calls.io.calls as usize, count);
        let last = calls.bills().last().copied().unwrap_or_default();
        assert_eq!(usize::from(last.item), count - 1);
        let decided = calls.decided(&last).map(|mark| mark.number);
        assert_eq!(decided, Some(last.attempts));
        let first = calls.bills()[0];
        assert_eq!((first.part, first.item), (0, 0), "of its part the only one");
    }

    #[test]
    fn a_dropped_call_says_what_it_was_in() {
        let mut calls = Calls::default();
        let tally = Tally::default();
        tally.begin(1, 1);
        tally.attempt(Kind::First, 0, 2).dispatched(10, 3);
        calls.add(whose(0, 0), &tally, 50, None);
        let bill = calls.bills()[0];
        assert!(!bill.landed && bill.failed.is_none());
        let mark = calls.decided(&bill).copied().unwrap_or_default();
        assert_eq!((mark.dispatched, mark.end), (3, 0));
    }
}

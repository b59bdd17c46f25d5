//! Receipts kept for reading: the last ones, and of each view the slowest and the troubled.
//!
//! The failure prevented is evidence that is gone when somebody looks: at 2 000 requests a second a
//! ring of the last 64 is a thirtieth of a second. So each view keeps its slowest and its degraded
//! and failed requests apart. A receipt is not copied: the one that goes back to the worker for its
//! next request is the one that had to make room.
//!
//! The worker never waits: while somebody reads, its receipts are not kept, which is counted.
//!
//! *Bounds.* [`RECENT`] receipts, and per view [`SLOW`] and [`TROUBLED`]; a receipt has at most
//! `Receipt::BYTES_MAX` bytes. A slow one is kept for [`SLOW_FOR`] at most once others come, so the
//! first requests of a process do not stay the slowest for ever. Requests refused before their
//! first call are not kept: a flood of them must not wash out the others.

use super::{Receipt, ViewTail};
use crate::clock::MILLI;
use crate::metrics::Count;
use crate::program::Program;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use tailrace_policy::Nanos;

/// Last receipts kept per worker, whatever became of them. Each is written again when it is this
/// many requests old: more of them are more memory that is not in the cache.
pub const RECENT: usize = 64;
/// Slowest kept per view and worker.
pub const SLOW: usize = 16;
/// Degraded and failed ones kept per view and worker, the latest.
pub const TROUBLED: usize = 32;
/// How long a slow one stays before any other takes its place.
pub const SLOW_FOR: Nanos = 600_000 * MILLI;

/// Receipts of one worker.
#[derive(Debug)]
pub struct Shelf {
    kept: Mutex<Kept>,
    /// What the slowest requests waited for, by view.
    pub tails: Vec<ViewTail>,
    /// Receipts that were not kept because somebody read.
    pub lost: Count,
}

#[derive(Debug)]
struct Kept {
    recent: Ring,
    views: Vec<OfView>,
}

#[derive(Debug, Default)]
struct OfView {
    // As in `Ring`.
    #[allow(clippy::vec_box)]
    slow: Vec<Box<Receipt>>,
    /// Duration a request must exceed to be among the slow; 0 while there is room.
    slower_than: Nanos,
    /// When the oldest of them has been there too long.
    stale_at: Nanos,
    troubled: Ring,
}

/// The latest, in a place that is written again and again.
#[derive(Debug, Default)]
struct Ring {
    // Boxed once and moved by pointer.
    #[allow(clippy::vec_box)]
    receipts: Vec<Box<Receipt>>,
    next: usize,
}

impl Ring {
    /// The number of the one that goes next; 1 while there is room.
    fn oldest(&self) -> u64 {
        let oldest = self.receipts.get(self.next).filter(|_| self.full());
        oldest.map_or(1, |receipt| receipt.number)
    }

    fn full(&self) -> bool {
        self.receipts.len() >= RECENT
    }

    /// Takes a receipt; gives the oldest back when there are `max`, else a new one.
    fn push(&mut self, receipt: Box<Receipt>, max: usize) -> Box<Receipt> {
        if self.receipts.len() < max {
            self.receipts.push(receipt);
            return Box::default();
        }
        let oldest = std::mem::replace(&mut self.receipts[self.next], receipt);
        self.next = (self.next + 1) % max;
        oldest
    }
}

impl OfView {
    fn is_slow(&self, receipt: &Receipt) -> bool {
        receipt.duration() > self.slower_than || receipt.ended >= self.stale_at
    }

    /// Takes one of the slowest; gives back what it displaces.
    fn push_slow(&mut self, receipt: Box<Receipt>) -> Box<Receipt> {
        let now = receipt.ended;
        let displaced = if self.slow.len() < SLOW {
            self.slow.push(receipt);
            Box::default()
        } else {
            // The stale one first, else the fastest.
            let rank = |one: &Receipt| (one.ended + SLOW_FOR > now, one.duration());
            let least = (0..self.slow.len()).min_by_key(|at| rank(&self.slow[*at]));
            std::mem::replace(&mut self.slow[least.unwrap_or(0)], receipt)
        };
        if self.slow.len() == SLOW {
            let durations = self.slow.iter().map(|one| one.duration());
            self.slower_than = durations.min().unwrap_or(0);
            let ends = self.slow.iter().map(|one| one.ended);
            self.stale_at = ends.min().unwrap_or(0) + SLOW_FOR;
        } else {
            self.stale_at = Nanos::MAX;
        }
        displaced
    }
}

impl Shelf {
    pub fn new(program: &Program) -> Self {
        let views = program.views.iter();
        Self {
            kept: Mutex::new(Kept {
                recent: Ring::default(),
                views: program.views.iter().map(|_| OfView::default()).collect(),
            }),
            tails: views.map(|view| ViewTail::new(program, view)).collect(),
            lost: Count::default(),
        }
    }

    /// The most bytes that all receipts of one worker take.
    pub fn bytes_max(views: usize) -> usize {
        (RECENT + views * (SLOW + TROUBLED)) * Receipt::BYTES_MAX
    }

    /// Keeps a finished receipt, and gives one back for the next request.
    pub fn keep(&self, receipt: Box<Receipt>) -> Box<Receipt> {
        let mut kept = match self.kept.try_lock() {
            Ok(kept) => kept,
            Err(TryLockError::Poisoned(kept)) => kept.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.lost.add(1);
                return receipt;
            }
        };
        let view = receipt.view.map(usize::from);
        let Some(own) = view.and_then(|view| kept.views.get_mut(view)) else {
            return receipt;
        };
        if receipt.is_troubled() {
            return own.troubled.push(receipt, TROUBLED);
        }
        let receipt = if own.is_slow(&receipt) {
            own.push_slow(receipt)
        } else {
            receipt
        };
        // One that is no longer among the slowest may still be among the last.
        if receipt.number < kept.recent.oldest() {
            return receipt;
        }
        kept.recent.push(receipt, RECENT)
    }

    /// Copies of the receipts that `wanted` finds, at most `limit`: the newest, or the slowest.
    pub fn find(
        &self,
        limit: usize,
        slowest: bool,
        wanted: impl Fn(&Receipt) -> bool,
    ) -> Vec<Receipt> {
        let kept: MutexGuard<'_, Kept> = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let views = kept.views.iter();
        let apart = views.flat_map(|view| view.slow.iter().chain(&view.troubled.receipts));
        let all = kept.recent.receipts.iter().chain(apart);
        let mut found: Vec<&Receipt> = all.map(AsRef::as_ref).filter(|one| wanted(one)).collect();
        let rank = |one: &&Receipt| {
            let first = if slowest { one.duration() } else { one.number };
            std::cmp::Reverse((first, one.number))
        };
        found.sort_unstable_by_key(rank);
        found.truncate(limit);
        found.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Shelf, RECENT, SLOW, SLOW_FOR, TROUBLED};
    use crate::clock::MILLI;
    use crate::receipt::Receipt;
    use crate::shared::Shared;
    use proptest::prelude::*;
    use std::sync::Arc;
    use tailrace_blueprint::Blueprint;
    use tailrace_policy::Nanos;

    fn shelf() -> Shelf {
        let source = br#"{"format_version": 1, "service": "s",
            "upstreams": [{"name": "u", "addresses": ["http://127.0.0.1:1"], "timeout_ms": 50,
                           "bulkhead": {"limit": 9}}],
            "shapes": [{"kind": "any"}],
            "views": [{"name": "v", "method": "GET", "path": "/v", "deadline_ms": 100,
              "fanout": 1, "parameters": [], "parts": [
                {"name": "p", "strength": "strong", "upstream": "u", "method": "GET", "shape": 0,
                 "path": [{"text": "/"}]}]}]}"#;
        let blueprint = Blueprint::from_json(source).unwrap();
        let program = crate::program::Program::compile(&blueprint).unwrap();
        let shared = Shared::new(Arc::new(program), 1, Vec::new(), Vec::new());
        Shelf::new(&shared.program())
    }

    fn receipt(number: u64, now: Nanos, took: Nanos) -> Box<Receipt> {
        Box::new(Receipt {
            number,
            view: Some(0),
            status: 200,
            started: now - took,
            ended: now,
            ..Receipt::default()
        })
    }

    fn numbers(shelf: &Shelf) -> Vec<u64> {
        let found = shelf.find(usize::MAX, false, |_| true);
        found.iter().map(|one| one.number).collect()
    }

    proptest! {
        // Bounded, and of the slow the slowest are there, whatever the order they came in.
        #[test]
        fn the_slowest_stay_and_the_rest_are_the_last(
            took in proptest::collection::vec(1..10_000_000_u64, 300..900),
        ) {
            let shelf = shelf();
            for (index, took) in took.iter().enumerate() {
                // All within the time a slow one stays.
                let number = index as u64 + 1;
                shelf.keep(receipt(number, 1_000_000_000 + number, *took));
            }
            let kept = numbers(&shelf);
            prop_assert!(kept.len() <= RECENT + SLOW);
            let mut slowest: Vec<usize> = (0..took.len()).collect();
            slowest.sort_by_key(|number| std::cmp::Reverse(took[*number]));
            let least = took[slowest[SLOW - 1]];
            for number in slowest {
                let last = number + RECENT >= took.len();
                if last || took[number] > least {
                    prop_assert!(kept.contains(&(number as u64 + 1)), "{}", number);
                }
            }
        }
    }

    #[test]
    fn the_troubled_are_kept_apart_and_bounded() {
        let shelf = shelf();
        for number in 0..1_000 {
            let mut one = receipt(number, MILLI, 1);
            one.degraded = number % 3 == 0;
            one.status = if number % 7 == 0 { 503 } else { 200 };
            shelf.keep(one);
        }
        let troubled = |one: &Receipt| one.is_troubled();
        let found = shelf.find(usize::MAX, false, troubled);
        assert_eq!(found.len(), TROUBLED);
        let newest = (0..1_000).filter(|number| number % 3 == 0 || number % 7 == 0);
        let newest: Vec<u64> = newest.rev().take(TROUBLED).collect();
        assert_eq!(
            found.iter().map(|one| one.number).collect::<Vec<_>>(),
            newest
        );
        assert_eq!(shelf.find(5, true, troubled).len(), 5);
    }

    // The requests of the start, whose connections were new, must not be the slowest for ever.
    #[test]
    fn a_slow_one_makes_room_when_its_time_is_over() {
        let shelf = shelf();
        let start = 1_000 * MILLI;
        for number in 0..SLOW as u64 {
            shelf.keep(receipt(number, start, 900 * MILLI));
        }
        let later = start + SLOW_FOR - 1;
        shelf.keep(receipt(100, later, MILLI));
        let slow = |shelf: &Shelf| {
            shelf
                .find(99, false, |one| one.duration() >= 900 * MILLI)
                .len()
        };
        assert_eq!(slow(&shelf), SLOW);
        for number in 0..SLOW as u64 {
            shelf.keep(receipt(200 + number, start + SLOW_FOR, 2 * MILLI));
        }
        // They are among the last as long as others are.
        for number in 0..RECENT as u64 {
            shelf.keep(receipt(300 + number, start + SLOW_FOR + 1, 1));
        }
        assert_eq!(slow(&shelf), 0);
        assert_eq!(numbers(&shelf).len(), SLOW + RECENT);
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader() {
        let shelf = shelf();
        shelf.keep(receipt(1, MILLI, 1));
        let reading = shelf.kept.lock().unwrap();
        let back = shelf.keep(receipt(2, MILLI, 1));
        assert_eq!((back.number, shelf.lost.get()), (2, 1));
        drop(reading);
        assert_eq!(numbers(&shelf), [1]);
    }
}

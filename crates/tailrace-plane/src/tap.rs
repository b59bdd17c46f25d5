//! Taps: finished requests as they end, for whoever watches (`GET /tap`).
//!
//! The failure prevented is a look that costs what it looks at. While nobody watches, a request
//! reads one number that nobody writes. While somebody does, a worker copies the receipts that are
//! asked for into a bounded queue of its own and never waits for it: what finds no room is dropped
//! and counted, and the watcher is told. The admin port empties the queues (`admin/tap.rs`).
//!
//! *Bounds.* [`TAPS_MAX`] taps, each with [`WAITING_MAX`] receipts per worker. Requests refused
//! before their first call have no receipt, and a tap does not show them; `/live` counts them.

use crate::receipt::Receipt;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tailrace_policy::Nanos;

/// Taps open at the same time; one more is refused.
pub const TAPS_MAX: usize = 4;
/// Receipts of one worker that wait for the watcher.
pub const WAITING_MAX: usize = 256;

/// Which requests are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Index of the view.
    pub view: Option<u16>,
    pub slower_than: Nanos,
    /// Only degraded and failed ones.
    pub troubled: bool,
}

impl Wanted {
    fn is(&self, receipt: &Receipt) -> bool {
        receipt.duration() >= self.slower_than
            && (self.view.is_none() || self.view == receipt.view)
            && (!self.troubled || receipt.is_troubled())
    }
}

/// All taps of a plane.
#[derive(Debug, Default)]
pub struct Taps {
    /// How many there are: what a request looks at.
    open: AtomicUsize,
    each: RwLock<Vec<Arc<Tap>>>,
    /// Requests that ended while a tap was opened or closed.
    missed: AtomicU64,
}

impl Taps {
    /// Opens a tap over `workers` workers; none when there are as many as there may be.
    pub fn open(self: &Arc<Self>, wanted: Wanted, workers: usize) -> Option<Open> {
        let mut taps = self.each.write().unwrap_or_else(PoisonError::into_inner);
        if taps.len() >= TAPS_MAX {
            return None;
        }
        let tap = Arc::new(Tap {
            wanted,
            waiting: (0..workers).map(|_| Mutex::default()).collect(),
            dropped: AtomicU64::new(0),
        });
        taps.push(Arc::clone(&tap));
        self.open.store(taps.len(), Ordering::Relaxed);
        Some(Open {
            missed: self.missed.load(Ordering::Relaxed),
            taps: Arc::clone(self),
            tap,
        })
    }

    /// Shows a finished request to whoever asked for it.
    pub fn offer(&self, receipt: &Receipt) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Ok(taps) = self.each.try_read() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for tap in taps.iter().filter(|tap| tap.wanted.is(receipt)) {
            tap.put(receipt);
        }
    }
}

#[derive(Debug)]
struct Tap {
    wanted: Wanted,
    /// By worker, so that workers do not meet here.
    waiting: Vec<Mutex<VecDeque<Receipt>>>,
    dropped: AtomicU64,
}

impl Tap {
    fn put(&self, receipt: &Receipt) {
        let queue = self.waiting.get(usize::from(receipt.worker));
        // The watcher holds it for a moment while it takes what is there.
        let queue = queue.and_then(|queue| queue.try_lock().ok());
        match queue {
            Some(mut queue) if queue.len() < WAITING_MAX => queue.push_back(receipt.clone()),
            _ => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A tap while it is open; dropping it closes it.
#[derive(Debug)]
pub struct Open {
    taps: Arc<Taps>,
    tap: Arc<Tap>,
    missed: u64,
}

impl Open {
    /// What has ended since the last look, the earliest first.
    pub fn take(&self) -> Vec<Receipt> {
        let queues = self.tap.waiting.iter();
        let mut found: Vec<Receipt> = queues
            .flat_map(|queue| {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *queue)
            })
            .collect();
        found.sort_by_key(|one| one.ended);
        found
    }

    /// Requests that were asked for, or may have been, and are not shown.
    pub fn dropped(&self) -> u64 {
        let missed = self.taps.missed.load(Ordering::Relaxed) - self.missed;
        self.tap.dropped.load(Ordering::Relaxed) + missed
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let taps = self.taps.each.write();
        let mut taps = taps.unwrap_or_else(PoisonError::into_inner);
        taps.retain(|one| !Arc::ptr_eq(one, &self.tap));
        self.taps.open.store(taps.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Taps, Wanted, TAPS_MAX, WAITING_MAX};
    use crate::receipt::Receipt;
    use std::sync::Arc;

    fn receipt(worker: u16, view: u16, took: u64, status: u16) -> Receipt {
        let mut one = Receipt::default();
        (one.worker, one.view, one.status) = (worker, Some(view), status);
        (one.started, one.ended) = (1_000, 1_000 + took);
        one
    }

    #[test]
    fn a_tap_shows_what_was_asked_for_in_the_order_of_its_end() {
        let taps = Arc::new(Taps::default());
        taps.offer(&receipt(0, 1, 9, 200));
        let wanted = Wanted {
            view: Some(1),
            slower_than: 5,
            troubled: false,
        };
        let tap = taps.open(wanted, 2).unwrap();
        let troubled = Wanted {
            troubled: true,
            ..Wanted::default()
        };
        let bad = taps.open(troubled, 2).unwrap();
        for (worker, view, took, status) in [
            (1, 1, 8, 200),
            (0, 1, 5, 200),
            (0, 1, 4, 200),
            (0, 0, 9, 200),
            (1, 0, 7, 503),
        ] {
            taps.offer(&receipt(worker, view, took, status));
        }
        let shown: Vec<_> = tap.take().iter().map(Receipt::duration).collect();
        assert_eq!(shown, [5, 8]);
        assert_eq!(bad.take().len(), 1);
        assert!(tap.take().is_empty());
        drop(tap);
        taps.offer(&receipt(0, 1, 9, 500));
        assert_eq!(bad.take().len(), 1);
    }

    #[test]
    fn a_tap_that_nobody_reads_is_bounded_and_counts_what_it_dropped() {
        let taps = Arc::new(Taps::default());
        let tap = taps.open(Wanted::default(), 2).unwrap();
        for _ in 0..WAITING_MAX + 7 {
            taps.offer(&receipt(1, 0, 1, 200));
        }
        taps.offer(&receipt(0, 0, 1, 200));
        assert_eq!((tap.take().len(), tap.dropped()), (WAITING_MAX + 1, 7));
        taps.offer(&receipt(1, 0, 1, 200));
        assert_eq!((tap.take().len(), tap.dropped()), (1, 7));
    }

    #[test]
    fn there_are_so_many_taps_and_a_closed_one_makes_room() {
        let taps = Arc::new(Taps::default());
        let open = || taps.open(Wanted::default(), 1);
        let mut held: Vec<_> = (0..TAPS_MAX).map(|_| open().unwrap()).collect();
        assert!(open().is_none());
        held.pop();
        assert!(open().is_some());
    }
}

//! Sums over the last while: a part and a whole, in a ring of time slices.
//!
//! The failure prevented is a decision made of stale history, and a lock or a timer thread on the
//! path of every call. A slice is one word per sum, holding the lap of the ring it was written in
//! beside the count: whoever comes first in a new lap replaces the word, so nobody has to rotate
//! anything and no addition is lost. The current slice is partial, so a window of ten slices covers
//! between nine and ten of them. Several policies use it: spent of earned, ok of all, accepted of
//! sent.
//!
//! Limits: a slice holds up to 2^40; beyond that it stops counting instead of wrapping. A word that
//! nobody touched for 2^24 laps (five years of ten seconds) would be taken for a fresh one.

use crate::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slices of every window.
pub const SLICES: u64 = 10;

const COUNT_BITS: u32 = 40;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const LAP_MAX: u64 = u64::MAX >> COUNT_BITS;

/// What was added during the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub part: u64,
    pub whole: u64,
}

#[derive(Debug, Default)]
struct Slice {
    part: AtomicU64,
    whole: AtomicU64,
}

/// Shared by all workers.
#[derive(Debug)]
pub struct Window {
    slice: Nanos,
    ring: [Slice; SLICES as usize],
    /// Number of the latest slice whose part and whole differ, plus one; 0: none ever.
    uneven: AtomicU64,
}

impl Window {
    /// A window over the last `span`.
    pub fn new(span: Nanos) -> Self {
        Self {
            slice: (span / SLICES).max(1),
            ring: std::array::from_fn(|_| Slice::default()),
            uneven: AtomicU64::new(0),
        }
    }

    pub fn add(&self, now: Nanos, part: u64, whole: u64) {
        let number = now / self.slice;
        let lap = (number / SLICES) & LAP_MAX;
        let slice = &self.ring[(number % SLICES) as usize];
        add(&slice.part, lap, part);
        add(&slice.whole, lap, whole);
        // Looked at first: one store per slice, not one per call.
        if part != whole && self.uneven.load(Ordering::Relaxed) <= number {
            self.uneven.fetch_max(number + 1, Ordering::Relaxed);
        }
    }

    /// Whether part and whole are the same over the whole window, as one word tells: the usual case
    /// of those who count failures. `false` says nothing.
    pub fn is_even(&self, now: Nanos) -> bool {
        let uneven = self.uneven.load(Ordering::Relaxed);
        uneven == 0 || uneven + SLICES <= now / self.slice + 1
    }

    pub fn sums(&self, now: Nanos) -> Sums {
        self.latest(now, SLICES)
    }

    /// The sums of the latest slices only, the current one included.
    pub fn latest(&self, now: Nanos, slices: u64) -> Sums {
        let number = now / self.slice;
        let oldest = (number + 1).saturating_sub(slices.min(SLICES));
        let mut sums = Sums::default();
        for number in oldest..=number {
            let slice = &self.ring[(number % SLICES) as usize];
            let lap = (number / SLICES) & LAP_MAX;
            sums.part += count(slice.part.load(Ordering::Relaxed), lap);
            sums.whole += count(slice.whole.load(Ordering::Relaxed), lap);
        }
        sums
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for slice in &self.ring {
            slice.part.store(0, Ordering::Relaxed);
            slice.whole.store(0, Ordering::Relaxed);
        }
        self.uneven.store(0, Ordering::Relaxed);
    }
}

/// Whether `word` belongs to `lap`. The next lap counts too: workers read their clocks at different
/// moments, and one that is late by a slice must neither erase nor miss what is newer than itself.
fn is_current(word: u64, lap: u64) -> bool {
    let age = lap.wrapping_sub(word >> COUNT_BITS) & LAP_MAX;
    age == 0 || age == LAP_MAX
}

fn count(word: u64, lap: u64) -> u64 {
    if is_current(word, lap) {
        word & COUNT_MAX
    } else {
        0
    }
}

fn add(cell: &AtomicU64, lap: u64, amount: u64) {
    if amount == 0 {
        return;
    }
    let mut word = cell.load(Ordering::Relaxed);
    loop {
        if is_current(word, lap) {
            if (word & COUNT_MAX) + amount <= COUNT_MAX {
                // The lap may turn between look and addition: then the amount counts in the newer
                // slice, which is where it belongs as well.
                cell.fetch_add(amount, Ordering::Relaxed);
            }
            return;
        }
        let fresh = (lap << COUNT_BITS) | amount.min(COUNT_MAX);
        match cell.compare_exchange_weak(word, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(seen) => word = seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Nanos = 1_000_000_000;

    fn sums(part: u64, whole: u64) -> Sums {
        Sums { part, whole }
    }

    #[test]
    fn what_is_older_than_the_window_is_gone() {
        let window = Window::new(10 * SECOND);
        window.add(0, 1, 2);
        window.add(5 * SECOND, 10, 20);
        let cases = [
            (5, sums(11, 22)),
            (9, sums(11, 22)),
            (10, sums(10, 20)),
            (14, sums(10, 20)),
            (15, sums(0, 0)),
            (1_000_000, sums(0, 0)),
        ];
        for (second, expected) in cases {
            assert_eq!(window.sums(second * SECOND), expected, "at {second}");
        }
    }

    #[test]
    fn a_worker_whose_clock_is_late_neither_erases_nor_misses_newer_counts() {
        let window = Window::new(10 * SECOND);
        window.add(10 * SECOND, 0, 5);
        window.add(10 * SECOND - 1, 0, 1);
        window.add(0, 0, 2);
        assert_eq!(window.sums(10 * SECOND - 1), sums(0, 8));
        assert_eq!(window.sums(10 * SECOND), sums(0, 8));
    }

    #[test]
    fn a_cleared_window_is_empty_and_counts_again() {
        let window = Window::new(SECOND);
        let late = 200 * 24 * 3_600 * SECOND;
        window.add(late, 3, 4);
        window.clear();
        assert_eq!(window.sums(late), sums(0, 0));
        window.add(late, 1, 1);
        assert_eq!(window.sums(late), sums(1, 1));
        assert_eq!(window.sums(late + SECOND), sums(0, 0), "still expires");
    }

    #[test]
    fn a_full_slice_stops_counting_instead_of_spilling() {
        let window = Window::new(10 * SECOND);
        window.add(0, COUNT_MAX - 1, 1);
        window.add(0, 5, 1);
        window.add(0, 1, 1);
        assert_eq!(window.sums(0), sums(COUNT_MAX, 3));
    }

    // Every worker adds through all slices at once: nothing is lost where words are replaced.
    #[test]
    fn eight_threads_lose_no_addition() {
        let window = Window::new(10 * SECOND);
        for old in 0..SLICES {
            window.add(old * SECOND, 1_000_000, 1_000_000);
        }
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for step in 0..10_000 {
                        window.add((10 + step / 1_000) * SECOND, 1, 2);
                    }
                });
            }
        });
        assert_eq!(window.sums(19 * SECOND), sums(80_000, 160_000));
    }

    proptest! {
        #[test]
        fn agrees_with_a_list_of_everything_ever_added(
            steps in prop::collection::vec((0_u64..40, 0_u64..5, 0_u64..5), 0..100),
        ) {
            let window = Window::new(100);
            let (mut now, mut list) = (0, Vec::new());
            for (wait, part, whole) in steps {
                now += wait;
                window.add(now, part, whole);
                list.push((now / 10, part, whole));
                let kept = list.iter().filter(|(slice, ..)| slice + SLICES > now / 10);
                let expected = kept.fold(sums(0, 0), |all, (_, part, whole)| {
                    sums(all.part + part, all.whole + whole)
                });
                prop_assert_eq!(window.sums(now), expected);
                let mut kept = list.iter().filter(|(slice, ..)| slice + SLICES > now / 10);
                let same = kept.all(|(_, part, whole)| part == whole);
                prop_assert_eq!(window.is_even(now), same);
            }
        }
    }
}

//! Counts of durations in log-linear buckets, shared by all threads.
//!
//! The failure prevented is a percentile that needs every sample kept, or a lock per sample. Up to
//! 128 us a bucket is a microsecond wide, above that a sixty-fourth of its power of two, so that a
//! percentile is at most 1.6 % too high and never too low (as HDR histograms have it: the highest
//! value of the bucket that holds the rank). Recording is one atomic addition.
//!
//! Limits: what is longer than 67 s counts as that.

use crate::Nanos;
use std::sync::atomic::{AtomicU32, Ordering};

const MICRO: Nanos = 1_000;
const LINEAR: u64 = 128;
const STEPS: u64 = LINEAR / 2;
const MICROS_MAX: u64 = (1 << 26) - 1;
/// Buckets of one histogram.
pub const BUCKETS: usize = index_of(MICROS_MAX) + 1;

const fn index_of(micros: u64) -> usize {
    if micros < LINEAR {
        return micros as usize;
    }
    // The seven highest bits name the bucket: six after the leading one.
    let shift = (micros.ilog2() - STEPS.ilog2()) as u64;
    (LINEAR + (shift - 1) * STEPS + (micros >> shift) - STEPS) as usize
}

/// The highest duration that bucket `index` holds.
pub fn highest(index: usize) -> Nanos {
    let index = index as u64;
    if index < LINEAR {
        return index * MICRO;
    }
    let (shift, step) = ((index - LINEAR) / STEPS + 1, (index - LINEAR) % STEPS);
    (((STEPS + step + 1) << shift) - 1) * MICRO
}

/// One histogram.
#[derive(Debug)]
pub struct Buckets(Box<[AtomicU32]>);

impl Default for Buckets {
    fn default() -> Self {
        Self::new()
    }
}

impl Buckets {
    pub fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    pub fn record(&self, elapsed: Nanos) {
        let micros = elapsed.div_ceil(MICRO).min(MICROS_MAX);
        self.0[index_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, by bucket.
    pub fn counts(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|count| count.load(Ordering::Relaxed))
    }

    /// Takes the counts out. A sample that is recorded meanwhile is in the answer or still here.
    pub fn take(&self) -> Vec<u32> {
        let take = |count: &AtomicU32| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        self.0.iter().map(take).collect()
    }

    pub fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// The `quantile` of `counts` when all of them are exact: the value of rank `ceil(quantile * N)`.
pub fn quantile(counts: &[u32], quantile: f64) -> Option<Nanos> {
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let rank = ((quantile * total as f64).ceil() as u64).max(1);
    let mut below = 0;
    for (index, count) in counts.iter().enumerate() {
        below += u64::from(*count);
        if below >= rank {
            return Some(highest(index));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recorded(values: impl IntoIterator<Item = Nanos>) -> Buckets {
        let buckets = Buckets::new();
        values.into_iter().for_each(|value| buckets.record(value));
        buckets
    }

    // ALGORITHMS 5: HDR of 1..100.
    #[test]
    fn quantiles_are_the_highest_value_of_the_rank() {
        let counts = recorded((1..=100).map(|micros| micros * MICRO)).take();
        for (q, micros) in [(0.95, 95), (0.999, 100), (0.0, 1), (0.5, 50), (1.0, 100)] {
            assert_eq!(quantile(&counts, q), Some(micros * MICRO), "{q}");
        }
        assert_eq!(quantile(&Buckets::new().take(), 0.5), None);
    }

    #[test]
    fn the_longest_bucket_holds_everything_longer() {
        let longest = Some(MICROS_MAX * MICRO);
        assert_eq!(quantile(&recorded([u64::MAX]).take(), 0.5), longest);
        assert_eq!(highest(BUCKETS - 1), MICROS_MAX * MICRO);
    }

    #[test]
    fn what_is_taken_is_gone() {
        let buckets = recorded([1, 5_000, 5_000]);
        assert_eq!(buckets.take().iter().sum::<u32>(), 3);
        assert_eq!(buckets.counts().sum::<u32>(), 0);
    }

    // Takers and recorders at once: every sample is in exactly one answer.
    #[test]
    fn four_threads_lose_no_sample() {
        let buckets = Buckets::new();
        let mut taken = 0;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|micros| buckets.record(micros * MICRO)));
            }
            for _ in 0..20 {
                taken += buckets.take().iter().sum::<u32>();
            }
        });
        assert_eq!(taken + buckets.take().iter().sum::<u32>(), 20_000);
    }

    proptest! {
        #[test]
        fn a_bucket_is_never_too_low_and_hardly_too_high(micros in 1_u64..=MICROS_MAX) {
            let index = index_of(micros);
            let highest = highest(index) / MICRO;
            prop_assert!(highest >= micros && highest - micros <= micros / 64);
            prop_assert_eq!(index_of(highest), index);
            prop_assert!(highest == MICROS_MAX || index_of(highest + 1) == index + 1);
        }
    }
}

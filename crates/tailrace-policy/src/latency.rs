//! Live percentiles of one upstream: what an answer usually takes, and what a slow one takes.
//!
//! The failure prevented is a delay that was right last month, and a percentile that collapses
//! because the slow attempts, given up early, are missing from it. An attempt that was cancelled or
//! timed out is recorded as a lower bound: how long it would have taken is unknown, but not less.
//! The percentile is the product-limit (Kaplan-Meier) estimate, which gives the weight of such an
//! attempt to the answers that took longer; without lower bounds it is the plain percentile.
//!
//! The window is three slices of ten seconds in shared buckets. A slice that is used again is
//! cleared by whoever wins a try-lock; meanwhile the others use the slice before. The two
//! percentiles are cached, and computed anew every three seconds by whoever wins another.

use crate::buckets::{highest, Buckets};
use crate::lock::try_lock;
use crate::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SECOND: Nanos = 1_000_000_000;
/// Length of a slice; the window has three.
pub const SLICE: Nanos = 10 * SECOND;
/// How old a cached percentile may be.
pub const REFRESH: Nanos = 3 * SECOND;
/// Fewer samples than this say nothing about a tail.
pub const SAMPLES_MIN: u32 = 100;

const SLICES: usize = 3;

#[derive(Debug)]
struct Slice {
    /// Which slice of time this holds, counted from 1; 0 is none yet.
    number: AtomicU64,
    exact: Buckets,
    at_least: Buckets,
}

/// The samples of the window.
#[derive(Debug)]
struct Samples {
    ring: [Slice; SLICES],
    rotating: Mutex<()>,
}

/// Shared by all workers.
#[derive(Debug)]
pub struct Latency {
    tail: f64,
    samples_min: u32,
    samples: Arc<Samples>,
    refreshing: Mutex<()>,
    refresh_at: AtomicU64,
    /// Zero is unknown.
    cached_median: AtomicU64,
    cached_tail: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(0.95, SAMPLES_MIN)
    }
}

impl Latency {
    /// Percentiles from at least `samples_min` samples; `tail` is the higher one, as a share.
    pub fn new(tail: f64, samples_min: u32) -> Self {
        let slice = |_| Slice {
            number: AtomicU64::new(0),
            exact: Buckets::new(),
            at_least: Buckets::new(),
        };
        let samples = Samples {
            ring: std::array::from_fn(slice),
            rotating: Mutex::new(()),
        };
        Self::over(Arc::new(samples), tail, samples_min)
    }

    /// Other percentiles of the same samples.
    #[must_use]
    pub fn renewed(&self, tail: f64, samples_min: u32) -> Self {
        Self::over(Arc::clone(&self.samples), tail, samples_min)
    }

    fn over(samples: Arc<Samples>, tail: f64, samples_min: u32) -> Self {
        Self {
            tail,
            samples_min,
            samples,
            refreshing: Mutex::new(()),
            refresh_at: AtomicU64::new(0),
            cached_median: AtomicU64::new(0),
            cached_tail: AtomicU64::new(0),
        }
    }

    /// Adds an answer's time, or with `censored` the time after which an attempt was given up.
    /// Fast failures are not recorded: they say nothing about an answer.
    pub fn record(&self, now: Nanos, elapsed: Nanos, censored: bool) {
        if let Some(slice) = self.samples.slice(now) {
            let buckets = if censored {
                &slice.at_least
            } else {
                &slice.exact
            };
            buckets.record(elapsed);
        }
    }

    /// What half of the answers stay within.
    pub fn median(&self, now: Nanos) -> Option<Nanos> {
        self.refresh(now);
        known(self.cached_median.load(Ordering::Relaxed))
    }

    /// What all but the slowest answers stay within.
    pub fn tail(&self, now: Nanos) -> Option<Nanos> {
        self.refresh(now);
        known(self.cached_tail.load(Ordering::Relaxed))
    }

    fn refresh(&self, now: Nanos) {
        if now < self.refresh_at.load(Ordering::Relaxed) {
            return;
        }
        let Some(_held) = try_lock(&self.refreshing) else {
            return;
        };
        // Again inside the lock: who waited for nothing must not compute the same once more.
        if now < self.refresh_at.load(Ordering::Relaxed) {
            return;
        }
        let counts = self.counts(now);
        let enough = counts.total >= u64::from(self.samples_min);
        let value = |q| if enough { counts.quantile(q) } else { 0 };
        self.cached_median.store(value(0.5), Ordering::Relaxed);
        self.cached_tail.store(value(self.tail), Ordering::Relaxed);
        self.refresh_at.store(now + REFRESH, Ordering::Relaxed);
    }

    fn counts(&self, now: Nanos) -> Counts {
        let oldest = (now / SLICE + 2).saturating_sub(SLICES as u64);
        let mut counts = Counts::default();
        for slice in &self.samples.ring {
            let number = slice.number.load(Ordering::Acquire);
            if number > 0 && number >= oldest {
                counts.add(slice);
            }
        }
        counts
    }
}

impl Samples {
    fn slice(&self, now: Nanos) -> Option<&Slice> {
        let number = now / SLICE + 1;
        let place = number as usize % SLICES;
        let slice = &self.ring[place];
        // A newer slice is taken by a worker whose clock is late.
        if slice.number.load(Ordering::Acquire) >= number {
            return Some(slice);
        }
        let Some(_held) = try_lock(&self.rotating) else {
            // Another worker is clearing it: until then the slice before is as good.
            let before = &self.ring[(place + SLICES - 1) % SLICES];
            let fresh = before.number.load(Ordering::Acquire) + 1 >= number;
            return fresh.then_some(before);
        };
        if slice.number.load(Ordering::Acquire) < number {
            slice.exact.clear();
            slice.at_least.clear();
            slice.number.store(number, Ordering::Release);
        }
        Some(slice)
    }
}

fn known(value: Nanos) -> Option<Nanos> {
    (value > 0).then_some(value)
}

/// The window's samples by bucket: exact, and at least.
#[derive(Debug, Default)]
struct Counts {
    total: u64,
    buckets: Vec<(u64, u64)>,
}

impl Counts {
    fn add(&mut self, slice: &Slice) {
        self.buckets.resize(crate::buckets::BUCKETS, (0, 0));
        let counts = slice.exact.counts().zip(slice.at_least.counts());
        for (sum, (exact, at_least)) in self.buckets.iter_mut().zip(counts) {
            sum.0 += u64::from(exact);
            sum.1 += u64::from(at_least);
            self.total += u64::from(exact) + u64::from(at_least);
        }
    }

    /// The first value that no more than `1 - q` of the answers outlive. When the samples do not
    /// reach that far, the longest of them, which is a lower bound; 0 without samples.
    fn quantile(&self, q: f64) -> Nanos {
        let (mut at_risk, mut outliving, mut longest) = (self.total, 1.0, 0);
        for (index, (exact, at_least)) in self.buckets.iter().enumerate() {
            if exact + at_least == 0 {
                continue;
            }
            longest = highest(index);
            if *exact > 0 {
                outliving *= 1.0 - *exact as f64 / at_risk as f64;
                // The product of a hundred fractions is off by less than this.
                if outliving <= 1.0 - q + 1e-9 {
                    return longest;
                }
            }
            at_risk -= exact + at_least;
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MICRO: Nanos = 1_000;
    const MILLI: Nanos = 1_000_000;

    // ALGORITHMS 5: HDR of 1..100, and 100 samples at least.
    #[test]
    fn percentiles_need_a_hundred_samples() {
        let latency = Latency::default();
        for micros in 1..100 {
            latency.record(1, micros * MICRO, false);
        }
        assert_eq!((latency.median(1), latency.tail(1)), (None, None));
        latency.record(2, 100 * MICRO, false);
        let now = 1 + REFRESH;
        assert_eq!(latency.median(now - 1), None, "cached for three seconds");
        assert_eq!(latency.median(now), Some(50 * MICRO));
        assert_eq!(latency.tail(now), Some(95 * MICRO));
    }

    #[test]
    fn the_window_forgets() {
        let latency = Latency::default();
        (0..100).for_each(|_| latency.record(0, 90 * MICRO, false));
        (0..200).for_each(|_| latency.record(2 * SLICE, 10 * MICRO, false));
        let tail = |now| latency.tail(now);
        assert_eq!(tail(3 * SLICE - 1), Some(90 * MICRO));
        assert_eq!(tail(3 * SLICE + REFRESH), Some(10 * MICRO));
        assert_eq!(tail(5 * SLICE), None);
        latency.record(6 * SLICE, MICRO, false);
        assert_eq!(tail(6 * SLICE), None, "a used slice starts empty");
    }

    #[test]
    fn an_attempt_given_up_weighs_as_one_that_took_longer() {
        let latency = Latency::new(0.9, 1);
        // 80 answers at 10, 15 given up at 20, 5 answers at 100: the 15 belong to the tail.
        (0..80).for_each(|_| latency.record(0, 10 * MICRO, false));
        (0..15).for_each(|_| latency.record(0, 20 * MICRO, true));
        (0..5).for_each(|_| latency.record(0, 100 * MICRO, false));
        assert_eq!(latency.tail(0), Some(100 * MICRO));
        // Given up and never seen to end: the percentile is at least that long.
        let given_up = Latency::new(0.9, 1);
        (0..80).for_each(|_| given_up.record(0, 10 * MICRO, false));
        (0..20).for_each(|_| given_up.record(0, 20 * MICRO, true));
        assert_eq!(given_up.tail(0), Some(20 * MICRO));
    }

    // Every slow attempt is given up at 10 ms. Left out, the p95 of the rest would be 5 ms.
    #[test]
    fn the_tail_does_not_collapse_when_slow_attempts_are_given_up() {
        let latency = Latency::default();
        for turn in 0..1_000 {
            let slow = turn % 10 == 0;
            let elapsed = if slow { 10 } else { 5 };
            latency.record(0, elapsed * MILLI, slow);
        }
        assert!(latency.tail(0) >= Some(10 * MILLI));
        assert!(latency.median(0) < Some(6 * MILLI));
    }

    #[test]
    fn four_threads_agree_about_each_new_slice() {
        let latency = Latency::new(0.5, 1);
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for slice in 0..10 {
                        together.wait();
                        for _ in 0..1_000 {
                            latency.record(slice * SLICE, (slice + 1) * MICRO, false);
                            latency.median(slice * SLICE);
                        }
                    }
                });
            }
        });
        let now = 9 * SLICE + REFRESH;
        let counts = latency.counts(now);
        // Three slices; what was recorded during a clearing may count as the slice before.
        assert!(counts.total <= 4 * 4_000, "{}", counts.total);
        assert!((7 * MICRO..=10 * MICRO).contains(&latency.median(now).unwrap()));
    }

    proptest! {
        #[test]
        fn a_lower_bound_never_lowers_a_percentile_below_that_of_its_value(
            samples in prop::collection::vec((1_u64..100, any::<bool>()), 1..200),
            q in 0.0_f64..1.0,
        ) {
            let (mixed, exact) = (Latency::new(q, 1), Latency::new(q, 1));
            for (micros, censored) in samples {
                mixed.record(0, micros * MICRO, censored);
                exact.record(0, micros * MICRO, false);
            }
            prop_assert!(mixed.tail(0) >= exact.tail(0));
        }
    }
}

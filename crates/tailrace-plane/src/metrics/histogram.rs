//! Durations: the advised Prometheus buckets exactly, and log-linear buckets for percentiles.
//!
//! Recording is two stores into memory that only this worker writes. The log-linear part has eight
//! sub-buckets per power of two microseconds, so a percentile read from it is at most 12.5 % too
//! high and never too low.

use super::Count;

/// Upper bounds in seconds: OpenTelemetry's advice plus 0.001 and 0.0025 for short calls.
pub const BOUNDS_S: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const BOUNDS_US: [u64; 16] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000,
    1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
];
const SUB_BITS: u32 = 3;
const SUB: usize = 1 << SUB_BITS;
/// Up to 2^27 us, about 134 s; longer durations land in the last bucket.
const FINE: usize = 25 * SUB;

#[derive(Debug)]
pub struct Histogram {
    bounds: [Count; BOUNDS_S.len() + 1],
    fine: Box<[Count]>,
    sum_us: Count,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bounds: super::counts(),
            fine: (0..FINE).map(|_| Count::default()).collect(),
            sum_us: Count::default(),
        }
    }
}

fn fine_index(us: u64) -> usize {
    if us < SUB as u64 {
        return us as usize;
    }
    let power = us.ilog2();
    let sub = (us >> (power - SUB_BITS)) as usize & (SUB - 1);
    (((power - SUB_BITS + 1) as usize) * SUB + sub).min(FINE - 1)
}

/// The largest duration a fine bucket holds, in microseconds.
fn fine_bound(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let shift = index / SUB - 1;
    (((SUB + index % SUB + 1) as u64) << shift) - 1
}

impl Histogram {
    pub fn record(&self, nanos: u64) {
        let us = nanos / 1_000;
        let bound = BOUNDS_US.partition_point(|limit| us > *limit);
        self.bounds[bound].add(1);
        self.fine[fine_index(us)].add(1);
        self.sum_us.add(us);
    }
}

/// Several workers' histograms added up.
#[derive(Debug, Clone)]
pub struct Merged {
    pub bounds: [u64; BOUNDS_S.len() + 1],
    fine: Vec<u64>,
    pub sum_s: f64,
    pub count: u64,
}

impl Merged {
    pub fn of<'a>(parts: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut merged = Self {
            bounds: [0; BOUNDS_S.len() + 1],
            fine: vec![0; FINE],
            sum_s: 0.0,
            count: 0,
        };
        let mut sum_us = 0;
        for part in parts {
            for (into, from) in merged.bounds.iter_mut().zip(&part.bounds) {
                *into += from.get();
            }
            for (into, from) in merged.fine.iter_mut().zip(&part.fine) {
                *into += from.get();
            }
            sum_us += part.sum_us.get();
        }
        merged.sum_s = sum_us as f64 / 1e6;
        merged.count = merged.bounds.iter().sum();
        merged
    }

    /// The buckets that hold anything, as (upper bound in microseconds, count).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = self.fine.iter().enumerate();
        let some = counts.filter(|(_, count)| **count > 0);
        some.map(|(index, count)| (fine_bound(index), *count))
    }

    /// The duration in milliseconds that `share` of the records do not exceed; `None` when empty.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let total: u64 = self.fine.iter().sum();
        let rank = ((share * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (index, count) in self.fine.iter().enumerate() {
            seen += count;
            if seen >= rank && *count > 0 {
                return Some(fine_bound(index) as f64 / 1e3);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{fine_bound, fine_index, Histogram, Merged, FINE};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_within_an_eighth(us in 0_u64..100_000_000) {
            let bound = fine_bound(fine_index(us));
            prop_assert!(bound >= us && bound as f64 <= us as f64 * 1.125 + 1.0);
        }
    }

    #[test]
    fn buckets_grow_and_the_last_takes_the_rest() {
        for index in 1..FINE {
            assert!(fine_bound(index) > fine_bound(index - 1));
            assert_eq!(fine_index(fine_bound(index)), index);
        }
        assert_eq!(fine_index(u64::MAX), FINE - 1);
    }

    #[test]
    fn workers_add_up_and_percentiles_are_ranks() {
        let (one, two) = (Histogram::default(), Histogram::default());
        for ms in 1..=50_u64 {
            one.record(ms * 1_000_000);
            two.record((ms + 50) * 1_000_000);
        }
        let merged = Merged::of([&one, &two].into_iter());
        assert_eq!(merged.count, 100);
        assert_eq!(merged.bounds[..3], [1, 1, 3]);
        assert!((merged.sum_s - 5.05).abs() < 1e-9);
        let p99 = merged.percentile_ms(0.99).unwrap();
        assert!((99.0..=112.0).contains(&p99), "{p99}");
        let buckets: Vec<_> = merged.buckets().collect();
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 100);
        assert_eq!(buckets.first(), Some(&(1_023, 1)));
        assert_eq!(Merged::of(std::iter::empty()).percentile_ms(0.5), None);
        assert_eq!(Merged::of(std::iter::empty()).buckets().count(), 0);
    }
}

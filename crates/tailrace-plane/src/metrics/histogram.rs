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

/// The advised buckets, and the sum.
#[derive(Debug)]
pub struct Coarse {
    bounds: [Count; BOUNDS_S.len() + 1],
    sum_us: Count,
}

impl Default for Coarse {
    fn default() -> Self {
        Self {
            bounds: super::counts(),
            sum_us: Count::default(),
        }
    }
}

impl Coarse {
    pub fn record(&self, us: u64) {
        self.bounds[bucket(us)].add(1);
        self.sum_us.add(us);
    }

    pub fn count(&self) -> u64 {
        self.bounds.iter().map(Count::get).sum()
    }
}

/// In which of the advised buckets a duration lands.
pub fn bucket(us: u64) -> usize {
    BOUNDS_US.partition_point(|limit| us > *limit)
}

/// The log-linear buckets.
#[derive(Debug)]
pub struct Fine(Box<[Count]>);

impl Default for Fine {
    fn default() -> Self {
        Self((0..FINE).map(|_| Count::default()).collect())
    }
}

impl Fine {
    pub fn record(&self, us: u64) {
        self.0[fine_index(us)].add(1);
    }
}

#[derive(Debug, Default)]
pub struct Histogram {
    coarse: Coarse,
    fine: Fine,
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
        if super::MUTED {
            return;
        }
        let us = nanos / 1_000;
        self.coarse.record(us);
        self.fine.record(us);
    }
}

/// Several workers' advised buckets added up.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    pub bounds: [u64; BOUNDS_S.len() + 1],
    sum_us: u64,
}

impl Merged {
    pub fn of<'a>(parts: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut merged = Self::default();
        parts.for_each(|part| merged.add(&part.coarse));
        merged
    }

    pub fn add(&mut self, part: &Coarse) {
        for (into, from) in self.bounds.iter_mut().zip(&part.bounds) {
            *into += from.get();
        }
        self.sum_us += part.sum_us.get();
    }

    pub fn sum_s(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    pub fn count(&self) -> u64 {
        self.bounds.iter().sum()
    }
}

/// Several workers' log-linear buckets added up.
#[derive(Debug, Clone)]
pub struct Ranks(Vec<u64>);

impl Ranks {
    pub fn of<'a>(parts: impl Iterator<Item = &'a Fine>) -> Self {
        let mut merged = vec![0; FINE];
        for part in parts {
            for (into, from) in merged.iter_mut().zip(&part.0) {
                *into += from.get();
            }
        }
        Self(merged)
    }

    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The buckets that hold anything, as (upper bound in microseconds, count).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = self.0.iter().enumerate();
        let some = counts.filter(|(_, count)| **count > 0);
        some.map(|(index, count)| (fine_bound(index), *count))
    }

    /// The duration in milliseconds that `share` of the records do not exceed; `None` when empty.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let total = self.count();
        let rank = ((share * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (index, count) in self.0.iter().enumerate() {
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
    use super::{bucket, fine_bound, fine_index, Fine, Histogram, Merged, Ranks, BOUNDS_US, FINE};
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
        assert_eq!(merged.count(), 100);
        assert_eq!(merged.bounds[..3], [1, 1, 3]);
        assert!((merged.sum_s() - 5.05).abs() < 1e-9);
        let ranks = Ranks::of([&one.fine, &two.fine].into_iter());
        assert_eq!(ranks.count(), 100);
        let buckets: Vec<_> = ranks.buckets().collect();
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 100);
        assert_eq!(buckets.first(), Some(&(1_023, 1)));
        let p99 = ranks.percentile_ms(0.99).unwrap();
        assert!((99.0..=112.0).contains(&p99), "{p99}");
        assert_eq!(
            Ranks::of(std::iter::empty::<&Fine>()).percentile_ms(0.5),
            None
        );
    }

    #[test]
    fn a_bound_is_the_last_value_of_its_bucket() {
        for (index, bound) in BOUNDS_US.into_iter().enumerate() {
            assert_eq!((bucket(bound), bucket(bound + 1)), (index, index + 1));
        }
    }
}

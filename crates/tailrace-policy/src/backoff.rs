//! Backoff with full jitter: a wait drawn from all of `[0, base * 2^n)`, never above a cap.
//!
//! The failure prevented is the herd: calls that failed together and are retried together fail
//! together again. Full jitter spreads them over the whole interval, which needs the fewest
//! attempts of the known forms; the cap keeps the wait below what a deadline has to give
//! (ALGORITHMS 4).

use crate::draw::below;
use crate::Nanos;

/// Bounds of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Nanos,
    pub cap: Nanos,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: 10_000_000,
            cap: 100_000_000,
        }
    }
}

impl Backoff {
    /// What is wrong with these bounds, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.base == 0 || self.cap < self.base {
            return Err("the backoff's base must be positive and not above its cap");
        }
        Ok(())
    }

    /// What the wait before the `nth` retry stays below; 1 is the first.
    pub fn bound(&self, nth: u32) -> Nanos {
        let doubled = 1_u64.checked_shl(nth.saturating_sub(1));
        let bound = doubled.and_then(|factor| self.base.checked_mul(factor));
        bound.map_or(self.cap, |bound| bound.min(self.cap))
    }

    /// The wait before the `nth` retry.
    pub fn wait(&self, nth: u32, draw: u64) -> Nanos {
        below(draw, self.bound(nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: Nanos = 1_000_000;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let backoff = Backoff::default();
        let bounds = [1, 2, 3, 4, 5, 64, 65, u32::MAX].map(|nth| backoff.bound(nth) / MILLI);
        assert_eq!(bounds, [10, 20, 40, 80, 100, 100, 100, 100]);
    }

    #[test]
    fn the_wait_covers_the_whole_interval() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0), 0);
        assert_eq!(backoff.wait(1, 1 << 63), 5 * MILLI);
        assert_eq!(backoff.wait(1, u64::MAX), 10 * MILLI - 1);
    }

    #[test]
    fn nonsense_is_refused() {
        for (base, cap) in [(0, 1), (2, 1), (0, 0)] {
            assert!(Backoff { base, cap }.check().is_err());
        }
        assert_eq!(Backoff { base: 1, cap: 1 }.check(), Ok(()));
    }

    // A thousand calls fail at once: no millisecond of the wait gets more than a few of them.
    #[test]
    fn calls_that_failed_together_are_not_retried_together() {
        let (backoff, mut random) = (Backoff::default(), fastrand::Rng::with_seed(3));
        let mut arriving = [0_u32; 100];
        for _ in 0..1_000 {
            arriving[(backoff.wait(5, random.u64(..)) / MILLI) as usize] += 1;
        }
        assert!(arriving.iter().all(|count| *count <= 25), "{arriving:?}");
    }

    proptest! {
        #[test]
        fn no_wait_reaches_its_bound(
            base in 1_u64..1_000_000, more in 0_u64..1_000_000, nth: u32, draw: u64,
        ) {
            let backoff = Backoff { base, cap: base + more };
            prop_assert!(backoff.wait(nth, draw) < backoff.bound(nth));
            prop_assert!(backoff.bound(nth) <= backoff.cap);
        }
    }
}

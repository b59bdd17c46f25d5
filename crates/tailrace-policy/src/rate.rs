//! Rate: how many requests a second one key may make, and how many at once (req 9.1a).
//!
//! The failure prevented is one client taking what all share, and a limiter that itself costs a
//! lock or a timer. The generic cell rate algorithm keeps one word, the time at which the key will
//! have paid for everything it did: a request is allowed when that time lies less than a burst
//! ahead. It equals a token bucket whose tokens arrive continuously (ALGORITHMS 7).
//!
//! Limits: the word 0 means no state, and is never stored. A cost above the burst can never pass
//! and says so. Periods are whole nanoseconds: at a million a second the rate is exact to a
//! thousandth.

use crate::Nanos;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: f64 = 1e9;
/// Longest time in which a spent burst may come back.
const REFILL_MAX: Nanos = 24 * 3_600 * 1_000_000_000;

/// Limits of one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Cells a second, in the long run; a request costs one unless it says more.
    pub per_second: f64,
    /// Cells at once, after a pause.
    pub burst: u32,
}

impl Params {
    /// This rate, and what it grants in a second as burst.
    pub fn per_second(per_second: f64) -> Self {
        Self {
            per_second,
            burst: per_second.ceil().max(1.0) as u32,
        }
    }

    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.000_1..=1_000_000.0).contains(&self.per_second) {
            return Err("per_second is between 0.0001 and 1000000");
        }
        if self.burst == 0 {
            return Err("burst must be at least 1, or no request passes");
        }
        if f64::from(self.burst) / self.per_second * SECOND > REFILL_MAX as f64 {
            return Err("a spent burst must come back within a day; lower it or raise per_second");
        }
        Ok(())
    }
}

/// A request that may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Cells that would still be allowed now.
    pub remaining: u32,
    /// Until the whole burst is back.
    pub reset: Nanos,
}

/// The key made more requests than its rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateExceeded {
    /// Cells that would still be allowed now: fewer than were asked for.
    pub remaining: u32,
    /// Until the whole burst is back.
    pub reset: Nanos,
    /// Until the same request would pass. None: never, it costs more than the burst.
    pub retry_after: Option<Nanos>,
}

impl RateExceeded {
    pub fn code(self) -> &'static str {
        "rate_limited"
    }
}

impl fmt::Display for RateExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.retry_after {
            Some(_) => "more requests than the rate allows; try again after the time given",
            None => "the request costs more than the whole burst; no wait helps",
        })
    }
}

impl std::error::Error for RateExceeded {}

/// What a rate comes to in nanoseconds. May be changed while in use: whoever reads between the two
/// words decides once by a mix of the old limits and the new.
#[derive(Debug)]
pub(crate) struct Quota {
    period: AtomicU64,
    capacity: AtomicU64,
}

impl Quota {
    pub(crate) fn new(params: Params) -> Self {
        let quota = Self {
            period: AtomicU64::new(1),
            capacity: AtomicU64::new(1),
        };
        quota.set(params);
        quota
    }

    pub(crate) fn set(&self, params: Params) {
        // A period of zero, which more than 1e9 a second would round to, allows everything.
        let period = ((SECOND / params.per_second).round() as u64).max(1);
        let capacity = period.saturating_mul(u64::from(params.burst.max(1)));
        self.period.store(period, Ordering::Relaxed);
        // Half of all time is out of reach, and keeps sums from overflowing.
        self.capacity
            .store(capacity.min(u64::MAX / 2), Ordering::Relaxed);
    }

    /// The state after `cells` at `now`, if they pass; and what to tell the client.
    pub(crate) fn decide(
        &self,
        state: u64,
        now: Nanos,
        cells: u32,
    ) -> (Option<u64>, Result<Allowed, RateExceeded>) {
        let period = self.period.load(Ordering::Relaxed);
        let capacity = self.capacity.load(Ordering::Relaxed);
        let cost = period.saturating_mul(u64::from(cells));
        let before = state.max(now);
        let after = before.saturating_add(cost);
        let limit = now.saturating_add(capacity);
        if cost > capacity || after > limit {
            let refused = RateExceeded {
                remaining: (limit.saturating_sub(before) / period) as u32,
                reset: before - now,
                retry_after: (cost <= capacity).then(|| after - limit),
            };
            return (None, Err(refused));
        }
        let allowed = Allowed {
            remaining: ((limit - after) / period) as u32,
            reset: after - now,
        };
        // No cells is a question, not a request.
        ((cells > 0).then_some(after), Ok(allowed))
    }
}

/// Shared by all workers; one key.
#[derive(Debug)]
pub struct Rate {
    quota: Quota,
    /// When everything done so far is paid for; 0: nothing was done.
    paid_at: AtomicU64,
}

impl Rate {
    pub fn new(params: Params) -> Self {
        Self {
            quota: Quota::new(params),
            paid_at: AtomicU64::new(0),
        }
    }

    /// Changes the limits; what was done stays done.
    pub fn set(&self, params: Params) {
        self.quota.set(params);
    }

    /// Takes `cells`, all or none.
    pub fn check(&self, now: Nanos, cells: u32) -> Result<Allowed, RateExceeded> {
        let mut state = self.paid_at.load(Ordering::Relaxed);
        loop {
            let (next, answer) = self.quota.decide(state, now, cells);
            let Some(next) = next else { return answer };
            match self.paid_at.compare_exchange_weak(
                state,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return answer,
                Err(seen) => state = seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Nanos = 1_000_000_000;
    const MILLI: Nanos = 1_000_000;

    fn rate(per_second: f64, burst: u32) -> Rate {
        let params = Params { per_second, burst };
        params.check().unwrap();
        Rate::new(params)
    }

    fn passing(rate: &Rate, now: Nanos, tries: usize) -> usize {
        (0..tries).filter(|_| rate.check(now, 1).is_ok()).count()
    }

    // ALGORITHMS 7: 5 a second, burst 5.
    #[test]
    fn a_burst_passes_and_comes_back_whole() {
        let rate = rate(5.0, 5);
        assert_eq!(passing(&rate, 0, 5), 5);
        let refused = rate.check(0, 1).unwrap_err();
        assert_eq!(refused.retry_after, Some(200 * MILLI));
        assert_eq!(
            passing(&rate, 2 * SECOND, 20),
            5,
            "not one more after idling"
        );
    }

    // ALGORITHMS 7: 2 a second.
    #[test]
    fn cells_come_back_one_by_one() {
        let rate = rate(2.0, 2);
        let times = [0, 1, 2, 1_002, 1_003, 1_004];
        let passed = times.map(|time| rate.check(time * MILLI, 1).is_ok());
        assert_eq!(passed, [true, true, false, true, true, false]);
    }

    // ALGORITHMS 7: what costs more than the burst never passes, exactly the burst does.
    #[test]
    fn a_cost_above_the_burst_never_passes() {
        let rate = rate(5.0, 5);
        assert_eq!(rate.check(0, 6).unwrap_err().retry_after, None);
        assert_eq!(rate.check(0, 5).map(|allowed| allowed.remaining), Ok(0));
        assert_eq!(rate.check(0, u32::MAX).unwrap_err().retry_after, None);
    }

    // ALGORITHMS 7, redis-cell: limit 5, one a second; (time, cells, remaining, reset, retry).
    #[test]
    fn the_numbers_a_client_is_told_are_those_of_redis_cell() {
        let rate = rate(1.0, 5);
        let never = Some(None);
        let after = |seconds: u64| Some(Some(seconds * 1_000));
        for (time, cells, remaining, reset, retry) in [
            (0, 6, 5, 0, never),
            (0, 1, 4, 1_000, None),
            (0, 1, 3, 2_000, None),
            (0, 1, 2, 3_000, None),
            (0, 1, 1, 4_000, None),
            (0, 1, 0, 5_000, None),
            (0, 1, 0, 5_000, after(1)),
            (3_000, 1, 2, 3_000, None),
            (3_100, 1, 1, 3_900, None),
            (4_000, 1, 1, 4_000, None),
            (8_000, 1, 4, 1_000, None),
            (9_500, 1, 4, 1_000, None),
            (9_500, 0, 4, 1_000, None),
            (9_500, 2, 2, 3_000, None),
            (9_500, 5, 2, 3_000, after(3)),
        ] {
            let told = match rate.check(time * MILLI, cells) {
                Ok(allowed) => (allowed.remaining, allowed.reset, None),
                Err(refused) => {
                    let retry = refused.retry_after.map(|wait| wait / MILLI);
                    (refused.remaining, refused.reset, Some(retry))
                }
            };
            assert_eq!(
                told,
                (remaining, reset * MILLI, retry),
                "{time} ms x{cells}"
            );
        }
    }

    #[test]
    fn changed_limits_hold_at_once_and_forgive_nothing() {
        let rate = rate(1.0, 5);
        assert_eq!(passing(&rate, 0, 9), 5);
        rate.set(Params::per_second(1_000.0));
        let later = passing(&rate, 5 * SECOND, 2_000);
        assert_eq!(later, 1_000);
    }

    #[test]
    fn nonsense_is_refused() {
        for (per_second, burst) in [
            (0.0, 1),
            (-1.0, 1),
            (f64::NAN, 1),
            (2e9, 1),
            (1.0, 0),
            (0.001, 87),
        ] {
            assert!(
                Params { per_second, burst }.check().is_err(),
                "{per_second} {burst}"
            );
        }
        for sound in [0.01, 5.0, 1_000_000.0] {
            assert_eq!(Params::per_second(sound).check(), Ok(()));
        }
    }

    // All workers at once grant the burst and not one cell more.
    #[test]
    fn eight_threads_never_exceed_the_burst() {
        let rate = rate(10.0, 1_000);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| passing(&rate, SECOND, 1_000)))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(passed, 1_000);
    }

    // A client asks a thousand times a second for a minute: it gets its rate, to the cell, and a
    // neighbour that keeps to the rate is never refused.
    #[test]
    fn a_greedy_client_gets_its_rate_and_a_polite_one_all_it_asks() {
        let (greedy, polite) = (rate(50.0, 50), rate(50.0, 50));
        let (mut taken, mut refused) = (0, 0);
        for millisecond in 0..60_000_u64 {
            let now = millisecond * MILLI;
            taken += usize::from(greedy.check(now, 1).is_ok());
            if millisecond % 20 == 0 {
                refused += usize::from(polite.check(now, 1).is_err());
            }
        }
        assert_eq!((taken, refused), (50 + 60 * 50 - 1, 0));
    }

    proptest! {
        // A token bucket that counts in nanoseconds of credit says the same.
        #[test]
        fn agrees_with_a_token_bucket(
            per_second in 1_u32..2_000, burst in 1_u32..50,
            steps in prop::collection::vec((0_u64..3_000_000, 0_u32..60), 1..200),
        ) {
            let rate = rate(f64::from(per_second), burst);
            let period = (1e9 / f64::from(per_second)).round() as u64;
            let full = period * u64::from(burst);
            let (mut now, mut credit) = (0, full);
            for (wait, cells) in steps {
                now += wait;
                credit = full.min(credit + wait);
                let cost = period * u64::from(cells);
                let passes = cost <= credit;
                if passes {
                    credit -= cost;
                }
                let answer = rate.check(now, cells);
                let remaining = match answer {
                    Ok(allowed) => allowed.remaining,
                    Err(refused) => refused.remaining,
                };
                prop_assert_eq!(answer.is_ok(), passes);
                prop_assert_eq!(u64::from(remaining), credit / period);
            }
        }

        // What the refusal says is true: a nanosecond earlier is too early, then it passes.
        #[test]
        fn the_wait_that_is_told_is_the_shortest(
            spent in 1_u32..=20, cells in 1_u32..=20, now in 0_u64..1_000_000,
        ) {
            let rate = rate(7.0, 20);
            prop_assert!(rate.check(now, spent).is_ok());
            if let Err(refused) = rate.check(now, cells) {
                let wait = refused.retry_after.unwrap();
                prop_assert!(rate.check(now + wait - 1, cells).is_err());
                prop_assert!(rate.check(now + wait, cells).is_ok());
            }
        }
    }
}

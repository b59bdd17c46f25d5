//! Feasibility: a request that cannot be answered in time is refused before its first call.
//!
//! The failure prevented is work that nobody will wait for: with 30 ms left, a chain of calls that
//! has not taken less than 40 ms lately takes places, connections and upstream time, and ends in a
//! 504 all the same. Each call has a live floor, the time that only one answer in twenty beats; the
//! floors along the strong chain are added up, and what is left of the deadline must not be less.
//!
//! Limits: floors are made of answers, so a gate that refuses everything would never learn that the
//! upstreams are fast again, or that a clock was wrong. At most a fifth of the requests of ten
//! seconds are refused; the others go on and are measured. An unknown floor is zero, and a floor
//! that is older than half a minute is unknown.

use crate::latency::Latency;
use crate::window::Window;
use crate::Nanos;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Answers without which a floor is unknown.
pub const ANSWERS_MIN: u32 = 20;
/// The share of answers that beat the floor.
pub const QUANTILE: f64 = 0.05;

const SPAN: Nanos = 10 * 1_000_000_000;

/// The time below which an answer of this call is not to be hoped for. Shared by all workers.
#[derive(Debug)]
pub struct Floor(Latency);

impl Default for Floor {
    fn default() -> Self {
        Self::new()
    }
}

impl Floor {
    pub fn new() -> Self {
        Self(Latency::new(QUANTILE, ANSWERS_MIN))
    }

    /// Adds what an answer took. Not failures: a fast one says nothing about an answer.
    pub fn record(&self, now: Nanos, elapsed: Nanos) {
        self.0.record(now, elapsed, false);
    }

    /// Zero when unknown.
    pub fn get(&self, now: Nanos) -> Nanos {
        let value = self.0.tail(now).unwrap_or(0);
        // The percentile is up to a sixty-fourth, or a microsecond, too high; a floor must not be.
        value.saturating_sub((value / 64).max(1_000))
    }
}

/// Limits of the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// The largest share of requests that is refused.
    pub refused_max: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { refused_max: 0.2 }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..=0.5).contains(&self.refused_max) {
            return Err("refused_max is a share between 0 and 0.5; the rest keeps floors alive");
        }
        Ok(())
    }
}

/// What is left is less than the calls take at best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infeasible {
    pub needed: Nanos,
    pub remaining: Nanos,
}

impl Infeasible {
    pub fn code(self) -> &'static str {
        "infeasible"
    }
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (needed, remaining) = (self.needed / 1_000, self.remaining / 1_000);
        write!(
            f,
            "{remaining} us are left and the calls take {needed} us at best; allow more time"
        )
    }
}

impl std::error::Error for Infeasible {}

/// Shared by all workers; one per view.
#[derive(Debug)]
pub struct Gate {
    /// Part: refused; whole: asked.
    window: Window,
    /// Largest share of requests that is refused, as bits.
    refused_max: AtomicU64,
    refusing: Mutex<()>,
}

impl Gate {
    pub fn new(params: Params) -> Self {
        Self {
            window: Window::new(SPAN),
            refused_max: AtomicU64::new(params.refused_max.to_bits()),
            refusing: Mutex::new(()),
        }
    }

    /// Changes the limits; what was refused stays counted.
    pub fn set(&self, params: Params) {
        let bits = params.refused_max.to_bits();
        self.refused_max.store(bits, Ordering::Relaxed);
    }

    /// Whether a request with this time left may start its calls. `chain` has the floors of the
    /// calls that follow each other; of chains beside each other the longest, see `chain_floor`.
    pub fn check<'a>(
        &self,
        now: Nanos,
        remaining: Nanos,
        chain: impl IntoIterator<Item = &'a Floor>,
    ) -> Result<(), Infeasible> {
        self.check_needed(now, remaining, chain_floor(now, chain))
    }

    /// The same, for a sum that is known.
    pub fn check_needed(
        &self,
        now: Nanos,
        remaining: Nanos,
        needed: Nanos,
    ) -> Result<(), Infeasible> {
        self.window.add(now, 0, 1);
        if needed <= remaining || !self.has_room(now) {
            return Ok(());
        }
        // Refusals are rare: they are counted under a lock, so that workers together keep the cap.
        let _held = self.refusing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_room(now) {
            return Ok(());
        }
        self.window.add(now, 1, 0);
        Err(Infeasible { needed, remaining })
    }

    fn has_room(&self, now: Nanos) -> bool {
        let sums = self.window.sums(now);
        let most = f64::from_bits(self.refused_max.load(Ordering::Relaxed));
        (sums.part + 1) as f64 <= most * sums.whole as f64
    }
}

/// What a chain of calls takes at best.
pub fn chain_floor<'a>(now: Nanos, chain: impl IntoIterator<Item = &'a Floor>) -> Nanos {
    let floors = chain.into_iter().map(|floor| floor.get(now));
    floors.fold(0, Nanos::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: Nanos = 1_000_000;
    const SECOND: Nanos = 1_000 * MILLI;

    fn floor(now: Nanos, answers: impl IntoIterator<Item = u64>) -> Floor {
        let floor = Floor::new();
        for millis in answers {
            floor.record(now, millis * MILLI);
        }
        floor
    }

    #[test]
    fn the_largest_share_may_change_in_use() {
        let gate = Gate::new(Params { refused_max: 0.0 });
        assert_eq!(refusals(&gate, 0, 100, MILLI), 0);
        gate.set(Params { refused_max: 0.5 });
        assert_eq!(refusals(&gate, 0, 100, MILLI), 100, "half of two hundred");
        gate.set(Params { refused_max: 0.1 });
        assert_eq!(refusals(&gate, 0, 100, MILLI), 0, "what was refused counts");
    }

    fn refusals(gate: &Gate, now: Nanos, requests: usize, remaining: Nanos) -> usize {
        (0..requests)
            .filter(|_| gate.check_needed(now, remaining, 40 * MILLI).is_err())
            .count()
    }

    // One answer in twenty is faster, and the bucket's width is taken off.
    #[test]
    fn a_floor_is_what_hardly_any_answer_beats() {
        let floor = floor(SECOND, 1..=100);
        let got = floor.get(SECOND) as f64 / MILLI as f64;
        assert!((4.9..=5.0).contains(&got), "{got}");
    }

    #[test]
    fn a_floor_needs_answers_and_ages() {
        assert_eq!(floor(SECOND, 1..20).get(SECOND), 0, "nineteen are too few");
        let floor = floor(SECOND, 20..60);
        assert!(floor.get(SECOND) > 19 * MILLI);
        assert_eq!(floor.get(60 * SECOND), 0, "a minute later it is unknown");
    }

    #[test]
    fn the_floors_of_a_chain_add_up() {
        let (users, orders) = (floor(0, vec![10; 50]), floor(0, vec![30; 50]));
        let needed = chain_floor(0, [&users, &orders, &Floor::new()]);
        assert!((39 * MILLI..=40 * MILLI).contains(&needed), "{needed}");
        let gate = Gate::new(Params::default());
        for _ in 0..100 {
            assert_eq!(gate.check(0, 40 * MILLI, [&users, &orders]), Ok(()));
        }
        let refused = gate.check(0, 38 * MILLI, [&users, &orders]).unwrap_err();
        assert_eq!((refused.needed, refused.remaining), (needed, 38 * MILLI));
        assert_eq!(refused.code(), "infeasible");
        assert_eq!(gate.check(0, 38 * MILLI, [&users]), Ok(()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Params::default().check(), Ok(()));
        for refused_max in [-0.1, 0.51, f64::NAN] {
            assert!(Params { refused_max }.check().is_err());
        }
    }

    // A clock is wrong and every request seems too late: four fifths go on.
    #[test]
    fn a_wrong_clock_cannot_refuse_everything() {
        let gate = Gate::new(Params::default());
        for second in 0..60 {
            let refused = refusals(&gate, second * SECOND, 1_000, 0);
            assert!((190..=210).contains(&refused), "{second}: {refused}");
        }
        assert_eq!(
            refusals(&Gate::new(Params { refused_max: 0.0 }), 0, 1_000, 0),
            0
        );
    }

    #[test]
    fn eight_threads_keep_the_cap_together() {
        let gate = Gate::new(Params::default());
        let refused: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| refusals(&gate, SECOND, 1_000, 0)))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert!((1..=1_600).contains(&refused), "{refused}");
    }

    // An upstream is slow for a minute, and one request in ten has little time. Those are refused
    // while it is slow, all others pass; and when it is fast again, so do they: those that went on
    // all the while have measured it.
    #[test]
    fn short_requests_are_refused_while_the_upstream_is_slow() {
        let (gate, floor) = (Gate::new(Params::default()), Floor::new());
        let mut refused = [0_u32; 3];
        for step in 0..18_000_u64 {
            let now = step * 10 * MILLI;
            let slow = (60..120).contains(&(now / SECOND));
            let short = step % 10 == 0;
            let remaining = if short { 30 * MILLI } else { 500 * MILLI };
            if gate.check(now, remaining, [&floor]).is_ok() {
                floor.record(now, if slow { 80 * MILLI } else { 10 * MILLI });
            } else {
                assert!(short, "nobody with enough time is refused");
                refused[(now / (60 * SECOND)) as usize] += 1;
            }
        }
        // The window still has fast answers for half a minute, and a slow one for as long after.
        assert_eq!(refused[0], 0);
        assert!((250..=600).contains(&refused[1]), "{refused:?}");
        assert!(refused[2] <= 100, "{refused:?}");
    }

    proptest! {
        #[test]
        fn no_more_than_the_cap_and_none_that_has_the_time(
            share in 0.0_f64..0.5,
            requests in prop::collection::vec((0_u64..100, 0_u64..100, 0_u64..5), 1..300),
        ) {
            let gate = Gate::new(Params { refused_max: share });
            let mut refused = 0.0;
            for (index, (remaining, needed, wait)) in requests.into_iter().enumerate() {
                let answer = gate.check_needed(wait, remaining, needed);
                prop_assert!(answer.is_ok() || needed > remaining);
                refused += f64::from(u8::from(answer.is_err()));
                prop_assert!(refused <= share * (index + 1) as f64 + 1e-9);
            }
        }
    }
}

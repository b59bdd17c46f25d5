//! Choosing an address: two random candidates, the less loaded one wins.
//!
//! The failure prevented is one slow address deciding the tail of all requests, and the herd that
//! "least loaded of all" makes of stale data. Load is a peak-sensitive moving average of round
//! trips times the calls pending (plus one): it jumps up at once and decays over `TAU`. A failure
//! counts as a long round trip, so fast errors cannot attract traffic. Finagle and linkerd use the
//! same form (ALGORITHMS 9).

use crate::outcome::Outcome;
use crate::Nanos;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

/// Time constant of the average.
pub const TAU: Nanos = 10_000_000_000;
/// What an address is assumed to cost before it has answered.
pub const FIRST_RTT: Nanos = 30_000_000;
/// What a failed attempt counts as.
pub const FAILURE_RTT: Nanos = 5_000_000_000;

/// Load statistics of one address, shared by all workers.
#[derive(Debug)]
pub struct Endpoint {
    /// Bits of the average in nanoseconds (`f64`).
    average: AtomicU64,
    stamp: AtomicU64,
    pending: AtomicU32,
    tau: Nanos,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Endpoint {
    pub fn new() -> Self {
        Self::with_tau(TAU)
    }

    pub fn with_tau(tau: Nanos) -> Self {
        Self {
            average: AtomicU64::new((FIRST_RTT as f64).to_bits()),
            stamp: AtomicU64::new(0),
            pending: AtomicU32::new(0),
            tau,
        }
    }

    /// A newcomer to `pool`, taken to cost the median of those that have answered: a cheaper guess
    /// would draw a flood, a dearer one would leave it idle. Its own first round trip replaces the
    /// guess.
    pub fn joining(pool: &[Arc<Self>], now: Nanos) -> Self {
        let known = pool
            .iter()
            .filter(|one| one.stamp.load(Ordering::Relaxed) > 0);
        let mut averages: Vec<f64> = known.map(|one| one.average(now)).collect();
        averages.sort_by(f64::total_cmp);
        let newcomer = Self::with_tau(pool.first().map_or(TAU, |one| one.tau));
        if let Some(median) = averages.get(averages.len() / 2) {
            newcomer.average.store(median.to_bits(), Ordering::Relaxed);
        }
        newcomer
    }

    pub fn pending(&self) -> u32 {
        self.pending.load(Ordering::Relaxed)
    }

    /// The average as of `now`; reading decays it without storing.
    pub fn average(&self, now: Nanos) -> f64 {
        let stamp = self.stamp.load(Ordering::Relaxed);
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        if stamp == 0 {
            return average;
        }
        average * self.weight(now, stamp)
    }

    /// `average * (pending + 1)`.
    pub fn load(&self, now: Nanos) -> f64 {
        self.average(now) * (f64::from(self.pending()) + 1.0)
    }

    fn weight(&self, now: Nanos, stamp: Nanos) -> f64 {
        (-(now.saturating_sub(stamp) as f64) / self.tau as f64).exp()
    }

    /// Adds a round trip. Two workers may interleave; one sample is lost, which an average
    /// survives.
    pub fn record(&self, now: Nanos, rtt: Nanos) {
        let rtt = rtt as f64;
        let stamp = self.stamp.load(Ordering::Relaxed);
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        let next = if stamp == 0 || rtt > average {
            rtt
        } else {
            let weight = self.weight(now, stamp);
            average * weight + rtt * (1.0 - weight)
        };
        self.average.store(next.to_bits(), Ordering::Relaxed);
        self.stamp.store(now.max(1), Ordering::Relaxed);
    }

    /// Counts a call as pending until the guard ends.
    pub fn start(self: &Arc<Self>) -> Pending {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Pending(Arc::clone(self))
    }
}

/// A call in flight to an address. Dropping it without `finish` means cancelled: the count is
/// released and nothing else is touched.
#[derive(Debug)]
pub struct Pending(Arc<Endpoint>);

impl Pending {
    pub fn finish(self, now: Nanos, rtt: Nanos, outcome: Outcome) {
        if outcome.is_failure() {
            self.0.record(now, rtt.max(FAILURE_RTT));
        } else if outcome != Outcome::Cancelled && outcome != Outcome::LocalReject {
            self.0.record(now, rtt);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The better of two distinct candidates drawn at random; ties go to the first. `avoid` (the
/// address of an earlier attempt) is left out when there is another. `endpoints` must not be empty.
pub fn pick(endpoints: &[Arc<Endpoint>], now: Nanos, draw: u64, avoid: Option<usize>) -> usize {
    let count = endpoints.len();
    if count <= 1 {
        return 0;
    }
    let avoid = avoid.filter(|index| *index < count);
    let choices = if avoid.is_some() { count - 1 } else { count };
    // Candidates are drawn among the others and shifted past the avoided one.
    let place = |index: usize| index + usize::from(avoid.is_some_and(|avoid| index >= avoid));
    let first = (draw as u32 as usize) % choices;
    if choices == 1 {
        return place(first);
    }
    let step = 1 + ((draw >> 32) as usize) % (choices - 1);
    let (first, second) = (place(first), place((first + step) % choices));
    if endpoints[second].load(now) < endpoints[first].load(now) {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: Nanos = 1_000_000;

    fn close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 5e-4 * expected.max(1.0),
            "{actual} is not {expected}"
        );
    }

    // ALGORITHMS 9: rtt 10 ms, tau 1 s.
    #[test]
    fn the_average_decays_and_jumps_up_at_once() {
        let endpoint = Arc::new(Endpoint::with_tau(1_000 * MILLI));
        let start = 1_000 * MILLI;
        endpoint.record(start, 10 * MILLI);
        close(endpoint.average(start + 100 * MILLI) / 1e6, 9.0484);
        close(endpoint.average(start + 200 * MILLI) / 1e6, 8.1873);
        let guards = [endpoint.start(), endpoint.start()];
        close(endpoint.load(start + 200 * MILLI) / 1e6, 24.562);
        drop(guards);
        endpoint.record(start + 200 * MILLI, 50 * MILLI);
        close(endpoint.average(start + 200 * MILLI) / 1e6, 50.0);
    }

    // ALGORITHMS 9: A has 3 pending x 10 ms = 40, B none x 30 ms = 30: B.
    #[test]
    fn the_less_loaded_of_two_wins() {
        let endpoints = [Arc::new(Endpoint::new()), Arc::new(Endpoint::new())];
        endpoints[0].record(MILLI, 10 * MILLI);
        endpoints[1].record(MILLI, 30 * MILLI);
        let guards: Vec<_> = (0..3).map(|_| endpoints[0].start()).collect();
        for draw in [0, 1, u64::MAX, 1 << 32] {
            assert_eq!(pick(&endpoints, MILLI, draw, None), 1);
        }
        drop(guards);
        assert_eq!(pick(&endpoints, MILLI, 1, None), 0);
    }

    #[test]
    fn a_fast_failure_does_not_attract_calls() {
        let endpoints = [Arc::new(Endpoint::new()), Arc::new(Endpoint::new())];
        endpoints[0]
            .start()
            .finish(MILLI, MILLI / 10, Outcome::Failed);
        endpoints[1].start().finish(MILLI, 20 * MILLI, Outcome::Ok);
        assert_eq!(pick(&endpoints, MILLI, 0, None), 1);
    }

    // ALGORITHMS 9: a newcomer at zero would get a flood.
    #[test]
    fn a_newcomer_starts_at_the_median_of_those_that_answered() {
        let pool: Vec<_> = (0..4).map(|_| Arc::new(Endpoint::new())).collect();
        close(
            Endpoint::joining(&pool, MILLI).average(MILLI),
            FIRST_RTT as f64,
        );
        for (endpoint, rtt) in pool.iter().zip([90, 10, 20]) {
            endpoint.record(MILLI, rtt * MILLI);
        }
        let newcomer = Endpoint::joining(&pool, MILLI);
        close(newcomer.average(MILLI), 20e6);
        close(newcomer.average(1_000 * MILLI), 20e6);
        newcomer.record(2 * MILLI, 5 * MILLI);
        close(newcomer.average(2 * MILLI), 5e6);
    }

    #[test]
    fn a_cancelled_call_leaves_no_trace() {
        let endpoint = Arc::new(Endpoint::new());
        let before = endpoint.average(5);
        drop(endpoint.start());
        endpoint.start().finish(5, 1, Outcome::Cancelled);
        assert_eq!(endpoint.pending(), 0);
        close(endpoint.average(5), before);
    }

    proptest! {
        #[test]
        fn an_avoided_address_is_never_picked_when_there_is_another(
            count in 2_usize..6, draw: u64, avoid in 0_usize..6,
        ) {
            let endpoints: Vec<_> = (0..count).map(|_| Arc::new(Endpoint::new())).collect();
            let picked = pick(&endpoints, 0, draw, Some(avoid));
            prop_assert!(picked < count && (picked != avoid || avoid >= count));
        }
    }

    // Mitzenmacher: two choices beat one by far. Jobs of equal length on 50 addresses, seeded.
    #[test]
    fn two_choices_keep_the_longest_queue_short() {
        let endpoints: Vec<_> = (0..50).map(|_| Arc::new(Endpoint::new())).collect();
        let mut random = fastrand::Rng::with_seed(7);
        let mut one = [0_u32; 50];
        let mut guards = Vec::new();
        for _ in 0..500 {
            guards.push(endpoints[pick(&endpoints, 0, random.u64(..), None)].start());
            one[random.usize(..50)] += 1;
        }
        let two = endpoints.iter().map(|endpoint| endpoint.pending()).max();
        assert!(
            two <= Some(13) && two.as_ref() < one.iter().max(),
            "{two:?} against {one:?}"
        );
    }
}

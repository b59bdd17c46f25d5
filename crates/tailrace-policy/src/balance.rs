//! Choosing an address: two random candidates, the less loaded one wins.
//!
//! The failure prevented is one slow address deciding the tail of all requests, and the herd that
//! "least loaded of all" makes of stale data. Load is a peak-sensitive moving average of round
//! trips times the calls pending (plus one): it jumps up at once and decays over `TAU`. A failure
//! counts as a long round trip, so fast errors cannot attract traffic. Finagle and linkerd use the
//! same form (ALGORITHMS 9).

use crate::breaker::Breaker;
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

/// Which address to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    pub index: usize,
    /// Ejection is ignored: admit the call whatever the address's breaker says.
    pub panic: bool,
}

/// As `pick`, among the addresses that their breakers offer. When less than half are offered they
/// would get more than twice their share, and the fault is rather the upstream's or the network's:
/// then ejection is ignored (ALGORITHMS 9). An address that waits for a probe goes first when it is
/// drawn: by load alone it would wait until its failures are forgotten. `breakers` lie beside
/// `endpoints`; an address without one is offered.
pub fn pick_available(
    endpoints: &[Arc<Endpoint>],
    breakers: &[Arc<Breaker>],
    now: Nanos,
    draw: u64,
    avoid: Option<usize>,
) -> Picked {
    let count = endpoints.len();
    let offered = |index: &usize| breakers.get(*index).is_none_or(|one| one.available(now));
    let due = |index: usize| breakers.get(index).is_some_and(|one| one.is_due(now));
    let available = (0..count).filter(offered).count();
    let panic = available * 2 < count;
    let fallback = || Picked {
        index: pick(endpoints, now, draw, avoid),
        panic,
    };
    if panic {
        return fallback();
    }
    let choices = || {
        let usable = |index: &usize| offered(index) && Some(*index) != avoid;
        (0..count).filter(usable)
    };
    let usable = choices().count();
    if usable == 0 {
        // Only the avoided one is left, if any.
        let index = avoid.filter(|index| *index < count && offered(index));
        return index.map_or_else(fallback, |index| Picked { index, panic });
    }
    let first = (draw as u32 as usize) % usable;
    let step = if usable > 1 {
        1 + ((draw >> 32) as usize) % (usable - 1)
    } else {
        0
    };
    // Breakers move meanwhile: a place that is gone falls back to a pick by load.
    let place = |nth: usize| choices().nth(nth % usable);
    let (Some(first), Some(second)) = (place(first), place(first + step)) else {
        return fallback();
    };
    let lighter = endpoints[second].load(now) < endpoints[first].load(now);
    let index = if due(first) != due(second) {
        if due(second) {
            second
        } else {
            first
        }
    } else if lighter {
        second
    } else {
        first
    };
    Picked { index, panic }
}

#[cfg(test)]
mod tests;

//! Adaptive limit: how many calls to one upstream may be in flight, found from its latency
//! (req 16.4).
//!
//! The failure prevented is a bulkhead that was sized on another day: too high, calls queue inside
//! the upstream until all of them time out; too low, capacity is refused. Once per window the law
//! compares what answers take with what they take without queueing, and moves the limit. Three
//! guards are absolute, because comparisons alone ratchet: a p90 near the timeout, or more than a
//! tenth of the attempts dropped, lowers the limit whatever the law says; more calls in flight that
//! do not raise throughput veto growth (`vegas.rs`); a limit that is not half used does not move. A
//! timeout is a drop and never a sample, and so are 429 and 503 (ALGORITHMS 1).
//!
//! Samples are attempts, timed from dispatch. They go into shared buckets; the window is closed by
//! whoever wins a try-lock. The result is the bulkhead's limit, which does the admission.
//!
//! Limits: outbound only. Inbound latency mixes all upstreams, and would refuse healthy routes.

mod aimd;
mod correlation;
mod gradient;
mod vegas;

use crate::buckets::{quantile, Buckets};
use crate::lock::try_lock;
use crate::outcome::Outcome;
use crate::Nanos;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SECOND: Nanos = 1_000_000_000;
/// A window that has not filled by then is discarded.
const WINDOW_MAX: Nanos = 30 * SECOND;
/// Above this share of drops the upstream asks for less ...
const DROPS_SOME: f64 = 0.01;
/// ... and above this one it is overrun.
const DROPS_MANY: f64 = 0.1;
/// What is shorter is not told apart.
const RTT_MIN: Nanos = 1_000;
/// The limit is at most this multiple of what was in flight.
const HEADROOM: u32 = 5;

/// How the limit follows latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Law {
    /// Queue estimate with a throughput veto.
    #[default]
    Vegas,
    /// One more, or a tenth less when calls are dropped.
    Aimd,
    /// Long against short latency.
    Gradient,
}

/// Limits of one adaptive limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    pub law: Law,
    pub min: u32,
    pub init: u32,
    /// The bulkhead's limit.
    pub max: u32,
    /// The percentile that stands for a window.
    pub quantile: f64,
    /// Shortest window.
    pub window: Nanos,
    pub samples_min: u32,
    /// Latency that is too high whatever it is compared with; 0.8 of the upstream's timeout.
    pub ceiling: Option<Nanos>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            law: Law::Vegas,
            min: 4,
            init: 20,
            max: 200,
            quantile: 0.9,
            window: SECOND,
            samples_min: 50,
            ceiling: None,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.min == 0 || self.init < self.min || self.max < self.init {
            return Err("1 <= min <= init <= max must hold; max is the bulkhead's limit");
        }
        if !(0.5..1.0).contains(&self.quantile) {
            return Err("quantile is between 0.5 and 1");
        }
        if !(SECOND / 10..=WINDOW_MAX).contains(&self.window) || self.samples_min < 10 {
            return Err("a window is 0.1 s to 30 s long and holds 10 samples or more");
        }
        if self.ceiling == Some(0) {
            return Err("ceiling must be positive");
        }
        Ok(())
    }
}

/// What one window saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// The percentile of the answers; none when all attempts were dropped.
    rtt: Option<Nanos>,
    /// The most calls in flight at once.
    in_flight: u32,
    /// Share of the attempts that were dropped.
    drops: f64,
}

#[derive(Debug)]
enum State {
    Vegas(vegas::Vegas),
    Aimd,
    Gradient(gradient::Gradient),
}

impl State {
    /// The next limit by comparison alone.
    fn next(&mut self, limit: f64, seen: &Seen) -> f64 {
        let dropped = seen.drops > DROPS_SOME;
        // A worker's clock stands still within one turn of its loop: no answer took no time.
        let rtt = seen.rtt.map(|rtt| rtt.max(RTT_MIN) as f64);
        match (self, rtt) {
            (Self::Aimd, _) => aimd::next(limit, seen.in_flight, dropped),
            (Self::Vegas(vegas), Some(rtt)) => vegas.next(limit, rtt, seen.in_flight, dropped),
            (Self::Gradient(gradient), Some(rtt)) => gradient.next(limit, rtt, seen.in_flight),
            (Self::Vegas(_) | Self::Gradient(_), None) => limit,
        }
    }
}

/// The window machine: limits as data in, limits out.
#[derive(Debug)]
struct Machine {
    params: Params,
    state: State,
    limit: f64,
}

impl Machine {
    fn new(params: Params) -> Self {
        Self {
            state: match params.law {
                Law::Vegas => State::Vegas(vegas::Vegas::new()),
                Law::Aimd => State::Aimd,
                Law::Gradient => State::Gradient(gradient::Gradient::new()),
            },
            limit: f64::from(params.init),
            params,
        }
    }

    /// The limit after a window.
    fn close(&mut self, seen: &Seen, max: u32) -> u32 {
        let high = |rtt| self.params.ceiling.is_some_and(|ceiling| rtt > ceiling);
        let overrun = seen.drops > DROPS_MANY || seen.rtt.is_some_and(high);
        // The law sees every window: its averages must not have holes.
        let mut next = self.state.next(self.limit, seen);
        if overrun {
            next = aimd::next(self.limit, seen.in_flight, true);
        }
        // A limit that is not half used decided nothing: idle time would inflate it, and errors
        // that are not its doing would starve the upstream.
        if f64::from(seen.in_flight) * 2.0 < self.limit {
            next = self.limit;
        }
        let headroom = seen.in_flight.saturating_mul(HEADROOM);
        let top = max.min(headroom.max(self.params.init));
        self.limit = next.min(f64::from(top)).max(f64::from(self.params.min));
        self.limit as u32
    }
}

/// The limit and what this window has seen.
#[derive(Debug)]
struct Record {
    limit: AtomicU32,
    answers: Buckets,
    samples: AtomicU32,
    drops: AtomicU32,
    in_flight: AtomicU32,
    /// Zero is not yet.
    close_at: AtomicU64,
    machine: Mutex<Machine>,
}

/// Shared by all workers; one per upstream.
#[derive(Debug)]
pub struct AdaptiveLimit {
    params: Params,
    record: Arc<Record>,
}

impl AdaptiveLimit {
    pub fn new(params: Params) -> Self {
        let record = Arc::new(Record {
            limit: AtomicU32::new(params.init),
            answers: Buckets::new(),
            samples: AtomicU32::new(0),
            drops: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            close_at: AtomicU64::new(0),
            machine: Mutex::new(Machine::new(params)),
        });
        Self { params, record }
    }

    /// The same upstream under other bounds, which the next window obeys: what was learned stays.
    #[must_use]
    pub fn renewed(&self, params: Params) -> Self {
        let record = Arc::clone(&self.record);
        if self.params.law == params.law {
            Self { params, record }
        } else {
            Self::new(params)
        }
    }

    pub fn limit(&self) -> u32 {
        self.record.limit.load(Ordering::Relaxed)
    }

    /// Adds the end of an attempt: its time since dispatch, and how many were in flight with it.
    /// Answers the new limit when this closed a window that changed it.
    pub fn sample(&self, now: Nanos, rtt: Nanos, in_flight: u32, outcome: Outcome) -> Option<u32> {
        match outcome {
            Outcome::Ok | Outcome::DegradedOk | Outcome::ClientError => {
                self.record.answers.record(rtt);
            }
            Outcome::Timeout | Outcome::RejectedByPeer => {
                self.record.drops.fetch_add(1, Ordering::Relaxed);
            }
            // A failure may be fast or slow for reasons of its own; the rest was not answered.
            Outcome::Failed | Outcome::Cancelled | Outcome::LocalReject => return None,
        }
        self.record
            .in_flight
            .fetch_max(in_flight, Ordering::Relaxed);
        let samples = self.record.samples.fetch_add(1, Ordering::Relaxed) + 1;
        let close_at = self.record.close_at.load(Ordering::Relaxed);
        if close_at == 0 {
            let first = now + self.params.window;
            // Whoever is first opens the first window; all firsts mean the same moment.
            let _ = self.record.close_at.compare_exchange(
                0,
                first,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            return None;
        }
        let (full, old) = (
            samples >= self.params.samples_min,
            now >= close_at.saturating_add(WINDOW_MAX),
        );
        if now < close_at || !(full || old) {
            return None;
        }
        self.close(now, full)
    }

    fn close(&self, now: Nanos, full: bool) -> Option<u32> {
        let mut machine = try_lock(&self.record.machine)?;
        if now < self.record.close_at.load(Ordering::Relaxed) {
            return None;
        }
        let counts = self.record.answers.take();
        let answers: u32 = counts.iter().sum();
        let drops = self.record.drops.swap(0, Ordering::Relaxed);
        let in_flight = self.record.in_flight.swap(0, Ordering::Relaxed);
        self.record.samples.store(0, Ordering::Relaxed);
        // Twice the fastest answer, so that a window holds whole calls.
        let fastest = quantile(&counts, 0.0).unwrap_or(0);
        let length = (2 * fastest).clamp(self.params.window, WINDOW_MAX);
        self.record.close_at.store(now + length, Ordering::Relaxed);
        if !full || answers + drops == 0 {
            return None;
        }
        let seen = Seen {
            rtt: quantile(&counts, self.params.quantile),
            in_flight,
            drops: f64::from(drops) / f64::from(answers + drops),
        };
        // Whichever revision's caller closes the window: its own bounds hold.
        machine.params = self.params;
        let limit = machine.close(&seen, self.params.max);
        let before = self.record.limit.swap(limit, Ordering::Relaxed);
        (before != limit).then_some(limit)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod story;

//! Breaker of one address: after enough failures it gets no calls, then one probe (req 9.1b, 9.2).
//!
//! The failure prevented is a broken address that keeps taking its share of calls. Trips are of two
//! kinds: failures in a row, which catch a dead address quickly, and the success ratio of a window,
//! which catches one that fails half of the time. A slow answer counts as a failure of the ratio.
//!
//! ```text
//! CLOSED --in a row or ratio--> OPEN --first call after `until`--> PROBE --ok--> CLOSED
//!                                ^------failed (twice the wait)------'
//!                                ^------dropped (offered again at once)
//! ```
//!
//! Every transition makes a new generation, and an end whose generation has passed changes nothing.
//! Admission is a value: a probe that is dropped without an outcome gives its place back, so a
//! cancelled call cannot leave an address ejected for ever (ALGORITHMS 6).
//!
//! Limits: the breaker is per address. A whole upstream is throttled in proportion (`throttle.rs`),
//! because all-or-nothing turns half a failure into a whole one; when most addresses are ejected,
//! ejection is ignored (`balance.rs`).

use crate::draw::fraction;
use crate::outcome::Outcome;
use crate::window::Window;
use crate::Nanos;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

const SECOND: Nanos = 1_000_000_000;

/// Limits of one breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Failures in a row that open it. 429 and 503 neither count here nor interrupt the row.
    pub consecutive: u32,
    /// A lower share of successes opens it ...
    pub success_min: f64,
    /// ... once the window holds this many ends.
    pub samples_min: u32,
    pub window: Nanos,
    /// An answer that takes longer is no success.
    pub slow: Option<Nanos>,
    /// The first time open; doubled by each probe that fails, up to `open_max`.
    pub open: Nanos,
    pub open_max: Nanos,
    /// Share of the time open that is added at random.
    pub jitter: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            consecutive: 7,
            success_min: 0.5,
            samples_min: 20,
            window: 10 * SECOND,
            slow: None,
            open: SECOND,
            open_max: 60 * SECOND,
            jitter: 0.5,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.consecutive == 0 || self.samples_min == 0 {
            return Err("consecutive and samples_min must be at least 1");
        }
        if !(0.0..=1.0).contains(&self.success_min) {
            return Err("success_min is a share between 0 (never) and 1");
        }
        if self.window < SECOND {
            return Err("the window must be at least 1 s");
        }
        if self.slow == Some(0) {
            return Err("slow must be positive");
        }
        if self.open == 0 || self.open_max < self.open {
            return Err("open must be positive and not above open_max");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err("jitter is a share between 0 and 1");
        }
        Ok(())
    }
}

/// The address is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOpen {
    /// When it is offered again; in the past while a probe is under way.
    pub until: Nanos,
}

impl BreakerOpen {
    pub fn code(self) -> &'static str {
        "breaker_open"
    }
}

impl fmt::Display for BreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address failed too often and is ejected until a probe succeeds")
    }
}

impl std::error::Error for BreakerOpen {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Closed,
    Open,
    /// One call is trying it out.
    Probe,
    /// A worker is between two states; to all others it is open.
    Turning,
}

/// What one end means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Counts in the ratio only.
    Soft,
    Bad,
    Nothing,
}

/// What is known of the address.
#[derive(Debug)]
struct Record {
    /// Generation in the upper half, state in the lower.
    word: AtomicU64,
    open_until: AtomicU64,
    /// Probes that failed since it was closed.
    reopened: AtomicU32,
    in_a_row: AtomicU32,
    /// Part: good; whole: all.
    window: Window,
}

/// Shared by all workers; one per address.
#[derive(Debug)]
pub struct Breaker {
    params: Params,
    record: Arc<Record>,
}

impl Breaker {
    pub fn new(params: Params) -> Arc<Self> {
        let record = Arc::new(Record {
            word: AtomicU64::new(word(0, State::Closed)),
            open_until: AtomicU64::new(0),
            reopened: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            window: Window::new(params.window),
        });
        Arc::new(Self { params, record })
    }

    /// The same address under other limits: an ejected one stays ejected until the time it was
    /// given has passed, and guards of both settle the same state.
    #[must_use]
    pub fn renewed(&self, params: Params) -> Arc<Self> {
        if self.params.window != params.window {
            return Self::new(params);
        }
        let record = Arc::clone(&self.record);
        Arc::new(Self { params, record })
    }

    pub fn state(&self) -> State {
        read(self.record.word.load(Ordering::Acquire)).1
    }

    /// Whether a call that picks this address now would be admitted.
    pub fn available(&self, now: Nanos) -> bool {
        match self.state() {
            State::Closed => true,
            State::Open => now >= self.record.open_until.load(Ordering::Relaxed),
            State::Probe | State::Turning => false,
        }
    }

    /// Whether it waits for a call to try it out.
    pub fn is_due(&self, now: Nanos) -> bool {
        self.state() == State::Open && now >= self.record.open_until.load(Ordering::Relaxed)
    }

    /// Admission to the address; exactly one caller gets the probe.
    pub fn admit(self: &Arc<Self>, now: Nanos) -> Result<Guard, BreakerOpen> {
        let seen = self.record.word.load(Ordering::Acquire);
        let (generation, state) = read(seen);
        let until = self.record.open_until.load(Ordering::Relaxed);
        match state {
            State::Closed => Ok(self.guard(Kind::Closed, generation)),
            State::Open if now >= until && self.turn(generation, State::Open, State::Probe) => {
                Ok(self.guard(Kind::Probe, generation.wrapping_add(1)))
            }
            _ => Err(BreakerOpen { until }),
        }
    }

    /// Admission although the address may be ejected: too few others are left. A success closes the
    /// breaker, because it is as good a probe as any; a failure does not prolong the ejection.
    pub fn admit_anyway(self: &Arc<Self>, now: Nanos) -> Guard {
        self.admit(now).unwrap_or_else(|_| {
            let (generation, _) = read(self.record.word.load(Ordering::Acquire));
            self.guard(Kind::Forced, generation)
        })
    }

    fn guard(self: &Arc<Self>, kind: Kind, generation: u32) -> Guard {
        Guard {
            breaker: Arc::clone(self),
            kind,
            generation,
        }
    }

    /// From one state to another, with a new generation; false when someone else was faster.
    fn turn(&self, generation: u32, from: State, to: State) -> bool {
        let (old, new) = (word(generation, from), word(generation.wrapping_add(1), to));
        self.record
            .word
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Publishes the state that this worker's turn ends in.
    fn publish(&self, generation: u32, state: State) {
        self.record
            .word
            .store(word(generation, state), Ordering::Release);
    }

    fn verdict(&self, outcome: Outcome, elapsed: Nanos) -> Verdict {
        match outcome {
            Outcome::Ok | Outcome::DegradedOk => match self.params.slow {
                Some(slow) if elapsed > slow => Verdict::Soft,
                _ => Verdict::Good,
            },
            Outcome::RejectedByPeer => Verdict::Soft,
            Outcome::Failed | Outcome::Timeout => Verdict::Bad,
            Outcome::ClientError | Outcome::Cancelled | Outcome::LocalReject => Verdict::Nothing,
        }
    }

    fn closed_end(&self, generation: u32, now: Nanos, verdict: Verdict, draw: u64) {
        if verdict == Verdict::Nothing || self.state() != State::Closed {
            return;
        }
        self.record
            .window
            .add(now, u64::from(verdict == Verdict::Good), 1);
        let in_a_row = match verdict {
            Verdict::Bad => self.record.in_a_row.fetch_add(1, Ordering::Relaxed) + 1,
            Verdict::Good => {
                // Usually it is zero, and a word that is only read stays in every core's cache.
                if self.record.in_a_row.load(Ordering::Relaxed) > 0 {
                    self.record.in_a_row.store(0, Ordering::Relaxed);
                }
                0
            }
            Verdict::Soft | Verdict::Nothing => 0,
        };
        let trips = in_a_row >= self.params.consecutive || self.is_below_ratio(now);
        // Only one of the workers that see it trips it; the state word says open last.
        if trips && self.turn(generation, State::Closed, State::Turning) {
            self.record.reopened.store(0, Ordering::Relaxed);
            self.open_for(now, 0, draw);
            self.publish(generation.wrapping_add(1), State::Open);
        }
    }

    fn is_below_ratio(&self, now: Nanos) -> bool {
        let sums = self.record.window.sums(now);
        sums.whole >= u64::from(self.params.samples_min)
            && (sums.part as f64) < self.params.success_min * sums.whole as f64
    }

    /// The probe's end. Its holder is the only one who may move the state.
    fn probe_end(&self, generation: u32, now: Nanos, closes: bool, draw: u64) {
        let next = generation.wrapping_add(1);
        if closes {
            self.close(next);
        } else {
            let reopened = self.record.reopened.fetch_add(1, Ordering::Relaxed) + 1;
            self.open_for(now, reopened, draw);
            self.publish(next, State::Open);
        }
    }

    fn close(&self, generation: u32) {
        self.record.window.clear();
        self.record.in_a_row.store(0, Ordering::Relaxed);
        self.publish(generation, State::Closed);
    }

    fn open_for(&self, now: Nanos, reopened: u32, draw: u64) {
        let Params {
            open,
            open_max,
            jitter,
            ..
        } = self.params;
        let doubled = 1_u64.checked_shl(reopened).unwrap_or(u64::MAX);
        let time = open.saturating_mul(doubled).min(open_max) as f64;
        let time = (time * (1.0 + jitter * fraction(draw))) as Nanos;
        let until = now.saturating_add(time);
        self.record.open_until.store(until, Ordering::Relaxed);
    }
}

fn word(generation: u32, state: State) -> u64 {
    u64::from(generation) << 32 | state as u64
}

fn read(word: u64) -> (u32, State) {
    let state = match word as u32 {
        0 => State::Closed,
        1 => State::Open,
        2 => State::Probe,
        _ => State::Turning,
    };
    ((word >> 32) as u32, state)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Closed,
    Probe,
    Forced,
    Settled,
}

/// An admitted attempt. Dropping it without `settle` means cancelled: nothing is counted, and a
/// probe's place is offered again at once.
#[derive(Debug)]
pub struct Guard {
    breaker: Arc<Breaker>,
    kind: Kind,
    generation: u32,
}

impl Guard {
    pub fn is_probe(&self) -> bool {
        self.kind == Kind::Probe
    }

    /// The attempt's end.
    pub fn settle(mut self, now: Nanos, outcome: Outcome, elapsed: Nanos, draw: u64) {
        let (breaker, generation) = (&self.breaker, self.generation);
        let (current, state) = read(breaker.record.word.load(Ordering::Acquire));
        if current != generation {
            self.kind = Kind::Settled;
            return;
        }
        let verdict = breaker.verdict(outcome, elapsed);
        match (self.kind, state) {
            (Kind::Probe, _) => {
                // 4xx is nobody's failure, but an address that answers is alive.
                let closes = verdict == Verdict::Good || outcome == Outcome::ClientError;
                if !closes && verdict == Verdict::Nothing {
                    return;
                }
                breaker.probe_end(generation, now, closes, draw);
            }
            (Kind::Forced, State::Open) if verdict == Verdict::Good => {
                if breaker.turn(generation, State::Open, State::Turning) {
                    breaker.close(generation.wrapping_add(1));
                }
            }
            (Kind::Closed | Kind::Forced, _) => {
                breaker.closed_end(generation, now, verdict, draw);
            }
            (Kind::Settled, _) => {}
        }
        self.kind = Kind::Settled;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.kind == Kind::Probe {
            // `open_until` has passed, or there would be no probe: the next caller gets it.
            self.breaker
                .turn(self.generation, State::Probe, State::Open);
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod model;

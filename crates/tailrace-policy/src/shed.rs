//! Shedding: under overload the least important requests are refused, early and cheaply (req 9.1c).
//!
//! The failure prevented is overload in which everybody waits and nobody is answered in time. Twice
//! a second a controller turns the excess of load into a share to refuse, and the share into a
//! threshold among the levels of the last thousand requests: what lies below is refused before
//! anything is allocated. Overload is a ready queue that is late or a processor that is full, never
//! latency, which upstreams make. The excess is the relative growth of the work in progress plus
//! the backlog, so that a steady overload settles instead of swinging (ALGORITHMS 10).
//!
//! Levels are four classes by 32 cohorts of callers. Of the one level that lies on the threshold a
//! share is refused by chance: a level that holds half of the traffic would otherwise be refused
//! whole or not at all.
//!
//! Limits: never more than 95 % are refused. Work in progress is cut by admission, not taken back.

use crate::draw::fraction;
use crate::lock::try_lock;
use crate::Nanos;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering};
use std::sync::Mutex;

pub mod level;
pub mod pid;
pub mod room;

pub use level::{Class, Level};
use pid::{Pid, INTERVAL};

/// Requests that the threshold is computed from.
pub const HISTORY: usize = 1_024;
const NO_LEVEL: u8 = u8::MAX;
const SHARE_MAX: u32 = 0xffff;

/// Where overload begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Delay of the ready queue that is acceptable.
    pub delay_target: Nanos,
    /// Use of the processors, of what this process may have, that is acceptable.
    pub cpu_target: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            delay_target: 5_000_000,
            cpu_target: 0.95,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.delay_target == 0 || self.delay_target > INTERVAL {
            return Err("delay_target is a queue's delay: above zero, up to 500 ms");
        }
        if !(0.1..=1.0).contains(&self.cpu_target) {
            return Err("cpu_target is a share of the processors, between 0.1 and 1");
        }
        Ok(())
    }
}

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signals {
    /// Requests let in, and requests that ended.
    pub admitted: u64,
    pub done: u64,
    /// How long what is ready waits to run: the shortest such wait, for a burst is no overload.
    pub queue_delay: Nanos,
    /// Use of the processors, of what this process may have (its quota, not the machine's).
    pub cpu: f64,
}

impl Signals {
    /// Excess of load, relative to what arrives while `rate` of it is refused; below zero there is
    /// room.
    pub fn error(&self, params: &Params, rate: f64) -> f64 {
        let error = self.excess(params);
        // A tenth too many of those let in is a fiftieth of all when four in five are refused. Much
        // room means that the load is gone, and nothing is left to be careful about.
        let gone = (-error).clamp(0.0, 1.0);
        error * (1.0 - rate * (1.0 - gone))
    }

    /// Excess of load, relative to what gets done.
    fn excess(&self, params: &Params) -> f64 {
        let delay = self.queue_delay as f64 / params.delay_target as f64;
        let cpu = self.cpu / params.cpu_target;
        let use_max = delay.max(cpu);
        if use_max.is_nan() || use_max <= 1.0 {
            // A signal that is no number counts as none: never a reason to refuse.
            return use_max.clamp(0.0, 1.0) - 1.0;
        }
        let growth = self.admitted as f64 - self.done as f64;
        let growth = (growth / self.done.max(1) as f64).clamp(-1.0, 1.0);
        if delay <= 1.0 {
            return growth.max(cpu - 1.0);
        }
        // A backlog that is already shrinking fills the processor and needs no further refusals.
        let late = self.queue_delay.saturating_sub(params.delay_target);
        growth + (late as f64 / INTERVAL as f64).min(1.0)
    }
}

/// Overload, and others matter more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed;

impl Shed {
    pub fn code(self) -> &'static str {
        "shed"
    }
}

impl fmt::Display for Shed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more load than can be served in time; requests of higher priority go first")
    }
}

impl std::error::Error for Shed {}

/// The level below which all, and the share of it that, is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    pub level: u16,
    pub share: f64,
}

/// The threshold that refuses `rate` of `levels`, which must be in ascending order.
pub fn threshold(levels: &[u16], rate: f64) -> Threshold {
    let wanted = levels.len() as f64 * rate;
    let rank = wanted.ceil() as usize;
    let Some(level) = rank.checked_sub(1).and_then(|index| levels.get(index)) else {
        return Threshold {
            level: 0,
            share: 0.0,
        };
    };
    let below = levels.partition_point(|other| other < level);
    let through = levels.partition_point(|other| other <= level);
    Threshold {
        level: *level,
        share: (wanted - below as f64) / (through - below) as f64,
    }
}

/// Shared by all workers; one per process.
#[derive(Debug)]
pub struct Shedder {
    params: Params,
    /// The threshold: level, and share of 65535.
    threshold: AtomicU32,
    levels: Box<[AtomicU8]>,
    next: AtomicUsize,
    pid: Mutex<Pid>,
    due: AtomicU64,
    rate: AtomicU64,
}

impl Shedder {
    pub fn new(params: Params) -> Self {
        Self {
            params,
            threshold: AtomicU32::new(0),
            levels: (0..HISTORY).map(|_| AtomicU8::new(NO_LEVEL)).collect(),
            next: AtomicUsize::new(0),
            pid: Mutex::new(Pid::default()),
            due: AtomicU64::new(0),
            rate: AtomicU64::new(0),
        }
    }

    /// Whether a request of this level goes on. Asked once for every request: those that are
    /// refused count among the levels too.
    pub fn admit(&self, level: Level, draw: u64) -> Result<(), Shed> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % HISTORY;
        self.levels[place].store(level.rank(), Ordering::Relaxed);
        let threshold = self.threshold.load(Ordering::Relaxed);
        if threshold == 0 {
            return Ok(());
        }
        let (least, share) = (threshold >> 16, threshold & SHARE_MAX);
        let rank = u32::from(level.rank());
        let unlucky = || fraction(draw) * f64::from(SHARE_MAX) < f64::from(share);
        if rank < least || (rank == least && unlucky()) {
            return Err(Shed);
        }
        Ok(())
    }

    /// Corrects the share that is refused, when half a second has passed since the last time. Who
    /// comes first does it, and only then looks at the signals; the others get None.
    pub fn tick(&self, now: Nanos, signals: impl FnOnce() -> Signals) -> Option<f64> {
        if now < self.due.load(Ordering::Relaxed) {
            return None;
        }
        let mut pid = try_lock(&self.pid)?;
        if now < self.due.load(Ordering::Relaxed) {
            return None;
        }
        self.due.store(now + INTERVAL, Ordering::Relaxed);
        let rate = pid.step(signals().error(&self.params, self.rate()));
        let mut levels: Vec<u16> = self
            .levels
            .iter()
            .map(|level| level.load(Ordering::Relaxed))
            .filter(|level| *level != NO_LEVEL)
            .map(u16::from)
            .collect();
        levels.sort_unstable();
        let found = threshold(&levels, rate);
        let share = (found.share * f64::from(SHARE_MAX)) as u32;
        let word = (u32::from(found.level) << 16) | share.min(SHARE_MAX);
        self.threshold.store(word, Ordering::Relaxed);
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
        Some(rate)
    }

    /// The share of requests that is refused.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// The rank below which all are refused; 0 when none are.
    pub fn least_rank(&self) -> u8 {
        (self.threshold.load(Ordering::Relaxed) >> 16) as u8
    }
}

#[cfg(test)]
mod tests;

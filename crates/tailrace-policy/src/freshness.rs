//! Freshness: what a cached answer of a certain age is good for (req 9.2, 16.5).
//!
//! The failures prevented are answers older than anybody agreed to, refresh storms when many
//! entries or many readers expire together, and an error that replaces an answer that was still
//! good. An answer is fresh for its time to live; then it is served while one refresh runs, for
//! another while; then only if the fetch fails; then not at all (RFC 9111 4.2, RFC 5861). The time
//! to live is shortened by chance, so that what was loaded together does not expire together, and a
//! key that is read often is refreshed by chance before it expires, the earlier the longer a fetch
//! takes (XFetch, ALGORITHMS 8).
//!
//! Limits: this says what an entry is good for. That only one refresh runs is `flight.rs`, what is
//! kept is `sketch.rs`, and that identity is part of the key is the blueprint's check.

use crate::draw::fraction;
use crate::Nanos;

const SECOND: Nanos = 1_000_000_000;
/// The longest time that a missing thing is believed to be missing, where nobody said another.
pub const NEGATIVE_MAX: Nanos = 5 * SECOND;
/// Readers of an entry before it is worth an early refresh.
pub const READS_MIN: u64 = 2;

/// How long answers of one view are good for what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Served as it is.
    pub ttl: Nanos,
    /// Then served while it is refreshed, for so long.
    pub stale_while_revalidate: Nanos,
    /// Served if the fetch fails, for so long after `ttl`.
    pub stale_if_error: Nanos,
    /// How long a missing thing is believed to be missing; 0: it is asked for each time.
    pub negative: Nanos,
    /// The largest share of `ttl` that chance takes away.
    pub jitter: f64,
    /// How eagerly entries are refreshed early; 0 is never.
    pub beta: f64,
}

impl Params {
    /// The times that belong to a time to live.
    pub fn of(ttl: Nanos) -> Self {
        Self {
            ttl,
            stale_while_revalidate: ttl,
            stale_if_error: ttl.saturating_mul(10),
            negative: NEGATIVE_MAX.min(ttl / 4),
            jitter: 0.1,
            beta: 1.0,
        }
    }

    /// What is wrong with these times, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        let longest = 24 * 3_600 * SECOND;
        let times = [
            self.ttl,
            self.stale_while_revalidate,
            self.stale_if_error,
            self.negative,
        ];
        if self.ttl == 0 || times.iter().any(|time| *time > longest) {
            return Err("ttl must be above zero, and no time above a day");
        }
        if !(0.0..=0.5).contains(&self.jitter) {
            return Err("jitter is a share of ttl between 0 and 0.5");
        }
        if !(0.0..=10.0).contains(&self.beta) {
            return Err("beta is between 0 (no early refresh) and 10");
        }
        Ok(())
    }

    /// The times of an answer with this status, stored at `now` after a fetch that took `cost`.
    /// None when it is not to be stored: only successes are, and that a thing does not exist. An
    /// error is never stored.
    pub fn store(&self, status: u16, now: Nanos, cost: Nanos, draw: u64) -> Option<Entry> {
        let negative = matches!(status, 404 | 410);
        if !negative && !(200..300).contains(&status) || negative && self.negative == 0 {
            return None;
        }
        let ttl = if negative { self.negative } else { self.ttl };
        let taken = ttl as f64 * self.jitter * fraction(draw);
        // What was missing may exist by now: that it was is never said when it is stale.
        let stale = |time: Nanos| if negative { 0 } else { time };
        Some(Entry {
            stored: now,
            ttl: (ttl - (taken as Nanos).min(ttl)).max(1),
            stale_while_revalidate: stale(self.stale_while_revalidate),
            stale_if_error: stale(self.stale_if_error),
            cost: (cost as f64 * self.beta) as Nanos,
            negative,
        })
    }
}

/// What an entry is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Serve it.
    Fresh,
    /// Serve it, and start a refresh unless one runs: it will expire soon.
    Early,
    /// Serve it, say that it is stale, and start a refresh unless one runs.
    Revalidate,
    /// Fetch, and serve it only if that fails.
    IfError,
    /// Fetch; it must not be served.
    Dead,
}

impl Use {
    /// Whether it may be served without waiting for a fetch.
    pub fn serves(self) -> bool {
        matches!(self, Self::Fresh | Self::Early | Self::Revalidate)
    }

    /// Whether it may be served once the fetch has failed.
    pub fn serves_on_error(self) -> bool {
        self != Self::Dead
    }

    /// Whether somebody should be fetching.
    pub fn fetches(self) -> bool {
        self != Self::Fresh
    }
}

/// The times of one stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    stored: Nanos,
    ttl: Nanos,
    stale_while_revalidate: Nanos,
    stale_if_error: Nanos,
    /// What a fetch takes, times the eagerness.
    cost: Nanos,
    negative: bool,
}

impl Entry {
    /// Whether it says that a thing does not exist.
    pub fn negative(&self) -> bool {
        self.negative
    }

    pub fn age(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.stored)
    }

    /// When it may be dropped from memory: nothing is served after that.
    pub fn dead_at(&self) -> Nanos {
        let stale = self.stale_while_revalidate.max(self.stale_if_error);
        self.stored
            .saturating_add(self.ttl)
            .saturating_add(stale)
            .saturating_add(1)
    }

    /// What it is good for at `now`, read `reads` times since it was stored.
    pub fn at(&self, now: Nanos, reads: u64, draw: u64) -> Use {
        let age = self.age(now);
        if age < self.ttl {
            return if reads >= READS_MIN && self.is_early(self.ttl - age, draw) {
                Use::Early
            } else {
                Use::Fresh
            };
        }
        let over = age - self.ttl;
        // A negative entry has no stale time at all, not even the moment it expires.
        if self.negative {
            Use::Dead
        } else if over <= self.stale_while_revalidate && self.stale_while_revalidate > 0 {
            Use::Revalidate
        } else if over <= self.stale_if_error && self.stale_if_error > 0 {
            Use::IfError
        } else {
            Use::Dead
        }
    }

    /// With chance exp(-left / cost).
    fn is_early(&self, left: Nanos, draw: u64) -> bool {
        // The draw lies in [0, 1) and the logarithm needs (0, 1].
        let chance = 1.0 - fraction(draw);
        self.cost as f64 * -chance.ln() >= left as f64
    }
}

/// Whether a failed fetch lets a stale answer be served: no answer at all, or one of these statuses
/// (RFC 5861 4). Any other status is an answer, and the stale one is wrong.
pub fn excuses(status: Option<u16>) -> bool {
    matches!(status, None | Some(500 | 502 | 503 | 504))
}

#[cfg(test)]
mod tests;

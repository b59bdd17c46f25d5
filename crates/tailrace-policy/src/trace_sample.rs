//! Which finished requests are worth a trace (req 16.6, ALGORITHMS 13).
//!
//! The failure prevented is a trace store full of requests nobody asks about, and none of the one
//! that was slow: a decision made when a request begins cannot know. This one is made when it has
//! ended, of facts that are known then. What went wrong, was tried twice or was late is kept; of
//! the rest a small share, chosen by the trace id, so that every service that chooses by the same
//! rule keeps the same traces.
//!
//! *Bounds.* At most `per_second` traces, a second's worth at once. Ordinary ones (the share, and
//! what a caller has marked as sampled) have half of that: a caller that marks everything must not
//! push out the requests that failed.
//!
//! Limits: only what this process saw decides; a trace kept for what happened here may lack the
//! spans of services that chose otherwise.

use crate::rate::{self, Rate};
use crate::Nanos;

/// A request that has used more than this share of its deadline is kept: four fifths.
const LATE: (Nanos, Nanos) = (4, 5);
/// Trace ids choose by their last 56 bits, the part that is random by W3C trace context level 2.
const RANDOM_BITS: u32 = 56;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Of ordinary requests, between 0 and 1.
    pub share: f64,
    /// Traces of the whole process.
    pub per_second: f64,
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err("share is between 0 and 1");
        }
        rate::Params::per_second(self.per_second).check()
    }
}

/// What a finished request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    pub failed: bool,
    pub degraded: bool,
    pub retried: bool,
    pub hedged: bool,
    /// Above the running P99 of its view.
    pub slow: bool,
    pub took: Nanos,
    /// From its start; 0: it has none.
    pub deadline: Nanos,
    /// Marked as sampled: by the caller, or because its id is in the share.
    pub sampled: bool,
}

/// Why a trace is kept, the strongest reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kept {
    Failed,
    Degraded,
    Retried,
    Hedged,
    Slow,
    Late,
    Sampled,
}

impl Kept {
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::Degraded,
        Self::Retried,
        Self::Hedged,
        Self::Slow,
        Self::Late,
        Self::Sampled,
    ];

    /// The word used in traces and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Degraded => "degraded",
            Self::Retried => "retried",
            Self::Hedged => "hedged",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::Sampled => "sampled",
        }
    }
}

/// Why a trace is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// Nothing about it is worth keeping.
    Ordinary,
    /// There were too many.
    RateLimited,
}

/// The decision, for all workers.
#[derive(Debug)]
pub struct TraceSample {
    /// Ids whose random part is at least this are in the share.
    threshold: u64,
    all: Rate,
    ordinary: Rate,
}

impl TraceSample {
    pub fn new(params: Params) -> Self {
        let whole = (1_u64 << RANDOM_BITS) as f64;
        let half = (params.per_second / 2.0).max(MIN_PER_SECOND);
        Self {
            threshold: ((1.0 - params.share) * whole).round() as u64,
            all: Rate::new(rate::Params::per_second(params.per_second)),
            ordinary: Rate::new(rate::Params::per_second(half)),
        }
    }

    /// Whether a trace that begins here is marked as sampled; every service that chooses by the
    /// same share decides the same.
    pub fn is_in_share(&self, trace: u128) -> bool {
        let random = trace as u64 & ((1 << RANDOM_BITS) - 1);
        random >= self.threshold
    }

    /// Whether the trace of a finished request is kept, and why.
    pub fn decide(&self, facts: Facts, now: Nanos) -> Result<Kept, Passed> {
        let kept = worth(facts).ok_or(Passed::Ordinary)?;
        if kept == Kept::Sampled && self.ordinary.check(now, 1).is_err() {
            return Err(Passed::RateLimited);
        }
        match self.all.check(now, 1) {
            Ok(_) => Ok(kept),
            Err(_) => Err(Passed::RateLimited),
        }
    }
}

/// The least a rate may be.
const MIN_PER_SECOND: f64 = 0.000_1;

/// The strongest reason to keep it, if there is one.
pub fn worth(facts: Facts) -> Option<Kept> {
    let (of, parts) = LATE;
    let late =
        facts.deadline > 0 && facts.took.saturating_mul(parts) > facts.deadline.saturating_mul(of);
    let reasons = [
        (facts.failed, Kept::Failed),
        (facts.degraded, Kept::Degraded),
        (facts.retried, Kept::Retried),
        (facts.hedged, Kept::Hedged),
        (facts.slow, Kept::Slow),
        (late, Kept::Late),
        (facts.sampled, Kept::Sampled),
    ];
    let first = reasons.into_iter().find(|(holds, _)| *holds);
    first.map(|(_, kept)| kept)
}

#[cfg(test)]
mod tests {
    use super::{worth, Facts, Kept, Params, Passed, TraceSample};
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn sample(share: f64, per_second: f64) -> TraceSample {
        TraceSample::new(Params { share, per_second })
    }

    // req 16.6: each reason alone is enough, the strongest is named, and nothing is no reason.
    #[test]
    fn each_reason_alone_is_enough() {
        let none = Facts {
            took: 80,
            deadline: 100,
            ..Facts::default()
        };
        let cases = [
            (none, None, "four fifths of the deadline are not more"),
            (Facts { took: 81, ..none }, Some(Kept::Late), "more is"),
            (
                Facts {
                    took: 81,
                    deadline: 0,
                    ..none
                },
                None,
                "no deadline",
            ),
            (
                Facts {
                    failed: true,
                    sampled: true,
                    ..none
                },
                Some(Kept::Failed),
                "the strongest",
            ),
            (
                Facts {
                    degraded: true,
                    hedged: true,
                    ..none
                },
                Some(Kept::Degraded),
                "degraded",
            ),
            (
                Facts {
                    retried: true,
                    ..none
                },
                Some(Kept::Retried),
                "retried",
            ),
            (
                Facts {
                    hedged: true,
                    ..none
                },
                Some(Kept::Hedged),
                "hedged",
            ),
            (Facts { slow: true, ..none }, Some(Kept::Slow), "slow"),
            (
                Facts {
                    sampled: true,
                    ..none
                },
                Some(Kept::Sampled),
                "sampled",
            ),
        ];
        for (facts, expected, why) in cases {
            assert_eq!(worth(facts), expected, "{why}");
        }
    }

    #[test]
    fn a_long_request_does_not_overflow() {
        let facts = Facts {
            took: u64::MAX,
            deadline: u64::MAX,
            ..Facts::default()
        };
        assert_eq!(worth(facts), None, "both are as long as can be");
    }

    proptest! {
        // The share is of the ids: none of 0, all of 1, and the same id always gets the same.
        #[test]
        fn the_share_is_of_the_ids(trace: u128) {
            prop_assert!(!sample(0.0, 1.0).is_in_share(trace));
            prop_assert!(sample(1.0, 1.0).is_in_share(trace));
            let small = sample(0.01, 1.0).is_in_share(trace);
            // A larger share keeps what a smaller one keeps.
            prop_assert!(!small || sample(0.5, 1.0).is_in_share(trace));
            // Only the random part counts.
            prop_assert_eq!(small, sample(0.01, 1.0).is_in_share(trace ^ (1 << 60)));
        }
    }

    #[test]
    fn a_hundredth_is_a_hundredth() {
        let sample = sample(0.01, 1.0);
        let step = (1_u128 << 56) / 100_000;
        let kept = (0..100_000).filter(|at| sample.is_in_share(at * step));
        let kept = kept.count();
        assert!((999..=1_001).contains(&kept), "{kept}");
    }

    // A flood of ordinary ones leaves room for those that matter.
    #[test]
    fn ordinary_traces_have_half_of_the_rate() {
        let sample = sample(0.01, 10.0);
        let ordinary = Facts {
            sampled: true,
            ..Facts::default()
        };
        let failed = Facts {
            failed: true,
            ..Facts::default()
        };
        let now = 5 * SECOND;
        let kept = |facts, now| {
            (0..100)
                .filter(|_| sample.decide(facts, now).is_ok())
                .count()
        };
        assert_eq!(kept(ordinary, now), 5);
        assert_eq!(kept(failed, now), 5, "the other half");
        assert_eq!(sample.decide(failed, now), Err(Passed::RateLimited));
        let later = now + 10 * SECOND;
        assert_eq!(kept(failed, later), 10, "the whole when nobody else asks");
        assert_eq!(kept(ordinary, later), 0);
        assert_eq!(
            sample.decide(Facts::default(), later),
            Err(Passed::Ordinary),
            "nothing is charged for what is not kept"
        );
    }

    #[test]
    fn limits_that_mean_nothing_are_refused() {
        let check = |share, per_second| Params { share, per_second }.check().is_ok();
        assert!(check(0.0, 50.0) && check(1.0, 0.5));
        for (share, per_second) in [(-0.1, 1.0), (1.1, 1.0), (f64::NAN, 1.0), (0.1, 0.0)] {
            assert!(!check(share, per_second), "{share} {per_second}");
        }
    }

    #[test]
    fn every_reason_is_listed_at_its_index_with_a_word_of_its_own() {
        let mut codes: Vec<_> = Kept::ALL.iter().map(|kept| kept.code()).collect();
        for (index, kept) in Kept::ALL.iter().enumerate() {
            assert_eq!(*kept as usize, index);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kept::ALL.len());
    }
}

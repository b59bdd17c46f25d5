//! Adaptive throttling of one upstream: what it would refuse anyway is refused here (req 9.1a).
//!
//! The failure prevented is spending a permit, a connection and the upstream's last strength on
//! calls that fail. Over the last ten seconds the client compares what it wanted to send with what
//! was accepted; beyond `factor` times the accepted, calls are refused by chance, in proportion:
//! `(requests - factor * accepted) / (requests + 1)`. What is refused here counts as a request, so
//! a harder outage is refused harder; a tenth always passes, so recovery is noticed. In proportion,
//! because an on-off breaker for a whole upstream turns half a failure into a whole one (SRE book
//! ch. 21, ALGORITHMS 6).
//!
//! What is refused here keeps the share up by itself: while half is refused and all the rest is
//! accepted, calls grow as fast as twice the accepted ones. So a burst of failures would outlive
//! its cause until the window forgets it, with the upstream idle (RELIABILITY A06). The share is
//! therefore never above that of the latest two seconds, once they hold enough calls to say
//! anything.
//!
//! A call counts when it ends: calls in flight are not yet unaccepted.

use crate::draw::fraction;
use crate::outcome::Outcome;
use crate::window::Window;
use crate::Nanos;
use std::fmt;
use std::sync::Arc;

const SECOND: Nanos = 1_000_000_000;
/// Slices of the window that say how things are now: one to two seconds of ten.
const LATEST: u64 = 2;

/// Limits of one throttle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Requests per accepted one that are let through.
    pub factor: f64,
    pub window: Nanos,
    /// Requests in the window without which nothing is refused.
    pub requests_min: u32,
    /// The largest share that is refused.
    pub reject_max: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            factor: 2.0,
            window: 10 * SECOND,
            requests_min: 50,
            reject_max: 0.9,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(1.0..=10.0).contains(&self.factor) {
            return Err("factor is requests per accepted one, between 1 and 10");
        }
        if self.window < SECOND {
            return Err("the window must be at least 1 s");
        }
        if !(0.0..=0.99).contains(&self.reject_max) {
            return Err(
                "reject_max is a share up to 0.99: some calls must find out about recovery",
            );
        }
        Ok(())
    }
}

/// The upstream accepts too few calls; this one was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled;

impl Throttled {
    pub fn code(self) -> &'static str {
        "throttled"
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream accepts too few calls; a share is refused before it is sent")
    }
}

impl std::error::Error for Throttled {}

/// Shared by all workers; one per upstream.
#[derive(Debug)]
pub struct Throttle {
    params: Params,
    /// Part: accepted; whole: requests.
    window: Arc<Window>,
}

impl Throttle {
    pub fn new(params: Params) -> Self {
        Self {
            params,
            window: Arc::new(Window::new(params.window)),
        }
    }

    /// The same upstream under other limits: what it accepted still counts.
    #[must_use]
    pub fn renewed(&self, params: Params) -> Self {
        if self.params.window != params.window {
            return Self::new(params);
        }
        let window = Arc::clone(&self.window);
        Self { params, window }
    }

    /// Whether the call may be sent.
    pub fn admit(&self, now: Nanos, draw: u64) -> Result<(), Throttled> {
        if fraction(draw) >= self.reject_share(now) {
            return Ok(());
        }
        self.window.add(now, 0, 1);
        Err(Throttled)
    }

    /// The share of calls that is refused now.
    pub fn reject_share(&self, now: Nanos) -> f64 {
        // Where all was accepted the formula gives nothing, for `factor` is at least 1.
        if self.window.is_even(now) {
            return 0.0;
        }
        let sums = self.window.sums(now);
        if sums.whole < u64::from(self.params.requests_min) {
            return 0.0;
        }
        let factor = self.params.factor;
        let share = reject_share(sums.whole, sums.part, factor).min(self.params.reject_max);
        if share <= 0.0 {
            return share;
        }
        let latest = self.window.latest(now, LATEST);
        if latest.whole < u64::from(self.params.requests_min) {
            return share;
        }
        share.min(reject_share(latest.whole, latest.part, factor))
    }

    /// The end of an attempt that was sent. Whoever answers 4xx has accepted the call; one that we
    /// gave up says nothing.
    pub fn settle(&self, now: Nanos, outcome: Outcome) {
        if !matches!(outcome, Outcome::Cancelled | Outcome::LocalReject) {
            self.window.add(now, u64::from(!outcome.is_failure()), 1);
        }
    }
}

fn reject_share(requests: u64, accepted: u64, factor: f64) -> f64 {
    let excess = requests as f64 - factor * accepted as f64;
    (excess / (requests as f64 + 1.0)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: Nanos = 1_000_000;

    fn settled(accepted: usize, failed: usize) -> Throttle {
        let throttle = Throttle::new(Params::default());
        (0..accepted).for_each(|_| throttle.settle(0, Outcome::Ok));
        (0..failed).for_each(|_| throttle.settle(0, Outcome::Timeout));
        throttle
    }

    // ALGORITHMS 6: K 2, and aegis's 1 / 0.6 (go-zero's figure has another form).
    #[test]
    fn the_share_follows_the_formula() {
        let cases = [
            (100, 40, 2.0, 0.19802),
            (100, 50, 2.0, 0.0),
            (100, 0, 2.0, 0.990_099),
            (1_000, 400, 2.0, 0.1998),
            (100, 40, 1.0 / 0.6, 0.330_033),
        ];
        for (requests, accepted, factor, share) in cases {
            let actual = reject_share(requests, accepted, factor);
            assert!((actual - share).abs() < 1e-5, "{actual} is not {share}");
        }
    }

    // Live configuration: what the upstream refused is not forgotten by a change of the factor.
    #[test]
    fn other_limits_keep_what_was_accepted() {
        let before = settled(40, 60);
        let after = before.renewed(Params {
            factor: 1.0 / 0.6,
            ..Params::default()
        });
        assert!((after.reject_share(0) - 0.330_033).abs() < 1e-5);
        after.settle(0, Outcome::Ok);
        assert!(before.reject_share(0) < 0.198, "both look at one window");
    }

    #[test]
    fn the_share_has_a_floor_of_samples_and_a_ceiling() {
        let share = |throttle: &Throttle| (throttle.reject_share(0) * 1_000.0).round() as u32;
        assert_eq!(share(&settled(0, 49)), 0);
        assert_eq!(share(&settled(0, 50)), 900);
        assert_eq!(share(&settled(40, 60)), 198);
        assert_eq!(share(&settled(50, 50)), 0);
        assert!((settled(0, 100).reject_share(9 * SECOND) - 0.9).abs() < 1e-9);
        assert!(settled(0, 100).reject_share(10 * SECOND) <= 0.0);
    }

    #[test]
    fn what_is_refused_here_counts_as_a_request() {
        let throttle = settled(40, 60);
        let before = throttle.reject_share(0);
        assert_eq!(throttle.admit(0, 0), Err(Throttled));
        assert!(throttle.reject_share(0) > before);
        assert_eq!(throttle.admit(0, u64::MAX), Ok(()));
    }

    #[test]
    fn only_what_the_upstream_did_counts() {
        let throttle = settled(0, 100);
        for _ in 0..1_000 {
            throttle.settle(0, Outcome::Cancelled);
            throttle.settle(0, Outcome::LocalReject);
        }
        assert_eq!(throttle.window.sums(0).whole, 100);
        (0..100).for_each(|_| throttle.settle(0, Outcome::ClientError));
        assert!(throttle.reject_share(0) <= 0.0, "a 404 is an accepted call");
    }

    /// One minute of a thousand calls a second against an upstream that accepts `accepts` of each
    /// second: (sent, accepted) of the last ten seconds.
    fn minute(throttle: &Throttle, from: u64, accepts: u32) -> (u32, u32) {
        let mut random = fastrand::Rng::with_seed(from);
        let (mut sent, mut accepted) = (0, 0);
        for second in from..from + 60 {
            let mut taken = 0;
            for millisecond in 0..1_000 {
                let now = second * SECOND + millisecond * MILLI;
                if throttle.admit(now, random.u64(..)).is_err() {
                    continue;
                }
                let ok = taken < accepts;
                taken += u32::from(ok);
                let outcome = if ok {
                    Outcome::Ok
                } else {
                    Outcome::RejectedByPeer
                };
                throttle.settle(now, outcome);
                if second >= from + 50 {
                    sent += 1;
                    accepted += u32::from(ok);
                }
            }
        }
        (sent, accepted)
    }

    // An outage, a recovery to a fifth, and a whole one.
    #[test]
    fn a_story_of_an_outage() {
        let throttle = Throttle::new(Params::default());
        assert_eq!(minute(&throttle, 0, 1_000), (10_000, 10_000));
        let (sent, _) = minute(&throttle, 60, 0);
        assert!((800..1_200).contains(&sent), "a tenth passes: {sent}");
        let (sent, accepted) = minute(&throttle, 120, 200);
        assert!(
            accepted >= 1_900 && sent < 5_000,
            "about twice: {sent}, {accepted}"
        );
        let (sent, accepted) = minute(&throttle, 180, 1_000);
        assert_eq!((sent, accepted), (10_000, 10_000));
    }

    // RELIABILITY A06: a second of timeouts is not held against an upstream that answers again.
    #[test]
    fn a_burst_of_failures_does_not_outlive_its_cause() {
        let throttle = Throttle::new(Params::default());
        let mut random = fastrand::Rng::with_seed(9);
        for millisecond in 0..1_000 {
            if throttle.admit(millisecond * MILLI, random.u64(..)).is_ok() {
                throttle.settle(millisecond * MILLI, Outcome::Timeout);
            }
        }
        assert!(throttle.reject_share(SECOND) > 0.8);
        for step in 0..1_250 {
            let now = SECOND + step * 4 * MILLI;
            if throttle.admit(now, random.u64(..)).is_ok() {
                throttle.settle(now, Outcome::Ok);
            }
        }
        let share = throttle.reject_share(6 * SECOND);
        assert!(
            share <= 0.0,
            "{share} is refused after five seconds of good answers"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let sound = Params::default();
        assert_eq!(sound.check(), Ok(()));
        for bad in [
            Params {
                factor: 0.9,
                ..sound
            },
            Params {
                factor: f64::NAN,
                ..sound
            },
            Params { window: 0, ..sound },
            Params {
                reject_max: 1.0,
                ..sound
            },
            Params {
                reject_max: -0.1,
                ..sound
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_upstream_that_accepts_half_is_never_throttled(
            accepted in 0_usize..500, failed in 0_usize..500, draw: u64,
        ) {
            let throttle = settled(accepted, failed);
            let refused = throttle.admit(0, draw).is_err();
            prop_assert!(!refused || (failed > accepted && accepted + failed >= 50));
        }
    }
}

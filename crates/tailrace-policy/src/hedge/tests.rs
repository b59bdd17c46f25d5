use super::{Hedge, HedgeRefused, Params, DELAY_MAX};
use crate::latency::REFRESH;
use crate::Nanos;
use proptest::prelude::*;

const MICRO: Nanos = 1_000;
const MILLI: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLI;

fn warm(params: Params, elapsed: Nanos) -> Hedge {
    params.check().unwrap();
    let hedge = Hedge::new(params);
    (0..100).for_each(|_| hedge.record(0, elapsed, false));
    hedge
}

// ALGORITHMS 5: extra load 1 %: 99 calls earn no hedge, 100 earn one.
#[test]
fn a_hundred_calls_pay_for_one_hedge() {
    let params = Params {
        extra: 0.01,
        ..Params::default()
    };
    let hedge = warm(params, 10 * MILLI);
    (0..99).for_each(|_| hedge.deposit(0));
    assert_eq!(hedge.try_hedge(0), Err(HedgeRefused::Budget));
    hedge.deposit(0);
    assert_eq!(hedge.try_hedge(0), Ok(()));
    assert_eq!(hedge.try_hedge(0), Err(HedgeRefused::Budget));
}

#[test]
fn the_delay_has_a_floor_a_ceiling_and_needs_samples() {
    let cases = [
        (100 * MICRO, Some(MILLI)),
        (DELAY_MAX, None),
        (60 * SECOND, None),
    ];
    for (elapsed, delay) in cases {
        let hedge = warm(Params::default(), elapsed);
        hedge.deposit(0);
        assert_eq!(hedge.delay(0, SECOND), delay, "{elapsed}");
        if delay.is_none() {
            assert_eq!(hedge.try_hedge(0), Err(HedgeRefused::Off));
        }
    }
    assert_eq!(Hedge::new(Params::default()).delay(0, SECOND), None);
    // All alike: nothing is late before one and a half medians.
    let alike = warm(Params::default(), 10 * MILLI);
    let usual = alike.delay(0, SECOND).unwrap();
    assert!((15 * MILLI..=15_240 * MICRO).contains(&usual), "{usual}");
    // But for a call that has 22 ms a second attempt must start at 12 to be back in time; one that
    // cannot be back at all starts at the percentile.
    for (left, starts) in [(22, 12), (15, 10), (0, 10)] {
        let delay = alike.delay(0, left * MILLI).unwrap();
        let off = delay.abs_diff(starts * MILLI);
        assert!(off <= 200 * MICRO, "{left} ms left: {delay}");
    }
    // One in ten takes ten times as long: that is waited for, not the median.
    let hedge = warm(Params::default(), 10 * MILLI);
    (0..20).for_each(|_| hedge.record(0, 100 * MILLI, false));
    let late = hedge.delay(0, SECOND).unwrap();
    assert!((100 * MILLI..=101_600 * MICRO).contains(&late), "{late}");
}

// A healthy upstream: its slowest answers come before a second attempt's would.
#[test]
fn nothing_is_hedged_that_a_second_attempt_could_not_win() {
    let mut race = Race::new(0.0);
    race.run(0, 30, true);
    assert_eq!((race.calls, race.hedges), (60_000, 0));
}

/// An upstream of which a share of the attempts takes 120 ms longer, and one caller that hedges.
struct Race {
    hedge: Hedge,
    random: fastrand::Rng,
    slow: f64,
    exponential: bool,
    calls: u32,
    hedges: u32,
    times: Vec<Nanos>,
}

impl Race {
    fn new(slow: f64) -> Self {
        Self {
            hedge: Hedge::new(Params::default()),
            random: fastrand::Rng::with_seed(11),
            slow,
            exponential: false,
            calls: 0,
            hedges: 0,
            times: Vec::new(),
        }
    }

    fn attempt(&mut self) -> Nanos {
        if self.exponential {
            return (-(1.0 - self.random.f64()).ln() * 10.0 * MILLI as f64) as Nanos;
        }
        let slow = self.random.f64() < self.slow;
        4 * MILLI + self.random.u64(..2 * MILLI) + if slow { 120 * MILLI } else { 0 }
    }

    /// `seconds` of 2000 calls each. Losers are recorded only where `honest`.
    fn run(&mut self, from: u64, seconds: u64, honest: bool) {
        for turn in 0..seconds * 2_000 {
            let now = from * SECOND + turn * SECOND / 2_000;
            self.calls += 1;
            self.hedge.deposit(now);
            let first = self.attempt();
            let delay = self.hedge.delay(now, SECOND).filter(|delay| *delay < first);
            let Some(delay) = delay.filter(|_| self.hedge.try_hedge(now).is_ok()) else {
                self.hedge.record(now, first, false);
                self.times.push(first);
                continue;
            };
            self.hedges += 1;
            let second = self.attempt();
            let won = first.min(delay + second);
            let (winner, loser) = if first <= delay + second {
                (first, won - delay)
            } else {
                (second, won)
            };
            self.hedge.record(now, winner, false);
            if honest {
                self.hedge.record(now, loser, true);
            }
            self.times.push(won);
        }
    }

    fn share_above(&self, limit: Nanos) -> f64 {
        let above = self.times.iter().filter(|time| **time > limit).count();
        above as f64 / self.times.len() as f64
    }
}

// Governance: 2 % of calls slowed by 120 ms: P99 <= 20 ms at <= 5 % extra calls (req 8.3).
#[test]
fn a_slow_fiftieth_disappears_from_the_p99_for_a_fiftieth_more_calls() {
    let mut race = Race::new(0.02);
    race.run(0, 60, true);
    let settled = race.times.split_off(5 * 2_000);
    race.times = settled;
    assert!(race.share_above(20 * MILLI) < 0.01);
    let extra = f64::from(race.hedges) / f64::from(race.calls);
    // The slow ones, and hardly anything beside them.
    assert!((0.015..=0.025).contains(&extra), "{extra}");
}

// ALGORITHMS 5: leaf 1 % slow: 100 leaves from 63 % to about 1 %, 4 leaves from 4 % to 0.04 %.
#[test]
fn a_fan_out_no_longer_meets_the_slow_leaf() {
    let mut race = Race::new(0.01);
    race.run(0, 60, true);
    race.times.drain(..5 * 2_000);
    let leaf = race.share_above(20 * MILLI);
    let fan_out = |share: f64, leaves| 1.0 - (1.0 - share).powi(leaves);
    assert!((0.63..0.64).contains(&fan_out(0.01, 100)));
    assert!(fan_out(leaf, 100) < 0.05, "{leaf}");
    assert!(fan_out(leaf, 4) < 0.002, "{leaf}");
}

// ALGORITHMS 5: losers that go unrecorded pull the percentile down, and hedging accelerates. The
// law is exponential with mean 10 ms; its p95 is 29.96 ms.
#[test]
fn the_delay_does_not_collapse_over_minutes() {
    let delay_after = |honest| {
        let mut race = Race::new(0.0);
        race.exponential = true;
        race.run(0, 120, honest);
        race.hedge.delay(120 * SECOND + REFRESH, SECOND).unwrap() as f64 / MILLI as f64
    };
    let (honest, blind) = (delay_after(true), delay_after(false));
    assert!((29.0..31.0).contains(&honest), "{honest}");
    assert!(blind < 28.0, "{blind}");
}

// All attempts become slow at once: extra load stays at its cap, and stops when the p95 follows.
#[test]
fn an_upstream_that_slows_down_altogether_is_not_hit_harder() {
    let mut race = Race::new(0.0);
    race.run(0, 10, true);
    let (calls, hedges) = (race.calls, race.hedges);
    race.slow = 1.0;
    race.run(10, 30, true);
    let extra = f64::from(race.hedges - hedges) / f64::from(race.calls - calls);
    assert!(extra <= 0.06, "{extra}");
}

#[test]
fn what_another_policy_refused_is_not_spent() {
    let hedge = warm(Params::default(), 10 * MILLI);
    (0..20).for_each(|_| hedge.deposit(0));
    for _ in 0..5 {
        assert_eq!(hedge.try_hedge(0), Ok(()));
        hedge.put_back(0);
    }
    assert_eq!(hedge.try_hedge(0), Ok(()));
    assert_eq!(hedge.try_hedge(0), Err(HedgeRefused::Budget));
}

#[test]
fn nonsense_is_refused() {
    let sound = Params::default();
    assert_eq!(sound.check(), Ok(()));
    for bad in [
        Params {
            after: 0.0,
            ..sound
        },
        Params {
            after: 1.0,
            ..sound
        },
        Params {
            after: 0.9991,
            ..sound
        },
        Params {
            extra: 0.0,
            ..sound
        },
        Params {
            extra: 0.6,
            ..sound
        },
        Params {
            extra: f64::NAN,
            ..sound
        },
        Params {
            delay_min: 0,
            ..sound
        },
        Params {
            delay_min: DELAY_MAX,
            ..sound
        },
        Params {
            samples_min: 1,
            ..sound
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn hedges_never_exceed_their_share(
        extra in 0.01_f64..0.5, steps in prop::collection::vec(any::<bool>(), 0..500),
    ) {
        let hedge = warm(Params { extra, ..Params::default() }, 10 * MILLI);
        let (mut calls, mut hedges) = (0.0, 0.0);
        for call in steps {
            if call {
                calls += 1.0;
                hedge.deposit(0);
            } else if hedge.try_hedge(0).is_ok() {
                hedges += 1.0;
            }
            prop_assert!(hedges <= calls * extra * 1.001 + 1e-9);
        }
    }
}

//! Vegas with a throughput veto: the law of the default.
//!
//! The failure prevented is a limit that follows its own averages upwards. `limit * (1 - base /
//! recent)` estimates how many of the calls in flight wait inside the upstream: too many, fewer
//! calls; hardly any, more. `recent` is the window's p90 through a median of five and an average,
//! so that one bad window decides nothing; `base` is a longer average of it, which learns a lasting
//! overload. So growth has two brakes that do not learn: it is vetoed when more calls in flight
//! brought no more throughput (`correlation.rs`), and it is fast only while latency is near the
//! least that was seen without a full limit. A veto lowers the limit until throughput begins to
//! fall, and no further: then the knee is found.
//!
//! The form is failsafe-go's, after Uber's Cinnamon, with Netflix's fast start (ALGORITHMS 1). The
//! stop at the knee and the least latency are ours: without them ten minutes of endless demand on
//! 50 servers swing the limit between 22 and 97; with them it stays between 50 and 65 for an hour
//! (`story.rs`).

use super::correlation::{History, Trend};
use std::collections::VecDeque;

const MEDIAN_OF: usize = 5;
const RECENT_AGE: f64 = 5.0;
const BASE_AGE: f64 = 10.0;
const BASE_WARM_UP: u32 = 10;
/// Throughput below this share of the usual is no longer worth less latency.
const KNEE: f64 = 0.95;
/// Latency within this factor of the least means that nothing waits.
const SLOWER: f64 = 1.1;
/// How much the least grows in a window whose limit was not reached: it doubles in six minutes. A
/// full limit makes latency itself, and must not teach what is normal.
const FORGETTING: f64 = 1.002;

/// An exponential average whose first samples are a plain mean.
#[derive(Debug)]
struct Average {
    weight: f64,
    warm_up: u32,
    samples: u32,
    value: f64,
}

impl Average {
    fn new(age: f64, warm_up: u32) -> Self {
        Self {
            weight: 2.0 / (age + 1.0),
            warm_up,
            samples: 0,
            value: 0.0,
        }
    }

    fn add(&mut self, sample: f64) -> f64 {
        self.samples = self.samples.saturating_add(1);
        let weight = if self.samples <= self.warm_up {
            1.0 / f64::from(self.samples)
        } else {
            self.weight
        };
        self.value += (sample - self.value) * weight;
        self.value
    }
}

#[derive(Debug)]
pub(super) struct Vegas {
    last: VecDeque<f64>,
    recent: Average,
    base: Average,
    least: f64,
    history: History,
}

/// What a step is decided from.
#[derive(Debug, Clone, Copy)]
struct Signals {
    base: f64,
    recent: f64,
    least: f64,
    in_flight: f64,
    dropped: bool,
    trend: Trend,
}

impl Vegas {
    pub(super) fn new() -> Self {
        Self {
            last: VecDeque::with_capacity(MEDIAN_OF),
            recent: Average::new(RECENT_AGE, 1),
            base: Average::new(BASE_AGE, BASE_WARM_UP),
            least: f64::INFINITY,
            history: History::new(),
        }
    }

    /// The limit after a window.
    pub(super) fn next(&mut self, limit: f64, rtt: f64, in_flight: u32, dropped: bool) -> f64 {
        if self.last.len() == MEDIAN_OF {
            self.last.pop_front();
        }
        self.last.push_back(rtt);
        let mut sorted: Vec<f64> = self.last.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let recent = self.recent.add(sorted[sorted.len() / 2]);
        let base = self.base.add(recent);
        let in_flight = f64::from(in_flight);
        self.history.add(in_flight, recent);
        if in_flight < limit.floor() {
            self.least *= FORGETTING;
        }
        self.least = self.least.min(recent);
        let signals = Signals {
            base,
            recent,
            least: self.least,
            in_flight,
            dropped,
            trend: self.history.trend(),
        };
        step(limit, &signals)
    }
}

fn step(limit: f64, signals: &Signals) -> f64 {
    let unit = limit.max(1.0).log10().floor().max(1.0);
    let queued = (limit * (1.0 - signals.base / signals.recent)).ceil();
    let full = signals.in_flight >= limit.floor();
    let waits = signals.recent > signals.least * SLOWER;
    let vetoed = full && is_vetoed(signals.trend);
    if signals.dropped || queued > 6.0 * unit {
        limit - unit
    } else if vetoed && waits {
        if signals.trend.level > KNEE {
            limit - unit
        } else {
            limit
        }
    } else if signals.in_flight * 2.0 < limit {
        limit
    } else if queued <= unit && !waits && !vetoed {
        limit + 6.0 * unit
    } else if queued < 3.0 * unit {
        limit + unit
    } else {
        limit
    }
}

/// More in flight lowered throughput, or raised latency and hardly throughput.
fn is_vetoed(trend: Trend) -> bool {
    let flat = trend.throughput < 0.3 || trend.variation.is_some_and(|share| share < 0.2);
    trend.throughput < 0.0 || (flat && trend.rtt > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(base: f64, recent: f64, in_flight: f64) -> Signals {
        Signals {
            base,
            recent,
            least: base,
            in_flight,
            dropped: false,
            trend: Trend::default(),
        }
    }

    fn next(limit: f64, signals: &Signals) -> i64 {
        step(limit, signals).round() as i64
    }

    // ALGORITHMS 1, Netflix: limit 10 after 10 ms; then 10 ms, 50 ms, 14 ms; and a limit of 10000.
    #[test]
    fn no_queue_grows_fast_a_long_one_shrinks_and_between_nothing_moves() {
        let cases = [
            (10.0, 10.0, 11.0, 16),
            (10.0, 50.0, 11.0, 9),
            (10.0, 14.0, 14.0, 10),
            (10_000.0, 10.0, 6_000.0, 10_024),
            (10_000.0, 10.0, 4_999.0, 10_000),
        ];
        for (limit, recent, in_flight, expected) in cases {
            assert_eq!(next(limit, &signals(10.0, recent, in_flight)), expected);
        }
    }

    // ALGORITHMS 1, failsafe-go: limit 100, not full.
    #[test]
    fn the_queue_estimate_decides() {
        for (recent, expected) in [(1.05, 102), (1.10, 100), (1.20, 98)] {
            assert_eq!(
                next(100.0, &signals(1.0, recent, 80.0)),
                expected,
                "{recent}"
            );
        }
    }

    // ALGORITHMS 1, failsafe-go: a full limit and throughput that falls: 98.
    #[test]
    fn throughput_that_does_not_follow_vetoes_growth_of_a_full_limit() {
        let trend = |throughput, rtt, variation| Trend {
            throughput,
            rtt,
            variation: Some(variation),
            level: 1.0,
        };
        let cases = [
            (trend(-0.1, 0.0, 1.0), 98),
            (trend(0.2, 0.6, 1.0), 98),
            (trend(0.2, 0.4, 1.0), 102),
            (trend(0.9, 0.6, 0.1), 98),
            (trend(0.9, 0.6, 0.3), 102),
            (trend(0.9, 0.1, 0.1), 102),
        ];
        for (trend, expected) in cases {
            let full = Signals {
                trend,
                least: 0.9,
                ..signals(1.0, 1.05, 100.0)
            };
            assert_eq!(next(100.0, &full), expected, "{trend:?}");
            let not_full = Signals {
                in_flight: 99.0,
                ..full
            };
            assert_eq!(next(100.0, &not_full), 102, "{trend:?}");
        }
    }

    // Below the knee less latency costs throughput; near the least latency nothing waits.
    #[test]
    fn a_veto_stops_at_the_knee() {
        let vetoed = |level, least| Signals {
            least,
            trend: Trend {
                throughput: -0.1,
                level,
                ..Trend::default()
            },
            ..signals(1.0, 1.05, 100.0)
        };
        for (level, least, expected) in [(1.0, 0.9, 98), (0.94, 0.9, 100), (1.0, 1.0, 102)] {
            assert_eq!(
                next(100.0, &vetoed(level, least)),
                expected,
                "{level}, {least}"
            );
        }
    }

    #[test]
    fn drops_shrink_whatever_the_latency() {
        let dropped = Signals {
            dropped: true,
            ..signals(1.0, 1.0, 100.0)
        };
        assert_eq!(next(100.0, &dropped), 98);
    }

    #[test]
    fn one_bad_window_decides_nothing() {
        let mut vegas = Vegas::new();
        let mut limit = 20.0;
        (0..5).for_each(|_| limit = vegas.next(limit, 10.0, 40, false));
        let before = limit;
        limit = vegas.next(limit, 1_000.0, 40, false);
        assert!(limit >= before, "{limit} after {before}");
    }
}

//! Whether more calls in flight still bring more throughput: correlations over the last windows.
//!
//! The failure prevented is a baseline that learns the overload: under lasting pressure any average
//! calls it normal. Throughput does not lie: past the knee it stays where it is while latency grows
//! with what is in flight (ALGORITHMS 1).

use std::collections::VecDeque;

/// Windows that are looked at.
pub(super) const WINDOWS: usize = 50;
/// Fewer say nothing.
pub(super) const WINDOWS_MIN: usize = 10;

#[derive(Debug, Clone, Copy)]
struct Point {
    in_flight: f64,
    throughput: f64,
    rtt: f64,
}

#[derive(Debug)]
pub(super) struct History(VecDeque<Point>);

/// What the last windows say together; zero where they say nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Of calls in flight with throughput.
    pub throughput: f64,
    /// Of calls in flight with latency.
    pub rtt: f64,
    /// Throughput's standard deviation by its mean, and none before there is enough to tell.
    pub variation: Option<f64>,
    /// Throughput of the last window by the third quartile of all: below 1 it has fallen.
    pub level: f64,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            throughput: 0.0,
            rtt: 0.0,
            variation: None,
            level: 1.0,
        }
    }
}

impl History {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(WINDOWS))
    }

    pub(super) fn add(&mut self, in_flight: f64, rtt: f64) {
        if self.0.len() == WINDOWS {
            self.0.pop_front();
        }
        self.0.push_back(Point {
            in_flight,
            // Little's law: what is in flight is throughput times latency.
            throughput: in_flight / rtt.max(1.0),
            rtt,
        });
    }

    pub(super) fn trend(&self) -> Trend {
        if self.0.len() < WINDOWS_MIN {
            return Trend::default();
        }
        let (throughput, spread) = self.moments(|point| point.throughput);
        Trend {
            throughput: self.correlation(|point| point.in_flight, |point| point.throughput),
            rtt: self.correlation(|point| point.in_flight, |point| point.rtt),
            variation: (throughput > 0.0).then(|| spread / throughput),
            level: self.level(),
        }
    }

    fn level(&self) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(|point| point.throughput).collect();
        sorted.sort_by(f64::total_cmp);
        let last = self.0.back().map_or(0.0, |point| point.throughput);
        let usual = sorted.get(sorted.len() * 3 / 4).copied().unwrap_or(0.0);
        if usual > 0.0 {
            last / usual
        } else {
            1.0
        }
    }

    /// Mean and standard deviation.
    fn moments(&self, value: impl Fn(&Point) -> f64) -> (f64, f64) {
        let count = self.0.len() as f64;
        let mean = self.0.iter().map(&value).sum::<f64>() / count;
        let square = |point| (value(point) - mean).powi(2);
        let variance = self.0.iter().map(square).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    /// Pearson's; zero when either does not vary.
    fn correlation(&self, x: impl Fn(&Point) -> f64, y: impl Fn(&Point) -> f64) -> f64 {
        let ((x_mean, x_spread), (y_mean, y_spread)) = (self.moments(&x), self.moments(&y));
        let product = |point| (x(point) - x_mean) * (y(point) - y_mean);
        let covariance = self.0.iter().map(product).sum::<f64>() / self.0.len() as f64;
        // Rounding leaves a spread of this size where there is none.
        if x_spread <= x_mean.abs() * 1e-9 || y_spread <= y_mean.abs() * 1e-9 {
            return 0.0;
        }
        covariance / (x_spread * y_spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trend(points: impl IntoIterator<Item = (f64, f64)>) -> Trend {
        let mut history = History::new();
        for (in_flight, rtt) in points {
            history.add(in_flight, rtt);
        }
        history.trend()
    }

    fn close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 1e-6,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn below_the_knee_throughput_follows_and_above_it_latency_does() {
        let below = trend((1..=20).map(|calls| (f64::from(calls), 10.0)));
        close(below.throughput, 1.0);
        close(below.rtt, 0.0);
        assert!(below.variation > Some(0.2));
        let above = trend((50..=70).map(|calls| (f64::from(calls), f64::from(calls) / 5.0)));
        close(above.throughput, 0.0);
        close(above.rtt, 1.0);
        close(above.variation.unwrap(), 0.0);
        let falling = trend((50..=70).map(|calls| (f64::from(calls), f64::from(calls).powi(2))));
        assert!(falling.throughput < -0.9);
    }

    #[test]
    fn few_windows_and_constant_ones_say_nothing() {
        assert_eq!(
            trend((1..10).map(|calls| (f64::from(calls), 1.0))),
            Trend::default()
        );
        let constant = trend([(20.0, 7.0); 30]);
        assert_eq!((constant.throughput, constant.rtt), (0.0, 0.0));
    }

    #[test]
    fn only_the_last_fifty_count() {
        let old = (1..=50).map(|calls| (f64::from(calls), f64::from(calls).powi(3)));
        let new = (1..=50).map(|calls| (f64::from(calls), 10.0));
        close(trend(old.chain(new)).throughput, 1.0);
    }

    proptest! {
        #[test]
        fn a_correlation_is_one(
            points in prop::collection::vec((1.0_f64..1e4, 1.0_f64..1e10), 0..80),
        ) {
            let trend = trend(points);
            prop_assert!(trend.throughput.abs() <= 1.0 + 1e-9 && trend.rtt.abs() <= 1.0 + 1e-9);
            prop_assert!(trend.variation.is_none_or(|value| value >= 0.0));
        }
    }
}

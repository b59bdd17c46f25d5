//! Gradient: the limit follows the ratio of long-term to present latency, with room for a queue of
//! four.
//!
//! The failure prevented is slowness: a gradient of a half takes a tenth off each window. Limits:
//! it creeps up while the long-term average catches up with an overload, which is why it is not the
//! default and why the absolute guards stand above it (ALGORITHMS 1, Gradient2).

const QUEUE: f64 = 4.0;
const TOLERANCE: f64 = 1.5;
const SMOOTHING: f64 = 0.2;
const WARM_UP: u32 = 10;
/// Weight of a sample in the average of the last 600.
const WEIGHT: f64 = 2.0 / 601.0;

#[derive(Debug)]
pub(super) struct Gradient {
    long: f64,
    samples: u32,
}

impl Gradient {
    pub(super) fn new() -> Self {
        Self {
            long: 0.0,
            samples: 0,
        }
    }

    /// The limit after a window.
    pub(super) fn next(&mut self, limit: f64, short: f64, in_flight: u32) -> f64 {
        self.samples = self.samples.saturating_add(1);
        let weight = if self.samples <= WARM_UP {
            1.0 / f64::from(self.samples)
        } else {
            WEIGHT
        };
        self.long += (short - self.long) * weight;
        // Back from an overload the average is too high for long: let it fall faster.
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(in_flight) * 2.0 < limit {
            return limit;
        }
        let gradient = (TOLERANCE * self.long / short).clamp(0.5, 1.0);
        let next = gradient * limit + QUEUE;
        limit * (1.0 - SMOOTHING) + next * SMOOTHING
    }
}

#[cfg(test)]
mod tests {
    use super::Gradient;

    // ALGORITHMS 1: ten windows of 100 at 20 in flight, then one of 400.
    #[test]
    fn grows_by_the_queue_and_falls_by_the_gradient() {
        let (mut gradient, mut limit) = (Gradient::new(), 20.0);
        for window in 1..=10_u32 {
            limit = gradient.next(limit, 100.0, 20);
            let expected = 20.0 + 0.8 * f64::from(window);
            assert!((limit - expected).abs() < 1e-9, "{limit}");
        }
        limit = gradient.next(limit, 400.0, 20);
        assert!((limit - 26.0).abs() < 1e-9, "{limit}");
    }

    #[test]
    fn an_unused_limit_stays_and_the_average_forgets_an_overload() {
        let mut gradient = Gradient::new();
        assert!((gradient.next(100.0, 50.0, 49) - 100.0).abs() < 1e-9);
        for _ in 0..20 {
            gradient.next(100.0, 1_000.0, 49);
        }
        let high = gradient.long;
        for _ in 0..60 {
            gradient.next(100.0, 50.0, 49);
        }
        assert!(gradient.long < high / 3.0, "{} of {high}", gradient.long);
    }
}

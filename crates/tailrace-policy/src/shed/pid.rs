//! The controller: from an excess of load to the share that is refused.
//!
//! The failure prevented is a share that is guessed, and one that stays after the overload. The
//! integral ends where the output does: a long overload must not have to be unlearned. Its
//! constants are those that are told of Cinnamon (ALGORITHMS 10), for an error that is relative to
//! what gets done: seven tenths of it are corrected in each interval.

use crate::Nanos;

/// Time between two steps.
pub const INTERVAL: Nanos = 500_000_000;
/// Never refuse everything: what is answered says when the overload is over.
pub const RATE_MAX: f64 = 0.95;

const PROPORTIONAL: f64 = 0.1;
const INTEGRAL: f64 = 1.4;
const INTERVAL_SECONDS: f64 = 0.5;

/// State of the controller.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pid {
    sum: f64,
}

impl Pid {
    /// The share to refuse after an interval with this error.
    pub fn step(&mut self, error: f64) -> f64 {
        let sum = self.sum + error * INTERVAL_SECONDS;
        self.sum = sum.clamp(0.0, RATE_MAX / INTEGRAL);
        (PROPORTIONAL * error + INTEGRAL * self.sum).clamp(0.0, RATE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // ALGORITHMS 10.
    #[test]
    fn steps_follow_the_formula() {
        let mut pid = Pid::default();
        for (error, rate) in [(0.2, 0.16), (0.2, 0.30), (-0.3, 0.04), (-1.0, 0.0)] {
            let got = pid.step(error);
            assert!((got - rate).abs() < 1e-9, "{error}: {got}");
        }
    }

    // Ten minutes of overload are forgotten as fast as ten seconds are.
    #[test]
    fn a_long_overload_does_not_wind_up() {
        let mut pid = Pid::default();
        for _ in 0..1_200 {
            pid.step(1.0);
        }
        assert!(pid.step(1.0) <= RATE_MAX && pid.step(1.0) >= RATE_MAX);
        pid.step(-1.0);
        assert!(pid.step(-1.0) <= 0.0, "two steps of room");
    }

    proptest! {
        #[test]
        fn the_rate_stays_in_its_range_and_grows_with_the_error(
            errors in prop::collection::vec(-1.0_f64..2.0, 1..100), more in 0.0_f64..1.0,
        ) {
            let (mut pid, mut worse) = (Pid::default(), Pid::default());
            for error in errors {
                let (rate, higher) = (pid.step(error), worse.step(error + more));
                prop_assert!((0.0..=RATE_MAX).contains(&rate));
                prop_assert!(higher >= rate);
            }
        }
    }
}

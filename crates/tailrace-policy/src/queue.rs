//! Disciplines of a bounded queue: when to shed (controlled delay) and whom to serve next.
//!
//! The failure prevented is a queue that is always full of calls already too old to matter.
//! Controlled delay for services, as folly does it (not the network law): when even the shortest
//! wait of an interval was above target, waits above twice the target are shed. Above a fill of
//! `lifo_above` the newest waiter goes first, because the oldest have the least time left
//! (ALGORITHMS 2).

use crate::Nanos;

/// Controlled delay.
#[derive(Debug)]
pub(crate) struct Codel {
    target: Nanos,
    interval: Nanos,
    delay_min: Nanos,
    interval_end: Nanos,
    reset: bool,
    overloaded: bool,
}

impl Codel {
    pub(crate) fn new(target: Nanos, interval: Nanos) -> Self {
        Self {
            target,
            interval,
            delay_min: 0,
            interval_end: 0,
            reset: true,
            overloaded: false,
        }
    }

    /// True when a waiter that leaves the queue at `now` after `delay` is to be shed.
    pub(crate) fn sheds(&mut self, now: Nanos, delay: Nanos) -> bool {
        if now > self.interval_end && !self.reset {
            self.reset = true;
            self.interval_end = now + self.interval;
            self.overloaded = self.delay_min > self.target;
        }
        if self.reset {
            self.reset = false;
            self.delay_min = delay;
            return false;
        }
        self.delay_min = self.delay_min.min(delay);
        self.overloaded && delay > 2 * self.target
    }

    /// 0 to 100: the shortest wait of this interval against twice the target.
    #[cfg(test)]
    fn load_percent(&self) -> u64 {
        (100 * self.delay_min / (2 * self.target)).min(100)
    }
}

/// Newest first, when the queue is fuller than `above`.
pub(crate) fn is_lifo(queued: usize, capacity: usize, above: f64) -> bool {
    queued as f64 > capacity as f64 * above
}

/// How long a new waiter will wait: everybody ahead of it, and it, at `service / limit` each.
pub(crate) fn wait_estimate(ahead: usize, service: Nanos, limit: u32, lifo: bool) -> Nanos {
    let turns = if lifo { 1 } else { ahead as u64 + 1 };
    turns.saturating_mul(service) / u64::from(limit.max(1))
}

#[cfg(test)]
mod tests {
    use super::{is_lifo, wait_estimate, Codel};

    const MILLI: u64 = 1_000_000;

    fn codel() -> Codel {
        Codel::new(5 * MILLI, 100 * MILLI)
    }

    // ALGORITHMS 2: folly's own test.
    #[test]
    fn controlled_delay_keeps_one_per_interval_and_sheds_the_rest() {
        let mut codel = codel();
        let story = [
            (100, 110, false),
            (50, 200, false),
            (50, 200, true),
            (2, 310, false),
            (20, 400, true),
        ];
        for (delay, at, shed) in story {
            assert_eq!(
                codel.sheds(at * MILLI, delay * MILLI),
                shed,
                "delay {delay} at {at}"
            );
        }
    }

    #[test]
    fn load_is_the_shortest_wait_against_twice_the_target() {
        for (delay, load) in [(10, 100), (7, 70), (2, 20), (50, 100)] {
            let mut codel = codel();
            codel.sheds(MILLI, delay * MILLI);
            assert_eq!(codel.load_percent(), load);
        }
    }

    #[test]
    fn the_newest_goes_first_above_four_fifths() {
        assert!(!is_lifo(8, 10, 0.8));
        assert!(is_lifo(9, 10, 0.8));
    }

    #[test]
    fn the_wait_is_estimated_from_service_time_and_limit() {
        assert_eq!(wait_estimate(30, 20 * MILLI, 10, false), 62 * MILLI);
        assert_eq!(wait_estimate(30, 20 * MILLI, 10, true), 2 * MILLI);
    }
}

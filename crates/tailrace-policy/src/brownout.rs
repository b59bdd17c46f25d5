//! Brownout: under pressure the weak parts of a view are left out before any request is refused
//! (req 9.1c).
//!
//! The failure prevented is all or nothing: a process that serves everything until it must refuse.
//! A ladder has a rung for each weak part, in declared order. Pressure climbs it at once, as many
//! rungs as it takes; what was left out last comes back first, one rung in each dwell time, and
//! only when the pressure has stayed a band below what its rung needs. So a pressure that swings
//! inside the band changes nothing, and one that swings wider changes the replies at most once in a
//! dwell.
//!
//! Limits: the ladder ends below the pressure at which requests are refused; that is the order of
//! the two, and `Params` cannot see it. A higher pressure never leaves out less.

use crate::Nanos;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SECOND: Nanos = 1_000_000_000;

/// Pressure is a share: 0 is idle, 1 is where requests are refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Pressure at which the first part is left out.
    pub start: f64,
    /// Pressure at which the last part is left out.
    pub full: f64,
    /// How far below its rung's pressure a part comes back.
    pub band: f64,
    /// Calm before a part comes back, and time between two that do.
    pub dwell: Nanos,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            start: 0.7,
            full: 0.95,
            band: 0.1,
            dwell: SECOND,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        // Written so that a value that is no number fails.
        if !(self.start > 0.0 && self.start <= self.full && self.full <= 1.0) {
            return Err("start and full are pressures between 0 and 1, start first");
        }
        if !(self.band > 0.0 && self.band < self.start) {
            return Err("band must be above 0 and below start, or no part ever comes back");
        }
        if !(SECOND / 10..=600 * SECOND).contains(&self.dwell) {
            return Err("dwell is between 100 ms and 10 min");
        }
        Ok(())
    }

    /// The pressure that climbs to `rung`, of `rungs`.
    fn climb(&self, rung: u32, rungs: u32) -> f64 {
        let steps = f64::from(rungs.saturating_sub(1).max(1));
        self.start + (self.full - self.start) * f64::from(rung - 1) / steps
    }
}

/// Rungs before and after a look at the pressure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: u32,
    pub to: u32,
}

#[derive(Debug)]
struct Held {
    params: Params,
    rungs: u32,
    /// When the pressure last held the rung, or the rung changed.
    at: Nanos,
}

/// Shared by all workers; one per view or per process.
#[derive(Debug)]
pub struct Ladder {
    rung: AtomicU32,
    held: Mutex<Held>,
}

impl Ladder {
    /// A ladder for so many weak parts.
    pub fn new(params: Params, rungs: u32) -> Self {
        let held = Held {
            params,
            rungs,
            at: 0,
        };
        Self {
            rung: AtomicU32::new(0),
            held: Mutex::new(held),
        }
    }

    /// Changes the limits, and into how many rungs the weak parts fall. Who stood higher than the
    /// last stands on it; otherwise nothing moves until the next look at the pressure.
    pub fn set(&self, params: Params, rungs: u32) {
        let mut held = self.held();
        held.params = params;
        held.rungs = rungs;
        self.rung.fetch_min(rungs, Ordering::Relaxed);
    }

    /// Leaves nothing out any more; whether anything was.
    pub fn clear(&self) -> bool {
        let _held = self.held();
        self.rung.swap(0, Ordering::Relaxed) > 0
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many weak parts are left out.
    pub fn rung(&self) -> u32 {
        self.rung.load(Ordering::Relaxed)
    }

    /// Whether the weak part at `place` in declared order, from 0, is left out.
    pub fn drops(&self, place: u32) -> bool {
        place < self.rung()
    }

    /// Takes the pressure into account, and says whether that changed anything. For the thread that
    /// looks at the signals, several times in a dwell.
    pub fn observe(&self, now: Nanos, pressure: f64) -> Option<Change> {
        if pressure.is_nan() {
            return None;
        }
        let mut held = self.held();
        let (params, rungs) = (held.params, held.rungs);
        let from = self.rung();
        let climbs = |rung: u32| pressure >= params.climb(rung, rungs);
        let top = (from + 1..=rungs).rev().find(|rung| climbs(*rung));
        let to = if let Some(top) = top {
            top
        } else if from == 0 {
            return None;
        } else if pressure > params.climb(from, rungs) - params.band {
            held.at = now.max(held.at);
            return None;
        } else if now.saturating_sub(held.at) < params.dwell {
            return None;
        } else {
            from - 1
        };
        held.at = now.max(held.at);
        self.rung.store(to, Ordering::Relaxed);
        Some(Change { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: Nanos = 1_000_000;

    fn ladder(rungs: u32) -> Ladder {
        let params = Params::default();
        params.check().unwrap();
        Ladder::new(params, rungs)
    }

    // Three weak parts: 0.7, 0.825, 0.95.
    #[test]
    fn pressure_climbs_as_many_rungs_as_it_takes() {
        for (pressure, rung) in [
            (0.0, 0),
            (0.69, 0),
            (0.7, 1),
            (0.82, 1),
            (0.83, 2),
            (0.95, 3),
            (7.0, 3),
            (f64::NAN, 0),
        ] {
            let ladder = ladder(3);
            ladder.observe(0, pressure);
            assert_eq!(ladder.rung(), rung, "{pressure}");
        }
        assert_eq!(ladder(0).observe(0, 1.0), None, "nothing to leave out");
        assert_eq!(ladder(1).observe(0, 0.7), Some(Change { from: 0, to: 1 }));
    }

    #[test]
    fn limits_may_change_in_use() {
        let ladder = ladder(1);
        ladder.observe(0, 0.75);
        assert_eq!(ladder.rung(), 1);
        let later = Params {
            start: 0.9,
            full: 0.95,
            ..Params::default()
        };
        ladder.set(later, 1);
        assert_eq!(
            ladder.observe(SECOND, 0.75),
            Some(Change { from: 1, to: 0 })
        );
        ladder.observe(SECOND, 1.0);
        assert!(ladder.clear() && !ladder.clear());
        assert_eq!(ladder.rung(), 0);
    }

    // Two parts of one place go together: a rung less.
    #[test]
    fn the_rungs_may_change_in_use_and_nobody_stands_above_the_last() {
        let ladder = ladder(3);
        ladder.observe(0, 1.0);
        ladder.set(Params::default(), 2);
        assert_eq!(ladder.rung(), 2);
        assert_eq!(ladder.observe(0, 1.0), None, "there is no higher one");
        ladder.set(Params::default(), 4);
        assert_eq!(ladder.observe(0, 1.0), Some(Change { from: 2, to: 4 }));
        ladder.clear();
        ladder.set(Params::default(), 2);
        assert_eq!(ladder.rung(), 0);
    }

    #[test]
    fn parts_are_left_out_in_declared_order() {
        let ladder = ladder(3);
        ladder.observe(0, 0.9);
        let dropped = [0, 1, 2, 3].map(|place| ladder.drops(place));
        assert_eq!(dropped, [true, true, false, false]);
    }

    #[test]
    fn parts_come_back_last_first_one_in_each_dwell() {
        let ladder = ladder(3);
        ladder.observe(0, 1.0);
        let mut changes = Vec::new();
        for now in (0..5_000).step_by(100) {
            if let Some(change) = ladder.observe(now * MILLI, 0.1) {
                changes.push((now, change.to));
            }
        }
        assert_eq!(changes, [(1_000, 2), (2_000, 1), (3_000, 0)]);
    }

    #[test]
    fn a_moment_of_pressure_begins_the_dwell_anew() {
        let ladder = ladder(1);
        ladder.observe(0, 0.7);
        ladder.observe(900 * MILLI, 0.65);
        assert_eq!(ladder.observe(1_800 * MILLI, 0.1), None);
        assert!(ladder.observe(1_900 * MILLI, 0.1).is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        let sound = Params::default();
        for (start, full, band) in [
            (0.0, 0.9, 0.1),
            (0.9, 0.8, 0.1),
            (0.5, 1.1, 0.1),
            (0.5, 0.9, 0.5),
            (0.5, 0.9, 0.0),
            (f64::NAN, 0.9, 0.1),
        ] {
            let bad = Params {
                start,
                full,
                band,
                ..sound
            };
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(Params { dwell: 0, ..sound }.check().is_err());
    }

    // A sale begins and ends: coupon, then recommendations are left out while it lasts, and both
    // come back, in reverse. Without weak parts to leave out the process would be at 1.1.
    #[test]
    fn a_sale_costs_the_trimmings_and_no_order() {
        let ladder = ladder(2);
        let (mut worst, mut changes) = (0.0_f64, Vec::new());
        for second in 0..180 {
            let offered = match second {
                30..=120 => 1.1,
                _ => 0.6,
            };
            // Each weak part is a tenth of the work.
            let pressure = offered * (1.0 - 0.1 * f64::from(ladder.rung()));
            if let Some(change) = ladder.observe(second * SECOND, pressure) {
                changes.push((second, change.to));
            } else {
                worst = worst.max(pressure);
            }
        }
        assert_eq!(changes, [(30, 2), (121, 1), (122, 0)]);
        assert!(worst < 0.95, "{worst}");
    }

    proptest! {
        #[test]
        fn a_higher_pressure_never_leaves_out_less(
            rungs in 1_u32..6,
            steps in prop::collection::vec((0_u64..1_500, 0.0_f64..1.1, 0.0_f64..0.5), 1..200),
        ) {
            let (low, high) = (ladder(rungs), ladder(rungs));
            let mut now = 0;
            for (wait, pressure, more) in steps {
                now += wait * MILLI;
                low.observe(now, pressure);
                high.observe(now, pressure + more);
                prop_assert!(high.rung() >= low.rung());
                prop_assert!(high.rung() <= rungs);
            }
        }

        // Whatever the band holds, the rung that the first look found stays.
        #[test]
        fn a_pressure_that_swings_inside_the_band_changes_nothing(
            rungs in 1_u32..6, rung in 1_u32..6,
            steps in prop::collection::vec((0_u64..5_000, 0.001_f64..0.999), 1..200),
        ) {
            let (params, ladder) = (Params::default(), ladder(rungs));
            let rung = rung.min(rungs);
            let climb = params.climb(rung, rungs);
            ladder.observe(0, climb);
            let mut now = 0;
            for (wait, place) in steps {
                now += wait * MILLI;
                prop_assert_eq!(ladder.observe(now, climb - params.band * place), None);
                prop_assert_eq!(ladder.rung(), rung);
            }
        }

        #[test]
        fn no_swing_brings_parts_back_more_than_once_in_a_dwell(
            steps in prop::collection::vec((0_u64..300, 0.0_f64..1.1), 1..300),
        ) {
            let ladder = ladder(4);
            let (mut now, mut last) = (0, None::<Nanos>);
            for (wait, pressure) in steps {
                now += wait * MILLI;
                let back = ladder.observe(now, pressure).filter(|one| one.to < one.from);
                if let Some(change) = back {
                    prop_assert_eq!(change.from - change.to, 1);
                    prop_assert!(last.is_none_or(|last| now - last >= SECOND));
                    last = Some(now);
                }
            }
        }
    }
}

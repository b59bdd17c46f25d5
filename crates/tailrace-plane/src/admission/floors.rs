//! What the calls of a view take at best, measured: for the refusal of what cannot be in time.
//!
//! The failure prevented is a floor that costs more than it saves. One request in eight that was
//! answered is measured, so that the words all workers share are rarely written; twice a second a
//! worker adds the floors up along the chains of strong parts, so that a request compares one
//! number.
//!
//! Limits: only strong parts count: a weak one never has to be waited for. A part whose upstream
//! was not asked for half a minute has no floor.

use crate::fanout::FanOut;
use crate::program::{Program, Strength, View, PARTS_MAX};
use tailrace_policy::feasibility::Floor;
use tailrace_policy::Nanos;

/// Of so many answered requests one is measured.
pub const SAMPLED: u32 = 8;

/// One floor per strong part, by `Part::metric`; shared by all workers.
#[derive(Debug)]
pub struct Floors(Vec<Option<Floor>>);

impl Floors {
    pub fn new(program: &Program) -> Self {
        // Also while nothing is refused for it: that may change.
        let floor = |strength| (!program.naive && strength == Strength::Strong).then(Floor::new);
        let parts = program.parts();
        Self(parts.map(|(_, part)| floor(part.strength)).collect())
    }

    /// Adds what the parts of an answered request took.
    pub fn learn(&self, view: &View, fan: &FanOut, now: Nanos) {
        for (part, end) in view.parts.iter().zip(&fan.ends) {
            if let Some(floor) = &self.0[part.metric] {
                floor.record(now, Nanos::from(end.us) * 1_000);
            }
        }
    }

    /// The floor of the critical path: of the chains of strong parts the longest.
    pub fn needed(&self, view: &View, now: Nanos) -> Nanos {
        let mut ends = [0; PARTS_MAX];
        // A part may stand before the one it waits for: again, until nothing moves.
        for _ in &view.parts {
            let mut moved = false;
            for (index, part) in view.parts.iter().enumerate() {
                let Some(floor) = &self.0[part.metric] else {
                    continue;
                };
                let waits = (0..PARTS_MAX).filter(|other| part.needs & (1 << other) != 0);
                let start = waits.map(|other| ends[other]).max().unwrap_or(0);
                let end = start + floor.get(now);
                moved |= end != ends[index];
                ends[index] = end;
            }
            if !moved {
                break;
            }
        }
        ends.into_iter().max().unwrap_or(0)
    }
}

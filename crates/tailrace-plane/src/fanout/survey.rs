//! What the parts of a request wait for now (req 12.2).

use super::{FanOut, State};
use crate::profile::survey::{Request, Wait, Waiting};
use crate::program::View;

impl FanOut {
    /// Writes down every part that is not done, and what it waits for.
    pub fn note_waits(&self, view: &View, into: &mut Request) {
        into.parts = view.parts.len();
        into.parts_done = (0..into.parts).filter(|part| self.is_done(*part)).count();
        for (index, part) in view.parts.iter().enumerate() {
            if self.states[index] == State::Waiting && !self.is_done(index) {
                let needs = Wait::Parts(part.needs & !self.done);
                into.push(Waiting::of(needs, Some(index), into.started));
            }
        }
        for job in &self.ready {
            into.push(Waiting {
                item: job.item as u16,
                ..Waiting::of(Wait::Fanout, Some(job.part), job.ready)
            });
        }
        for slot in &self.running {
            let called = view.parts[slot.part].called(slot.other);
            let base = Waiting {
                item: slot.item as u16,
                upstream: Some(called.upstream as u16),
                other: slot.other,
                until: slot.until,
                ..Waiting::of(Wait::Start, Some(slot.part), 0)
            };
            into.push_call(&slot.tally, base);
        }
    }
}

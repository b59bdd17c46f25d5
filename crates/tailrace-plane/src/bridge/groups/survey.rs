//! What the calls of a handler wait for now (req 12.2).

use super::Groups;
use crate::profile::survey::{Request, Wait, Waiting};

impl Groups {
    /// Writes down every call that waits or runs.
    pub fn note_waits(&self, into: &mut Request) {
        for job in &self.own.ready {
            let upstream = job.wanted.template.part.upstream;
            into.push(Waiting {
                item: job.at as u16,
                upstream: Some(upstream as u16),
                ..Waiting::of(Wait::Fanout, Some(upstream), job.ready)
            });
        }
        for slot in &self.own.running {
            let base = Waiting {
                item: slot.at as u16,
                upstream: Some(slot.upstream as u16),
                until: slot.until,
                ..Waiting::of(Wait::Start, Some(slot.upstream), 0)
            };
            into.push_call(&slot.tally, base);
        }
    }
}

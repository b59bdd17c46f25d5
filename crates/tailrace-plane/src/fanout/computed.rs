//! What Python makes of the parts: what it gets to read, and where its results land.
//!
//! They land behind the parts, one slot each, and a failure means what it means for a part: the end
//! of the request for a strong field, the fallback and a reason for a weak one (req 8.1).

use super::{FanOut, Stop};
use crate::clock;
use crate::program::Strength;
use crate::reason::Reason;
use crate::worker::Worker;
use tailrace_policy::Nanos;

impl FanOut {
    /// What the code of the fields may read: the parts, the body, the parameters.
    pub fn readable(&self) -> Vec<Option<Vec<u8>>> {
        let values = self.values.iter();
        let values = values.map(|json| json.as_deref().map(<[u8]>::to_vec));
        values.chain(self.parameters.iter().cloned()).collect()
    }

    /// When the fields must be there: later than the parts by what is kept for them.
    pub fn computed_cutoff(&self, worker: &Worker) -> Nanos {
        let reserve = clock::limit(worker.program.limits.reserve_ms);
        let end = self.deadline.map_or(0, |deadline| deadline.at);
        end.saturating_sub(reserve)
    }

    /// Puts the fields behind the parts; `results` is one for each, or why there is none at all.
    pub fn land_computed(
        &mut self,
        worker: &Worker,
        results: Result<Vec<Result<Vec<u8>, Reason>>, Reason>,
        took: Nanos,
    ) -> Result<(), Stop> {
        let view = &worker.program.views[self.view];
        let (mut results, none) = match results {
            Ok(results) => (results.into_iter(), Reason::ComputedError),
            Err(reason) => (Vec::new().into_iter(), reason),
        };
        for field in view.computed_fields() {
            let at = view.parts.len() + self.computed;
            let metrics = &worker.metrics.parts[field.metric];
            let result = results.next().unwrap_or(Err(none));
            let result = result.and_then(|json| self.hold(json.len()).map(|()| json));
            self.computed += 1;
            let end = &mut self.ends[at];
            end.us = (took / 1_000) as u32;
            let reason = match result {
                Ok(json) => {
                    metrics.ok.add(1);
                    self.values.push(Some(json.into()));
                    continue;
                }
                Err(reason) => reason,
            };
            metrics.failed[reason.index()].add(1);
            end.failed = Some(reason);
            if field.strength == Strength::Strong {
                return Err(Stop::Strong(at, reason));
            }
            end.source = field.fallback_source();
            metrics.sources[end.source as usize].add(1);
            self.values.push(Some(field.fallback.clone().into()));
        }
        Ok(())
    }

    /// Fields that were not made say so.
    pub(super) fn cancel_computed(&mut self, parts: usize) {
        for end in self.ends.iter_mut().skip(parts + self.computed) {
            end.failed = Some(Reason::Cancelled);
        }
    }
}

//! Where results land: in the slot of their part or item, one writer each (req 5.1).
//!
//! This is also where a failure becomes what it means: the end of the request for a strong part,
//! the fallback and a reason for a weak one (req 8.1).

use super::{FanOut, State, Stop};
use crate::call::Landed;
use crate::program::{Part, Strength, View};
use crate::reason::Reason;
use crate::worker::Worker;

impl FanOut {
    /// Puts a result into its slot.
    pub(super) fn land(
        &mut self,
        worker: &Worker,
        view: &View,
        index: usize,
        item: usize,
        landed: Landed,
    ) -> Result<(), Stop> {
        let part = &view.parts[index];
        let landed = match landed {
            Ok(None) if !part.empty_allowed => Err(Reason::ModelMismatch),
            other => other,
        };
        if part.each.is_some() {
            return self.land_item(worker, index, part, item, landed);
        }
        match landed {
            Ok(value) => {
                worker.metrics.parts[part.metric].ok.add(1);
                let value = value.unwrap_or_else(|| part.fallback.clone());
                self.finish(worker, index, value);
                Ok(())
            }
            Err(reason) => self.fail(worker, index, part, reason),
        }
    }

    fn land_item(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        item: usize,
        landed: Landed,
    ) -> Result<(), Stop> {
        if self.is_done(index) {
            return Ok(());
        }
        match landed {
            Ok(value) => self.items[index].landed[item] = value,
            Err(reason) if part.strength == Strength::Strong => {
                return self.fail(worker, index, part, reason);
            }
            Err(_) => self.items[index].failed = true,
        }
        self.items[index].left -= 1;
        if self.items[index].left == 0 {
            self.finish_items(worker, index, part);
        }
        Ok(())
    }

    /// Joins the items in the order of the list; a failed one is null (DESIGN 4, *Lists*).
    pub(super) fn finish_items(&mut self, worker: &Worker, index: usize, part: &Part) {
        let mut joined = worker.buffers.take();
        joined.push(b'[');
        let items = std::mem::take(&mut self.items[index]);
        for (at, value) in items.landed.into_iter().enumerate() {
            if at > 0 {
                joined.push(b',');
            }
            match value {
                Some(json) => {
                    joined.extend_from_slice(&json);
                    worker.buffers.give(json);
                }
                None => joined.extend_from_slice(b"null"),
            }
        }
        joined.push(b']');
        if items.failed {
            worker.metrics.parts[part.metric].failed[Reason::Items.index()].add(1);
            self.ends[index].failed = Some(Reason::Items);
        } else {
            worker.metrics.parts[part.metric].ok.add(1);
        }
        self.finish(worker, index, joined);
    }

    /// A part has failed: the request ends when it is strong, its fallback stands in when it is
    /// weak.
    pub(super) fn fail(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        reason: Reason,
    ) -> Result<(), Stop> {
        worker.metrics.parts[part.metric].failed[reason.index()].add(1);
        self.ends[index].failed = Some(reason);
        self.ready.retain(|job| job.part != index);
        self.finish(worker, index, part.fallback.clone());
        match part.strength {
            Strength::Strong => Err(Stop::Strong(index, reason)),
            Strength::Weak => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, worker: &Worker, index: usize, value: Vec<u8>) {
        self.values[index] = Some(value);
        self.states[index] = State::Done;
        self.done |= 1 << index;
        let took = worker.now.get().saturating_sub(self.started[index]);
        self.ends[index].us = (took / 1_000) as u32;
    }
}

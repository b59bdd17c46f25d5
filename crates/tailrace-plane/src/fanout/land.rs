//! Where results land: in the slot of their part or item, one writer each (req 5.1).
//!
//! This is also where a failure becomes what it means: the end of the request for a strong part,
//! the fallback and a reason for a weak one (req 8.1).

use super::{FanOut, Job, State, Stop};
use crate::call::Answer;
use crate::json::Json;
use crate::program::{Part, Strength, View};
use crate::reason::Reason;
use crate::source::Source;
use crate::worker::Worker;

impl FanOut {
    /// Puts a result into its slot.
    pub(super) fn land(
        &mut self,
        worker: &Worker,
        view: &View,
        index: usize,
        item: usize,
        answer: impl Into<Answer>,
    ) -> Result<(), Stop> {
        let part = &view.parts[index];
        let mut answer = answer.into();
        if matches!(answer.landed, Ok(None)) && !part.empty_allowed {
            answer.landed = Err(Reason::ModelMismatch);
        }
        if part.each.is_some() {
            return self.land_item(worker, index, part, item, answer);
        }
        let value = match answer.landed {
            Ok(value) => value.unwrap_or_else(|| part.fallback.clone().into()),
            Err(reason) => return self.fail(worker, index, part, reason),
        };
        let metrics = &worker.metrics.parts[part.metric];
        if self.tried & (1 << index) != 0 {
            // Why it is the other's value is said already.
            self.ends[index].source = Source::Other;
            metrics.sources[Source::Other as usize].add(1);
        } else {
            self.come_from(
                worker,
                index,
                part,
                (answer.source, answer.age_s),
                answer.failed,
            );
        }
        self.finish(worker, index, value);
        Ok(())
    }

    /// Says where a part's value is from, and why when its call has failed.
    fn come_from(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        (source, age_s): (Source, u32),
        failed: Option<Reason>,
    ) {
        let (metrics, end) = (&worker.metrics.parts[part.metric], &mut self.ends[index]);
        end.failed = failed;
        match failed {
            None => metrics.ok.add(1),
            Some(reason) => {
                metrics.failed[reason.index()].add(1);
                if source != Source::Fresh {
                    metrics.stood_in.add(1);
                }
            }
        }
        if source != Source::Fresh {
            (end.source, end.age_s) = (source, age_s);
            metrics.sources[source as usize].add(1);
        }
    }

    fn land_item(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        item: usize,
        answer: Answer,
    ) -> Result<(), Stop> {
        if self.is_done(index) {
            return Ok(());
        }
        let items = &mut self.items[index];
        match answer.landed {
            Ok(value) => {
                items.landed[item] = value;
                items.failed |= answer.failed.is_some();
                items.source = items.source.max(answer.source);
                items.age_s = items.age_s.max(answer.age_s);
            }
            Err(reason) if part.strength == Strength::Strong => {
                return self.fail(worker, index, part, reason);
            }
            Err(_) => items.failed = true,
        }
        items.left -= 1;
        if items.left == 0 {
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
                    if let Json::Own(buffer) = json {
                        worker.buffers.give(buffer);
                    }
                }
                None => joined.extend_from_slice(b"null"),
            }
        }
        joined.push(b']');
        let failed = items.failed.then_some(Reason::Items);
        self.come_from(worker, index, part, (items.source, items.age_s), failed);
        self.finish(worker, index, joined);
    }

    /// A part's call has failed: the request ends when it is strong, the next step of the chain is
    /// taken when it is weak: another call, then the fallback.
    pub(super) fn fail(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        reason: Reason,
    ) -> Result<(), Stop> {
        let untried = self.tried & (1 << index) == 0;
        if let (Strength::Weak, true, Some(other)) = (part.strength, untried, &part.otherwise) {
            if let Ok(rendered) = self.render(worker, other, None) {
                worker.metrics.parts[part.metric].failed[reason.index()].add(1);
                self.ends[index].failed = Some(reason);
                self.tried |= 1 << index;
                self.ready.push_back(Job {
                    part: index,
                    item: 0,
                    ready: worker.now.get(),
                    rendered,
                });
                return Ok(());
            }
        }
        self.give_up(worker, index, part, reason)
    }

    /// A part that is left out under pressure: no call is made, not even of another upstream. What
    /// is kept of it stands in, else its fallback.
    pub(super) fn leave_out(
        &mut self,
        worker: &Worker,
        view: &View,
        index: usize,
        part: &Part,
    ) -> Result<(), Stop> {
        self.started[index] = worker.now.get();
        if part.cache.is_some() && part.each.is_none() {
            if let Ok(rendered) = self.render(worker, part, None) {
                let answer = self.uncalled(worker, part, &rendered, Reason::Brownout);
                worker.buffers.give(rendered.bytes);
                if answer.landed.is_ok() {
                    return self.land(worker, view, index, 0, answer);
                }
            }
        }
        self.give_up(worker, index, part, Reason::Brownout)
    }

    /// The end of the chain: the fallback. What is said is why the part's own call failed.
    pub(super) fn give_up(
        &mut self,
        worker: &Worker,
        index: usize,
        part: &Part,
        reason: Reason,
    ) -> Result<(), Stop> {
        let metrics = &worker.metrics.parts[part.metric];
        if self.tried & (1 << index) == 0 {
            metrics.failed[reason.index()].add(1);
            self.ends[index].failed = Some(reason);
        }
        self.ready.retain(|job| job.part != index);
        self.finish(worker, index, part.fallback.clone());
        if part.strength == Strength::Strong {
            return Err(Stop::Strong(index, reason));
        }
        let source = part.fallback_source();
        self.ends[index].source = source;
        metrics.sources[source as usize].add(1);
        Ok(())
    }

    /// The request ends without its parts: those that were not done are cancelled, and say so.
    pub fn cancel(&mut self, worker: &Worker) {
        let view = &worker.program.views[self.view];
        for (index, part) in view.parts.iter().enumerate() {
            if self.is_done(index) {
                continue;
            }
            self.ends[index].failed = Some(Reason::Cancelled);
            if self.states[index] == State::Started {
                worker.metrics.parts[part.metric].failed[Reason::Cancelled.index()].add(1);
                let took = worker.now.get().saturating_sub(self.started[index]);
                self.ends[index].us = (took / 1_000) as u32;
            }
        }
        self.cancel_computed(view.parts.len());
        self.end(worker);
    }

    pub(super) fn finish(&mut self, worker: &Worker, index: usize, value: impl Into<Json>) {
        self.values[index] = Some(value.into());
        self.states[index] = State::Done;
        self.done |= 1 << index;
        let now = worker.now.get();
        self.receipt.parts[index].done = now;
        let took = now.saturating_sub(self.started[index]);
        self.ends[index].us = (took / 1_000) as u32;
    }
}

//! The running calls of a request: started within the fan-out cap, polled, ended.

use super::{FanOut, Job, Slot, Stop};
use crate::call::{self, Call, Made};
use crate::program::View;
use crate::reason::Reason;
use crate::receipt::{Ended, Whose};
use crate::worker::Worker;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use tailrace_policy::Nanos;

impl FanOut {
    /// Starts ready calls as far as the fan-out cap allows (req 4.3).
    pub(super) fn launch(
        &mut self,
        worker: &Rc<Worker>,
        view: &View,
        now: Nanos,
    ) -> Result<(), Stop> {
        let together = self.ready.len() > 1;
        while self.running.len() < view.fanout {
            let Some(Job {
                part,
                item,
                ready,
                rendered,
            }) = self.ready.pop_front()
            else {
                break;
            };
            let other = self.tried & (1 << part) != 0;
            let declared = view.parts[part].called(other);
            let Some(deadline) = self.deadline else { break };
            let budget = call::budget(declared.timeout, deadline, view.reserve, now);
            let (until, cut) = match budget {
                Ok(budget) => budget,
                Err(reason) => {
                    let answer = self.uncalled(worker, declared, &rendered, reason);
                    self.land(worker, view, part, item, answer)?;
                    continue;
                }
            };
            // A naive call times itself, attempt by attempt.
            let naive = worker.program.naive;
            let until = if naive { Nanos::MAX } else { until };
            let tally = self.tallies.take(ready, now);
            tally.wake.set(call::AT_ONCE);
            tally.span.set(worker.span());
            self.launched += 1;
            let running = call::start(Call {
                worker: Rc::clone(worker),
                made: Made::Part {
                    view: self.view,
                    part,
                    other,
                },
                rendered,
                memory: Rc::clone(&self.memory),
                until,
                cut,
                tally: Rc::clone(&tally),
                together: Cell::new(together),
                purse: Rc::clone(&self.purse),
            });
            self.running.push(Slot {
                part,
                item,
                other,
                until,
                tally,
                running,
            });
            self.receipt.calls.in_flight(self.running.len());
        }
        Ok(())
    }

    /// Polls the running calls that want it by `due` once; `true` when something landed.
    pub(super) fn poll_running(
        &mut self,
        worker: &Rc<Worker>,
        view: &View,
        due: Nanos,
        context: &mut Context<'_>,
    ) -> Result<bool, Stop> {
        let mut progress = false;
        let mut index = 0;
        while index < self.running.len() {
            let slot = &mut self.running[index];
            if slot.tally.wake.get() > due {
                index += 1;
                continue;
            }
            // What the call waits for before its end is said anew by each poll.
            slot.tally.wake.set(slot.until);
            match slot.running.as_mut().poll(context) {
                Poll::Pending => index += 1,
                Poll::Ready(answer) => {
                    let slot = self.running.swap_remove(index);
                    let (part, item) = (slot.part, slot.item);
                    let failed = answer.landed.as_ref().err().copied();
                    let ended = (answer.source, failed.or(answer.failed));
                    self.ended(worker, view, slot, Some(ended));
                    self.land(worker, view, part, item, answer)?;
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// The deadline has come: what is not done fails now.
    pub(super) fn cut(&mut self, worker: &Worker, view: &View, now: Nanos) -> Result<(), Stop> {
        self.drop_running(worker, view);
        for (index, part) in view.parts.iter().enumerate() {
            if !self.is_done(index) {
                if self.started[index] == 0 {
                    self.started[index] = now;
                }
                self.give_up(worker, index, part, Reason::Deadline)?;
            }
        }
        Ok(())
    }

    /// Takes down what a call noted, when it has landed or is dropped.
    fn ended(&mut self, worker: &Worker, view: &View, slot: Slot, ended: Ended) {
        let called = view.parts[slot.part].called(slot.other);
        let whose = Whose {
            part: slot.part,
            item: slot.item,
            upstream: called.upstream,
            method: called.method,
            other: slot.other,
        };
        // First the call, which may be what still holds the tally.
        drop(slot.running);
        let now = worker.now.get();
        self.receipt.calls.add(whose, &slot.tally, now, ended);
        self.tallies.give(slot.tally);
    }

    /// Writes what is known of the parts, and of what they held, into the receipt.
    pub fn fill_receipt(&mut self, worker: &Worker) {
        let receipt = &mut *self.receipt;
        if receipt.handler || receipt.fanned == 0 {
            return;
        }
        receipt.memory.peak = self.memory.peak();
        receipt.memory.limit = self.memory.limit();
        let parts = &worker.program.views[self.view].parts;
        for (index, bill) in receipt.parts.iter_mut().enumerate() {
            bill.ready = self.started[index];
            bill.needs = parts[index].needs;
            bill.failed = self.ends[index].failed;
            bill.source = self.ends[index].source;
        }
    }

    /// Drops the calls that still run.
    pub(super) fn drop_running(&mut self, worker: &Worker, view: &View) {
        while let Some(slot) = self.running.pop() {
            self.ended(worker, view, slot, None);
        }
    }
}

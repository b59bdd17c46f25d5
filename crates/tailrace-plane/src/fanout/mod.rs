//! The parts of one request: which may start, which run, where results land.
//!
//! Results land in slots sized when the request begins, one writer each: no channel, no lock, no
//! task per call (req 5.1). At most `fanout` calls of the request run at once (req 4.3); the first
//! strong failure ends the rest by dropping them (req 4.5). There is one timer per request: it
//! fires at the earliest time any running call, or the whole request, must be over.

mod computed;
mod land;
mod prepare;
mod running;
mod survey;

#[cfg(test)]
mod chain;
#[cfg(test)]
mod tests;

use crate::access_log::PartEnd;
use crate::call::{self, Running};
use crate::clock::timer::Timer;
use crate::json::Json;
use crate::program::{Program, View};
use crate::reason::Reason;
use crate::receipt::{Held, PartBill, Receipt, Tallies, Tally};
use crate::source::Source;
use crate::template::Rendered;
use crate::worker::Worker;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::purse::Purse;
use tailrace_policy::Nanos;

use prepare::{Prepared, Refused};

/// Why a request ends without its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A strong part failed.
    Strong(usize, Reason),
    /// A parameter cannot stand where its template puts it.
    BadParameter(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Started,
    Done,
}

/// A call that is ready but waits for the fan-out cap.
#[derive(Debug)]
struct Job {
    part: usize,
    item: usize,
    /// When it could have started, had the cap allowed it.
    ready: Nanos,
    rendered: Rendered,
}

struct Slot {
    part: usize,
    item: usize,
    other: bool,
    until: Nanos,
    tally: Rc<Tally>,
    running: Running,
}

/// Results of an `each` part, one place per item.
#[derive(Debug, Default)]
struct Items {
    landed: Vec<Option<Json>>,
    left: usize,
    failed: bool,
    /// The source furthest down the chain, and the oldest age.
    source: Source,
    age_s: u32,
}

/// One request's fan-out. It is reused from request to request; `begin` resets it.
pub struct FanOut {
    pub view: usize,
    pub parameters: Vec<Option<Vec<u8>>>,
    /// Header lines passed on, per upstream that forwards any.
    pub lines: Vec<Vec<u8>>,
    /// The request id's own header line, sent with every call.
    pub id_line: Vec<u8>,
    /// Projected JSON per part.
    pub values: Vec<Option<Json>>,
    pub ends: Vec<PartEnd>,
    /// What the request costs.
    pub receipt: Box<Receipt>,
    /// Calls started.
    pub launched: u32,
    /// Parts that are not called for, as bits: the load is too high (req 9.1c).
    pub left_out: u64,
    states: Vec<State>,
    items: Vec<Items>,
    started: Vec<Nanos>,
    ready: VecDeque<Job>,
    running: Vec<Slot>,
    done: u64,
    /// Parts whose own call has failed and whose `otherwise` is under way.
    tried: u64,
    /// Computed fields that have landed.
    computed: usize,
    deadline: Option<Deadline>,
    /// When the parts must be there.
    pub cutoff: Nanos,
    memory: Rc<Held>,
    purse: Rc<Purse>,
    tallies: Tallies,
    /// The request's, whatever it waits for.
    pub timer: Timer,
}

impl std::fmt::Debug for FanOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FanOut")
            .field("view", &self.view)
            .field("states", &self.states)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

impl Default for FanOut {
    fn default() -> Self {
        Self {
            view: 0,
            parameters: Vec::new(),
            lines: Vec::new(),
            id_line: Vec::new(),
            values: Vec::new(),
            ends: Vec::new(),
            receipt: Box::default(),
            launched: 0,
            left_out: 0,
            states: Vec::new(),
            items: Vec::new(),
            started: Vec::new(),
            ready: VecDeque::new(),
            running: Vec::new(),
            done: 0,
            tried: 0,
            computed: 0,
            deadline: None,
            cutoff: 0,
            memory: Rc::default(),
            purse: Rc::new(Purse::new(0)),
            tallies: Tallies::default(),
            timer: Timer::default(),
        }
    }
}

impl FanOut {
    /// Sizes the slots for `view` and forgets the request before.
    pub fn begin(&mut self, program: &Program, view: usize, deadline: Deadline) {
        let declared = &program.views[view];
        let parts = declared.parts.len();
        self.view = view;
        self.values.clear();
        self.values.resize_with(parts, || None);
        self.done = 0;
        self.ends.clear();
        let ends = parts + declared.computed_fields().len();
        self.ends.resize(ends, PartEnd::default());
        self.states.clear();
        self.states.resize(parts, State::Waiting);
        self.items.clear();
        self.items.resize_with(parts, Items::default);
        self.started.clear();
        self.started.resize(parts, 0);
        self.receipt.parts.clear();
        self.receipt.parts.resize(parts, PartBill::default());
        self.receipt.deadline = deadline.at;
        self.ready.clear();
        self.running.clear();
        let purse = Purse::new(declared.extra_attempts);
        match Rc::get_mut(&mut self.purse) {
            Some(mine) => *mine = purse,
            None => self.purse = Rc::new(purse),
        }
        self.launched = 0;
        self.left_out = 0;
        self.tried = 0;
        self.computed = 0;
        self.deadline = Some(deadline);
        self.cutoff = deadline.at.saturating_sub(declared.reserve);
    }

    /// Starts counting what the request holds; before its body is read.
    pub fn open_memory(&self, worker: &Worker) {
        if worker.program.naive {
            self.memory.begin(u64::MAX, None);
        } else {
            let most = u64::from(worker.program.limits.request_memory_max_bytes);
            self.memory.begin(most, Some(&worker.memory));
        }
    }

    /// Counts bytes among those the request, and the process, may hold.
    pub fn hold(&self, bytes: usize) -> Result<(), Reason> {
        Ok(self.memory.take(bytes as u64)?)
    }

    /// What the request was made of is gone: `bytes` of its reply are held until it is written.
    pub fn hold_instead(&self, bytes: usize) {
        self.memory.hold_instead(bytes as u64);
    }

    /// Puts the request's body behind the parts, where templates find it.
    pub fn begin_body(&mut self, json: Vec<u8>) {
        self.done |= 1 << self.values.len();
        self.values.push(Some(json.into()));
    }

    /// Gives buffers back and drops whatever still runs.
    pub fn end(&mut self, worker: &Worker) {
        let program = &worker.program;
        if !self.running.is_empty() {
            self.drop_running(worker, &program.views[self.view]);
        }
        self.ready.clear();
        for value in self.values.iter_mut().filter_map(Option::take) {
            if let Json::Own(buffer) = value {
                worker.buffers.give(buffer);
            }
        }
        self.items.clear();
    }

    /// Drives all parts; ready when the reply can be assembled or the request has failed.
    pub fn poll(
        &mut self,
        worker: &Rc<Worker>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        let view = &worker.program.views[self.view];
        // Anybody may have been woken; after that, only who is new or whose time has come.
        let mut due = Nanos::MAX;
        loop {
            let (now, before) = (worker.now.get(), self.done);
            let outcome = self.unlock(worker, view).and_then(|()| {
                self.launch(worker, view, now)?;
                self.poll_running(worker, view, due, context)
            });
            due = now;
            match outcome {
                Err(stop) => return Poll::Ready(Err(stop)),
                Ok(_) if self.done.count_ones() as usize == self.values.len() => {
                    return Poll::Ready(Ok(()))
                }
                // A part that was done without a call may have unlocked one declared before it.
                Ok(progress) if progress || self.done != before => continue,
                Ok(_) => {}
            }
            if now >= self.cutoff {
                return Poll::Ready(self.cut(worker, view, now));
            }
            let next = self.running.iter().map(|slot| slot.tally.wake.get()).min();
            if next == Some(call::AT_ONCE) {
                continue;
            }
            let next = next.map_or(self.cutoff, |until| until.min(self.cutoff));
            if self.timer.poll_until(next, context).is_pending() {
                return Poll::Pending;
            }
            due = worker.tick();
        }
    }

    /// Readies every waiting part whose needs are met.
    fn unlock(&mut self, worker: &Worker, view: &View) -> Result<(), Stop> {
        for (index, part) in view.parts.iter().enumerate() {
            let free = part.needs & !self.done == 0;
            if self.left_out & (1 << index) != 0 && self.states[index] == State::Waiting {
                // What is kept of a call is only known once the call could be made.
                if free || part.cache.is_none() {
                    self.leave_out(worker, view, index, part)?;
                }
                continue;
            }
            if free && self.states[index] == State::Waiting {
                self.states[index] = State::Started;
                self.started[index] = worker.now.get();
                if !self.holds(part) {
                    worker.metrics.parts[part.metric].skipped.add(1);
                    self.finish(worker, index, part.fallback.clone());
                    continue;
                }
                match self.prepare(worker, index, part) {
                    Ok(Prepared::One(job)) => self.ready.push_back(job),
                    Ok(Prepared::Many(jobs)) => {
                        self.items[index].landed.resize_with(jobs.len(), || None);
                        self.items[index].left = jobs.len();
                        self.ready.extend(jobs);
                    }
                    Err(Refused::Parameter(parameter)) => {
                        return Err(Stop::BadParameter(parameter))
                    }
                    Err(Refused::Part(reason)) => self.fail(worker, index, part, reason)?,
                }
                if part.each.is_some() && self.items[index].left == 0 && !self.is_done(index) {
                    self.finish_items(worker, index, part);
                }
            }
        }
        Ok(())
    }

    fn is_done(&self, part: usize) -> bool {
        self.done & (1 << part) != 0
    }
}

//! The calls of one conversation: submitted together, answered together.
//!
//! They run through the same `call.rs` as the parts of a view, share one purse and one memory
//! limit, and at most `fanout` of them are in flight (req 4.3). The first strong failure of a
//! group ends the calls beside it (req 4.5); dropping the conversation ends all.

mod set;
mod survey;

pub use set::Sets;

use super::message::{Answer, Event, Failed, Group, Kept, Token, Wanted};
use crate::call::{self, Call, Made, Running};
use crate::clock;
use crate::h1::Method;
use crate::json::Json;
use crate::reason::Reason;
use crate::receipt::{Ended, Held, Tally, Whose};
use crate::template::{self, Rendered, Values};
use crate::worker::Worker;
use set::Set;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::purse::Purse;
use tailrace_policy::Nanos;

/// Calls of one conversation that may wait or run; more are refused.
const CALLS_MAX: usize = 1_024;

/// What bounds the calls of a conversation, and what they carry.
#[derive(Debug)]
pub struct Bounds {
    pub deadline: Deadline,
    pub fanout: usize,
    pub extra_attempts: u32,
    /// Weak calls are not made: the load is too high (req 9.1c).
    pub weak_left_out: bool,
    /// Header lines passed on, per upstream.
    pub lines: Vec<Vec<u8>>,
    /// Header line of the request id.
    pub id_line: Vec<u8>,
    /// Whether somebody reads what the calls have cost.
    pub noted: bool,
}

struct Job {
    token: Token,
    at: usize,
    ready: Nanos,
    wanted: Wanted,
    rendered: Rendered,
}

struct Slot {
    token: Token,
    at: usize,
    upstream: usize,
    method: Method,
    until: Nanos,
    tally: Rc<Tally>,
    running: Running,
}

/// A call whose own answer failed and for which a kept one stood in (req 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    pub upstream: usize,
    pub reason: Reason,
    pub age_s: u32,
}

struct Open {
    token: Token,
    left: usize,
    strong: Vec<bool>,
    answers: Vec<Option<Answer>>,
    kept: Vec<Kept>,
}

/// All calls of one conversation.
pub struct Groups {
    bounds: Bounds,
    own: Set,
    memory: Rc<Held>,
    purse: Rc<Purse>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("ready", &self.own.ready.len())
            .field("running", &self.own.running.len())
            .finish_non_exhaustive()
    }
}

impl Groups {
    pub fn new(worker: &Worker, bounds: Bounds) -> Self {
        let memory = u64::from(worker.program.limits.request_memory_max_bytes);
        Self {
            own: worker.conversations.sets.take(),
            memory: Held::new(memory, Some(&worker.memory)),
            purse: Rc::new(Purse::new(bounds.extra_attempts)),
            bounds,
        }
    }

    /// Readies a group's calls.
    pub fn add(&mut self, worker: &Worker, group: Group) {
        let Group { token, calls } = group;
        let held = self.own.ready.len() + self.own.running.len();
        self.own.open.push(Open {
            token,
            left: calls.len(),
            strong: calls.iter().map(|wanted| wanted.strong).collect(),
            answers: calls.iter().map(|_| None).collect(),
            kept: Vec::new(),
        });
        if calls.is_empty() {
            self.finish(self.own.open.len() - 1);
            return;
        }
        let mut refused = false;
        for (at, wanted) in calls.into_iter().enumerate() {
            let rendered = if held + at >= CALLS_MAX {
                Err(Reason::TooManyItems)
            } else if self.bounds.weak_left_out && !wanted.strong {
                Err(Reason::Brownout)
            } else {
                self.render(worker, &wanted)
            };
            match rendered {
                Ok(rendered) => self.own.ready.push_back(Job {
                    token,
                    at,
                    ready: worker.now.get(),
                    wanted,
                    rendered,
                }),
                Err(reason) => {
                    refused = true;
                    self.land(worker, token, at, Err(Failed::silent(reason)));
                }
            }
        }
        // One that failed before the others were readied may have closed its group.
        if refused && !self.own.open.iter().any(|group| group.token == token) {
            self.own.ready.retain(|job| job.token != token);
        }
    }

    /// Nobody waits for this group any more.
    pub fn withdraw(&mut self, worker: &Worker, token: Token) {
        self.own.open.retain(|group| group.token != token);
        self.drop_calls(worker, token);
    }

    /// Drives the calls; true when groups are over, which `next_over` then gives.
    pub fn poll(&mut self, worker: &Rc<Worker>, context: &mut Context<'_>) -> bool {
        loop {
            self.launch(worker);
            if !self.poll_running(worker, context) && self.wake() != Some(call::AT_ONCE) {
                return !self.own.over.is_empty();
            }
        }
    }

    pub fn next_over(&mut self) -> Option<Event> {
        self.own.over.pop_front()
    }

    /// When the calls must be polled again.
    pub fn wake(&self) -> Option<Nanos> {
        self.own
            .running
            .iter()
            .map(|slot| slot.tally.wake.get())
            .min()
    }

    pub fn take_stale(&mut self) -> Vec<Stale> {
        std::mem::take(&mut self.own.stale)
    }

    fn served_stale(&mut self, upstream: usize, reason: Reason, age_s: u32) {
        if self
            .own
            .stale
            .iter()
            .all(|known| known.upstream != upstream)
        {
            self.own.stale.push(Stale {
                upstream,
                reason,
                age_s,
            });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.own.open.is_empty() && self.own.over.is_empty()
    }

    fn render(&self, worker: &Worker, wanted: &Wanted) -> Result<Rendered, Reason> {
        let values = Values {
            parameters: &wanted.values,
            parts: &[],
            item: None,
        };
        let mut rendered = Rendered {
            bytes: worker.buffers.take(),
            ..Rendered::default()
        };
        let part = &wanted.template.part;
        if template::render(part, values, &mut rendered).is_err() {
            worker.buffers.give(rendered.bytes);
            return Err(Reason::BadReference);
        }
        if let Some(lines) = self.bounds.lines.get(part.upstream) {
            rendered.bytes.extend_from_slice(lines);
        }
        rendered.keyed = rendered.bytes.len();
        rendered.bytes.extend_from_slice(&self.bounds.id_line);
        Ok(rendered)
    }

    /// Starts ready calls as far as the fan-out cap allows (req 4.3).
    fn launch(&mut self, worker: &Rc<Worker>) {
        let together = self.own.ready.len() > 1;
        while self.own.running.len() < self.bounds.fanout {
            let Some(job) = self.own.ready.pop_front() else {
                return;
            };
            let reserve = Nanos::from(worker.program.limits.reserve_ms) * clock::MILLI;
            let template = &job.wanted.template;
            let timeout = template.timeout(&worker.program);
            let now = worker.now.get();
            let budget = call::budget(timeout, self.bounds.deadline, reserve, now);
            let (until, cut) = match budget {
                Ok(budget) => budget,
                Err(reason) => {
                    self.land(worker, job.token, job.at, Err(Failed::silent(reason)));
                    continue;
                }
            };
            // A naive call times itself, attempt by attempt.
            let until = if worker.program.naive {
                Nanos::MAX
            } else {
                until
            };
            let tally = self.own.tallies.take(job.ready, now);
            tally.span.set(worker.span());
            let (upstream, method) = (template.part.upstream, template.part.method);
            let running = call::start(Call {
                worker: Rc::clone(worker),
                made: Made::Template(Arc::clone(template)),
                rendered: job.rendered,
                memory: Rc::clone(&self.memory),
                until,
                cut,
                tally: Rc::clone(&tally),
                together: Cell::new(together),
                purse: Rc::clone(&self.purse),
            });
            self.own.running.push(Slot {
                token: job.token,
                at: job.at,
                upstream,
                method,
                until,
                tally,
                running,
            });
            self.own.calls.in_flight(self.own.running.len());
        }
    }

    /// Polls every running call once; true when something landed.
    fn poll_running(&mut self, worker: &Worker, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        let mut index = 0;
        while index < self.own.running.len() {
            let slot = &mut self.own.running[index];
            // What the call waits for before its end is said anew by each poll.
            slot.tally.wake.set(slot.until);
            let Poll::Ready(ended) = slot.running.as_mut().poll(context) else {
                index += 1;
                continue;
            };
            let slot = self.own.running.swap_remove(index);
            let (token, at, answered) = (slot.token, slot.at, slot.tally.answered.get());
            let failed = ended.landed.as_ref().err().copied();
            if let Some(reason) = ended.failed {
                self.served_stale(slot.upstream, reason, ended.age_s);
            }
            self.ended(worker.now.get(), slot, Some((ended.source, failed)));
            // What is known not to be there is a failure like any other.
            if ended.source.has_age() && ended.landed.is_ok() {
                self.note_kept(token, at, &ended);
            }
            let landed = ended.landed.map(|json| json.map(Json::into_bytes));
            let answer = landed.map_err(|reason| Failed { reason, answered });
            let running = self.own.running.len();
            self.land(worker, token, at, answer);
            progress = true;
            // A landing may end its siblings, and so move what stands before `index`.
            if self.own.running.len() != running {
                index = 0;
            }
        }
        progress
    }

    /// What is from the cache says so beside its answer.
    fn note_kept(&mut self, token: Token, at: usize, ended: &call::Answer) {
        let kept = Kept {
            at,
            source: ended.source,
            age_s: ended.age_s,
            failed: ended.failed,
        };
        if let Some(group) = self.own.open.iter_mut().find(|group| group.token == token) {
            group.kept.push(kept);
        }
    }

    fn land(&mut self, worker: &Worker, token: Token, at: usize, answer: Answer) {
        let Some(index) = self.own.open.iter().position(|group| group.token == token) else {
            return;
        };
        let group = &mut self.own.open[index];
        let fatal = answer.is_err() && group.strong[at];
        group.answers[at] = Some(answer);
        group.left -= 1;
        if fatal || group.left == 0 {
            self.finish(index);
            self.drop_calls(worker, token);
        }
    }

    fn finish(&mut self, index: usize) {
        let group = self.own.open.swap_remove(index);
        let cancelled = || Err(Failed::silent(Reason::Cancelled));
        let answers = group.answers.into_iter();
        let answers = answers.map(|answer| answer.unwrap_or_else(cancelled));
        self.own.over.push_back(Event::Landed {
            token: group.token,
            answers: answers.collect(),
            kept: group.kept,
        });
    }

    fn drop_calls(&mut self, worker: &Worker, token: Token) {
        self.own.ready.retain(|job| job.token != token);
        let own = |slot: &Slot| slot.token == token;
        while let Some(at) = self.own.running.iter().position(own) {
            let slot = self.own.running.swap_remove(at);
            self.ended(worker.now.get(), slot, None);
        }
    }

    /// Takes down what a call noted, when it has landed or is dropped.
    fn ended(&mut self, now: Nanos, slot: Slot, ended: Ended) {
        let whose = Whose {
            part: slot.upstream,
            item: slot.at,
            upstream: slot.upstream,
            method: slot.method,
            other: false,
        };
        // First the call, which may be what still holds the tally.
        drop(slot.running);
        if self.bounds.noted {
            self.own.calls.add(whose, &slot.tally, now, ended);
        }
        self.own.tallies.give(slot.tally);
    }
}

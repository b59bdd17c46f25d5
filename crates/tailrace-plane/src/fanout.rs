//! The parts of one request: which may start, which run, where results land.
//!
//! Results land in slots sized when the request begins, one writer each: no channel, no lock, no task
//! per call (req 5.1). At most `fanout` calls of the request run at once (req 4.3); the first strong
//! failure ends the rest by dropping them (req 4.5). There is one timer per request: it fires at the
//! earliest time any running call, or the whole request, must be over.

use crate::access_log::PartEnd;
use crate::call::{self, Call, Landed, Running};
use crate::clock;
use crate::program::{Part, Program, Strength, View};
use crate::reason::Reason;
use crate::splice;
use crate::template::{self, BadValue, Rendered, Values};
use crate::worker::Worker;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::Nanos;
use tokio::time::Sleep;

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
    rendered: Rendered,
}

struct Slot {
    part: usize,
    item: usize,
    until: Nanos,
    running: Running,
}

/// Results of an `each` part, one place per item.
#[derive(Debug, Default)]
struct Items {
    landed: Vec<Option<Vec<u8>>>,
    left: usize,
    failed: bool,
}

/// One request's fan-out. It is reused from request to request; `begin` resets it.
#[derive(Default)]
pub struct FanOut {
    pub view: usize,
    pub parameters: Vec<Option<Vec<u8>>>,
    /// Header lines passed on, per upstream that forwards any.
    pub lines: Vec<Vec<u8>>,
    /// The request id's own header line, sent with every call.
    pub id_line: Vec<u8>,
    /// Projected JSON per part.
    pub values: Vec<Option<Vec<u8>>>,
    pub ends: Vec<PartEnd>,
    states: Vec<State>,
    items: Vec<Items>,
    started: Vec<Nanos>,
    ready: VecDeque<Job>,
    running: Vec<Slot>,
    done: u64,
    deadline: Option<Deadline>,
    cutoff: Nanos,
    memory: Rc<Cell<u64>>,
    timer: Option<Pin<Box<Sleep>>>,
    armed: Nanos,
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

impl FanOut {
    /// Sizes the slots for `view` and forgets the request before.
    pub fn begin(&mut self, program: &Program, view: usize, deadline: Deadline) {
        let parts = program.views[view].parts.len();
        self.view = view;
        self.values.clear();
        self.values.resize_with(parts, || None);
        self.ends.clear();
        self.ends.resize(parts, PartEnd::default());
        self.states.clear();
        self.states.resize(parts, State::Waiting);
        self.items.clear();
        self.items.resize_with(parts, Items::default);
        self.started.clear();
        self.started.resize(parts, 0);
        self.ready.clear();
        self.running.clear();
        self.done = 0;
        self.deadline = Some(deadline);
        let reserve = Nanos::from(program.limits.reserve_ms) * clock::MILLI;
        self.cutoff = deadline.at.saturating_sub(reserve);
        self.memory.set(if program.naive {
            u64::MAX
        } else {
            u64::from(program.limits.request_memory_max_bytes)
        });
    }

    /// Gives buffers back and drops whatever still runs.
    pub fn end(&mut self, worker: &Worker) {
        self.running.clear();
        self.ready.clear();
        for value in self.values.iter_mut().filter_map(Option::take) {
            worker.buffers.give(value);
        }
        self.items.clear();
    }

    /// Drives all parts; ready when the reply can be assembled or the request has failed.
    pub fn poll(
        &mut self,
        worker: &Rc<Worker>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        let program = &Arc::clone(&worker.program);
        let view = &program.views[self.view];
        loop {
            let now = worker.now.get();
            let outcome = self.unlock(worker, view).and_then(|()| {
                self.launch(worker, program, view, now)?;
                self.poll_running(worker, view, context)
            });
            match outcome {
                Err(stop) => return Poll::Ready(Err(stop)),
                Ok(_) if self.done.count_ones() as usize == view.parts.len() => {
                    return Poll::Ready(Ok(()))
                }
                Ok(true) => continue,
                Ok(false) => {}
            }
            if now >= self.cutoff {
                return Poll::Ready(self.cut(worker, view, now));
            }
            if self.wait(context).is_pending() {
                return Poll::Pending;
            }
            worker.tick();
        }
    }

    /// Readies every waiting part whose needs are met.
    fn unlock(&mut self, worker: &Worker, view: &View) -> Result<(), Stop> {
        for (index, part) in view.parts.iter().enumerate() {
            let free = part.needs & !self.done == 0;
            if free && self.states[index] == State::Waiting {
                self.states[index] = State::Started;
                self.started[index] = worker.now.get();
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

    /// Renders the calls of a part.
    fn prepare(&self, worker: &Worker, index: usize, part: &Part) -> Result<Prepared, Refused> {
        let job = |item, json| {
            let rendered = self.render(worker, part, json)?;
            Ok(Job {
                part: index,
                item,
                rendered,
            })
        };
        let Some(each) = &part.each else {
            return job(0, None).map(Prepared::One);
        };
        let source = self.values[each.part].as_deref();
        let list = source.and_then(|json| splice::lookup(json, &each.field));
        let items = list
            .and_then(splice::items)
            .ok_or_else(|| self.missing(part))?;
        let items: Vec<&[u8]> = items.take(each.items_max + 1).collect();
        if items.len() > each.items_max {
            return Err(Refused::Part(Reason::TooManyItems));
        }
        let jobs = items
            .into_iter()
            .enumerate()
            .map(|(item, json)| job(item, Some(json)));
        jobs.collect::<Result<_, _>>().map(Prepared::Many)
    }

    fn render(
        &self,
        worker: &Worker,
        part: &Part,
        item: Option<&[u8]>,
    ) -> Result<Rendered, Refused> {
        let values = Values {
            parameters: &self.parameters,
            parts: &self.values,
            item,
        };
        let mut rendered = Rendered {
            bytes: worker.buffers.take(),
            target: 0,
        };
        template::render(part, values, &mut rendered).map_err(|bad| match bad {
            BadValue::Parameter(parameter) => Refused::Parameter(parameter),
            BadValue::Reference => self.missing(part),
        })?;
        if let Some(lines) = self.lines.get(part.upstream) {
            rendered.bytes.extend_from_slice(lines);
        }
        rendered.bytes.extend_from_slice(&self.id_line);
        Ok(rendered)
    }

    /// A field is not there: because the part that has it failed, or because the upstream left it out.
    fn missing(&self, part: &Part) -> Refused {
        let failed =
            |index: usize| part.needs & (1 << index) != 0 && self.ends[index].failed.is_some();
        let reason = if (0..self.ends.len()).any(failed) {
            Reason::Dependency
        } else {
            Reason::BadReference
        };
        Refused::Part(reason)
    }

    /// Starts ready calls as far as the fan-out cap allows (req 4.3).
    fn launch(
        &mut self,
        worker: &Rc<Worker>,
        program: &Arc<Program>,
        view: &View,
        now: Nanos,
    ) -> Result<(), Stop> {
        while self.running.len() < view.fanout {
            let Some(Job {
                part,
                item,
                rendered,
            }) = self.ready.pop_front()
            else {
                break;
            };
            let declared = &view.parts[part];
            let reserve = Nanos::from(program.limits.reserve_ms) * clock::MILLI;
            let Some(deadline) = self.deadline else { break };
            let budget = call::budget(declared, deadline, reserve, now);
            let (until, cut) = match budget {
                Ok(budget) => budget,
                Err(reason) => {
                    self.land(worker, view, part, item, Err(reason))?;
                    continue;
                }
            };
            let running = call::start(Call {
                worker: Rc::clone(worker),
                program: Arc::clone(program),
                view: self.view,
                part,
                rendered,
                memory: Rc::clone(&self.memory),
                until,
                cut,
            });
            self.running.push(Slot {
                part,
                item,
                until,
                running,
            });
        }
        Ok(())
    }

    /// Polls every running call once; `true` when something landed.
    fn poll_running(
        &mut self,
        worker: &Rc<Worker>,
        view: &View,
        context: &mut Context<'_>,
    ) -> Result<bool, Stop> {
        let mut progress = false;
        let mut index = 0;
        while index < self.running.len() {
            match self.running[index].running.as_mut().poll(context) {
                Poll::Pending => index += 1,
                Poll::Ready(landed) => {
                    let slot = self.running.swap_remove(index);
                    self.land(worker, view, slot.part, slot.item, landed)?;
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// Puts a result into its slot.
    fn land(
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
    fn finish_items(&mut self, worker: &Worker, index: usize, part: &Part) {
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

    /// A part has failed: the request ends when it is strong, its fallback stands in when it is weak.
    fn fail(
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

    fn finish(&mut self, worker: &Worker, index: usize, value: Vec<u8>) {
        self.values[index] = Some(value);
        self.states[index] = State::Done;
        self.done |= 1 << index;
        let took = worker.now.get().saturating_sub(self.started[index]);
        self.ends[index].us = (took / 1_000) as u32;
    }

    /// The deadline has come: what is not done fails now.
    fn cut(&mut self, worker: &Worker, view: &View, now: Nanos) -> Result<(), Stop> {
        self.running.clear();
        for (index, part) in view.parts.iter().enumerate() {
            if !self.is_done(index) {
                if self.started[index] == 0 {
                    self.started[index] = now;
                }
                self.fail(worker, index, part, Reason::Deadline)?;
            }
        }
        Ok(())
    }

    /// Sleeps until the next time anything must be over. The timer is kept from request to request and
    /// only moved when it would fire too late: firing early costs one look, moving it costs a lock.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let next = self.running.iter().map(|slot| slot.until).min();
        let next = next.map_or(self.cutoff, |until| until.min(self.cutoff));
        let timer = self.timer.get_or_insert_with(|| {
            self.armed = next;
            Box::pin(tokio::time::sleep_until(clock::instant(next)))
        });
        if self.armed > next {
            self.armed = next;
            timer.as_mut().reset(clock::instant(next));
        }
        while timer.as_mut().poll(context).is_ready() {
            if self.armed >= next {
                self.armed = Nanos::MAX;
                return Poll::Ready(());
            }
            self.armed = next;
            timer.as_mut().reset(clock::instant(next));
        }
        Poll::Pending
    }
}

enum Prepared {
    One(Job),
    Many(Vec<Job>),
}

enum Refused {
    Part(Reason),
    Parameter(usize),
}

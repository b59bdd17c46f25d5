//! Who is let in. This is the only place where the limits of admission are ordered.
//!
//! ```text
//! drain -> client's rate -> route's rate -> shed by priority -> inbound permit -> feasibility
//! ```
//!
//! The failure prevented is work that is begun and not finished. Everything is asked before a
//! parameter is read and before anything is allocated; a refusal is bytes that are ready
//! (`refusal`). What a request holds is a value whose drop gives it back.
//!
//! | file | decides |
//! |---|---|
//! | `caller` | who asks and what it is worth; whose word counts |
//! | `load` | how loaded this worker is; who is refused and what is left out |
//! | `floors` | what the calls take at best |
//! | `cpus` | how much processor is used, of what |
//! | `rules` | what the blueprint says, compiled |
//!
//! A request that is let in writes no word that another worker reads on its path, unless a rate is
//! declared: a rate is exact over the whole process.

pub mod caller;
mod cpus;
mod floors;
pub mod load;
pub mod refusal;
pub mod rules;

use crate::clock::MILLI;
use crate::fanout::FanOut;
use crate::h1::RequestHead;
use crate::program::{Program, View};
use crate::shared::Phase;
use crate::worker::Worker;
use caller::{Caller, Peer, Worth, PRIORITY};
use floors::{Floors, SAMPLED};
use load::Load;
pub use refusal::Limit;
use refusal::{Refusal, Refusals};
use std::cell::Cell;
use std::hash::RandomState;
use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tailrace_policy::deadline::Deadline;
use tailrace_policy::feasibility::Gate as Feasibility;
use tailrace_policy::inbound::{Expected, Inbound, Permit, Share};
use tailrace_policy::keyed::Keyed;
use tailrace_policy::rate::{Allowed, Rate, RateExceeded};
use tailrace_policy::rate_headers::{LimitValue, PolicyValue};
use tailrace_policy::shed::room::Room;
use tailrace_policy::shed::Level;
use tailrace_policy::Nanos;

/// What all workers decide by together.
#[derive(Debug)]
pub struct Admission {
    pub clients: Option<Keyed>,
    routes: Vec<Option<Rate>>,
    /// What the rates of each view are, as its replies say it; empty without any.
    policies: Vec<Vec<u8>>,
    pub inbound: Arc<Inbound>,
    pub loads: Vec<Arc<Load>>,
    pub cpus: f64,
    floors: Floors,
    refusals: Refusals,
    hasher: RandomState,
}

impl Admission {
    pub fn new(program: &Program, workers: usize) -> Self {
        let rules = &program.admission;
        let routes = program.views.iter();
        Self {
            clients: rules.rate.map(|rate| Keyed::new(rate, rules.clients_max)),
            routes: routes.map(|view| view.rate.map(Rate::new)).collect(),
            policies: program
                .views
                .iter()
                .map(|view| policies(program, view))
                .collect(),
            inbound: Inbound::new(rules.inbound, workers),
            loads: (0..workers).map(|_| Arc::new(Load::new(program))).collect(),
            cpus: cpus::usable(),
            floors: Floors::new(program),
            refusals: Refusals::new(),
            hasher: RandomState::new(),
        }
    }

    pub fn peer(&self, program: &Program, address: IpAddr) -> Peer {
        Peer::new(&program.admission, &self.hasher, address)
    }

    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}

/// The name of a client's limit in its header.
const CLIENT_LIMIT: &str = "client";

fn policies(program: &Program, view: &View) -> Vec<u8> {
    let client = program.admission.rate.map(|params| PolicyValue {
        name: CLIENT_LIMIT,
        params,
    });
    let route = view.rate.map(|params| PolicyValue {
        name: &view.limit_name,
        params,
    });
    let values: Vec<_> = [client, route]
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    if values.is_empty() {
        return Vec::new();
    }
    format!("ratelimit-policy: {}\r\n", values.join(", ")).into_bytes()
}

/// What one worker decides by.
#[derive(Debug)]
pub struct Gate {
    pub load: Arc<Load>,
    share: Rc<Share>,
    /// By view: calls to expect, the floor of its critical path, the parts left out.
    expected: Vec<Expected>,
    feasibility: Vec<Option<Feasibility>>,
    needed: Vec<Cell<Nanos>>,
    left_out: Vec<Cell<u64>>,
    answered: Cell<u32>,
    /// Requests let in that have not ended.
    inside: Rc<Cell<u64>>,
    room: Cell<Room>,
}

impl Gate {
    pub fn new(program: &Program, admission: &Admission, worker: usize) -> Self {
        let views = || program.views.iter();
        let feasibility = |_| program.admission.feasibility.map(Feasibility::new);
        Self {
            load: Arc::clone(&admission.loads[worker]),
            share: Share::new(&admission.inbound, worker),
            expected: views()
                .map(|view| Expected::new(worst_calls(view)))
                .collect(),
            feasibility: views().map(feasibility).collect(),
            needed: views().map(|_| Cell::new(0)).collect(),
            left_out: views().map(|_| Cell::new(0)).collect(),
            answered: Cell::new(0),
            inside: Rc::default(),
            room: Cell::new(Room::new(program.admission.targets.delay_target.max(MILLI))),
        }
    }

    /// Takes note of how long what is ready waits to run, in work of this thread (req 9.1c).
    pub fn note_wait(&self, wait: Nanos) {
        self.room.set(self.room.get().after(wait, self.inside()));
        self.load.says_room(self.room.get().limit());
    }

    fn inside(&self) -> u64 {
        self.inside.get()
    }

    /// Parts of the view that are left out, as bits (req 9.1c).
    pub fn left_out(&self, view: usize) -> u64 {
        self.left_out[view].get()
    }

    fn leave_out(&self, declared: &View, view: usize, rung: u32) {
        let parts = declared.rungs.get(rung as usize).copied().unwrap_or(0);
        self.left_out[view].set(parts);
    }

    /// Adds the floors up anew; twice a second.
    fn look(&self, worker: &Worker, now: Nanos) {
        for (view, needed) in worker.program.views.iter().zip(&self.needed) {
            needed.set(worker.shared.admission.floors.needed(view, now));
        }
    }

    /// Takes note of a request that was answered with all its strong parts.
    pub fn learn(&self, worker: &Worker, fan: &FanOut) {
        let view = &worker.program.views[fan.view];
        if view.parts.iter().any(|part| part.each.is_some()) {
            self.expected[fan.view].record(fan.launched);
        }
        let answered = self.answered.get().wrapping_add(1);
        self.answered.set(answered);
        if answered.is_multiple_of(SAMPLED) {
            let floors = &worker.shared.admission.floors;
            floors.learn(view, fan, worker.now.get());
        }
    }
}

/// The most calls one request of the view makes, extra attempts apart. What a handler calls is not
/// declared: as many as it may have in flight.
fn worst_calls(view: &View) -> u32 {
    if view.handler.is_some() {
        return u32::try_from(view.fanout).unwrap_or(u32::MAX);
    }
    let calls =
        |part: &crate::program::Part| part.each.as_ref().map_or(1, |each| each.items_max as u32);
    view.parts.iter().map(calls).sum()
}

/// One more request inside, while this lives.
#[derive(Debug)]
struct Inside(Rc<Cell<u64>>);

impl Inside {
    fn enter(count: &Rc<Cell<u64>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What a request that was let in holds and is told; reused from request to request.
#[derive(Debug, Default)]
pub struct Passed {
    permit: Option<(Permit, Inside)>,
    /// Header lines about rates, for the reply.
    pub lines: Vec<u8>,
    /// What the request is worth, when its calls should say so.
    worth: Option<Level>,
}

impl Passed {
    /// Gives back what the request held.
    pub fn release(&mut self) {
        self.permit = None;
    }

    /// Starts anew.
    pub fn clear(&mut self) {
        self.release();
        self.lines.clear();
        self.worth = None;
    }

    /// The line that tells upstreams what the request is worth, where somebody said so.
    pub fn push_priority(&self, out: &mut Vec<u8>) {
        if let Some(level) = self.worth {
            // Writing to a vector does not fail.
            write!(out, "{PRIORITY}: {level}\r\n").ok();
        }
    }
}

/// A request as it arrives.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    pub head: &'a RequestHead,
    pub input: &'a [u8],
    pub peer: Peer,
    pub now: Nanos,
    pub deadline: Deadline,
}

/// Lets a request in, or refuses it. Without protections everything is let in.
pub fn admit(
    worker: &Worker,
    view: usize,
    asking: Asking<'_>,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    passed.clear();
    if worker.program.naive {
        return Ok(());
    }
    let load = &worker.gate.load;
    load.asked.add(1);
    let decided = decide(worker, view, asking, passed);
    match decided {
        Ok(()) => load.admitted.add(1),
        Err(refusal) => load.refused[refusal.limit.index()].add(1),
    }
    decided
}

fn decide(
    worker: &Worker,
    view: usize,
    asking: Asking<'_>,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    let (gate, shared, now) = (&worker.gate, &worker.shared.admission, asking.now);
    // Drain first: what would be cut off in the middle must not take anything from anybody.
    if worker.shared.phase() > Phase::Running && asking.deadline.at > worker.shared.drain_end() {
        return Err(Refusal::soon(Limit::Drain));
    }
    let rules = &worker.program.admission;
    let (head, input) = (asking.head, asking.input);
    let caller = Caller::identify(rules, &shared.hasher, &asking.peer, head, input);

    // A client's own limit before the limit of all: who asks too much must not use up the others'.
    check_rates(worker, view, &caller, now, passed)?;

    // Then what matters less goes first. Asked of every request, also while nothing is refused: the
    // threshold is found among the requests that came.
    let said = head.header(input, PRIORITY);
    let class = worker.program.views[view].class;
    let draw = || worker.draw();
    let worth = Worth::of(rules, &asking.peer, &caller, class, said, now, draw);
    if worth.ignored {
        gate.load.ignored.add(1);
    }
    if let Some(shedder) = &gate.load.shedder {
        let chance = if shedder.rate() > 0.0 { draw() } else { 0 };
        let has_room = gate.room.get().has(worth.level.class(), gate.inside());
        if shedder.admit(worth.level, chance).is_err() || !has_room {
            gate.load.shed[worth.level.class() as usize].add(1);
            return Err(Refusal::soon(Limit::Shed));
        }
    }

    // The permit after the priority: whoever is let in takes it from somebody.
    let calls = gate.expected[view].calls();
    let permit = gate.share.try_acquire(calls);
    let permit = permit.map_err(|_| Refusal::soon(Limit::Inbound))?;

    // Last, because it says something about this request alone: a call made for it would be for
    // nobody.
    if let Some(feasibility) = &gate.feasibility[view] {
        let reserve = worker.program.views[view].reserve;
        let left = asking.deadline.left(now).saturating_sub(reserve);
        let checked = feasibility.check_needed(now, left, gate.needed[view].get());
        checked.map_err(|_| Refusal::lasting(Limit::Feasibility))?;
    }
    passed.permit = Some((permit, Inside::enter(&gate.inside)));
    passed.worth = worth.told.then_some(worth.level);
    Ok(())
}

/// Asks the declared rates, and notes for the reply what they said.
fn check_rates(
    worker: &Worker,
    view: usize,
    caller: &Caller<'_>,
    now: Nanos,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    let shared = &worker.shared.admission;
    let policies = &shared.policies[view];
    if policies.is_empty() {
        return Ok(());
    }
    let client = shared
        .clients
        .as_ref()
        .map(|rate| rate.check(caller.name(), now, 1));
    let refused = matches!(client, Some(Err(_)));
    let route = shared.routes[view].as_ref().filter(|_| !refused);
    let route = route.map(|rate| rate.check(now, 1));
    let lines = &mut passed.lines;
    lines.extend_from_slice(policies);
    lines.extend_from_slice(b"ratelimit: ");
    let name = &worker.program.views[view].limit_name;
    let said = [
        (CLIENT_LIMIT, Limit::ClientRate, client),
        (name, Limit::RouteRate, route),
    ];
    let mut first = true;
    let mut outcome = Ok(());
    for (name, limit, answer) in said {
        let Some(answer) = answer else { continue };
        lines.extend_from_slice(if first { b"" } else { b", " });
        first = false;
        // Writing to a vector does not fail.
        write!(lines, "{}", told(name, answer)).ok();
        if let Err(refused) = answer {
            let wait = refused.retry_after;
            outcome = Err(Refusal { limit, wait });
        }
    }
    lines.extend_from_slice(b"\r\n");
    outcome
}

fn told(name: &str, answer: Result<Allowed, RateExceeded>) -> LimitValue<'_> {
    match answer {
        Ok(allowed) => LimitValue::allowed(name, allowed),
        Err(refused) => LimitValue::refused(name, refused),
    }
}

#[cfg(test)]
mod tests;

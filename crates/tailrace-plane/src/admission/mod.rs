//! Who is let in. This is the only place where the limits of admission are ordered.
//!
//! ```text
//! drain -> client's rate -> route's rate -> shed by priority -> inbound permit -> feasibility
//! ```
//!
//! Up to shedding nothing is taken that must be given back: that much is asked before a body that
//! has to be waited for (`request/unread.rs`).
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
//! | `limited` | rates, with what has been spent of them |
//! | `rules` | what the blueprint says, compiled |
//!
//! A request that is let in writes no word that another worker reads on its path, unless a rate is
//! declared: a rate is exact over the whole process.

pub mod caller;
mod cpus;
mod floors;
pub mod limited;
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
use limited::check_rates;
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
use tailrace_policy::shed::room::Room;
use tailrace_policy::shed::Level;
use tailrace_policy::Nanos;

/// Whoever would stand in line for more than this part of its time is refused: it stands there
/// more than once, and so will those who are inside and wait for answers. Room is measured forty
/// times a second; when many times more come at once, too many are inside before it is.
const LINE_SHARE: u64 = 16;
/// Requests inside from which one that is let in looks how long the turn has lasted.
const CROWD: u64 = 16;

/// What all workers decide by together.
#[derive(Debug)]
pub struct Admission {
    pub inbound: Arc<Inbound>,
    pub loads: Vec<Arc<Load>>,
    pub cpus: f64,
    floors: Floors,
    refusals: Refusals,
    hasher: RandomState,
}

impl Admission {
    pub fn new(program: &Program, workers: usize) -> Self {
        Self {
            inbound: Inbound::new(program.admission.inbound, workers),
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

/// What one worker decides by.
#[derive(Debug)]
pub struct Gate {
    pub load: Arc<Load>,
    share: Rc<Share>,
    /// By view: calls to expect, the floor of its critical path, the parts left out.
    expected: Vec<Expected>,
    feasibility: Vec<Feasibility>,
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
        let feasible = program.admission.feasibility.unwrap_or_default();
        Self {
            load: Arc::clone(&admission.loads[worker]),
            share: Share::new(&admission.inbound, worker),
            expected: views()
                .map(|view| Expected::new(worst_calls(view)))
                .collect(),
            feasibility: views().map(|_| Feasibility::new(feasible)).collect(),
            needed: views().map(|_| Cell::new(0)).collect(),
            left_out: views().map(|_| Cell::new(0)).collect(),
            answered: Cell::new(0),
            inside: Rc::default(),
            room: Cell::new(Room::new(room_target(program))),
        }
    }

    /// Takes up the limits of another revision of the configuration, which has the same views.
    pub fn follow(&self, program: &Program) {
        self.load.follow(program);
        for (index, view) in program.views.iter().enumerate() {
            self.expected[index].set_worst(worst_calls(view));
            // Other parts may stand on the rung that is climbed.
            self.leave_out(view, index, self.load.rung(index));
        }
        let feasible = program.admission.feasibility.unwrap_or_default();
        self.feasibility.iter().for_each(|gate| gate.set(feasible));
        let mut room = self.room.get();
        room.set(room_target(program));
        self.room.set(room);
    }

    /// Takes note of how long what is ready waits to run, in work of this thread (req 9.1c).
    pub fn note_wait(&self, wait: Nanos) {
        self.room.set(self.room.get().after(wait, self.inside()));
        self.load.says_room(self.room.get().limit());
    }

    /// Whether so many are inside that their work may fill a turn (`lane.rs`).
    pub fn is_crowded(&self) -> bool {
        self.inside() >= CROWD
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
        let measures = worker.program.admission.feasibility.is_some();
        if measures && answered.is_multiple_of(SAMPLED) {
            let floors = &worker.shared.admission.floors;
            floors.learn(view, fan, worker.now.get());
        }
    }
}

/// How long what is ready may wait to run: timers are no more exact than a millisecond.
fn room_target(program: &Program) -> Nanos {
    program.admission.targets.delay_target.max(MILLI)
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
    /// It was asked about before its body was read.
    asked: bool,
}

impl Passed {
    /// Gives back what the request held, and starts anew.
    pub fn clear(&mut self) {
        self.permit = None;
        self.lines.clear();
        self.worth = None;
        self.asked = false;
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
    if worker.program.naive {
        return Ok(());
    }
    ask(worker, view, asking, passed)?;
    let entered = enter(worker, view, asking, passed);
    let load = &worker.gate.load;
    match entered {
        Ok(()) => load.admitted.add(1),
        Err(refusal) => load.refused[refusal.limit.index()].add(1),
    }
    entered
}

/// As much of it as takes nothing that must be given back. Once for each request.
pub fn ask(
    worker: &Worker,
    view: usize,
    asking: Asking<'_>,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    if passed.asked || worker.program.naive {
        return Ok(());
    }
    passed.asked = true;
    let load = &worker.gate.load;
    load.asked.add(1);
    let decided = decide(worker, view, asking, passed);
    if let Err(refusal) = decided {
        load.refused[refusal.limit.index()].add(1);
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
    if rules.sheds {
        let shedder = &gate.load.shedder;
        let chance = if shedder.rate() > 0.0 { draw() } else { 0 };
        let has_room = gate.room.get().has(worth.level.class(), gate.inside())
            && worker.lane.ahead() <= asking.deadline.left(now) / LINE_SHARE;
        if shedder.admit(worth.level, chance).is_err() || !has_room {
            gate.load.shed[worth.level.class() as usize].add(1);
            return Err(Refusal::soon(Limit::Shed));
        }
    }
    passed.worth = worth.told.then_some(worth.level);
    Ok(())
}

/// What the request holds while it runs.
fn enter(
    worker: &Worker,
    view: usize,
    asking: Asking<'_>,
    passed: &mut Passed,
) -> Result<(), Refusal> {
    let gate = &worker.gate;
    // The permit after the priority: whoever is let in takes it from somebody.
    let calls = gate.expected[view].calls();
    let permit = gate.share.try_acquire(calls);
    let permit = permit.map_err(|_| Refusal::soon(Limit::Inbound))?;

    // Last, because it says something about this request alone: a call made for it would be for
    // nobody.
    if worker.program.admission.feasibility.is_some() {
        let now = asking.now;
        let reserve = worker.program.views[view].reserve;
        let left = asking.deadline.left(now).saturating_sub(reserve);
        let needed = gate.needed[view].get();
        let checked = gate.feasibility[view].check_needed(now, left, needed);
        checked.map_err(|_| Refusal::lasting(Limit::Feasibility))?;
    }
    passed.permit = Some((permit, Inside::enter(&gate.inside)));
    Ok(())
}

#[cfg(test)]
mod tests;

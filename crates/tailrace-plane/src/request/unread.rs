//! What is said of a request before its body is read, and of one whose body never came.
//!
//! The failure prevented is an overloaded service that reads a megabyte in order to refuse it
//! (ALGORITHMS 10: shedding after the body was taken saves nothing). Where a body has to be waited
//! for, drain, rates and shedding are asked first; what takes a place for the request, the inbound
//! permit, is not taken while its client is still sending. A body that came with its head costs no
//! wait, and is asked about with everything else.

use super::asked::{asked_deadline, find_view};
use super::Exchange;
use crate::access_log::PythonTime;
use crate::admission::{self, refusal::Refusal, Asking};
use crate::h1::{Method, RequestHead};
use crate::program::Program;
use crate::reason::Reason;
use crate::reply::Problem;
use crate::worker::Worker;
use tailrace_policy::deadline::Deadline;

impl Exchange {
    /// Forgets the request before: a head is about to be read.
    pub fn arrive(&mut self, worker: &Worker) {
        self.passed.clear();
        self.fan.open_memory(worker);
    }

    /// Counts `bytes` more of its body among what the service holds (req 11.1).
    pub fn hold_body(&self, bytes: usize) -> Result<(), Reason> {
        self.fan.hold(bytes)
    }

    /// Its reply is written, or nobody waits for it.
    pub fn depart(&self) {
        self.fan.hold_instead(0);
    }

    /// What would refuse this request whatever its body says; asked before a body is invited.
    pub fn refused_early(&self, program: &Program) -> Option<Problem> {
        find_view(program, &self.head, &self.input).err()
    }

    /// Whether the body is for the view to read, rather than to be dropped.
    pub fn reads_body(&self, program: &Program) -> bool {
        let found = find_view(program, &self.head, &self.input);
        found.is_ok_and(|(view, _)| program.views[view].reads_body())
    }

    /// Whether a body that has to be waited for is worth the wait. Once for each request.
    pub fn ask_early(&mut self, worker: &Worker) -> Result<(), Refusal> {
        let program = &worker.program;
        let Ok((view, _)) = find_view(program, &self.head, &self.input) else {
            return Ok(());
        };
        let now = worker.tick();
        let asked = asked_deadline(&self.head, &self.input);
        let asking = Asking {
            head: &self.head,
            input: &self.input,
            peer: self.peer,
            now,
            deadline: Deadline::inbound(now, program.views[view].deadline, asked),
        };
        admission::ask(worker, view, asking, &mut self.passed)
    }

    /// Refuses a request whose head cannot be trusted; the connection closes after it.
    pub fn reject(&mut self, worker: &Worker, problem: &Problem) {
        self.head = RequestHead::default(); // which does not keep the connection
        self.head.method = Method::Other;
        self.reject_body(worker, problem);
    }

    /// Refuses a request whose head is fine and whose body is not; the connection closes after it.
    pub fn reject_body(&mut self, worker: &Worker, problem: &Problem) {
        self.close_unread(worker);
        self.passed.clear();
        self.refuse(worker, problem);
    }

    /// Refuses a request whose body was not read; the connection closes after it.
    pub fn turn_away_unread(&mut self, worker: &Worker, refusal: Refusal) {
        self.close_unread(worker);
        self.turn_away(worker, refusal);
    }

    fn close_unread(&mut self, worker: &Worker) {
        self.started = worker.tick();
        self.head.keep_alive = false;
        let found = find_view(&worker.program, &self.head, &self.input);
        self.view = found.ok().map(|(view, _)| view);
        self.fan.ends.clear();
        self.python = PythonTime::default();
        self.reply.clear();
        self.open_receipt(worker);
        self.take_request_id(worker);
        worker.metrics.in_flight.add(1);
    }
}

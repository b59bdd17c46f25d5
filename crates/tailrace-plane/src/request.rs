//! The life of one request, top to bottom.
//!
//! ```text
//! head -> route -> method -> admission -> parameters -> fan out -> computed -> reply -> record
//! ```
//!
//! Anything refused before the fan-out is answered without a call. The connection (`server/`) owns
//! the bytes and the socket; this file owns what they mean.

mod asked;
mod computed;
mod handled;
mod record;
mod survey;
mod timing;
mod unread;

use crate::access_log::PythonTime;
use crate::admission::caller::Peer;
use crate::admission::refusal::Refusal;
use crate::admission::{self, Asking, Passed};
use crate::body;
use crate::bridge::{Batch, Run};
use crate::buffers::KEEP_MAX_BYTES;
use crate::clock;
use crate::fanout::{FanOut, Stop};
use crate::h1::{Method, RequestHead};
use crate::parameters::{self, bad_parameter, Raw};
use crate::program::{Part, Program};
use crate::receipt::turn::Alarm;
use crate::receipt::Turn;
use crate::reply::{self, Frame, Problem};
use crate::shared::Phase;
use crate::trace::Carried;
use crate::worker::Worker;
use asked::{asked_deadline, find_view};
pub use asked::{asked_time, is_request_id};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use tailrace_policy::deadline::Deadline;
use tailrace_policy::Nanos;

/// One request's working set; reused from request to request.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Bytes from the client: this request's head and whatever was sent after it.
    pub input: Vec<u8>,
    pub head: RequestHead,
    /// The request's body, decoded, when its view reads one.
    pub body: Vec<u8>,
    /// The reply's bytes, complete when `poll` is ready.
    pub reply: Vec<u8>,
    fan: FanOut,
    /// Set while a Python handler answers.
    run: Option<Box<Run>>,
    /// Set while Python makes the computed fields.
    batch: Option<Box<Batch>>,
    python: PythonTime,
    request_id: Vec<u8>,
    started: Nanos,
    view: Option<usize>,
    /// Who asks, as the connection knows it.
    pub peer: Peer,
    passed: Passed,
    /// The poll under way, while one is.
    turn: Option<Turn>,
    /// Of a sampled request, once it was polled.
    alarm: Option<Arc<Alarm>>,
    /// It began in this turn of the thread, whose clock need not be read again.
    pub fresh: bool,
    /// Whether the connection goes on after this reply; decided when the reply is made.
    pub keep_alive: bool,
}

/// Why a request is answered without a call.
enum Refused {
    Problem(Problem),
    Admission(Refusal),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Admission(refusal)
    }
}

impl Exchange {
    /// Starts a request whose head is complete. `Ready` when it is already answered.
    pub fn begin(&mut self, worker: &Rc<Worker>) -> Poll<()> {
        self.started = worker.tick();
        self.fresh = true;
        self.view = None;
        self.reply.clear();
        self.fan.ends.clear();
        self.python = PythonTime::default();
        self.open_receipt(worker);
        self.take_request_id(worker);
        worker.metrics.in_flight.add(1);
        match self.admit(worker) {
            Ok(()) => return Poll::Pending,
            Err(Refused::Problem(problem)) => self.refuse(worker, &problem),
            Err(Refused::Admission(refusal)) => self.turn_away(worker, refusal),
        }
        self.fan.hold_instead(self.reply.len());
        Poll::Ready(())
    }

    /// Drives the fan-out; `Ready` when `reply` is complete.
    pub fn poll(&mut self, worker: &Rc<Worker>, context: &mut Context<'_>) -> Poll<()> {
        // The first poll follows at once.
        let now = if std::mem::take(&mut self.fresh) {
            self.started
        } else {
            worker.tick()
        };
        self.begin_turn(worker, now);
        let polled = match self.listen(context, now) {
            None => self.drive(worker, context),
            Some(waker) => self.drive(worker, &mut Context::from_waker(&waker)),
        };
        if polled.is_pending() {
            if self.turn.is_some() {
                self.end_turn(worker, clock::now());
            }
            if worker.survey.is_on() {
                self.note_waits(worker);
            }
        }
        polled
    }

    fn drive(&mut self, worker: &Rc<Worker>, context: &mut Context<'_>) -> Poll<()> {
        if self.run.is_some() {
            return self.poll_handler(worker, context);
        }
        // While Python makes the computed fields the parts are there.
        let mut outcome = match &self.batch {
            Some(_) => Ok(()),
            None => {
                let outcome = ready!(self.fan.poll(worker, context));
                self.fan.receipt.done = worker.now.get();
                outcome
            }
        };
        if outcome.is_ok() && worker.program.views[self.fan.view].computed.is_some() {
            outcome = ready!(self.poll_computed(worker, context));
        }
        match outcome {
            Ok(()) => {
                self.aggregate(worker);
                self.fan.end(worker);
            }
            Err(stop) => {
                if let Stop::Strong(part, _) = stop {
                    // A computed field stands behind the parts: it ended the request, not they.
                    let is_part = part < self.fan.receipt.parts.len();
                    self.fan.receipt.stop = is_part.then_some(part as u16);
                }
                self.fan.cancel(worker);
                let problem = self.explain(&worker.program, stop);
                self.refuse(worker, &problem);
            }
        }
        self.fan.hold_instead(self.reply.len());
        Poll::Ready(())
    }

    /// When its parts must be there.
    pub fn cutoff(&self) -> Nanos {
        self.fan.cutoff
    }

    /// The client left: everything stops, nothing is written (req 4.5, RELIABILITY A04).
    pub fn abandon(&mut self, worker: &Worker) {
        if let Some(view) = self.view {
            worker.metrics.views[view].cancelled.add(1);
        }
        self.end_run();
        self.end_batch(worker);
        self.fan.cancel(worker);
        self.record(worker, 499, 0, "client_gone");
    }

    /// Route, method, deadline, admission, parameters: all that can refuse without a call.
    fn admit(&mut self, worker: &Rc<Worker>) -> Result<(), Refused> {
        let program = &worker.program;
        let (view, params) = find_view(program, &self.head, &self.input)?;
        self.view = Some(view);
        let declared = &program.views[view];
        let asked = asked_deadline(&self.head, &self.input);
        let asked = if program.naive { None } else { asked };
        let deadline = Deadline::inbound(self.started, declared.deadline, asked);
        let asking = Asking {
            head: &self.head,
            input: &self.input,
            peer: self.peer,
            now: self.started,
            deadline,
        };
        admission::admit(worker, view, asking, &mut self.passed)?;
        let raw = Raw {
            head: &self.head,
            input: &self.input,
            path: &params,
            body: &self.body,
        };
        if declared.form {
            body::check_form(&self.head, &self.input, &self.body)?;
        }
        let values = parameters::read(program, &declared.parameters, raw)?;
        self.fan.parameters = values;
        self.fan.begin(program, view, deadline);
        self.fan.left_out = worker.gate.left_out(view);
        if let Some(shape) = declared.body {
            let json = body::read(worker, shape, &self.head, &self.input, &self.body)?;
            // It takes the place of what was sent.
            self.body.clear();
            self.body.shrink_to(KEEP_MAX_BYTES);
            self.fan.hold_instead(0);
            self.fan.hold(json.len()).map_err(Problem::of)?;
            self.fan.begin_body(json);
        }
        self.forward_headers(worker, view);
        if declared.handler.is_some() {
            return Ok(self.begin_handler(worker, view, deadline)?);
        }
        Ok(())
    }

    /// Lines passed on to each upstream: only headers it names (RELIABILITY S06), and never one
    /// that `Connection` makes hop-by-hop (S05); plus the request id. The head was parsed strictly,
    /// so a value cannot hold a line end (S04).
    fn forward_headers(&mut self, worker: &Worker, view: usize) {
        let program = &worker.program;
        let (head, input) = (&self.head, self.input.as_slice());
        let hop = |name: &String| head.connection_names(input, name.as_bytes());
        let lines = &mut self.fan.lines;
        lines.resize_with(program.upstreams.len(), Vec::new);
        let parts = program.views[view].parts.iter().flat_map(Part::upstreams);
        // A handler may call any upstream.
        let any = program.views[view]
            .handler
            .map_or(0, |_| program.upstreams.len());
        for upstream in parts.chain(0..any) {
            let names = &program.upstreams[upstream].forward_headers;
            let line = &mut lines[upstream];
            line.clear();
            for name in names.iter().filter(|name| !hop(name)) {
                if let Some(value) = head.header(input, name) {
                    for bytes in [name.as_bytes(), b": ", value, b"\r\n"] {
                        line.extend_from_slice(bytes);
                    }
                }
            }
        }
        let id_line = &mut self.fan.id_line;
        id_line.clear();
        id_line.extend_from_slice(b"x-request-id: ");
        id_line.extend_from_slice(&self.request_id);
        id_line.extend_from_slice(b"\r\n");
        self.passed.push_priority(id_line);
        self.carry_trace(worker);
    }

    /// The trace of the request, last of the lines of its calls: passed on as it came, or with a
    /// span of each attempt's own (req 16.6). `Connection` cannot strip it (RELIABILITY S05).
    fn carry_trace(&mut self, worker: &Worker) {
        let line = &mut self.fan.id_line;
        let carried = Carried::read(self.head.headers(&self.input), line);
        match &worker.shared.traces {
            None => {
                carried.push_line(line);
                self.fan.receipt.trace.trace = carried.parent.map_or(0, |parent| parent.trace);
            }
            Some(traces) => {
                let context = traces.open(&carried, || worker.draw());
                context.push_line(line);
                self.fan.receipt.trace = context;
            }
        }
    }

    /// `X-Request-Id` when it is harmless, else a new one (req 10.2).
    fn take_request_id(&mut self, worker: &Worker) {
        self.request_id.clear();
        match self.head.header(&self.input, "x-request-id") {
            Some(given) if is_request_id(given) => self.request_id.extend_from_slice(given),
            _ => worker.push_request_id(&mut self.request_id),
        }
    }

    /// Decides whether the connection goes on, as late as possible: a request that was in flight
    /// when draining began tells its client that the connection ends (req 11.4).
    fn decide_keep_alive(&mut self, worker: &Worker) {
        self.keep_alive = self.head.keep_alive && worker.shared.phase() == Phase::Running;
    }

    fn aggregate(&mut self, worker: &Worker) {
        self.decide_keep_alive(worker);
        self.push_timing(worker);
        let frame = frame(
            &self.request_id,
            &self.head,
            self.keep_alive,
            &self.passed.lines,
        );
        let bytes = reply::aggregate(worker, &self.fan, frame, &mut self.reply);
        if self.fan.ends.iter().any(|end| end.failed.is_some()) {
            worker.metrics.views[self.fan.view].degraded.add(1);
            self.fan.receipt.degraded = true;
        }
        worker.gate.learn(worker, &self.fan);
        self.record(worker, 200, bytes, "");
    }

    fn refuse(&mut self, worker: &Worker, problem: &Problem) {
        self.decide_keep_alive(worker);
        self.push_timing(worker);
        let frame = frame(
            &self.request_id,
            &self.head,
            self.keep_alive,
            &self.passed.lines,
        );
        let bytes = if problem.status == 204 {
            let allow = problem.allow.as_deref().unwrap_or_default();
            reply::empty(worker, allow, frame, &mut self.reply);
            0
        } else {
            reply::problem(worker, problem, frame, &mut self.reply)
        };
        self.record(worker, problem.status, bytes, problem.code);
    }

    /// Refuses what admission did not let in, with bytes that are ready.
    fn turn_away(&mut self, worker: &Worker, refusal: Refusal) {
        self.decide_keep_alive(worker);
        let refusals = worker.shared.admission.refusals();
        let frame = frame(
            &self.request_id,
            &self.head,
            self.keep_alive,
            &self.passed.lines,
        );
        let bytes = refusals.write(worker, refusal, frame, &mut self.reply);
        let limit = refusal.limit;
        self.record(worker, limit.status(), bytes, limit.code());
    }

    fn explain(&self, program: &Program, stop: Stop) -> Problem {
        let view = &program.views[self.fan.view];
        match stop {
            Stop::BadParameter(index) => {
                let name = &view.parameters[index].name;
                let detail =
                    format!("parameter {name} cannot stand in the path or header it is for");
                bad_parameter(name, detail)
            }
            Stop::Strong(index, reason) => Problem {
                part: view.names().nth(index).map(str::to_owned),
                ..Problem::of(reason)
            },
        }
    }
}

fn frame<'a>(
    request_id: &'a [u8],
    head: &RequestHead,
    keep_alive: bool,
    lines: &'a [u8],
) -> Frame<'a> {
    Frame {
        request_id,
        keep_alive,
        old: head.minor == 0,
        head_only: head.method == Method::Head,
        epoch_ms: clock::epoch_ms(),
        lines,
    }
}

//! How loaded one worker is, and what follows from it: who is refused, which parts are left out.
//!
//! The failure prevented is overload that is noticed by its victims. Twice a second, beside the
//! requests, a worker looks at how late its ready queue was, how much processor it used and how
//! many calls are in progress. The ladder of each view moves first: weak parts go before anybody is
//! refused. Only when no ladder had a rung left does the shedder raise its share (req 9.1c).
//!
//! A worker judges for itself, for a request never changes thread: no word here is written by two.
//! Limits: the queue's delay is the lateness of a timer, shortest of the interval: a burst that is
//! gone before the interval ends is no overload. Timers are exact to a millisecond or two.

use super::cpus::Usage;
use super::refusal::Limit;
use crate::metrics::Count;
use crate::program::Program;
use crate::worker::Worker;
use std::sync::atomic::{AtomicU64, Ordering};
use tailrace_policy::brownout::Ladder;
use tailrace_policy::inbound::fill;
use tailrace_policy::shed::pid::INTERVAL;
use tailrace_policy::shed::{Class, Shedder, Signals};
use tailrace_policy::Nanos;

/// One worker's state: written by it, read by whoever asks for metrics.
#[derive(Debug)]
#[repr(align(128))]
pub struct Load {
    pub shedder: Shedder,
    /// By view; none where there is no weak part.
    pub ladders: Vec<Option<Ladder>>,
    /// Requests that came to admission, and those it let in.
    pub asked: Count,
    pub admitted: Count,
    pub refused: [Count; Limit::ALL.len()],
    pub shed: [Count; Class::ALL.len()],
    /// Priorities named by peers whose word does not count.
    pub ignored: Count,
    /// As seen at the last look.
    pub delay: AtomicU64,
    cpu: AtomicU64,
    /// Requests that may be inside; `u64::MAX` while there is no limit.
    pub room: AtomicU64,
}

impl Load {
    pub fn new(program: &Program) -> Self {
        let rules = &program.admission;
        let params = rules.brownout.unwrap_or_default();
        let ladder = |rungs: usize| (rungs > 0).then(|| Ladder::new(params, rungs as u32));
        let views = program.views.iter();
        Self {
            shedder: Shedder::new(rules.targets),
            ladders: views.map(|view| ladder(view.rungs.len() - 1)).collect(),
            asked: Count::default(),
            admitted: Count::default(),
            refused: std::array::from_fn(|_| Count::default()),
            shed: std::array::from_fn(|_| Count::default()),
            ignored: Count::default(),
            delay: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            room: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes up the limits of another revision of the configuration.
    pub fn follow(&self, program: &Program) {
        let rules = &program.admission;
        self.shedder.set(rules.targets);
        for (ladder, view) in self.ladders.iter().zip(&program.views) {
            if let Some(ladder) = ladder {
                let rungs = view.rungs.len() - 1;
                ladder.set(rules.brownout.unwrap_or_default(), rungs as u32);
            }
        }
    }

    pub fn says_room(&self, limit: Option<u64>) {
        self.room
            .store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Use of the processors at the last look.
    pub fn cpu(&self) -> f64 {
        f64::from_bits(self.cpu.load(Ordering::Relaxed))
    }

    /// The share of requests that is refused.
    pub fn shed_rate(&self) -> f64 {
        self.shedder.rate()
    }

    /// How many rungs of the view's ladder are climbed.
    pub fn rung(&self, view: usize) -> u32 {
        self.ladders[view].as_ref().map_or(0, Ladder::rung)
    }
}

/// Measures between two looks; belongs to the worker's thread.
#[derive(Debug)]
pub struct Meter {
    usage: Option<Usage>,
    delay: Nanos,
    due: Nanos,
    admitted: u64,
    done: u64,
}

impl Meter {
    pub fn new(worker: &Worker, now: Nanos) -> Self {
        Self {
            usage: usage(worker, now),
            delay: Nanos::MAX,
            due: now + INTERVAL,
            admitted: 0,
            done: 0,
        }
    }

    /// Takes note of how late a timer was, and looks when it is time.
    pub fn note(&mut self, worker: &Worker, now: Nanos, late: Nanos) {
        self.delay = self.delay.min(late);
        if now < self.due || worker.program.naive {
            return;
        }
        self.due = now + INTERVAL;
        let signals = self.signals(worker, now);
        self.delay = Nanos::MAX;
        let load = &worker.gate.load;
        load.delay.store(signals.queue_delay, Ordering::Relaxed);
        load.cpu.store(signals.cpu.to_bits(), Ordering::Relaxed);
        let climbed = climb(worker, now, pressure(worker, &signals));
        worker.gate.look(worker, now);
        if !worker.program.admission.sheds {
            load.shedder.clear();
        } else if !climbed {
            load.shedder.tick(now, || signals);
        }
    }

    /// The use of the processors since the last look. One that has just begun to be looked at says
    /// nothing yet.
    fn cpu(&mut self, worker: &Worker, now: Nanos) -> f64 {
        match &mut self.usage {
            Some(usage) if worker.program.admission.watches_cpu => usage.since(now),
            before => {
                *before = usage(worker, now);
                0.0
            }
        }
    }

    fn signals(&mut self, worker: &Worker, now: Nanos) -> Signals {
        let admitted = worker.gate.load.admitted.get();
        let done = admitted.saturating_sub(worker.gate.inside());
        let signals = Signals {
            admitted: admitted - self.admitted,
            done: done.saturating_sub(self.done),
            queue_delay: self.delay,
            cpu: self.cpu(worker, now),
        };
        (self.admitted, self.done) = (admitted, done);
        signals
    }
}

fn usage(worker: &Worker, now: Nanos) -> Option<Usage> {
    let watches = worker.program.admission.watches_cpu && !worker.program.naive;
    watches.then(|| Usage::new(worker.shared.admission.cpus, now))
}

/// 1 is where requests are refused.
fn pressure(worker: &Worker, signals: &Signals) -> f64 {
    let targets = &worker.program.admission.targets;
    let inbound = &worker.shared.admission.inbound;
    let delay = signals.queue_delay as f64 / targets.delay_target as f64;
    let cpu = signals.cpu / targets.cpu_target;
    delay
        .max(cpu)
        .max(fill(inbound.in_use(), inbound.calls_max()))
}

/// Moves the ladders; whether one went up.
fn climb(worker: &Worker, now: Nanos, pressure: f64) -> bool {
    let brownout = worker.program.admission.brownout.is_some();
    let moved = |(view, ladder): (usize, &Option<Ladder>)| {
        let ladder = ladder.as_ref()?;
        if !brownout {
            if ladder.clear() {
                worker.gate.leave_out(&worker.program.views[view], view, 0);
            }
            return None;
        }
        let change = ladder.observe(now, pressure)?;
        worker
            .gate
            .leave_out(&worker.program.views[view], view, change.to);
        Some(change.to > change.from)
    };
    let ladders = worker.gate.load.ladders.iter().enumerate();
    ladders.filter_map(moved).fold(false, |any, up| any | up)
}

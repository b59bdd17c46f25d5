//! The breaker against a reference that is a plain enum and a list of ends.

use super::{Breaker, Guard, Params, State};
use crate::outcome::Outcome;
use crate::Nanos;
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: Nanos = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Closed,
    Open(Nanos),
    Probe(Nanos),
}

struct Reference {
    mode: Mode,
    generation: u32,
    row: u32,
    reopened: u32,
    /// (second, good) of each end since it was closed.
    ends: Vec<(u64, bool)>,
}

impl Reference {
    fn admit(&mut self, now: Nanos) -> Option<bool> {
        match self.mode {
            Mode::Closed => Some(false),
            Mode::Open(until) if now >= until => {
                self.turn(Mode::Probe(until));
                Some(true)
            }
            Mode::Open(_) | Mode::Probe(_) => None,
        }
    }

    fn turn(&mut self, mode: Mode) {
        self.mode = mode;
        self.generation += 1;
    }

    fn settle(&mut self, generation: u32, now: Nanos, outcome: Outcome) {
        if generation != self.generation {
            return;
        }
        let good = matches!(outcome, Outcome::Ok | Outcome::DegradedOk);
        match self.mode {
            Mode::Probe(_) if good || outcome == Outcome::ClientError => {
                self.turn(Mode::Closed);
                (self.row, self.reopened) = (0, 0);
                self.ends.clear();
            }
            Mode::Probe(until) if outcome.is_neutral() => self.turn(Mode::Open(until)),
            Mode::Probe(_) => {
                self.reopened += 1;
                let seconds = (1_u64 << self.reopened.min(6)).min(60);
                self.turn(Mode::Open(now + seconds * SECOND));
            }
            Mode::Closed if !outcome.is_neutral() => self.count(now, outcome, good),
            Mode::Closed | Mode::Open(_) => {}
        }
    }

    fn count(&mut self, now: Nanos, outcome: Outcome, good: bool) {
        self.ends.push((now / SECOND, good));
        let hard = matches!(outcome, Outcome::Failed | Outcome::Timeout);
        self.row = if good { 0 } else { self.row + u32::from(hard) };
        let in_window = |(second, _): &&(u64, bool)| second + 10 > now / SECOND;
        let all = self.ends.iter().filter(in_window).count();
        let good = self
            .ends
            .iter()
            .filter(in_window)
            .filter(|end| end.1)
            .count();
        if (hard && self.row >= 4) || (all >= 6 && good * 2 < all) {
            self.turn(Mode::Open(now + SECOND));
            self.reopened = 0;
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    Settle(usize, Outcome),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Ok),
        1 => Just(Outcome::DegradedOk),
        4 => Just(Outcome::Failed),
        1 => Just(Outcome::Timeout),
        2 => Just(Outcome::RejectedByPeer),
        1 => Just(Outcome::ClientError),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        1 => (0_u64..3_000).prop_map(Step::Wait),
        6 => Just(Step::Admit),
        5 => (any::<usize>(), outcome).prop_map(|(at, outcome)| Step::Settle(at, outcome)),
        1 => any::<usize>().prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 0..300)
}

fn agree(real: &Arc<Breaker>, reference: &Reference, now: Nanos) {
    let (state, available) = match reference.mode {
        Mode::Closed => (State::Closed, true),
        Mode::Open(until) => (State::Open, now >= until),
        Mode::Probe(_) => (State::Probe, false),
    };
    assert_eq!((real.state(), real.available(now)), (state, available));
}

fn take(step: &Step, real: &Arc<Breaker>, reference: &mut Reference, run: &mut Run) {
    match step {
        Step::Wait(ms) => run.now += *ms * SECOND / 1_000,
        Step::Admit => {
            let guard = real.admit(run.now).ok();
            let expected = reference.admit(run.now);
            assert_eq!(guard.as_ref().map(Guard::is_probe), expected);
            run.guards
                .extend(guard.map(|guard| (guard, reference.generation)));
        }
        Step::Settle(at, outcome) if !run.guards.is_empty() => {
            let (guard, generation) = run.guards.swap_remove(at % run.guards.len());
            guard.settle(run.now, *outcome, 1, 0);
            reference.settle(generation, run.now, *outcome);
        }
        Step::Drop(at) if !run.guards.is_empty() => {
            let (guard, generation) = run.guards.swap_remove(at % run.guards.len());
            drop(guard);
            reference.settle(generation, run.now, Outcome::Cancelled);
        }
        Step::Settle(..) | Step::Drop(_) => {}
    }
}

#[derive(Default)]
struct Run {
    now: Nanos,
    guards: Vec<(Guard, u32)>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_step_agrees_with_the_reference(steps in steps()) {
        let real = Breaker::new(Params {
            consecutive: 4,
            samples_min: 6,
            ..Params::default()
        });
        let mut reference = Reference {
            mode: Mode::Closed,
            generation: 0,
            row: 0,
            reopened: 0,
            ends: Vec::new(),
        };
        let mut run = Run::default();
        for step in steps {
            take(&step, &real, &mut reference, &mut run);
            agree(&real, &reference, run.now);
        }
    }
}

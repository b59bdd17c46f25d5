//! The bulkhead against a reference that a reader can check: one list of waiting calls, one count.
//!
//! Every step must leave both with the same answer, the same counts and the same wake-ups: a
//! wake-up that is lost, doubled or given to the wrong call fails here without any thread or luck.

use super::{Bulkhead, BulkheadFull, Params, Permit, Waiter};
use crate::Nanos;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

const FAR: Nanos = 1_000_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Acquire,
    Enqueue,
    Poll(usize),
    Release(usize),
    Leave(usize),
    Limit(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Acquire),
        5 => Just(Step::Enqueue),
        4 => (0_usize..32).prop_map(Step::Poll),
        4 => (0_usize..32).prop_map(Step::Release),
        2 => (0_usize..32).prop_map(Step::Leave),
        1 => (1_u32..5, 0_u32..8).prop_map(|(limit, queue)| Step::Limit(limit, queue)),
    ];
    prop::collection::vec(step, 0..150)
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What should be so.
struct Reference {
    limit: usize,
    capacity: usize,
    /// Places taken, by permits and by calls that were granted one.
    taken: usize,
    waiting: VecDeque<usize>,
    granted: Vec<usize>,
}

impl Reference {
    fn grant(&mut self) {
        while self.taken < self.limit && !self.waiting.is_empty() {
            let crowded = self.waiting.len() * 10 > self.capacity * 8;
            let next = if crowded {
                self.waiting.pop_back()
            } else {
                self.waiting.pop_front()
            };
            self.granted.extend(next);
            self.taken += 1;
        }
    }

    fn release(&mut self) {
        self.taken -= 1;
        self.grant();
    }

    fn leave(&mut self, call: usize) {
        self.waiting.retain(|other| *other != call);
        if self.take_grant(call) {
            self.release();
        }
    }

    fn take_grant(&mut self, call: usize) -> bool {
        let before = self.granted.len();
        self.granted.retain(|other| *other != call);
        self.granted.len() < before
    }
}

struct Waiting {
    call: usize,
    waiter: Waiter,
    wakes: Arc<Counter>,
    polled: bool,
}

struct Pair {
    real: Arc<Bulkhead>,
    reference: Reference,
    permits: Vec<Permit>,
    calls: Vec<Waiting>,
    next: usize,
}

impl Pair {
    fn new(limit: u32, queue: u32) -> Self {
        let params = Params {
            limit,
            queue,
            ..Params::default()
        };
        Self {
            real: Bulkhead::new(params),
            reference: Reference {
                limit: limit as usize,
                capacity: queue as usize,
                taken: 0,
                waiting: VecDeque::new(),
                granted: Vec::new(),
            },
            permits: Vec::new(),
            calls: Vec::new(),
            next: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Acquire => {
                let reference = &mut self.reference;
                let free = reference.waiting.is_empty() && reference.taken < reference.limit;
                let permit = self.real.try_acquire();
                assert_eq!(permit.is_some(), free, "nobody overtakes a waiting call");
                reference.taken += usize::from(free);
                self.permits.extend(permit);
            }
            Step::Enqueue => self.enqueue(),
            Step::Poll(at) if !self.calls.is_empty() => self.poll(at % self.calls.len()),
            Step::Release(at) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(at % self.permits.len()));
                self.reference.release();
            }
            Step::Leave(at) if !self.calls.is_empty() => {
                let gone = self.calls.swap_remove(at % self.calls.len());
                self.reference.leave(gone.call);
            }
            Step::Limit(limit, queue) => {
                self.real.adjust(*limit, *queue);
                self.reference.limit = *limit as usize;
                self.reference.capacity = *queue as usize;
                self.reference.grant();
            }
            Step::Poll(_) | Step::Release(_) | Step::Leave(_) => {}
        }
    }

    fn enqueue(&mut self) {
        if self.reference.waiting.len() >= self.reference.capacity {
            let refused = self.real.enqueue(0, FAR).err();
            assert_eq!(refused, Some(BulkheadFull::QueueFull));
            return;
        }
        self.calls.push(Waiting {
            call: self.next,
            waiter: self.real.enqueue(0, FAR).unwrap(),
            wakes: Arc::default(),
            polled: false,
        });
        self.reference.waiting.push_back(self.next);
        self.reference.grant();
        self.next += 1;
    }

    fn poll(&mut self, at: usize) {
        let waiting = &mut self.calls[at];
        let waker = Waker::from(Arc::clone(&waiting.wakes));
        let answer = waiting.waiter.poll(0, &waker);
        let granted = self.reference.take_grant(waiting.call);
        match answer {
            Poll::Pending => {
                assert!(!granted, "a granted call is let in");
                waiting.polled = true;
            }
            Poll::Ready(Ok(permit)) => {
                assert!(granted, "only a granted call is let in");
                self.permits.push(permit);
                self.calls.swap_remove(at);
            }
            Poll::Ready(Err(error)) => panic!("no time passes here: {error}"),
        }
    }

    fn agree(&self) {
        assert_eq!(self.real.in_flight() as usize, self.reference.taken);
        assert_eq!(self.real.queued() as usize, self.reference.waiting.len());
        for waiting in &self.calls {
            let due = waiting.polled && self.reference.granted.contains(&waiting.call);
            let wakes = waiting.wakes.0.load(Ordering::SeqCst);
            assert_eq!(
                wakes,
                usize::from(due),
                "a grant wakes once, and nothing else does"
            );
        }
    }
}

proptest! {
    // req 4.4
    #[test]
    fn every_step_agrees_with_the_reference(
        limit in 1_u32..5, queue in 0_u32..8, steps in steps(),
    ) {
        let mut pair = Pair::new(limit, queue);
        for step in steps {
            pair.take(&step);
            pair.agree();
        }
        let real = Arc::clone(&pair.real);
        drop(pair);
        prop_assert_eq!((real.in_flight(), real.queued()), (0, 0));
    }
}

//! Many waits on one kernel timer. Every simulated request waits once; a timer of its own for each
//! would cost more than answering it. Deadlines are rounded up to a quarter of a millisecond so that
//! replies due together wake together.
//!
//! Limits: a wait that is given up keeps its small entry until its deadline passes. One runtime only.

use crate::clock;
use crate::ticker::Ticker;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_micros(250);

struct Entry {
    tick: u64,
    waker: Waker,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.tick == other.tick
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    // Reversed: the heap gives the earliest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.tick.cmp(&self.tick)
    }
}

pub(crate) struct Alarm {
    ticker: Ticker,
    epoch: Instant,
    waiting: RefCell<BinaryHeap<Entry>>,
    armed: Cell<u64>,
    passed: Cell<u64>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            ticker: Ticker::new()?,
            epoch: clock::now(),
            waiting: RefCell::new(BinaryHeap::new()),
            armed: Cell::new(u64::MAX),
            passed: Cell::new(0),
        }))
    }

    /// Wakes the waits that are due; runs beside them for as long as they live.
    pub(crate) async fn drive(self: Rc<Self>) -> io::Result<()> {
        loop {
            self.ticker.fired().await?;
            let elapsed = clock::now().saturating_duration_since(self.epoch);
            self.passed
                .set((elapsed.as_nanos() / STEP.as_nanos()) as u64);
            self.armed.set(u64::MAX);
            let mut waiting = self.waiting.borrow_mut();
            while waiting
                .peek()
                .is_some_and(|entry| entry.tick <= self.passed.get())
            {
                if let Some(entry) = waiting.pop() {
                    entry.waker.wake();
                }
            }
            if let Some(next) = waiting.peek() {
                self.arm(next.tick)?;
            }
        }
    }

    /// A wait of `delay` from now, rounded up to the step.
    pub(crate) fn after(self: &Rc<Self>, delay: Duration) -> Wait {
        let at = clock::now().saturating_duration_since(self.epoch) + delay;
        let tick = at.as_nanos().div_ceil(STEP.as_nanos()) as u64;
        Wait {
            alarm: Rc::clone(self),
            tick,
            registered: false,
            zero: delay.is_zero(),
        }
    }

    fn arm(&self, tick: u64) -> io::Result<()> {
        self.armed.set(tick);
        let nanos = tick.saturating_mul(STEP.as_nanos() as u64);
        self.ticker.arm(self.epoch + Duration::from_nanos(nanos))
    }
}

pub(crate) struct Wait {
    alarm: Rc<Alarm>,
    tick: u64,
    registered: bool,
    zero: bool,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.zero || self.alarm.passed.get() >= self.tick {
            return Poll::Ready(());
        }
        if !self.registered {
            self.registered = true;
            let entry = Entry {
                tick: self.tick,
                waker: cx.waker().clone(),
            };
            self.alarm.waiting.borrow_mut().push(entry);
            // A timer that cannot be armed must not hang a reply: the wait ends early instead.
            if self.tick < self.alarm.armed.get() && self.alarm.arm(self.tick).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

//! The message that asks a worker for what it holds, and its answer.
//!
//! The failure prevented: a look that stops a worker, or that waits for one for ever. A worker
//! answers in its next turn: it wakes its connections, lets each request in flight note what it
//! waits for, and hands the notes over. Who asked waits a bounded time and names the worker that
//! has not answered.

use super::heap::Kept;
use super::survey::Found;
use crate::clock;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Duration;
use tailrace_policy::Nanos;
use tokio::sync::{oneshot, Notify};
use tokio::time::{timeout_at, Instant};

/// What a worker answers.
#[derive(Debug)]
pub struct Seen {
    /// The moment that all of it is from.
    pub at: Nanos,
    pub connections: usize,
    pub in_flight: u64,
    pub found: Found,
    pub kept: Kept,
}

/// Where the message for one worker waits.
#[derive(Debug, Default)]
struct Lookout {
    asked: Mutex<Option<oneshot::Sender<Seen>>>,
    arrived: Notify,
}

/// One for each worker.
#[derive(Debug)]
pub struct Lookouts(Vec<Arc<Lookout>>);

impl Lookouts {
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Arc::default()).collect())
    }

    /// What every worker answers in time; none for one that does not.
    pub async fn answers(&self, patience: Duration) -> Vec<Option<Seen>> {
        let asked = self.ask();
        let end = Instant::now() + patience;
        let mut seen = Vec::with_capacity(asked.len());
        for answer in asked {
            let answer = timeout_at(end, answer).await;
            seen.push(answer.ok().and_then(Result::ok));
        }
        seen
    }

    /// Asks every worker; an answer that never comes is not waited for here.
    fn ask(&self) -> Vec<oneshot::Receiver<Seen>> {
        let asked = self.0.iter().map(|lookout| {
            let (sender, receiver) = oneshot::channel();
            let mut asked = lookout.asked.lock().unwrap_or_else(PoisonError::into_inner);
            // Who asked before has given up.
            *asked = Some(sender);
            drop(asked);
            lookout.arrived.notify_one();
            receiver
        });
        asked.collect()
    }
}

/// Answers until the worker ends.
pub async fn answer(worker: Rc<Worker>) {
    let Some(own) = worker.shared.profiler.lookouts.0.get(worker.index) else {
        return;
    };
    let own = Arc::clone(own);
    loop {
        own.arrived.notified().await;
        let asked = {
            let mut asked = own.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.take()
        };
        let Some(asked) = asked else { continue };
        worker.survey.begin();
        worker.slots.wake_all();
        // Whoever was woken stands in the queue of this thread before this task.
        tokio::task::yield_now().await;
        let in_flight = worker.metrics.in_flight.get();
        let seen = Seen {
            at: clock::now(),
            connections: worker.open(),
            in_flight,
            found: worker.survey.end(in_flight as usize),
            kept: worker.kept(),
        };
        // Who asked may have left.
        asked.send(seen).ok();
    }
}

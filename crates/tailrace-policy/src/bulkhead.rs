//! Bulkhead: at most `limit` calls of one upstream in flight over the whole process (req 4.4).
//!
//! The failure prevented is one slow upstream taking all concurrency. All workers share it:
//! admission is one compare-and-swap, so the limit is never overshot. When it is full a call may
//! wait in a bounded queue, if it can still finish before its deadline: that is asked before it
//! waits. A permit is a value; dropping it hands the place to the next waiter. A waiter that goes
//! away, even while it is being granted a place, hands that on too.

use crate::queue::{is_lifo, wait_estimate, Codel};
use crate::Nanos;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Limits of one bulkhead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Calls in flight.
    pub limit: u32,
    /// Calls that may wait.
    pub queue: u32,
    /// Wait that is acceptable as a standing delay.
    pub codel_target: Nanos,
    pub codel_interval: Nanos,
    /// Fill above which the newest waiter goes first.
    pub lifo_above: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            limit: 100,
            queue: 100,
            codel_target: 5_000_000,
            codel_interval: 100_000_000,
            lifo_above: 0.8,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.limit == 0 {
            return Err("limit must be at least 1");
        }
        if self.codel_target == 0 || self.codel_interval < self.codel_target {
            return Err("the target must be positive and not above the interval");
        }
        if !(0.0..=1.0).contains(&self.lifo_above) {
            return Err("lifo_above is a share between 0 and 1");
        }
        Ok(())
    }
}

/// Why a call may not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkheadFull {
    /// The limit is reached and the queue is full.
    QueueFull,
    /// The wait would outlast the deadline.
    WontFit,
    /// The queue's delay stayed above target.
    Shed,
}

impl BulkheadFull {
    pub fn code(self) -> &'static str {
        match self {
            Self::QueueFull => "bulkhead_full",
            Self::WontFit => "queue_deadline",
            Self::Shed => "queue_delay",
        }
    }
}

impl fmt::Display for BulkheadFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => {
                "calls in flight and waiting are at their limits; raise the bulkhead"
            }
            Self::WontFit => "the wait would outlast the deadline",
            Self::Shed => "waits stay above target; the call was shed",
        })
    }
}

impl std::error::Error for BulkheadFull {}

#[derive(Debug)]
struct Node {
    waker: Option<Waker>,
    granted: bool,
}

/// The waiting side; touched only when the limit is reached.
#[derive(Debug)]
struct Waiting {
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    order: VecDeque<usize>,
    codel: Codel,
}

/// Shared by all workers.
#[derive(Debug)]
pub struct Bulkhead {
    /// As declared: never exceeded.
    declared: AtomicU32,
    /// Below it while an adaptive limit says so.
    adapted: AtomicU32,
    /// Calls that may wait.
    queue: AtomicU32,
    in_flight: AtomicU32,
    queued: AtomicU32,
    /// Moving average of service times in nanoseconds.
    service: AtomicU64,
    waiting: Mutex<Waiting>,
    lifo_above: f64,
}

impl Bulkhead {
    pub fn new(params: Params) -> Arc<Self> {
        Arc::new(Self {
            // A limit of zero would keep every call waiting for ever.
            declared: AtomicU32::new(params.limit.max(1)),
            adapted: AtomicU32::new(u32::MAX),
            queue: AtomicU32::new(params.queue),
            in_flight: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            service: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                nodes: Vec::new(),
                free: Vec::new(),
                order: VecDeque::new(),
                codel: Codel::new(params.codel_target, params.codel_interval),
            }),
            lifo_above: params.lifo_above,
        })
    }

    pub fn limit(&self) -> u32 {
        let declared = self.declared.load(Ordering::SeqCst);
        declared.min(self.adapted.load(Ordering::SeqCst))
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Follows an adaptive limit where one is declared, never above the declared limit: a lower one
    /// takes effect as calls end, a higher one at once.
    pub fn set_limit(self: &Arc<Self>, limit: u32) {
        let follow = |known| (known != u32::MAX).then_some(limit.max(1));
        // A call that began before the adaptive limit was switched off changes nothing.
        let followed = self
            .adapted
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, follow);
        if followed.is_ok() {
            self.dispatch();
        }
    }

    /// Declares that an adaptive limit begins here, or that there is none.
    pub fn adapt(self: &Arc<Self>, begin: Option<u32>) {
        let adapted = begin.map_or(u32::MAX, |limit| limit.max(1));
        self.adapted.store(adapted, Ordering::SeqCst);
        self.dispatch();
    }

    /// Declares other limits. Who is in or waits already stays: a lower limit admits nobody, and a
    /// shorter queue takes nobody, until enough have left.
    pub fn adjust(self: &Arc<Self>, limit: u32, queue: u32) {
        self.queue.store(queue, Ordering::SeqCst);
        self.declared.store(limit.max(1), Ordering::SeqCst);
        self.dispatch();
    }

    /// A place, if one is free and nobody waits for it.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        // SeqCst pairs with `enqueue`: see there.
        if self.queued.load(Ordering::SeqCst) > 0 || !self.take_place() {
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }

    /// Waits in the queue for a call that must be over at `deadline`.
    pub fn enqueue(self: &Arc<Self>, now: Nanos, deadline: Nanos) -> Result<Waiter, BulkheadFull> {
        let mut waiting = self.lock();
        let (ahead, capacity) = (waiting.order.len(), self.capacity());
        if ahead >= capacity {
            return Err(BulkheadFull::QueueFull);
        }
        let service = self.service.load(Ordering::Relaxed);
        let lifo = is_lifo(ahead + 1, capacity, self.lifo_above);
        let wait = wait_estimate(ahead, service, self.limit(), lifo);
        if !fits(wait.saturating_add(service), now, deadline) {
            return Err(BulkheadFull::WontFit);
        }
        let node = Some(Node {
            waker: None,
            granted: false,
        });
        let key = if let Some(key) = waiting.free.pop() {
            waiting.nodes[key] = node;
            key
        } else {
            waiting.nodes.push(node);
            waiting.nodes.len() - 1
        };
        waiting.order.push_back(key);
        // Published before looking for a free place: whoever releases one either sees this waiter,
        // or its release is seen by the look below.
        self.queued.fetch_add(1, Ordering::SeqCst);
        drop(waiting);
        self.dispatch();
        Ok(Waiter {
            bulkhead: Arc::clone(self),
            key,
            enqueued: now,
            deadline,
            done: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capacity(&self) -> usize {
        self.queue.load(Ordering::SeqCst) as usize
    }

    fn take_place(&self) -> bool {
        let limit = self.limit();
        let place = |count| (count < limit).then_some(count + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, place)
            .is_ok()
    }

    fn release(self: &Arc<Self>) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.queued.load(Ordering::SeqCst) > 0 {
            self.dispatch();
        }
    }

    /// Grants free places to waiters. Wakers are called after the lock is released.
    fn dispatch(&self) {
        let mut wakers = Vec::new();
        let mut waiting = self.lock();
        while !waiting.order.is_empty() && self.take_place() {
            let capacity = self.capacity();
            let lifo = is_lifo(waiting.order.len(), capacity, self.lifo_above);
            let next = if lifo {
                waiting.order.pop_back()
            } else {
                waiting.order.pop_front()
            };
            self.queued.fetch_sub(1, Ordering::SeqCst);
            if let Some(node) = next.and_then(|key| waiting.nodes[key].as_mut()) {
                node.granted = true;
                wakers.extend(node.waker.take());
            }
        }
        drop(waiting);
        for waker in wakers {
            waker.wake();
        }
    }
}

/// A place in the bulkhead; dropping it gives the place to the next waiter.
#[derive(Debug)]
pub struct Permit(Arc<Bulkhead>);

impl Permit {
    /// Records how long the call took, which is what wait estimates are made of.
    pub fn settle(&self, service: Nanos) {
        let before = self.0.service.load(Ordering::Relaxed);
        // Workers may interleave and lose a sample; an average survives that.
        let after = if before == 0 {
            service
        } else {
            before - before / 10 + service / 10
        };
        self.0.service.store(after, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A call waiting for a place.
#[derive(Debug)]
pub struct Waiter {
    bulkhead: Arc<Bulkhead>,
    key: usize,
    enqueued: Nanos,
    deadline: Nanos,
    done: bool,
}

/// Whether `needed` ends by `deadline`. Without a history nothing is needed, yet a call that has no
/// time left is over.
fn fits(needed: Nanos, now: Nanos, deadline: Nanos) -> bool {
    let left = deadline.saturating_sub(now);
    left > 0 && needed <= left
}

impl Waiter {
    /// Ready when a place was granted, or the wait was too long to be worth it: what is left is
    /// less than a call takes, or the queue is shedding. Its owner stops polling when the call's
    /// own time is over.
    pub fn poll(&mut self, now: Nanos, waker: &Waker) -> Poll<Result<Permit, BulkheadFull>> {
        if self.done {
            return Poll::Ready(Err(BulkheadFull::Shed));
        }
        let mut waiting = self.bulkhead.lock();
        let Some(node) = waiting.nodes[self.key].as_mut() else {
            return Poll::Pending;
        };
        if !node.granted {
            let known = node.waker.as_ref();
            let stale = if known.is_some_and(|known| known.will_wake(waker)) {
                None
            } else {
                node.waker.replace(waker.clone())
            };
            // Dropping a waker may drop a task, and with it another waiter: never inside the lock.
            drop(waiting);
            drop(stale);
            return Poll::Pending;
        }
        waiting.nodes[self.key] = None;
        waiting.free.push(self.key);
        let shed = waiting.codel.sheds(now, now.saturating_sub(self.enqueued));
        drop(waiting);
        self.done = true;
        let permit = Permit(Arc::clone(&self.bulkhead));
        // Asked again now that the wait is known: only a call that can still end in time is sent. A
        // refusal drops the permit, which hands the place on.
        let service = self.bulkhead.service.load(Ordering::Relaxed);
        Poll::Ready(if !fits(service, now, self.deadline) {
            Err(BulkheadFull::WontFit)
        } else if shed {
            Err(BulkheadFull::Shed)
        } else {
            Ok(permit)
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut waiting = self.bulkhead.lock();
        let node = waiting.nodes[self.key].take();
        let granted = node.as_ref().is_some_and(|node| node.granted);
        waiting.free.push(self.key);
        if !granted {
            waiting.order.retain(|key| *key != self.key);
            self.bulkhead.queued.fetch_sub(1, Ordering::SeqCst);
        }
        drop(waiting);
        // After the lock, for the reason given in `poll`.
        drop(node);
        if granted {
            // The place was already taken for this waiter: it goes to the next one.
            self.bulkhead.release();
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod model;

//! One poll of a request: what it took of the processor and of the buffers.
//!
//! A request runs on one thread, in polls; between them the thread works for others. So counters of
//! the thread, read at the start and the end of a poll, say what this request took (req 3.1, 3.2).
//! The clock is read once more per poll for that. What costs a system call, the processor clock of
//! the thread, and what costs a waker, the delay from wake-up to poll, is measured of one request
//! in [`SAMPLED`], and so is what it allocates: by the count that the process's allocator keeps of
//! each thread, where it does ([`count_allocations_by`]).

use super::bill::{Allocated, TURNS_MAX};
use super::Receipt;
use crate::clock;
use crate::worker::Thread;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use tailrace_policy::Nanos;

/// Of so many requests one is measured with the clocks that cost something.
pub const SAMPLED: u64 = 64;

/// What the calling thread has allocated so far.
pub type Count = fn() -> Allocated;

static ALLOCATIONS: OnceLock<Count> = OnceLock::new();

/// Names who counts the allocations of this process; the first one stays.
pub fn count_allocations_by(count: Count) {
    ALLOCATIONS.set(count).ok();
}

/// A poll under way.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    began: Nanos,
    thread: Nanos,
    hits: u64,
    misses: u64,
    allocated: Option<Allocated>,
}

impl Turn {
    /// A poll begins; `now` was just read.
    pub fn begin(thread: &Thread, receipt: &Receipt, now: Nanos) -> Self {
        Self {
            began: now,
            thread: if receipt.sampled {
                clock::thread_cpu()
            } else {
                0
            },
            hits: thread.metrics.buffer_hits.get(),
            misses: thread.metrics.buffer_misses.get(),
            allocated: allocated(receipt),
        }
    }

    /// The poll ends.
    pub fn end(self, thread: &Thread, receipt: &mut Receipt, now: Nanos) {
        let cpu = &mut receipt.cpu;
        cpu.polls += 1;
        cpu.poll += now.saturating_sub(self.began);
        if receipt.traced && receipt.turns.len() < TURNS_MAX {
            receipt.turns.push((self.began, now));
        }
        if let Some(total) = &mut cpu.thread {
            *total += clock::thread_cpu().saturating_sub(self.thread);
        }
        let memory = &mut receipt.memory;
        let (hits, misses) = (&thread.metrics.buffer_hits, &thread.metrics.buffer_misses);
        memory.buffer_hits += hits.get().wrapping_sub(self.hits) as u32;
        memory.buffer_misses += misses.get().wrapping_sub(self.misses) as u32;
        if let Some(before) = self.allocated {
            let now = allocated(receipt).unwrap_or(before);
            let sum = receipt.memory.allocated.get_or_insert_default();
            sum.add(before, now);
        }
    }
}

fn allocated(receipt: &Receipt) -> Option<Allocated> {
    let count = receipt.sampled.then(|| ALLOCATIONS.get()).flatten()?;
    Some(count())
}

/// The waker of a sampled request: notes when it was woken.
#[derive(Debug)]
pub struct Alarm {
    task: Waker,
    /// When it was woken first since its last poll; 0: it was not.
    woken: AtomicU64,
}

impl Alarm {
    pub fn new(task: &Waker) -> Arc<Self> {
        Arc::new(Self {
            task: task.clone(),
            woken: AtomicU64::new(0),
        })
    }

    /// Whether it wakes this task.
    pub fn is_for(&self, task: &Waker) -> bool {
        self.task.will_wake(task)
    }

    /// How long ago the request was woken, when it was.
    pub fn take(&self, now: Nanos) -> Option<Nanos> {
        match self.woken.swap(0, Ordering::AcqRel) {
            0 => None,
            woken => Some(now.saturating_sub(woken)),
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let now = clock::now();
        // The first wake-up counts.
        let first = self
            .woken
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        first.ok();
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::Alarm;
    use crate::clock::{self, simulated, MILLI};
    use std::task::Waker;
    use std::time::Duration;

    // req 3.3: the delay is counted from the first wake-up since the last poll.
    #[tokio::test(start_paused = true)]
    async fn the_delay_counts_from_the_first_wake_up() {
        let _time = simulated::FromHere::start();
        let alarm = Alarm::new(Waker::noop());
        assert_eq!(alarm.take(clock::now()), None, "nobody woke it");
        let waker = Waker::from(std::sync::Arc::clone(&alarm));
        waker.wake_by_ref();
        tokio::time::advance(Duration::from_millis(3)).await;
        waker.wake_by_ref();
        tokio::time::advance(Duration::from_millis(4)).await;
        assert_eq!(alarm.take(clock::now()), Some(7 * MILLI));
        assert_eq!(alarm.take(clock::now()), None, "once per poll");
    }
}

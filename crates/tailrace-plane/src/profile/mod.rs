//! Profiles of a running service, on demand (req 12.2).
//!
//! The failure prevented: an incident in which nobody can see inside without a restart, or a look
//! inside that makes it worse. What is asked for over the admin port (`admin/profile.rs`) is
//! bounded in time and memory, there is one at a time, and a worker does for it what one message
//! asks, in one turn. While nobody looks, a request pays one comparison per poll and one relaxed
//! load.
//!
//! ```text
//! cpu      samples of our threads as stacks            POST /profile/cpu
//! heap     what is held, by owner                      POST /profile/heap
//! survey   what each request of one worker waits for, noted by the requests themselves
//! look     the message to a worker that asks for it, and its answer
//! tasks    all of it as JSON                         POST /profile/tasks
//! threads  who the threads are, and what the system says of one that does not answer
//! trace    finished requests as a Chrome trace       POST /profile/trace
//! ```
//!
//! *Bounds.* [`survey::REQUESTS_MAX`] requests per worker and [`survey::WAITS_MAX`] waits per
//! request are told in full, the rest is counted; a trace has `trace::BYTES_MAX` bytes.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator;
pub mod cpu;
pub mod heap;
pub mod look;
pub mod survey;
pub mod tasks;
pub mod threads;
pub mod trace;

use look::Lookouts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use threads::Threads;

/// What profiles of one plane share.
#[derive(Debug)]
pub struct Profiler {
    busy: AtomicBool,
    pub lookouts: Lookouts,
    pub threads: Arc<Threads>,
}

impl Profiler {
    pub fn new(workers: usize) -> Self {
        Self {
            busy: AtomicBool::new(false),
            lookouts: Lookouts::new(workers),
            threads: Arc::default(),
        }
    }

    /// Begins a profile; none while another one runs.
    pub fn begin(self: &Arc<Self>) -> Option<Running> {
        let first = !self.busy.swap(true, Ordering::AcqRel);
        first.then(|| Running(Arc::clone(self)))
    }
}

/// A profile while it runs; dropping it makes room for the next.
#[derive(Debug)]
pub struct Running(Arc<Profiler>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Profiler;
    use std::sync::Arc;

    // req 12.2: one at a time, however it ends.
    #[test]
    fn there_is_one_profile_at_a_time() {
        let profiler = Arc::new(Profiler::new(1));
        let running = profiler.begin();
        assert!(running.is_some() && profiler.begin().is_none());
        assert!(profiler.begin().is_none(), "a refused one ends nothing");
        drop(running);
        assert!(profiler.begin().is_some());
    }
}

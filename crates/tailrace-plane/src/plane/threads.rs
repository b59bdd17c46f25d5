//! Threads that are counted, and their end.
//!
//! The failure prevented: a process that cannot be ended because one of its threads is stuck, as
//! the access log's is while nobody reads standard output. An end waits for so long, joins the
//! threads that have ended and leaves the others to the end of the process.

use super::StartError;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Threads {
    left: Arc<Left>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

/// How many have not ended.
#[derive(Debug, Default)]
struct Left {
    count: Mutex<usize>,
    changed: Condvar,
}

/// Held by a thread while it runs.
struct Guard(Arc<Left>);

impl Guard {
    fn new(left: &Arc<Left>) -> Self {
        *left.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(left))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

impl Threads {
    pub(super) fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let guard = Guard::new(&self.left);
        let counted = move || {
            let _guard = guard;
            run();
        };
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(counted)
            .map_err(|error| StartError::System {
                what: "cannot start a thread",
                error,
            })?;
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.push(handle);
        Ok(())
    }

    /// Waits until all have ended, at most `patience`; `true` when they have.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let count = self
            .left
            .count
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .left
            .changed
            .wait_timeout_while(count, patience, |left| *left > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// Wakes all, waits at most `patience` for them, and leaves those that are stuck.
    pub(super) fn end(&self, patience: Duration) -> bool {
        let mut handles =
            std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in &handles {
            handle.thread().unpark();
        }
        let ended = self.wait(patience);
        handles.retain(|handle| ended || handle.is_finished());
        for handle in handles {
            // A thread that panicked has said so on stderr already.
            let _ = handle.join();
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::Threads;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_stuck_thread_is_left_after_the_patience() {
        let threads = Threads::default();
        let (release, stuck) = mpsc::sync_channel::<()>(1);
        threads.spawn("ends", || {}).unwrap();
        let wait = move || assert!(stuck.recv().is_err(), "the sender goes");
        threads.spawn("stuck", wait).unwrap();
        assert!(!threads.end(Duration::from_millis(20)));
        drop(release);
        assert!(threads.wait(Duration::from_secs(20)));
        assert!(threads.end(Duration::ZERO), "nothing is left to wait for");
    }

    #[test]
    fn a_thread_that_panics_has_ended() {
        let threads = Threads::default();
        threads.spawn("panics", || panic!("on purpose")).unwrap();
        assert!(threads.end(Duration::from_secs(20)));
    }
}

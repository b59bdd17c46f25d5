//! The only reader of time.
//!
//! Policies and the codec take time as an argument (house rule 2); this file is where it comes
//! from. Monotonic time is nanoseconds since the process started, so that a state word fits one
//! `AtomicU64`. It follows tokio's clock, which tests pause, or stands still until a user's test
//! moves it (`manual`). Wall time is for replies and logs only, never decisions.

#![allow(clippy::disallowed_methods)]

#[cfg(target_os = "linux")]
pub mod alarms;
#[cfg(not(target_os = "linux"))]
#[path = "clock/no_alarms.rs"]
pub mod alarms;
pub mod manual;
pub mod timer;

use rustix::time::{clock_gettime, ClockId};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tailrace_policy::Nanos;
use tokio::time::Instant;

static BASE: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds in a millisecond.
pub const MILLI: Nanos = 1_000_000;

fn base() -> Instant {
    #[cfg(test)]
    if let Some(base) = simulated::BASE.get() {
        return base;
    }
    *BASE.get_or_init(Instant::now)
}

/// Monotonic time. The base lies one second in the past, so that 0 can mean "never".
pub fn now() -> Nanos {
    if let Some(now) = manual::now() {
        return now;
    }
    Instant::now().saturating_duration_since(base()).as_nanos() as Nanos + 1_000 * MILLI
}

/// The runtime's instant for `at`.
pub fn instant(at: Nanos) -> Instant {
    base() + Duration::from_nanos(at.saturating_sub(1_000 * MILLI))
}

/// Wall clock in milliseconds since the epoch.
pub fn epoch_ms() -> u64 {
    #[cfg(test)]
    if simulated::BASE.get().is_some() {
        return simulated::EPOCH_MS + now() / MILLI;
    }
    if let Some(epoch_ms) = manual::epoch_ms() {
        return epoch_ms;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Wall clock of a monotonic time, in nanoseconds since the epoch; for what is told to others.
pub fn epoch_of(at: Nanos) -> u64 {
    let (now, epoch) = (now(), epoch_nanos());
    // What lies ahead of now is told as such.
    epoch.saturating_sub(now).saturating_add(at)
}

fn epoch_nanos() -> u64 {
    #[cfg(test)]
    if simulated::BASE.get().is_some() {
        return simulated::EPOCH_MS * MILLI + now();
    }
    if manual::is_on() {
        return epoch_ms() * MILLI;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// Waits for work beside the requests until `due`; returns when it should have been woken. A clock
/// that is moved by hand jumps: whoever waits for it is not late.
pub async fn reach(due: Nanos) -> Nanos {
    if manual::is_on() {
        manual::moved(due).await;
        return now();
    }
    let mut timer = timer::Timer::default();
    std::future::poll_fn(|context| timer.poll_until(due, context)).await;
    due
}

/// Processor time of this thread. Time that is made up has no processor: it is not a machine's.
pub fn thread_cpu() -> Nanos {
    #[cfg(test)]
    return made_up::worked();
    #[cfg(not(test))]
    cpu(ClockId::ThreadCPUTime)
}

/// Processor time of all threads of this process.
pub fn process_cpu() -> Nanos {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(id: ClockId) -> Nanos {
    if cfg!(test) || manual::is_on() {
        return 0;
    }
    let read = clock_gettime(id);
    read.tv_sec as Nanos * 1_000 * MILLI + read.tv_nsec as Nanos
}

/// Milliseconds, possibly with a fraction, as nanoseconds.
pub fn from_ms(ms: f64) -> Nanos {
    (ms * MILLI as f64) as Nanos
}

/// A limit in milliseconds as nanoseconds.
pub fn limit(ms: u32) -> Nanos {
    Nanos::from(ms) * MILLI
}

/// Work of a thread that only a test says it has done: none, unless it does.
#[cfg(test)]
pub mod made_up {
    use std::cell::Cell;
    use tailrace_policy::Nanos;

    thread_local! {
        static WORKED: Cell<Nanos> = const { Cell::new(0) };
    }

    pub fn work(time: Nanos) {
        WORKED.set(WORKED.get() + time);
    }

    pub fn worked() -> Nanos {
        WORKED.get()
    }
}

/// Time that starts anew with each simulation, so that the same seed sees the same numbers.
#[cfg(test)]
pub mod simulated {
    use std::cell::Cell;
    use tokio::time::Instant;

    /// When simulated time began, since the epoch.
    pub(super) const EPOCH_MS: u64 = 1_800_000_000_000;

    thread_local! {
        pub(super) static BASE: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// While it lives, this thread's time counts from its making.
    #[derive(Debug)]
    pub struct FromHere(());

    impl FromHere {
        /// To be called inside a runtime whose clock is paused.
        pub fn start() -> Self {
            BASE.set(Some(Instant::now()));
            Self(())
        }
    }

    impl Drop for FromHere {
        fn drop(&mut self) {
            BASE.set(None);
        }
    }
}

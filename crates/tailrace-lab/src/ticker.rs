//! One precise timer. The runtime's own timers round up to whole milliseconds: a generator built on
//! them sends every request up to a millisecond late and in bursts, and an upstream that promises
//! 5 ms answers after 5 to 6. Here one kernel timer is armed for the earliest moment of interest.
//!
//! Limits: one waiter per ticker (`alarm.rs` shares one among many). Outside Linux the runtime's
//! timer is used, with its millisecond steps.

use std::io;
use std::time::Instant;

#[cfg(target_os = "linux")]
mod kernel {
    use super::{io, Instant};
    use crate::clock;
    use rustix::time::{
        timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags,
        TimerfdTimerFlags, Timespec,
    };
    use std::os::fd::OwnedFd;
    use tokio::io::unix::AsyncFd;
    use tokio::io::Interest;

    pub(crate) struct Ticker {
        fd: AsyncFd<OwnedFd>,
    }

    impl Ticker {
        // The successor is an unsafe function; its condition (the descriptor stays the same while
        // registered) is what `OwnedFd` guarantees, and this crate has no unsafe code.
        #[allow(deprecated)]
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self {
                fd: AsyncFd::with_interest(fd, Interest::READABLE)?,
            })
        }

        /// Replaces whatever was armed before; a moment in the past fires at once.
        pub(crate) fn arm(&self, deadline: Instant) -> io::Result<()> {
            let left = deadline.saturating_duration_since(clock::now());
            // A zero value would disarm the timer.
            let nanos = i64::from(left.subsec_nanos()).max(i64::from(left.as_secs() == 0));
            let value = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: nanos,
            };
            let interval = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let spec = Itimerspec {
                it_interval: interval,
                it_value: value,
            };
            timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec)?;
            Ok(())
        }

        /// Returns after the armed moment, now and then earlier: the caller looks at the clock.
        /// The timer is edge-triggered and re-armed each time, so its counter is never read.
        pub(crate) async fn fired(&self) -> io::Result<()> {
            self.fd.readable().await?.clear_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{io, Instant};
    use std::cell::Cell;
    use tokio::sync::Notify;

    pub(crate) struct Ticker {
        deadline: Cell<Option<Instant>>,
        changed: Notify,
    }

    impl Ticker {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                deadline: Cell::new(None),
                changed: Notify::new(),
            })
        }

        pub(crate) fn arm(&self, deadline: Instant) -> io::Result<()> {
            self.deadline.set(Some(deadline));
            self.changed.notify_one();
            Ok(())
        }

        pub(crate) async fn fired(&self) -> io::Result<()> {
            loop {
                match self.deadline.get() {
                    None => self.changed.notified().await,
                    Some(deadline) => {
                        tokio::select! {
                            () = tokio::time::sleep_until(deadline.into()) => {
                                self.deadline.set(None);
                                return Ok(());
                            }
                            () = self.changed.notified() => {}
                        }
                    }
                }
            }
        }
    }
}

pub(crate) use kernel::Ticker;

impl Ticker {
    /// Waits until `deadline`; never returns early.
    pub(crate) async fn until(&self, deadline: Instant) -> io::Result<()> {
        while crate::clock::now() < deadline {
            self.arm(deadline)?;
            self.fired().await?;
        }
        Ok(())
    }
}

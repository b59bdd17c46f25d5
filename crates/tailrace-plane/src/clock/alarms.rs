//! The alarms of one worker's thread: one timer of the kernel for everything that waits there.
//!
//! The failure prevented is a timer of the kernel that is armed and taken back each time the event
//! loop sleeps, and a connection that is woken because of a request that ended long ago: together
//! they cost the order view more than one timer and most of a wake-up per request. Here the
//! kernel's timer stays armed for the earliest time anybody ever asked for. When it fires, who is
//! due is woken, and it is armed for the earliest of the rest; who has ended is not among them.
//!
//! An alarm rings up to [`GRAIN`] late, so that however many times are asked for, the thread wakes
//! at most so often. *Bound.* A row per timer that waits; looking through them costs a nanosecond
//! each.

use super::manual;
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags,
    Timespec,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tailrace_policy::Nanos;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

/// Alarms of the same grain ring together.
const GRAIN: Nanos = super::MILLI / 2;
/// Due: it has rung.
const RANG: Nanos = 0;
/// Due: never.
const OFF: Nanos = Nanos::MAX;

thread_local! {
    static HERE: RefCell<Option<Rc<Alarms>>> = const { RefCell::new(None) };
}

/// Held while the alarms of this thread are in use.
#[derive(Debug)]
pub struct Here(());

impl Drop for Here {
    fn drop(&mut self) {
        let gone = HERE.take();
        drop(gone);
    }
}

/// Alarms for this thread, whose runtime it must be called in; none where a test moves the clock.
/// They ring as long as [`Alarms::ring`] runs. Fails when the system has no descriptor left.
pub fn start() -> io::Result<(Here, Option<Rc<Alarms>>)> {
    if manual::is_on() {
        return Ok((Here(()), None));
    }
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    // Deprecated for descriptors that may close or change while they are registered: an `OwnedFd`
    // that nobody can reach does neither, and what takes its place is unsafe.
    #[allow(deprecated)]
    let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
    let alarms = Rc::new(Alarms {
        rows: RefCell::default(),
        armed: Cell::new(OFF),
        timer,
    });
    HERE.set(Some(Rc::clone(&alarms)));
    Ok((Here(()), Some(alarms)))
}

/// A place among this thread's alarms, where it has some.
pub fn place() -> Option<Place> {
    let alarms = HERE.with_borrow(Clone::clone)?;
    let index = alarms.rows.borrow_mut().take();
    Some(Place {
        alarms,
        index,
        asked: OFF,
    })
}

/// All alarms of a thread.
#[derive(Debug)]
pub struct Alarms {
    rows: RefCell<Rows>,
    /// When the kernel's timer fires.
    armed: Cell<Nanos>,
    timer: AsyncFd<OwnedFd>,
}

impl Alarms {
    /// Wakes who is due, again and again.
    pub async fn ring(self: Rc<Self>) {
        let mut woken = Vec::new();
        // The timer is of this runtime: it cannot fail before the runtime ends.
        while let Ok(mut fired) = self.timer.readable().await {
            fired.clear_ready();
            self.armed.set(OFF);
            let next = self.rows.borrow_mut().ring(super::now(), &mut woken);
            self.arm(next);
            woken.drain(..).for_each(Waker::wake);
        }
    }

    /// Makes the kernel's timer fire by `due`.
    fn arm(&self, due: Nanos) {
        let at = due.checked_next_multiple_of(GRAIN).unwrap_or(OFF);
        if at >= self.armed.get() {
            return;
        }
        self.armed.set(at);
        // No time at all would disarm it.
        let after = at.saturating_sub(super::now()).max(1);
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (after / 1_000_000_000) as i64,
                tv_nsec: (after % 1_000_000_000) as i64,
            },
        };
        let set = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &spec);
        debug_assert!(set.is_ok(), "a timer of ours takes any time: {set:?}");
    }
}

/// One timer's place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    alarms: Rc<Alarms>,
    index: usize,
    asked: Nanos,
}

impl Place {
    /// Ready once the alarm has rung for `next` or later.
    pub fn poll_until(&mut self, next: Nanos, waker: &Waker) -> Poll<()> {
        let mut rows = self.alarms.rows.borrow_mut();
        let row = &mut rows.all[self.index];
        if row.due == RANG {
            row.due = OFF;
            if self.asked >= next {
                return Poll::Ready(());
            }
        }
        self.asked = next;
        row.due = next;
        let known = row.waker.as_ref().is_some_and(|one| one.will_wake(waker));
        let before = if known {
            None
        } else {
            row.waker.replace(waker.clone())
        };
        drop(rows);
        drop(before);
        self.alarms.arm(next);
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.alarms.rows.borrow_mut().give(self.index);
        // Not while the rows are borrowed: what it keeps alive may have a place of its own.
        drop(gone);
    }
}

#[derive(Debug)]
struct Row {
    due: Nanos,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Rows {
    all: Vec<Row>,
    free: Vec<usize>,
}

impl Rows {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Row {
                due: OFF,
                waker: None,
            });
            self.all.len() - 1
        })
    }

    fn give(&mut self, index: usize) -> Option<Waker> {
        self.free.push(index);
        self.all[index].due = OFF;
        self.all[index].waker.take()
    }

    /// Adds the wakers of what is due to `woken`; returns when the next is.
    fn ring(&mut self, now: Nanos, woken: &mut Vec<Waker>) -> Nanos {
        let mut next = OFF;
        for row in &mut self.all {
            if row.due > now {
                next = next.min(row.due);
            } else if row.due != RANG {
                row.due = RANG;
                woken.extend(row.waker.take());
            }
        }
        next
    }
}

#[cfg(test)]
mod tests;

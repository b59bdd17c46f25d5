//! The lane: what is large, and what comes while a turn is long, waits for a turn of its own.
//!
//! The failure prevented: everybody behind the large, and behind the many. Validating a body of a
//! megabyte takes a millisecond; beginning a request, a tenth of one; and on one thread all that is
//! ready waits for it: requests that could be refused or answered in microseconds too. When many
//! times more come than can be served, each turn lets in so many that the next one is longer still,
//! and refusals are told after tens of milliseconds.
//!
//! So there is one line. Bodies from [`LARGE_BYTES`] on stand in it, one per turn; who finds it
//! empty goes on at once. While a crowd is inside, requests that were let in stand in it too before
//! their first call is made, once the turn has lasted for [`TURN`] of this thread's work. Between
//! one turn and the next the worker looks at its sockets and runs what is ready; a refusal stands
//! in no line. How much work stands there is known at once, and admission refuses whoever would
//! wait for it for too long, long before waits can be measured.
//!
//! Limits: first come, first served; who stands in line has its own end, and at most what bulkheads
//! and admission let in. What is under way is not interrupted: a turn lasts longer by the longest
//! step of it.

use crate::clock;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tailrace_policy::Nanos;

/// Bodies below it cost less than the turn they would wait for.
pub const LARGE_BYTES: usize = 32 * 1024;
/// Work of one turn after which others are to run.
const TURN: Nanos = clock::MILLI;

#[derive(Debug, Default)]
struct Ticket {
    /// On the clock of this thread's work.
    since: Nanos,
    /// Nothing else is begun in its turn.
    large: bool,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Default)]
struct State {
    line: RefCell<VecDeque<Rc<Ticket>>>,
    moving: Cell<bool>,
    waited: Cell<Nanos>,
    /// When the turn began, and this thread's work until then.
    began: Cell<Nanos>,
    worked: Cell<Nanos>,
    small: Kind,
    large: Kind,
    /// Whether the one that was let go last is large, and this thread's work until then.
    last: Cell<Option<(bool, Nanos)>>,
}

/// Those in line that cost about the same.
#[derive(Debug, Default)]
struct Kind {
    waiting: Cell<u64>,
    /// What it costs to let one go, lately: until the next may go, all that runs beside included.
    cost: Cell<Nanos>,
}

impl Kind {
    fn costs(&self, one: Nanos) {
        let known = self.cost.get();
        let settled = known - known / 8 + one / 8;
        self.cost.set(if known == 0 { one } else { settled });
    }

    fn ahead(&self) -> Nanos {
        self.waiting.get().saturating_mul(self.cost.get())
    }
}

/// One worker's lane.
#[derive(Debug, Default)]
pub struct Lane(Rc<State>);

impl Lane {
    /// Waits for a large body's turn. Dropped before that, it leaves the line.
    pub async fn turn(&self) {
        if !self.moves() {
            self.stand(true).await;
        }
    }

    /// Whether what is about to be begun should stand in line. `now` is the time of this wake-up:
    /// while that says no, nothing is asked of the system.
    pub fn is_long(&self, now: Nanos) -> bool {
        let state = &self.0;
        if !state.line.borrow().is_empty() {
            return true;
        }
        if now.saturating_sub(state.began.get()) < TURN {
            return false;
        }
        let worked = state.worked();
        if worked < TURN {
            // This thread slept, or the machine gave its processor to others.
            state.began.set(now.saturating_sub(worked));
        }
        worked >= TURN
    }

    /// Stands in line; for whom `is_long` says so.
    pub async fn share(&self) {
        self.moves();
        self.stand(false).await;
    }

    /// Sees to it that the line moves; whether it did not.
    fn moves(&self) -> bool {
        let rested = !self.0.moving.replace(true);
        if rested {
            tokio::task::spawn_local(move_on(Rc::clone(&self.0)));
        }
        rested
    }

    async fn stand(&self, large: bool) {
        let ticket = Rc::new(Ticket {
            since: clock::thread_cpu(),
            large,
            ..Ticket::default()
        });
        self.0.line.borrow_mut().push_back(Rc::clone(&ticket));
        let waiting = &self.0.kind(large).waiting;
        waiting.set(waiting.get() + 1);
        poll_fn(|cx| {
            if ticket.granted.get() {
                return Poll::Ready(());
            }
            *ticket.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The work that stands in line before who comes now, as far as the turns so far tell.
    pub fn ahead(&self) -> Nanos {
        self.0.small.ahead() + self.0.large.ahead()
    }

    /// The longest wait in line since this was last asked, of those that are over and of the one
    /// that has its turn next, in work of this thread meanwhile.
    pub fn take_waited(&self) -> Nanos {
        let next = self.0.line.borrow().front().map(|ticket| ticket.since);
        let waits = next.map_or(0, |since| clock::thread_cpu().saturating_sub(since));
        self.0.waited.replace(0).max(waits)
    }
}

impl State {
    /// This thread's work since the turn began.
    fn worked(&self) -> Nanos {
        clock::thread_cpu().saturating_sub(self.worked.get())
    }

    fn kind(&self, large: bool) -> &Kind {
        if large {
            &self.large
        } else {
            &self.small
        }
    }

    /// Takes note of what the one that was let go last has cost.
    fn settle(&self) {
        if let Some((large, since)) = self.last.take() {
            self.kind(large)
                .costs(clock::thread_cpu().saturating_sub(since));
        }
    }

    fn begin(&self) {
        self.settle();
        self.began.set(clock::now());
        self.worked.set(clock::thread_cpu());
    }

    /// Lets the next one go, and says whether it is large; none when nobody stands in line.
    fn grant(&self) -> Option<bool> {
        self.settle();
        let next = loop {
            let next = self.line.borrow_mut().pop_front()?;
            let waiting = &self.kind(next.large).waiting;
            waiting.set(waiting.get() - 1);
            // The other reference is the caller's: without it, it has left.
            if Rc::strong_count(&next) > 1 {
                break next;
            }
        };
        let now = clock::thread_cpu();
        let waited = now.saturating_sub(next.since);
        self.waited.set(self.waited.get().max(waited));
        self.last.set(Some((next.large, now)));
        next.granted.set(true);
        let waker = next.waker.borrow_mut().take();
        waker.into_iter().for_each(Waker::wake);
        Some(next.large)
    }
}

/// Gives turns until the line is empty; the runtime looks at its sockets before each.
async fn move_on(state: Rc<State>) {
    loop {
        tokio::task::yield_now().await;
        state.begin();
        let Some(mut large) = state.grant() else {
            state.moving.set(false);
            return;
        };
        while !large {
            after_what_is_ready().await;
            if state.worked() >= TURN {
                break;
            }
            match state.grant() {
                Some(next) => large = next,
                None => break,
            }
        }
    }
}

/// Waits until what is ready now has run, in the same turn.
async fn after_what_is_ready() {
    let mut waits = true;
    poll_fn(|cx| {
        if std::mem::take(&mut waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests;

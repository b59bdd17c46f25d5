//! The lane of large bodies: one of them is looked at per turn of the worker.
//!
//! The failure prevented: everybody behind the large. Validating a body of a megabyte takes a
//! millisecond, and on one thread all that is ready waits for it: requests that could be refused or
//! answered in microseconds too. So bodies from [`LARGE_BYTES`] on form a line; between one and the
//! next the worker looks at its sockets and runs what is ready. A body that finds the lane empty
//! goes on at once.
//!
//! Limits: first come, first served; who stands in line is a call, with its own end, and at most
//! what bulkheads and admission let in.

use crate::clock;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tailrace_policy::Nanos;

/// Bodies below it cost less than the turn they would wait for.
pub const LARGE_BYTES: usize = 32 * 1024;

#[derive(Debug, Default)]
struct Ticket {
    /// On the clock of this thread's work.
    since: Nanos,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Default)]
struct State {
    line: RefCell<VecDeque<Rc<Ticket>>>,
    moving: Cell<bool>,
    waited: Cell<Nanos>,
}

/// One worker's lane.
#[derive(Debug, Default)]
pub struct Lane(Rc<State>);

impl Lane {
    /// Waits for this caller's turn. Dropped before that, it leaves the line.
    pub async fn turn(&self) {
        let state = &self.0;
        if !state.moving.replace(true) {
            tokio::task::spawn_local(move_on(Rc::clone(state)));
            return;
        }
        let ticket = Rc::new(Ticket {
            since: clock::thread_cpu(),
            ..Ticket::default()
        });
        state.line.borrow_mut().push_back(Rc::clone(&ticket));
        poll_fn(|cx| {
            if ticket.granted.get() {
                return Poll::Ready(());
            }
            *ticket.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The longest wait in line since this was last asked, of those that are over and of the one
    /// that has its turn next, in work of this thread meanwhile.
    pub fn take_waited(&self) -> Nanos {
        let next = self.0.line.borrow().front().map(|ticket| ticket.since);
        let waits = next.map_or(0, |since| clock::thread_cpu().saturating_sub(since));
        self.0.waited.replace(0).max(waits)
    }
}

/// Gives turns until the line is empty; the runtime looks at its sockets before each.
async fn move_on(state: Rc<State>) {
    loop {
        tokio::task::yield_now().await;
        let next = loop {
            match state.line.borrow_mut().pop_front() {
                // The other reference is the caller's: it has left.
                Some(ticket) if Rc::strong_count(&ticket) == 1 => {}
                next => break next,
            }
        };
        let Some(ticket) = next else {
            state.moving.set(false);
            return;
        };
        let waited = clock::thread_cpu().saturating_sub(ticket.since);
        state.waited.set(state.waited.get().max(waited));
        ticket.granted.set(true);
        let waker = ticket.waker.borrow_mut().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::Lane;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use tokio::task::{spawn_local, yield_now, LocalSet};

    // req 9.1c: between two large bodies everything else runs.
    #[tokio::test(start_paused = true)]
    async fn one_goes_per_turn_in_order_and_others_run_in_between() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let lane = Rc::new(Lane::default());
        let local = LocalSet::new();
        local
            .run_until(async {
                let mut tasks = Vec::new();
                for number in 0..4 {
                    let (lane, seen) = (Rc::clone(&lane), Rc::clone(&seen));
                    tasks.push(spawn_local(async move {
                        lane.turn().await;
                        seen.borrow_mut().push(number);
                    }));
                }
                let other = Rc::clone(&seen);
                tasks.push(spawn_local(async move {
                    for _ in 0..6 {
                        other.borrow_mut().push(-1);
                        yield_now().await;
                    }
                }));
                for task in tasks {
                    task.await.unwrap();
                }
            })
            .await;
        let seen = seen.borrow();
        let bodies: Vec<_> = seen.iter().copied().filter(|one| *one >= 0).collect();
        assert_eq!(bodies, [0, 1, 2, 3]);
        let together = seen.windows(2).any(|pair| pair[0] > 0 && pair[1] > 0);
        assert!(!together, "two in one turn: {seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_holds_nobody_up_and_waits_are_told_once() {
        let lane = Rc::new(Lane::default());
        let local = LocalSet::new();
        local
            .run_until(async {
                lane.turn().await;
                let second = lane.turn();
                let left = tokio::time::timeout(Duration::ZERO, lane.turn());
                let (second, left) = tokio::join!(second, left);
                let () = second;
                drop(left);
                yield_now().await;
                yield_now().await;
                lane.turn().await;
                lane.0.waited.set(7);
                assert_eq!(lane.take_waited(), 7);
                assert_eq!(lane.take_waited(), 0);
            })
            .await;
    }
}

//! Where those who wait for one fetch meet its answer.
//!
//! The failure prevented is an answer that reaches ninety-nine of a hundred: whoever waits, on
//! whichever worker, has a seat with its waker, and the landing wakes all of them after the answer
//! lies there. A seat that is given up is used again, so that a flight has as many seats as it had
//! waiters at once.

use super::Fetched;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub struct Meeting(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    answer: Option<Fetched>,
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Meeting {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, or a seat to wait on.
    pub fn poll(&self, seat: &mut Option<usize>, context: &Context<'_>) -> Poll<Fetched> {
        let mut seats = self.seats();
        if let Some(answer) = &seats.answer {
            return Poll::Ready(answer.clone());
        }
        let taken = match *seat {
            Some(taken) => taken,
            None => seats.free.pop().unwrap_or_else(|| {
                seats.wakers.push(None);
                seats.wakers.len() - 1
            }),
        };
        *seat = Some(taken);
        match &mut seats.wakers[taken] {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    pub fn give_up(&self, seat: usize) {
        let mut seats = self.seats();
        // After the landing there are no seats any more.
        if let Some(waker) = seats.wakers.get_mut(seat) {
            *waker = None;
            seats.free.push(seat);
        }
    }

    /// Lays the answer down and wakes everybody.
    pub fn land(&self, answer: Fetched) {
        let wakers = {
            let mut seats = self.seats();
            seats.answer = Some(answer);
            std::mem::take(&mut seats.wakers)
        };
        // Outside the lock: a waker may run anything.
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

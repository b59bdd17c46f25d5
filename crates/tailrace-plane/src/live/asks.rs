//! Who asks for a change, and who makes it.
//!
//! The failure prevented: a change made by whoever happens to run. The owner of the plane is the
//! only one who knows what a change is made of (declaration, file, environment), so everybody else
//! puts an ask into a bounded queue and waits for its reply; asks are answered one after the other.
//! An owner that never comes, or leaves, answers 503 at once. A look inside that nobody waits for
//! any more is not taken: an owner that was stuck must not begin to trace for somebody who has
//! left.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Asks that may wait.
const WAITING_MAX: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Read the sources again.
    Reload,
    /// Set these values; `toml` says how the body is written, else it is JSON.
    Set { body: Vec<u8>, toml: bool },
    /// Change the lab around this service, as this JSON says.
    Lab(Vec<u8>),
    /// Say what Python does, as this JSON asks.
    Profile(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub source: String,
    pub wanted: Wanted,
}

/// What became of an ask: an HTTP status and JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

type Asker = Option<oneshot::Sender<Reply>>;

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Ask, Asker)>,
    /// Who waits for the ask that is being answered.
    asker: Asker,
    /// Somebody takes asks.
    owned: bool,
    closed: bool,
}

impl Queue {
    /// Drops looks whose asker has left. A change is made all the same.
    fn forget_left(&mut self) {
        self.waiting.retain(|(ask, asker)| {
            let left = asker.as_ref().is_some_and(oneshot::Sender::is_closed);
            !(left && matches!(ask.wanted, Wanted::Profile(_)))
        });
    }
}

#[derive(Debug, Default)]
pub struct Asks {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

impl Asks {
    /// Adds an ask whose reply comes by the receiver; none when it cannot be taken.
    pub fn ask(&self, ask: Ask) -> Option<oneshot::Receiver<Reply>> {
        let (sender, receiver) = oneshot::channel();
        self.push(ask, Some(sender)).then_some(receiver)
    }

    /// Adds an ask that nobody waits for; `false` when it cannot be taken.
    pub fn tell(&self, ask: Ask) -> bool {
        self.push(ask, None)
    }

    fn push(&self, ask: Ask, asker: Asker) -> bool {
        let mut queue = self.lock();
        queue.forget_left();
        // Who is stuck need not be told the same twice.
        if asker.is_none()
            && queue
                .waiting
                .iter()
                .any(|(told, by)| by.is_none() && *told == ask)
        {
            return !queue.closed;
        }
        if !queue.owned || queue.closed || queue.waiting.len() >= WAITING_MAX {
            return false;
        }
        queue.waiting.push_back((ask, asker));
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// From here on somebody takes asks.
    pub fn own(&self) {
        self.lock().owned = true;
    }

    /// The next ask, waited for at most `patience`, or for as long as it takes.
    pub fn next(&self, patience: Option<Duration>) -> Next {
        let mut queue = self.lock();
        queue.owned = true;
        let idle = |queue: &mut Queue| {
            queue.forget_left();
            !queue.closed && queue.waiting.is_empty()
        };
        queue = match patience {
            None => self.arrived.wait_while(queue, idle),
            Some(patience) => self
                .arrived
                .wait_timeout_while(queue, patience, idle)
                .map(|(queue, _)| queue)
                .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0)),
        }
        .unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Next::Closed;
        }
        let Some((ask, asker)) = queue.waiting.pop_front() else {
            return Next::Nothing;
        };
        queue.asker = asker;
        Next::Ask(ask)
    }

    /// Answers the ask that `next` gave last.
    pub fn reply(&self, reply: Reply) {
        if let Some(asker) = self.lock().asker.take() {
            // Who asked may have left.
            asker.send(reply).ok();
        }
    }

    /// Nothing is asked or answered from here on.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.waiting.clear();
        queue.asker = None;
        drop(queue);
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `Asks::next` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Ask(Ask),
    /// Nothing within the patience.
    Nothing,
    /// The plane ends.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::{Ask, Asks, Next, Reply, Wanted, WAITING_MAX};
    use std::time::Duration;

    fn reload(source: &str) -> Ask {
        Ask {
            source: source.to_owned(),
            wanted: Wanted::Reload,
        }
    }

    fn ok() -> Reply {
        Reply {
            status: 200,
            body: Vec::new(),
        }
    }

    #[test]
    fn asks_are_answered_in_turn_and_bounded() {
        let asks = Asks::default();
        assert!(asks.ask(reload("early")).is_none(), "nobody takes asks");
        asks.own();
        assert!(asks.tell(reload("signal")));
        let mut receivers = Vec::new();
        for _ in 1..WAITING_MAX {
            receivers.push(asks.ask(reload("admin")).unwrap());
        }
        assert!(!asks.tell(reload("one too many")));
        assert_eq!(asks.next(None), Next::Ask(reload("signal")));
        asks.reply(ok());
        for mut receiver in receivers {
            assert!(receiver.try_recv().is_err());
            assert_eq!(asks.next(None), Next::Ask(reload("admin")));
            asks.reply(ok());
            assert_eq!(receiver.try_recv(), Ok(ok()));
        }
        assert_eq!(asks.next(Some(Duration::ZERO)), Next::Nothing);
    }

    // req 12.2: an owner that was stuck does not look for who has left, and its queue has room.
    #[test]
    fn a_look_whose_asker_has_left_is_not_taken() {
        let asks = Asks::default();
        asks.own();
        let look = || Ask {
            source: "admin".to_owned(),
            wanted: Wanted::Profile(b"{}".to_vec()),
        };
        for _ in 0..2 * WAITING_MAX {
            drop(asks.ask(look()).unwrap());
        }
        drop(asks.ask(reload("a change is made all the same")).unwrap());
        for _ in 0..2 * WAITING_MAX {
            assert!(asks.tell(look()), "told by nobody who waits, and once");
        }
        let waits = asks.ask(look()).unwrap();
        let taken: Vec<_> = (0..4).map(|_| asks.next(Some(Duration::ZERO))).collect();
        let expected = [
            Next::Ask(reload("a change is made all the same")),
            Next::Ask(look()),
            Next::Ask(look()),
            Next::Nothing,
        ];
        assert_eq!(taken, expected);
        drop(waits);
    }

    #[test]
    fn an_owner_that_takes_the_next_ask_without_a_reply_leaves_no_asker_waiting() {
        let asks = Asks::default();
        asks.own();
        let mut first = asks.ask(reload("one")).unwrap();
        let mut second = asks.ask(reload("two")).unwrap();
        assert_eq!(asks.next(None), Next::Ask(reload("one")));
        assert_eq!(asks.next(None), Next::Ask(reload("two")));
        assert_eq!(
            first.try_recv(),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed)
        );
        asks.close();
        assert_eq!(
            second.try_recv(),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(asks.next(None), Next::Closed);
        assert!(!asks.tell(reload("late")));
    }
}

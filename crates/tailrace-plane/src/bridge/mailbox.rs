//! Letters from Python, and the conversations of a worker that they are for.
//!
//! The failure prevented is a lock per conversation: letters cross into one box per worker, and are
//! handed out by the thread that holds the conversations.

use super::groups::Sets;
use super::message::{Letter, Ticket};
use super::{alone, stream, Bridge, Post};
use crate::worker::Worker;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

/// Where letters for one conversation wait until its owner is polled.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: RefCell<Vec<Letter>>,
    waker: RefCell<Option<Waker>>,
}

impl Mailbox {
    fn put(&self, letter: Letter) {
        self.letters.borrow_mut().push(letter);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(super) fn take(&self, waker: &Waker) -> Vec<Letter> {
        *self.waker.borrow_mut() = Some(waker.clone());
        std::mem::take(&mut *self.letters.borrow_mut())
    }
}

/// The conversations of one worker.
#[derive(Debug, Default)]
pub struct Conversations {
    open: RefCell<HashMap<Ticket, Rc<Mailbox>>>,
    next: Cell<u64>,
    /// What holds their calls, while it is free.
    pub sets: Sets,
}

impl Conversations {
    pub(super) fn open(&self, worker: usize) -> (Ticket, Rc<Mailbox>) {
        let number = self.next.get();
        self.next.set(number + 1);
        let ticket = Ticket::new(worker, number);
        (ticket, self.open_as(ticket))
    }

    pub(super) fn open_as(&self, ticket: Ticket) -> Rc<Mailbox> {
        let mailbox = Rc::<Mailbox>::default();
        self.open.borrow_mut().insert(ticket, Rc::clone(&mailbox));
        mailbox
    }

    pub(super) fn close(&self, ticket: Ticket) {
        self.open.borrow_mut().remove(&ticket);
    }

    fn put(&self, ticket: Ticket, letter: Letter) {
        if let Some(mailbox) = self.open.borrow().get(&ticket) {
            mailbox.put(letter);
        }
    }
}

/// Hands the letters of one worker to its conversations until the worker ends.
pub async fn deliver(worker: Rc<Worker>, bridge: Arc<Bridge>) {
    let own = &bridge.boxes[worker.index];
    loop {
        own.arrived.notified().await;
        let letters = {
            let mut waiting = own.letters.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        worker.tick();
        for (ticket, post) in letters {
            match post {
                Post::Letter(letter) => worker.conversations.put(ticket, letter),
                Post::Alone { group, asked } => {
                    alone::start(&worker.newest(), &bridge, ticket, group, &asked);
                }
                Post::Stream(wish) => stream::start(&worker.newest(), &bridge, ticket, *wish),
            }
        }
    }
}

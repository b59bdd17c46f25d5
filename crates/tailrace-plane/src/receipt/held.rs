//! What a request may still hold of bodies, and the most it held (req 3.2).

use crate::memory::Share;
use crate::reason::Reason;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes left, shared by the calls of one request. What it holds comes out of the worker's share
/// of the process's budget as well; a drop gives it back.
#[derive(Debug, Default)]
pub struct Held {
    limit: Cell<u64>,
    left: Cell<u64>,
    least: Cell<u64>,
    share: RefCell<Option<Rc<Share>>>,
}

/// Which limit the bytes did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// The request's.
    Request,
    /// The process's.
    Process,
}

impl From<Short> for Reason {
    fn from(short: Short) -> Self {
        match short {
            Short::Request => Self::Memory,
            Short::Process => Self::MemoryFull,
        }
    }
}

impl Held {
    pub fn new(limit: u64, share: Option<&Rc<Share>>) -> Rc<Self> {
        let held = Self::default();
        held.begin(limit, share);
        Rc::new(held)
    }

    /// Starts anew: nothing is held.
    pub fn begin(&self, limit: u64, share: Option<&Rc<Share>>) {
        self.give(self.bytes());
        self.limit.set(limit);
        self.left.set(limit);
        self.least.set(limit);
        *self.share.borrow_mut() = share.map(Rc::clone);
    }

    /// Bytes that may still be held.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> u64 {
        self.limit.get() - self.left.get()
    }

    /// Holds `bytes` more, all or none.
    pub fn take(&self, bytes: u64) -> Result<(), Short> {
        let left = self.left.get().checked_sub(bytes).ok_or(Short::Request)?;
        if let Some(share) = &*self.share.borrow() {
            share.take(bytes).map_err(|_| Short::Process)?;
        }
        self.left.set(left);
        self.least.set(self.least.get().min(left));
        Ok(())
    }

    /// Gives some back; no more than are held.
    pub fn give(&self, bytes: u64) {
        let bytes = bytes.min(self.bytes());
        self.left.set(self.left.get() + bytes);
        if let Some(share) = &*self.share.borrow() {
            share.give(bytes);
        }
    }

    /// Holds `bytes` instead of what it held; without more of it than there is.
    pub fn hold_instead(&self, bytes: u64) {
        let held = self.bytes();
        self.give(held.saturating_sub(bytes));
        // It exists already, and goes as soon as its client has it.
        self.take(bytes.saturating_sub(held)).ok();
    }

    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    /// The most that was held at the same time.
    pub fn peak(&self) -> u64 {
        self.limit.get().saturating_sub(self.least.get())
    }
}

/// Bytes that one body is counted as; a drop gives them back.
#[derive(Debug)]
pub struct Taken {
    held: Rc<Held>,
    bytes: Cell<u64>,
}

impl Taken {
    pub fn none(held: &Rc<Held>) -> Self {
        Self {
            held: Rc::clone(held),
            bytes: Cell::new(0),
        }
    }

    /// Holds `bytes` more, all or none.
    pub fn more(&self, bytes: u64) -> Result<(), Short> {
        self.held.take(bytes)?;
        self.bytes.set(self.bytes.get() + bytes);
        Ok(())
    }

    /// What the body became takes its place, with `bytes`, until the request ends.
    pub fn land(&self, bytes: u64) -> Result<(), Short> {
        let had = self.bytes.get();
        self.held.take(bytes.saturating_sub(had))?;
        self.held.give(had.saturating_sub(bytes));
        self.bytes.set(0);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.held.give(self.bytes.get());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give(self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailrace_policy::byte_budget::ByteBudget;

    #[test]
    fn the_peak_stays_when_bytes_are_given_back() {
        let held = Held::new(100, None);
        held.take(70).unwrap();
        held.give(60);
        held.take(30).unwrap();
        assert_eq!((held.peak(), held.left(), held.limit()), (70, 60, 100));
        assert_eq!(held.take(61), Err(Short::Request));
        held.hold_instead(10);
        assert_eq!((held.bytes(), held.peak()), (10, 70));
        held.hold_instead(50);
        held.hold_instead(101);
        assert_eq!(held.bytes(), 50);
        held.begin(50, None);
        assert_eq!((held.peak(), held.left()), (0, 50));
    }

    #[test]
    fn what_an_attempt_took_comes_back_unless_it_landed() {
        let held = Held::new(100, None);
        let failed = Taken::none(&held);
        failed.more(60).unwrap();
        assert_eq!(failed.more(41), Err(Short::Request));
        drop(failed);
        assert_eq!(held.bytes(), 0);
        for became in [30, 80] {
            let body = Taken::none(&held);
            body.more(50).unwrap();
            body.land(became).unwrap();
            drop(body);
            assert_eq!(held.bytes(), became);
            held.give(became);
        }
        let body = Taken::none(&held);
        body.more(50).unwrap();
        assert_eq!(body.land(101), Err(Short::Request));
        drop(body);
        assert_eq!(held.bytes(), 0);
    }

    // req 11.1
    #[test]
    fn what_requests_hold_together_is_bounded_and_comes_back() {
        let budget = ByteBudget::new(1_000);
        let share = Rc::new(Share::new(&budget, 1));
        let requests: Vec<_> = (0..3).map(|_| Held::new(500, Some(&share))).collect();
        requests[0].take(500).unwrap();
        requests[1].take(400).unwrap();
        assert_eq!(requests[2].take(101), Err(Short::Process));
        assert_eq!(requests[2].bytes(), 0);
        requests[0].begin(500, Some(&share));
        requests[2].take(500).unwrap();
        drop(requests);
        share.take(1_000).unwrap();
    }
}

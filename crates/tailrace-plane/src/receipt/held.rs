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

    /// Gives back all but `bytes`.
    pub fn keep(&self, bytes: u64) {
        self.give(self.bytes().saturating_sub(bytes));
    }

    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    /// The most that was held at the same time.
    pub fn peak(&self) -> u64 {
        self.limit.get().saturating_sub(self.least.get())
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
        held.keep(10);
        held.keep(50);
        assert_eq!((held.bytes(), held.peak()), (10, 70));
        held.begin(50, None);
        assert_eq!((held.peak(), held.left()), (0, 50));
    }

    // req 11.1
    #[test]
    fn what_requests_hold_together_is_bounded_and_comes_back() {
        let budget = ByteBudget::new(1_000);
        let share = Rc::new(Share::new(&budget));
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

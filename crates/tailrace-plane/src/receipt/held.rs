//! What a request may still hold of bodies, and the most it held (req 3.2).

use std::cell::Cell;
use std::rc::Rc;

/// Bytes left, shared by the calls of one request.
#[derive(Debug, Default)]
pub struct Held {
    limit: Cell<u64>,
    left: Cell<u64>,
    least: Cell<u64>,
}

impl Held {
    pub fn new(limit: u64) -> Rc<Self> {
        let held = Self::default();
        held.begin(limit);
        Rc::new(held)
    }

    /// Starts anew: nothing is held.
    pub fn begin(&self, limit: u64) {
        self.limit.set(limit);
        self.left.set(limit);
        self.least.set(limit);
    }

    /// Bytes that may still be held.
    pub fn get(&self) -> u64 {
        self.left.get()
    }

    pub fn set(&self, left: u64) {
        self.left.set(left);
        self.least.set(self.least.get().min(left));
    }

    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    /// The most that was held at the same time.
    pub fn peak(&self) -> u64 {
        self.limit.get().saturating_sub(self.least.get())
    }
}

#[cfg(test)]
mod tests {
    use super::Held;

    #[test]
    fn the_peak_stays_when_bytes_are_given_back() {
        let held = Held::new(100);
        held.set(30);
        held.set(90);
        held.set(60);
        assert_eq!((held.peak(), held.get(), held.limit()), (70, 60, 100));
        held.begin(50);
        assert_eq!((held.peak(), held.get()), (0, 50));
    }
}

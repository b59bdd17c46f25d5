//! The bytes of bodies that this process may hold at once (req 11.1).
//!
//! The failure prevented: every request is within its own limit, a thousand of them are not, and
//! the container ends the process. Each body is counted before memory is taken for it: a request's
//! as it arrives, an answer by its declared length, the reply until it is written. What does not
//! fit is refused at once: 503 for a body, `memory_full` for a call.
//!
//! A worker takes from the process's budget in larger pieces and keeps a little to itself for a
//! moment, so that most bodies are counted without touching what other cores touch.

use crate::container;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use tailrace_blueprint::Limits;
use tailrace_policy::byte_budget::{ByteBudget, Held};

/// A worker keeps no more than this of the budget to itself, and takes a quarter of it at once.
const SPARE_MAX_BYTES: u64 = 256 * 1024;
/// All workers together keep no more than this part of the budget.
const SPARE_PART: u64 = 8;

/// The budget in bytes: as declared, else half of what the container allows, since a reply is put
/// together beside the answers it is made of, and code, caches and connections need memory too.
pub fn budget_bytes(limits: &Limits) -> u64 {
    limits
        .memory_max_bytes
        .unwrap_or_else(|| container::memory_bytes() / 2)
}

/// What was declared with what follows the container worked out; the cache never takes more than
/// half of the budget.
pub fn in_force(declared: &Limits) -> Limits {
    let budget = budget_bytes(declared);
    let half = u32::try_from(budget / 2).unwrap_or(u32::MAX);
    Limits {
        memory_max_bytes: Some(budget),
        cache_max_bytes: declared.cache_max_bytes.min(half),
        ..declared.clone()
    }
}

/// The process holds as many bytes as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A worker's share of the budget.
#[derive(Debug)]
pub struct Share {
    budget: Arc<ByteBudget>,
    workers: u64,
    /// Of the process's budget: what the worker's requests hold, and what it keeps to itself.
    taken: RefCell<Held>,
    /// What no request holds, and the most of it.
    spare: Cell<u64>,
    spare_max: Cell<u64>,
}

impl Share {
    pub fn new(budget: &Arc<ByteBudget>, workers: usize) -> Self {
        let share = Self {
            budget: Arc::clone(budget),
            workers: workers.max(1) as u64,
            taken: RefCell::new(Held::none(budget)),
            spare: Cell::new(0),
            spare_max: Cell::new(0),
        };
        share.sweep();
        share
    }

    pub fn take(&self, bytes: u64) -> Result<(), Full> {
        let spare = self.spare.get();
        match spare.checked_sub(bytes) {
            Some(rest) => self.spare.set(rest),
            None => self.grow(bytes - spare)?,
        }
        Ok(())
    }

    /// Takes what is missing and a little more, or just what is missing.
    #[cold]
    fn grow(&self, missing: u64) -> Result<(), Full> {
        let mut taken = self.taken.borrow_mut();
        let piece = (self.spare_max.get() / 4).max(1);
        let rounded = missing.checked_next_multiple_of(piece).ok_or(Full)?;
        for wanted in [rounded, missing] {
            if taken.grow(wanted).is_ok() {
                self.spare.set(wanted - missing);
                return Ok(());
            }
        }
        Err(Full)
    }

    pub fn give(&self, bytes: u64) {
        let (spare, most) = (self.spare.get() + bytes, self.spare_max.get());
        if spare <= most {
            self.spare.set(spare);
            return;
        }
        self.taken.borrow_mut().shrink(spare - most / 4);
        self.spare.set(most / 4);
    }

    /// Now and then: keeps nothing, for others may need it, and follows a changed budget.
    pub fn sweep(&self) {
        self.taken.borrow_mut().shrink(self.spare.take());
        let most = self.budget.max() / SPARE_PART / self.workers;
        self.spare_max.set(most.min(SPARE_MAX_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 11.1
    #[test]
    fn the_last_byte_can_be_held_and_no_more() {
        let budget = ByteBudget::new(100_000);
        let (one, other) = (Share::new(&budget, 2), Share::new(&budget, 2));
        one.take(1).unwrap();
        let piece = budget.used();
        assert_eq!(piece, 100_000 / 16 / 4, "in pieces");
        other.take(100_000 - piece).unwrap();
        assert_eq!(other.take(1), Err(Full));
        one.take(piece - 1).unwrap();
        assert_eq!(one.take(1), Err(Full));
        one.give(10);
        one.take(10).unwrap();
    }

    #[test]
    fn a_worker_keeps_little_to_itself_and_nothing_for_long() {
        let budget = ByteBudget::new(1 << 30);
        let share = Share::new(&budget, 2);
        share.take(1 << 24).unwrap();
        share.give(1 << 24);
        assert_eq!(budget.used(), SPARE_MAX_BYTES / 4);
        share.sweep();
        assert_eq!(budget.used(), 0);
        share.take(5).unwrap();
        share.sweep();
        assert_eq!(budget.used(), 5);
        drop(share);
        assert_eq!(budget.used(), 0);
    }

    // Four workers that are idle again must not keep it all from the other four.
    #[test]
    fn many_workers_share_a_small_budget() {
        let budget = ByteBudget::new(1 << 20);
        let shares: Vec<_> = (0..8).map(|_| Share::new(&budget, 8)).collect();
        for share in &shares {
            share.take(200_000).unwrap();
            share.give(200_000);
        }
        shares[7].take((1 << 20) * 7 / 8).unwrap();
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let budget = ByteBudget::new(1_000);
        let share = Share::new(&budget, 1);
        assert_eq!(share.take(1_001), Err(Full));
        assert_eq!(share.take(u64::MAX), Err(Full));
        assert_eq!(budget.used(), 0);
        share.take(1_000).unwrap();
    }

    #[test]
    fn the_cache_has_at_most_half_of_the_budget() {
        let cache_of = |memory_max_bytes| {
            let declared = Limits {
                memory_max_bytes,
                ..Limits::default()
            };
            in_force(&declared).cache_max_bytes
        };
        assert_eq!(cache_of(Some(1 << 20)), 1 << 19);
        assert_eq!(cache_of(Some(1 << 40)), 64 << 20);
    }

    #[test]
    fn it_is_half_of_what_the_container_allows_unless_declared() {
        let mut limits = Limits::default();
        let half = container::memory_bytes() / 2;
        assert_eq!(in_force(&limits).memory_max_bytes, Some(half));
        limits.memory_max_bytes = Some(7);
        assert_eq!(in_force(&limits).memory_max_bytes, Some(7));
    }
}

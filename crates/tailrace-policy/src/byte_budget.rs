//! Byte budget: what is kept in memory is counted in bytes, before it is kept.
//!
//! The failure prevented is a cache of ten thousand entries that fits until the entries are a
//! megabyte each, and a service that is ended by its container because many requests with large
//! bodies came at once. Bytes are held as a value; dropping it gives them back, so an entry that is
//! replaced, evicted or forgotten cannot be counted twice or never. One addition, no lock.
//!
//! Limits: what the allocator adds is an estimate, `OVERHEAD` for each entry.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// What an entry takes beside its key and its value: table, times, counts, the allocator's share.
pub const OVERHEAD: u64 = 192;
/// One entry may take this part of the budget, or it would empty the cache for itself.
pub const LARGEST_PART: u64 = 8;

/// What an entry is counted as.
pub fn entry_bytes(key: usize, value: usize) -> u64 {
    OVERHEAD + key as u64 + value as u64
}

/// The bytes are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytesExceeded {
    /// It will never fit.
    TooLarge,
    /// It fits when so many bytes are given back.
    Full { missing: u64 },
}

impl BytesExceeded {
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "entry_too_large",
            Self::Full { .. } => "cache_full",
        }
    }
}

impl fmt::Display for BytesExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the entry takes more than an eighth of the cache"),
            Self::Full { missing } => write!(f, "the cache is full; {missing} bytes are missing"),
        }
    }
}

impl std::error::Error for BytesExceeded {}

/// Shared by all workers; one per process.
#[derive(Debug)]
pub struct ByteBudget {
    max: AtomicU64,
    used: AtomicU64,
}

impl ByteBudget {
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicU64::new(max),
            used: AtomicU64::new(0),
        })
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes the budget; what is held above a lower one stays until it is given back.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Bytes that are held above the budget.
    pub fn excess(&self) -> u64 {
        self.used().saturating_sub(self.max())
    }

    /// Holds `bytes`, all or none.
    pub fn try_hold(self: &Arc<Self>, bytes: u64) -> Result<Held, BytesExceeded> {
        if bytes > self.max() / LARGEST_PART {
            return Err(BytesExceeded::TooLarge);
        }
        self.add(bytes)?;
        Ok(Held {
            budget: Arc::clone(self),
            bytes,
        })
    }

    fn add(&self, bytes: u64) -> Result<(), BytesExceeded> {
        let max = self.max();
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= max);
        let held = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        held.map_or_else(
            |used| {
                Err(BytesExceeded::Full {
                    missing: used.saturating_add(bytes).saturating_sub(max),
                })
            },
            |_| Ok(()),
        )
    }
}

/// Bytes that are held; dropping it gives them back.
#[derive(Debug)]
pub struct Held {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl Held {
    /// Nothing yet; `grow` makes it more.
    pub fn none(budget: &Arc<ByteBudget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds `bytes` more, all or none.
    pub fn grow(&mut self, bytes: u64) -> Result<(), BytesExceeded> {
        self.budget.add(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives some back; no more than are held.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_held_and_given_back() {
        let budget = ByteBudget::new(800);
        let held: Vec<_> = (0..8).map(|_| budget.try_hold(100).unwrap()).collect();
        assert_eq!((budget.used(), held[0].bytes()), (800, 100));
        let refused = budget.try_hold(60).unwrap_err();
        assert_eq!(refused, BytesExceeded::Full { missing: 60 });
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_would_take_the_cache_for_itself_is_refused() {
        let budget = ByteBudget::new(800);
        for bytes in [101, 800, u64::MAX] {
            let refused = budget.try_hold(bytes).unwrap_err();
            assert_eq!(refused.code(), "entry_too_large");
        }
        assert!(ByteBudget::new(0).try_hold(1).is_err());
    }

    #[test]
    fn what_is_held_grows_and_shrinks() {
        let budget = ByteBudget::new(1_000);
        let mut held = Held::none(&budget);
        held.grow(700).unwrap();
        assert_eq!(held.grow(301), Err(BytesExceeded::Full { missing: 1 }));
        held.shrink(200);
        assert_eq!(
            (held.bytes(), budget.used(), budget.max()),
            (500, 500, 1_000)
        );
        held.shrink(9_000);
        assert_eq!((held.bytes(), budget.used()), (0, 0));
        held.grow(1_000).unwrap();
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_lower_budget_says_how_much_must_go() {
        let budget = ByteBudget::new(800);
        let held: Vec<_> = (0..8).map(|_| budget.try_hold(100).unwrap()).collect();
        budget.set_max(480);
        assert_eq!(budget.excess(), 320);
        let refused = budget.try_hold(60).unwrap_err();
        assert_eq!(refused, BytesExceeded::Full { missing: 380 });
        drop(held);
        assert_eq!(budget.excess(), 0);
    }

    // Entries of a kilobyte come and go for ever in a cache of a megabyte: a thousand fit, no more.
    #[test]
    fn a_cache_of_a_megabyte_never_holds_more() {
        let budget = ByteBudget::new(1 << 20);
        let mut cache = std::collections::VecDeque::new();
        for _ in 0..10_000 {
            let bytes = entry_bytes(24, 1_000);
            while let Err(BytesExceeded::Full { .. }) = budget.try_hold(bytes) {
                cache.pop_front();
            }
            cache.extend(budget.try_hold(bytes));
        }
        assert_eq!(cache.len() as u64, (1 << 20) / entry_bytes(24, 1_000));
    }

    #[test]
    fn eight_threads_never_hold_more_than_there_is() {
        let budget = ByteBudget::new(1_000);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let held = (budget.try_hold(125), budget.try_hold(77));
                        assert!(budget.used() <= 1_000);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }

    proptest! {
        #[test]
        fn used_is_the_sum_of_what_is_held(
            steps in prop::collection::vec((1_u64..200, any::<bool>()), 0..200),
        ) {
            let (budget, mut held) = (ByteBudget::new(1_000), Vec::new());
            for (bytes, give_back) in steps {
                if give_back {
                    held.pop();
                } else {
                    held.extend(budget.try_hold(bytes));
                }
                let sum: u64 = held.iter().map(Held::bytes).sum();
                prop_assert_eq!(budget.used(), sum);
                prop_assert!(sum <= 1_000);
            }
        }
    }
}

//! The attempt purse: how many extra attempts one inbound request may cause in all (req 9.4).
//!
//! The failure prevented is amplification inside one request: eight calls that may each retry once
//! are sixteen, and a part with `each` multiplies that again. Retries and hedges of every call of
//! the request take from the same purse, before any wait. What it holds is a number that the tail
//! type-check can put into the worst case.
//!
//! A request never changes thread, so this is a plain cell.

use std::cell::Cell;
use std::fmt;

/// Every extra attempt of this request is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurseEmpty;

impl PurseEmpty {
    pub fn code(self) -> &'static str {
        "purse_empty"
    }
}

impl fmt::Display for PurseEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has used its extra attempts; retries and hedges share them")
    }
}

impl std::error::Error for PurseEmpty {}

/// The extra attempts of one inbound request.
#[derive(Debug)]
pub struct Purse {
    extra: u32,
    left: Cell<u32>,
}

impl Purse {
    pub fn new(extra: u32) -> Self {
        Self {
            extra,
            left: Cell::new(extra),
        }
    }

    pub fn left(&self) -> u32 {
        self.left.get()
    }

    pub fn spent(&self) -> u32 {
        self.extra - self.left.get()
    }

    /// Takes one extra attempt.
    pub fn try_take(&self) -> Result<(), PurseEmpty> {
        let left = self.left.get().checked_sub(1).ok_or(PurseEmpty)?;
        self.left.set(left);
        Ok(())
    }

    /// Returns one that was taken for an attempt that was never sent: another policy refused it.
    pub fn put_back(&self) {
        self.left.set(self.extra.min(self.left.get() + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_taken_is_gone() {
        let purse = Purse::new(2);
        assert_eq!((purse.try_take(), purse.try_take()), (Ok(()), Ok(())));
        assert_eq!(purse.try_take(), Err(PurseEmpty));
        assert_eq!((purse.left(), purse.spent()), (0, 2));
        assert_eq!(Purse::new(0).try_take(), Err(PurseEmpty));
    }

    // req 9.4: five calls that may each send two more attempts share three.
    #[test]
    fn one_request_never_causes_more_than_its_purse() {
        let purse = Purse::new(3);
        let sent: usize = (0..5)
            .map(|_| 1 + (0..2).filter(|_| purse.try_take().is_ok()).count())
            .sum();
        assert_eq!(sent, 5 + 3);
    }

    proptest! {
        #[test]
        fn taken_and_left_always_make_the_whole(extra in 0_u32..9, steps: Vec<bool>) {
            let purse = Purse::new(extra);
            let mut taken = 0_u32;
            for take in steps {
                if take {
                    prop_assert_eq!(purse.try_take().is_ok(), taken < extra);
                    taken = extra.min(taken + 1);
                } else {
                    purse.put_back();
                    taken = taken.saturating_sub(1);
                }
                prop_assert_eq!((purse.spent(), purse.left()), (taken, extra - taken));
            }
        }
    }
}

//! Retry budget: extra attempts to one upstream stay a share of its calls (req 9.4).
//!
//! The failure prevented is the retry storm: an upstream that fails gets more load because it
//! fails, and does not recover. Every logical call deposits a thousand tokens, an extra attempt
//! withdraws `1000 / share`; both count for `ttl` only. A small reserve lets a nearly idle upstream
//! be retried. Tokens are integers, so a share of 0.7 grants 700 of 1000 where forms that round the
//! cost to whole calls grant all (ALGORITHMS 4, Finagle's form).
//!
//! Deposits happen on every call and are two atomic additions. Withdrawals are rare: one that has a
//! chance is decided under a lock, so that workers together never exceed the budget.

use crate::window::Window;
use crate::Nanos;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

const SECOND: Nanos = 1_000_000_000;
/// What one call earns.
const DEPOSIT: u64 = 1_000;

/// Limits of one budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Extra attempts per call, 0 to 1.
    pub share: f64,
    /// Extra attempts a second that are always granted.
    pub min_per_second: u32,
    /// How long a deposit or a withdrawal counts.
    pub ttl: Nanos,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            share: 0.1,
            min_per_second: 1,
            ttl: 10 * SECOND,
        }
    }
}

impl Params {
    /// What is wrong with these limits, if anything.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.share != 0.0 && !(0.001..=1.0).contains(&self.share) {
            return Err("share is extra attempts per call: 0, or between 0.001 and 1");
        }
        if self.min_per_second > 1_000 {
            return Err("min_per_second above 1000 is not a reserve; raise the share");
        }
        if !(SECOND..=60 * SECOND).contains(&self.ttl) {
            return Err("ttl is between 1 s and 60 s");
        }
        Ok(())
    }

    fn cost(&self) -> u64 {
        if self.share > 0.0 {
            (DEPOSIT as f64 / self.share) as u64
        } else {
            DEPOSIT
        }
    }
}

/// The upstream got as many extra attempts as its calls allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetEmpty;

impl BudgetEmpty {
    pub fn code(self) -> &'static str {
        "retry_budget"
    }
}

impl fmt::Display for BudgetEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("extra attempts to this upstream reached their share of its calls")
    }
}

impl std::error::Error for BudgetEmpty {}

/// What was earned and spent.
#[derive(Debug)]
struct Account {
    /// Part: spent; whole: earned.
    window: Window,
    ttl: Nanos,
    withdrawing: Mutex<()>,
}

/// Shared by all workers; one per upstream.
#[derive(Debug)]
pub struct RetryBudget {
    account: Arc<Account>,
    deposit: u64,
    cost: u64,
    reserve: u64,
}

impl RetryBudget {
    pub fn new(params: Params) -> Self {
        let account = Account {
            window: Window::new(params.ttl),
            ttl: params.ttl,
            withdrawing: Mutex::new(()),
        };
        Self::over(Arc::new(account), params)
    }

    /// The same account under other limits: what was earned and spent still counts.
    #[must_use]
    pub fn renewed(&self, params: Params) -> Self {
        if self.account.ttl == params.ttl {
            Self::over(Arc::clone(&self.account), params)
        } else {
            Self::new(params)
        }
    }

    fn over(account: Arc<Account>, params: Params) -> Self {
        let cost = params.cost();
        let reserve = u128::from(params.min_per_second) * u128::from(params.ttl);
        let reserve = (reserve * u128::from(cost) / u128::from(SECOND)) as u64;
        Self {
            account,
            deposit: if params.share > 0.0 { DEPOSIT } else { 0 },
            cost,
            reserve,
        }
    }

    /// Earns the share of one logical call; once per call, whatever its attempts.
    pub fn deposit(&self, now: Nanos) {
        self.account.window.add(now, 0, self.deposit);
    }

    /// Pays for one extra attempt. Asked before any wait.
    pub fn try_withdraw(&self, now: Nanos) -> Result<(), BudgetEmpty> {
        // An empty budget is found out without the lock: in a storm everybody comes here.
        if self.balance(now) == 0 {
            return Err(BudgetEmpty);
        }
        let _held = self
            .account
            .withdrawing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.balance(now) == 0 {
            return Err(BudgetEmpty);
        }
        self.account.window.add(now, self.cost, 0);
        Ok(())
    }

    /// Takes back what was withdrawn at `now` for an attempt that another policy refused. Only at
    /// the same moment: a withdrawal and its return then stop counting together.
    pub fn put_back(&self, now: Nanos) {
        self.account.window.add(now, 0, self.cost);
    }

    /// Extra attempts that would be granted now.
    pub fn balance(&self, now: Nanos) -> u64 {
        let sums = self.account.window.sums(now);
        (sums.whole + self.reserve).saturating_sub(sums.part) / self.cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(share: f64, min_per_second: u32, ttl: Nanos) -> RetryBudget {
        let params = Params {
            share,
            min_per_second,
            ttl: ttl * SECOND,
        };
        params.check().unwrap();
        RetryBudget::new(params)
    }

    fn grants(budget: &RetryBudget, now: Nanos, tries: usize) -> usize {
        (0..tries)
            .filter(|_| budget.try_withdraw(now).is_ok())
            .count()
    }

    // ALGORITHMS 4, Finagle: 10 s, 10/s, 0.2, frozen clock.
    #[test]
    fn the_reserve_and_the_share_add_up() {
        let budget = budget(0.2, 10, 10);
        assert_eq!(budget.balance(0), 100);
        let granted: usize = (0..10_000)
            .map(|_| {
                budget.deposit(0);
                grants(&budget, 0, 1)
            })
            .sum();
        assert!((2_099..=2_101).contains(&granted), "{granted}");
    }

    // Live configuration: a budget that was spent is not earned anew by a change of its share.
    #[test]
    fn other_limits_keep_what_was_earned_and_spent() {
        let first = budget(0.5, 0, 10);
        (0..100).for_each(|_| first.deposit(0));
        assert_eq!(grants(&first, 0, 30), 30);
        let params = |share| Params {
            share,
            min_per_second: 0,
            ttl: 10 * SECOND,
        };
        assert_eq!(first.renewed(params(0.5)).balance(0), 20);
        let lower = first.renewed(params(0.1));
        assert_eq!(lower.balance(0), 4, "40 000 tokens at 10 000 each");
        assert_eq!(grants(&lower, 0, 10), 4);
        assert_eq!(first.balance(0), 0, "both draw on one account");
    }

    // ALGORITHMS 4, Finagle: without a reserve the tenth call pays for the first retry.
    #[test]
    fn ten_calls_pay_for_one_retry() {
        let budget = budget(0.1, 0, 10);
        for calls in 1..=10 {
            budget.deposit(0);
            assert_eq!(budget.balance(0), u64::from(calls == 10));
        }
        assert_eq!(grants(&budget, 0, 5), 1);
    }

    // ALGORITHMS 4, tower: what was earned lives for the ttl; the reserve is exact.
    #[test]
    fn deposits_expire_and_the_reserve_is_exact() {
        let earned = budget(1.0, 0, 1);
        earned.deposit(0);
        assert_eq!(earned.try_withdraw(3 * SECOND), Err(BudgetEmpty));
        assert_eq!(grants(&budget(1.0, 5, 1), 0, 100), 5);
    }

    // ALGORITHMS 4: tower's whole-call costs grant 1000 here.
    #[test]
    fn a_share_of_seven_tenths_grants_seven_of_ten() {
        let budget = budget(0.7, 0, 10);
        (0..1_000).for_each(|_| budget.deposit(0));
        assert_eq!(grants(&budget, 0, 2_000), 700);
    }

    #[test]
    fn a_share_of_zero_leaves_the_reserve() {
        let budget = budget(0.0, 1, 10);
        (0..1_000).for_each(|_| budget.deposit(0));
        assert_eq!(grants(&budget, 0, 100), 10);
        assert_eq!(grants(&budget, 10 * SECOND, 100), 10, "it comes back");
    }

    // ALGORITHMS 4: three layers at 20 % make 1.728 attempts, not 27 (RELIABILITY S26).
    #[test]
    fn three_budgeted_layers_do_not_multiply() {
        let layers: Vec<_> = (0..3).map(|_| budget(0.2, 0, 10)).collect();
        let mut arriving = 10_000;
        for layer in &layers {
            (0..arriving).for_each(|_| layer.deposit(0));
            arriving += grants(layer, 0, arriving * 2);
        }
        assert_eq!(arriving, 17_280);
    }

    // One minute of an upstream at 100 % errors, every call wanting a retry (RELIABILITY S26).
    #[test]
    fn a_dead_upstream_gets_a_tenth_more_and_no_storm() {
        let budget = RetryBudget::new(Params::default());
        let (mut sent, mut retried) = (0_u32, 0_u32);
        for millisecond in 0..60_000 {
            let now = millisecond * 1_000_000;
            budget.deposit(now);
            sent += 1;
            retried += u32::from(budget.try_withdraw(now).is_ok());
        }
        let extra = f64::from(retried) / f64::from(sent);
        assert!((0.09..=0.11).contains(&extra), "{extra}");
    }

    #[test]
    fn what_is_put_back_is_granted_once_more_and_expires_with_its_withdrawal() {
        let budget = budget(0.1, 0, 10);
        (0..30).for_each(|_| budget.deposit(0));
        assert_eq!(grants(&budget, 0, 9), 3);
        budget.put_back(0);
        assert_eq!(grants(&budget, 0, 9), 1);
        budget.put_back(0);
        assert_eq!(budget.balance(20 * SECOND), 0);
    }

    #[test]
    fn eight_threads_never_exceed_the_budget() {
        let budget = budget(0.1, 0, 10);
        (0..8_000).for_each(|_| budget.deposit(0));
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| grants(&budget, 0, 1_000)))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(granted, 800);
    }

    #[test]
    fn nonsense_is_refused() {
        let sound = Params::default();
        assert_eq!(sound.check(), Ok(()));
        for bad in [
            Params {
                share: -0.1,
                ..sound
            },
            Params {
                share: 1.1,
                ..sound
            },
            Params {
                share: f64::NAN,
                ..sound
            },
            Params {
                min_per_second: 1_001,
                ..sound
            },
            Params { ttl: 0, ..sound },
            Params {
                ttl: 61 * SECOND,
                ..sound
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn grants_of_a_window_never_exceed_reserve_and_share(
            share in 0.001_f64..1.0, min in 0_u32..4,
            steps in prop::collection::vec(any::<bool>(), 0..400),
        ) {
            let budget = budget(share, min, 10);
            let (mut calls, mut granted) = (0_u64, 0_u64);
            for call in steps {
                if call {
                    calls += 1;
                    budget.deposit(SECOND);
                } else {
                    granted += u64::from(budget.try_withdraw(SECOND).is_ok());
                }
                // The cost is rounded down to a token, which is worth at most share / 1000.
                let earned = calls as f64 * share * (1.0 + share / 999.0);
                prop_assert!(granted as f64 <= f64::from(min) * 10.0 + earned + 1e-6);
            }
        }
    }
}

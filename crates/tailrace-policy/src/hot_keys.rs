//! Hot keys: the few that a large part of all questions is for (req 16.5).
//!
//! The failure prevented is one key that all workers queue up for: a celebrity's page makes one
//! shard of the cache, and one shard of the upstream, the bottleneck of everything. Space-Saving
//! keeps `k` counters however many keys there are: a new key takes over the least counter with what
//! it says, as its error. So a count is too high by at most N/k of N questions, and every key with
//! more than N/k is among the counters. What is sure is the count less its error (ALGORITHMS 8).
//!
//! One per worker, without atomics: a hot key is hot on every worker. After `window` questions all
//! counts are halved, so that yesterday's key cools down. A question costs a look-up and a binary
//! search among `k`.

use std::collections::HashMap;

#[derive(Debug, Clone, Copy)]
struct Counter {
    key: u64,
    count: u64,
    error: u64,
}

/// A key and how often it was asked for lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hot {
    /// The hash it was recorded with.
    pub key: u64,
    /// At most so often,
    pub count: u64,
    /// and less by at most so much.
    pub error: u64,
}

/// One worker's counters.
#[derive(Debug)]
pub struct HotKeys {
    capacity: usize,
    window: u64,
    recorded: u64,
    /// Highest count first.
    counters: Vec<Counter>,
    places: HashMap<u64, usize>,
}

impl HotKeys {
    /// `capacity` is k: to find keys with a share of `s` for sure it must be above `2 / s`.
    pub fn new(capacity: usize, window: u64) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            window: window.max(2),
            recorded: 0,
            counters: Vec::with_capacity(capacity),
            places: HashMap::with_capacity(capacity),
        }
    }

    /// Questions that the counts are of.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Counts one question for the key of this hash.
    pub fn record(&mut self, key: u64) {
        let place = self.place_for(key);
        let count = self.counters[place].count;
        // Swapped with the first of its count, it may count on without losing the order.
        let first = self.counters.partition_point(|other| other.count > count);
        self.counters.swap(place, first);
        self.places.insert(self.counters[place].key, place);
        self.places.insert(key, first);
        self.counters[first].count += 1;
        self.recorded += 1;
        if self.recorded >= self.window {
            self.halve();
        }
    }

    /// Whether the key certainly has this share of the questions.
    pub fn is_hot(&self, key: u64, share: f64) -> bool {
        let counter = self.places.get(&key).map(|place| &self.counters[*place]);
        counter.is_some_and(|counter| self.has_share(counter, share))
    }

    /// The keys that certainly have this share of the questions, hottest first.
    pub fn hot(&self, share: f64) -> impl Iterator<Item = Hot> + '_ {
        let sure = move |counter: &&Counter| self.has_share(counter, share);
        self.counters.iter().filter(sure).map(|counter| Hot {
            key: counter.key,
            count: counter.count,
            error: counter.error,
        })
    }

    fn has_share(&self, counter: &Counter, share: f64) -> bool {
        // A few questions are no pattern: a key is not hot because it was the first.
        let least = (share * self.recorded as f64).max(8.0);
        (counter.count - counter.error) as f64 >= least
    }

    /// The counter of `key`: its own, a free one, or the least one taken over.
    fn place_for(&mut self, key: u64) -> usize {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let mut counter = Counter {
            key,
            count: 0,
            error: 0,
        };
        if self.counters.len() == self.capacity {
            if let Some(least) = self.counters.pop() {
                self.places.remove(&least.key);
                counter.count = least.count;
                counter.error = least.count;
            }
        }
        self.counters.push(counter);
        self.counters.len() - 1
    }

    fn halve(&mut self) {
        for counter in &mut self.counters {
            // An odd count and its error lose the same, so that what is sure stays sure.
            let sure = (counter.count - counter.error) / 2;
            counter.count /= 2;
            counter.error = counter.count - sure.min(counter.count);
        }
        while self.counters.last().is_some_and(|least| least.count == 0) {
            if let Some(least) = self.counters.pop() {
                self.places.remove(&least.key);
            }
        }
        self.recorded = self.counters.iter().map(|counter| counter.count).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOREVER: u64 = u64::MAX;

    fn counted(keys: &HotKeys, key: u64) -> Option<(u64, u64)> {
        let place = *keys.places.get(&key)?;
        let counter = keys.counters[place];
        assert_eq!(counter.key, key);
        Some((counter.count, counter.error))
    }

    #[test]
    fn a_new_key_takes_over_the_least_counter() {
        let mut keys = HotKeys::new(2, FOREVER);
        for key in [1, 1, 1, 2, 2, 3] {
            keys.record(key);
        }
        assert_eq!(counted(&keys, 1), Some((3, 0)));
        assert_eq!(counted(&keys, 2), None);
        assert_eq!(counted(&keys, 3), Some((3, 2)));
    }

    #[test]
    fn a_share_must_be_certain_and_of_more_than_a_few() {
        let mut keys = HotKeys::new(4, FOREVER);
        (0..7).for_each(|_| keys.record(1));
        assert!(!keys.is_hot(1, 0.1), "seven questions are no pattern");
        keys.record(1);
        assert!(keys.is_hot(1, 1.0));
        (0..800).for_each(|key| keys.record(100 + key));
        assert_eq!(keys.hot(0.1).count(), 0, "high counts that are all error");
    }

    // A page becomes famous, and is forgotten again.
    #[test]
    fn a_key_gets_hot_and_cools_down() {
        let (mut keys, mut random) = (HotKeys::new(64, 10_000), fastrand::Rng::with_seed(2));
        let famous = 42;
        let mut ask = |questions: u32, share: f64| {
            for _ in 0..questions {
                let is_famous = random.f64() < share;
                keys.record(if is_famous { famous } else { random.u64(..) });
            }
            keys.hot(0.05).map(|hot| hot.key).collect::<Vec<_>>()
        };
        assert_eq!(ask(20_000, 0.0), []);
        assert_eq!(ask(20_000, 0.1), [famous]);
        assert_eq!(ask(20_000, 0.0), []);
    }

    proptest! {
        // ALGORITHMS 8: error <= N/k; and nothing above N/k is missing.
        #[test]
        fn counts_are_too_high_by_at_most_their_error_and_that_by_n_over_k(
            capacity in 1_usize..12, asked in prop::collection::vec(0_u64..30, 0..500),
        ) {
            let (mut keys, mut exact) = (HotKeys::new(capacity, FOREVER), HashMap::new());
            for key in asked {
                keys.record(key);
                *exact.entry(key).or_insert(0_u64) += 1;
            }
            let share = keys.recorded() / capacity as u64;
            for (key, times) in exact {
                match counted(&keys, key) {
                    Some((count, error)) => {
                        prop_assert!(error <= share);
                        prop_assert!(count - error <= times && times <= count);
                    }
                    None => prop_assert!(times <= share, "{key} asked {times} times is missing"),
                }
            }
        }

        #[test]
        fn the_order_and_the_index_hold_through_halvings(
            capacity in 1_usize..12, window in 2_u64..60,
            asked in prop::collection::vec(0_u64..30, 0..500),
        ) {
            let mut keys = HotKeys::new(capacity, window);
            for key in asked {
                keys.record(key);
                prop_assert!(keys.counters.is_sorted_by(|one, next| one.count >= next.count));
                prop_assert_eq!(keys.places.len(), keys.counters.len());
                let sum: u64 = keys.counters.iter().map(|one| one.count).sum();
                prop_assert_eq!(sum, keys.recorded());
                for counter in &keys.counters {
                    let known = Some((counter.count, counter.error));
                    prop_assert_eq!(counted(&keys, counter.key), known);
                    // Halving rounds an error up, by less than one.
                    prop_assert!(counter.error <= counter.count);
                    prop_assert!(counter.error <= window / capacity as u64 + 1);
                }
            }
        }
    }
}

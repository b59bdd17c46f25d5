//! Rates of many keys: one word of state for each client or route, in bounded memory (req 9.1a).
//!
//! The failure prevented is a table of clients that grows with whoever invents clients, and a lock
//! on the path of every request. The table has a fixed number of places, in buckets of eight; a key
//! is its 64-bit hash under a secret of this process, so nobody can aim at a bucket. A known key
//! costs one compare-and-swap. A new one takes a place under the lock of its shard, one of 64: an
//! idle place, whose time has passed and which is therefore no state at all, so that no sweep is
//! needed; or else the place that owes least. Whoever asks most owes most, and is never forgotten
//! for others.
//!
//! Limits: two keys of one hash share a rate (one chance in 2^64 for each pair). A key that was
//! forgotten early starts anew with its whole burst; `evicted` counts them, and says that the table
//! is too small.

use crate::rate::{Allowed, Params, Quota, RateExceeded};
use crate::Nanos;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 64;
const BUCKET: usize = 8;
/// The place is being given to another key.
const CLAIMED: u64 = u64::MAX;

/// One key's state.
#[derive(Debug, Default)]
struct Place {
    /// Hash of the key; 0: none yet.
    key: AtomicU64,
    paid_at: AtomicU64,
}

/// Shared by all workers.
#[derive(Debug)]
pub struct Keyed {
    quota: Quota,
    places: Box<[Place]>,
    taking: [Mutex<()>; SHARDS],
    evicted: AtomicU64,
    hasher: RandomState,
}

impl Keyed {
    /// The same rate for each of about `keys` keys; rounded up to a power of two, at least 512.
    pub fn new(params: Params, keys: usize) -> Self {
        let places = keys.clamp(SHARDS * BUCKET, 1 << 30).next_power_of_two();
        Self {
            quota: Quota::new(params),
            places: (0..places).map(|_| Place::default()).collect(),
            taking: std::array::from_fn(|_| Mutex::new(())),
            evicted: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Changes the limits of all keys; what was done stays done.
    pub fn set(&self, params: Params) {
        self.quota.set(params);
    }

    /// Takes `cells` from the rate of `key`, all or none.
    pub fn check(&self, key: &[u8], now: Nanos, cells: u32) -> Result<Allowed, RateExceeded> {
        self.check_hash(self.hasher.hash_one(key).max(1), now, cells)
    }

    /// Keys that still owe something, which is what the table must hold. Looks at every place.
    pub fn live(&self, now: Nanos) -> usize {
        let owes = |place: &&Place| place.paid_at.load(Ordering::Relaxed) > now;
        self.places.iter().filter(owes).count()
    }

    /// Keys that were forgotten while they still owed something.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn check_hash(&self, hash: u64, now: Nanos, cells: u32) -> Result<Allowed, RateExceeded> {
        let index = hash as usize % (self.places.len() / BUCKET);
        let bucket = &self.places[index * BUCKET..][..BUCKET];
        loop {
            if let Some(place) = find(bucket, hash) {
                if let Some(answer) = self.charge(place, hash, now, cells) {
                    return answer;
                }
            }
            let shard = &self.taking[index % SHARDS];
            let _held = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Another worker may have given it a place meanwhile.
            if find(bucket, hash).is_some() {
                continue;
            }
            let (next, answer) = self.quota.decide(0, now, cells);
            if let Some(next) = next {
                self.take(bucket, hash, now, next);
            }
            return answer;
        }
    }

    /// None when the place was given to another key.
    fn charge(
        &self,
        place: &Place,
        hash: u64,
        now: Nanos,
        cells: u32,
    ) -> Option<Result<Allowed, RateExceeded>> {
        loop {
            // The state before the key: a state written for another key is seen with that key. And
            // a place that is given away passes through another state, which fails the exchange.
            let state = place.paid_at.load(Ordering::Acquire);
            if state == CLAIMED || place.key.load(Ordering::Acquire) != hash {
                return None;
            }
            let (next, answer) = self.quota.decide(state, now, cells);
            let Some(next) = next else {
                return Some(answer);
            };
            let swapped = place.paid_at.compare_exchange_weak(
                state,
                next,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if swapped.is_ok() {
                return Some(answer);
            }
        }
    }

    /// Gives `hash` the place that owes least. The shard's lock is held.
    fn take(&self, bucket: &[Place], hash: u64, now: Nanos, next: u64) {
        loop {
            let owed = |place: &&Place| place.paid_at.load(Ordering::Acquire);
            let Some(place) = bucket.iter().min_by_key(owed) else {
                return;
            };
            let before = owed(&place);
            let claimed = place.paid_at.compare_exchange(
                before,
                CLAIMED,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if claimed.is_err() {
                // Its key was just asked for: it may owe more than another now.
                continue;
            }
            if before > now {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            place.key.store(hash, Ordering::Release);
            // Never the state it had, or a worker that read that one could still charge it.
            let next = next + u64::from(next == before);
            place.paid_at.store(next, Ordering::Release);
            return;
        }
    }
}

fn find(bucket: &[Place], hash: u64) -> Option<&Place> {
    bucket
        .iter()
        .find(|place| place.key.load(Ordering::Acquire) == hash)
}

#[cfg(test)]
mod tests;
